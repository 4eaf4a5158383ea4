"""Every path and every command that the documents name exists."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from flows.cli import app
from flows.graph import read_graph
from flows.graph_layout import place

DOCS = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "docs")
CODE = ("apps/", "flows/", "likeness/", "models/", "tasks/")
ROOMS = (*CODE, "tests/", "benchmarks/", "docs/", "scripts/")
MADE = {"benchmarks/results.json"}
"""Left by `make bench`, ignored by git."""
PATH = re.compile(r"`([A-Za-z0-9_.][\w./-]*)(?:::?[\w.]+)?`")
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
COMMAND = re.compile(r"(?:`|\$ |^)likeness ([a-z][a-z-]+)", re.MULTILINE)
OPTION = re.compile(r"^(?:\$ )?likeness ([a-z][a-z-]+)([^\n#`]*)", re.MULTILINE)
TARGET = re.compile(r"`make ([a-z-]+)")
MODULE = re.compile(r"python -m ((?:apps|flows|likeness|models|tasks|benchmarks)(?:\.\w+)+)")


def pages(repository: Path) -> list[Path]:
    found = [repository / name for name in DOCS]
    return [f for p in found for f in ([p] if p.is_file() else sorted(p.rglob("*.md")))]


def missing(repository: Path, find: re.Pattern[str], good: object) -> list[str]:
    assert callable(good)
    return [
        f"{page.relative_to(repository)}: {found}"
        for page in pages(repository)
        for found in find.findall(page.read_text(encoding="utf-8"))
        if not good(page, found)
    ]


def test_links_lead_somewhere(repository: Path) -> None:
    def there(page: Path, link: str) -> bool:
        return "://" in link or (page.parent / link).exists()

    assert missing(repository, LINK, there) == []


def test_paths_of_code_and_documents_exist(repository: Path) -> None:
    """`likeness/evaluation/gates.py`, `tests/graph`: as written, from the root."""

    def there(_page: Path, name: str) -> bool:
        if not name.startswith(ROOMS) or name in MADE:
            return True
        return (repository / name).exists() or (repository / f"{name}.py").exists()

    assert missing(repository, PATH, there) == []


def test_commands_and_their_options_exist(repository: Path) -> None:
    known = {str(command.name): command.callback for command in app.registered_commands}
    assert missing(repository, COMMAND, lambda _page, name: name in known) == []
    for page in pages(repository):
        for name, rest in OPTION.findall(page.read_text(encoding="utf-8")):
            for option in re.findall(r"(?<=\s)--[a-z][a-z-]*", rest):
                assert option in options(name), f"{page.name}: likeness {name} {option}"


def options(name: str) -> set[str]:
    from typer.main import get_command

    command = get_command(app).commands[name]  # type: ignore[attr-defined]  # a group has them
    return {text for parameter in command.params for text in parameter.opts} | {"--help"}


def test_make_knows_its_targets(repository: Path) -> None:
    text = (repository / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", text, re.MULTILINE))
    assert missing(repository, TARGET, lambda _page, name: name in targets) == []


def test_modules_that_are_run_exist(repository: Path) -> None:
    def there(_page: Path, name: str) -> bool:
        path = repository / name.replace(".", "/")
        return path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()

    assert missing(repository, MODULE, there) == []


def test_the_picture_of_the_way_has_a_place_for_every_stage(repository: Path) -> None:
    path = repository / "scripts/draw_way.py"
    spec = importlib.util.spec_from_file_location("draw_way", path)
    assert spec is not None
    assert spec.loader is not None
    way = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(way)
    assert set(way.stages()) - set(way.PLACES) == set()
    known = way.edges(way.stages())
    assert {("align", "shard"), ("shard", "train"), ("convert", "blend")} <= known
    assert ("shard", "convert") in known
    assert ("shard", "convert") not in way.direct(known)  # `train` lies between


def test_the_page_on_architecture_draws_the_contracts(repository: Path) -> None:
    page = (repository / "docs/architecture.md").read_text(encoding="utf-8")
    settings = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    layers = [entry["layers"] for entry in contracts if entry["type"] == "layers"]
    assert len(layers) >= 3
    for rows in layers:
        assert " --> ".join(row.replace(" | ", " & ") for row in rows) in page
    top = {f"`{path.parent.name}/`" for path in repository.glob("*/__init__.py")}
    inside = {f"`likeness/{path.parent.name}/`" for path in repository.glob("likeness/*/*.py")}
    assert top
    assert {room for room in top | inside if room not in page} == set()


def test_the_index_leads_to_every_page(repository: Path) -> None:
    docs = repository / "docs"
    text = (docs / "index.md").read_text(encoding="utf-8")
    linked = {(docs / link).resolve() for link in LINK.findall(text)}
    pages = {p for p in docs.rglob("*.md") if p.parent.name != "decisions"} - {docs / "index.md"}
    assert {str(p.relative_to(docs)) for p in pages if p.resolve() not in linked} == set()
    decided = {page.name for page in (docs / "decisions").glob("0*.md")}
    listed = set(LINK.findall((docs / "decisions/README.md").read_text(encoding="utf-8")))
    assert decided == listed


def test_the_readme_lists_every_stage_and_the_picture_draws_them_all(repository: Path) -> None:
    graph = read_graph(repository)
    drawn = {member for box in place(graph)[0].values() for member in box.members}
    assert drawn == set(graph.nodes)
    text = (repository / "README.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^\| ([a-z]+) \|", text, re.MULTILINE))
    stages = {path.stem for path in (repository / "tasks").glob("*.py") if path.stem[0] != "_"}
    assert stages - listed == set()


@pytest.mark.parametrize("ignored", [".venv/bin/activate"])
def test_what_is_made_by_setup_is_named_in_the_readme(repository: Path, ignored: str) -> None:
    assert f"source {ignored}" in (repository / "README.md").read_text(encoding="utf-8")
    listed = subprocess.run(
        ["git", "check-ignore", "-q", ignored], cwd=repository, check=False
    ).returncode
    assert listed == 0
