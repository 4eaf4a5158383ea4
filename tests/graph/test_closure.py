"""Every stage names its list of code, and the lists hold what the interpreter loads."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from likeness.contracts.closure import (
    RESOURCES,
    ROOMS,
    STARTER,
    closure,
    family_module,
    lists,
    stage_modules,
    still,
)
from likeness.contracts.documents import load_yaml
from likeness.contracts.families import FOLDER as FAMILIES
from likeness.contracts.listed_code import parsed
from models.swappers import registry
from tests.flows.stub import run
from tests.house import copy_repository

GRAPHS = ("dvc.yaml", "tasks/clip.dvc.yaml", "tasks/identity.dvc.yaml")
BY_HAND = {"occlusion"}
"""Stages of no graph: `make occlusion` teaches the shipped network (decision 36)."""
BEFORE_LISTS = {"names", "code"}
"""Stages that run before there is a list."""


@pytest.fixture(scope="module")
def texts(repository: Path) -> dict[str, str]:
    return lists(repository)


def deps_of(repository: Path) -> dict[str, list[str]]:
    found = {}
    for file in GRAPHS:
        for name, entry in load_yaml(repository / file)["stages"].items():
            found[name] = list(entry.get("do", entry).get("deps") or [])
    return found


def test_every_stage_names_its_list(repository: Path) -> None:
    """One line each, and no file of code beside it."""
    found = deps_of(repository)
    assert set(found) | BY_HAND == set(stage_modules(repository))
    assert not set(found) & BY_HAND
    for stage, deps in found.items():
        named = [dep for dep in deps if dep.startswith("data/code/")]
        wanted = [] if stage in BEFORE_LISTS else [f"data/code/{stage}.txt"]
        if stage in {"train", "finetune"}:
            wanted.append("data/code/families/${item.family}.txt")
        assert named == wanted, stage
        files = [dep for dep in deps if dep.partition("/")[0] in ROOMS]
        assert stage == "code" or not files, stage


def test_code_reads_every_room_that_a_list_names(repository: Path, texts: dict[str, str]) -> None:
    named = {path.partition("/")[0] for text in texts.values() for path in parsed(text)}
    assert {d for d in deps_of(repository)["code"] if not d.startswith("data/")} == named


def test_there_is_a_list_of_every_family(repository: Path, texts: dict[str, str]) -> None:
    named = sorted(name for name in texts if name.startswith("families/"))
    assert named == [f"families/{family}.txt" for family in registry.names()]


def test_a_familys_own_files_are_in_its_list_alone(repository: Path, texts: dict[str, str]) -> None:
    """Touching one family trains that family's models anew, and no others."""
    for family in registry.names():
        folder = f"{FAMILIES.as_posix()}/{family}/"
        holding = {
            n for n, text in texts.items() if any(p.startswith(folder) for p in parsed(text))
        }
        # Whatever model makes a swap, it is compared with one by this family.
        allowed = {"baselines.txt"} if family == "mesh_transfer" else set()
        assert holding - allowed == {f"families/{family}.txt"}


# One process per module, forked before any of ours is loaded, so that none loads for another.
LOADER = """
import importlib, json, os, sys
root = os.getcwd() + "/"
for name in sys.argv[1:]:
    read, write = os.pipe()
    if not os.fork():
        importlib.import_module(name)
        files = [getattr(m, "__file__", None) or "" for m in list(sys.modules.values())]
        own = sorted(f[len(root):] for f in files if f.startswith(root) and "/.venv/" not in f)
        os.write(write, json.dumps([name, own]).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        print(pipe.read())
    assert os.wait()[1] == 0, name
"""


def loaded(repository: Path, modules: dict[str, str]) -> dict[str, set[str]]:
    """List -> files of ours that importing its module loads, as the interpreter says."""
    command = [sys.executable, "-c", LOADER, *modules.values()]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = dict(json.loads(line) for line in done.stdout.splitlines() if line)
    return {name: set(found[module]) for name, module in modules.items()}


def dotted(repository: Path, path: Path) -> str:
    return ".".join(path.relative_to(repository).with_suffix("").parts)


@pytest.mark.slow
def test_the_lists_hold_what_the_interpreter_loads(repository: Path, texts: dict[str, str]) -> None:
    """Of every stage and family; packages that do nothing are left out."""
    modules = {f"{n}.txt": dotted(repository, p) for n, p in stage_modules(repository).items()}
    for family in registry.names():
        modules[f"families/{family}.txt"] = dotted(repository, family_module(family, repository))
    for name, files in loaded(repository, modules).items():
        unlisted = files - set(parsed(texts[name])) - {STARTER.as_posix()}
        doing = {f for f in unlisted if not _is_inert(repository / f)}
        assert not doing, name
        assert files & set(parsed(texts[name])), name


def _is_inert(path: Path) -> bool:
    """A package whose module is a docstring, and at most its version: by its text, not its tree."""
    text = path.read_text(encoding="utf-8")
    rest = re.sub(r'\A\s*""".*?"""', "", text, flags=re.DOTALL)
    rest = re.sub(r'^__version__ = "[^"]*"$', "", rest, flags=re.MULTILINE)
    return path.name == "__init__.py" and not rest.strip()


FILES = {
    "tasks/__init__.py": '"""Tasks."""',
    "tasks/_part.py": "",
    "tasks/broken.py": "import likeness.ruler\ndef (",
    "tasks/cut.py": """
        from __future__ import annotations
        from typing import TYPE_CHECKING
        from likeness.knife import sharpen
        from likeness import ruler
        if TYPE_CHECKING:
            from likeness.unused import Shape
        PAGE = "page.html.j2"
        def run():
            from models import late
        """,
    "tasks/page.html.j2": "<p>",
    "likeness/__init__.py": '"""Shared."""\n__version__ = "1"\n',
    "likeness/knife.py": "from .steel import forge",
    "likeness/ruler.py": "import os",
    "likeness/steel.py": "",
    "likeness/unused.py": "",
    "models/__init__.py": "import likeness.ruler",
    "models/late.py": "",
    "models/shared.py": "",
    "models/swappers/__init__.py": "",
    "models/swappers/base.py": "",
    "models/swappers/registry.py": "",
    "models/swappers/plain/swapper.py": "",
    "models/swappers/folded/__init__.py": '"""A family."""',
    "models/swappers/folded/swapper.py": "from .parts import x\nimport models.shared",
    "models/swappers/folded/parts.py": "",
    "models/swappers/folded/tiny.py": "",
}


@pytest.fixture
def small(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip())
    return tmp_path


def test_closure_follows_what_runs(small: Path) -> None:
    """Lazy imports, relative ones and data files count; types and versions do not."""
    assert closure(small / "tasks/cut.py", small) == [
        "likeness/knife.py",
        "likeness/ruler.py",
        "likeness/steel.py",
        "models/__init__.py",
        "models/late.py",
        "tasks/cut.py",
        "tasks/page.html.j2",
    ]


def test_a_familys_list_holds_what_it_is_made_of(small: Path) -> None:
    """Not the settings that tests alone read, and no other family."""
    found = lists(small)
    own = [path for path in parsed(found["families/folded.txt"]) if "swappers" in path]
    assert own == ["models/swappers/folded/parts.py", "models/swappers/folded/swapper.py"]
    assert "models/shared.py" in parsed(found["families/folded.txt"])
    assert {name for name in found if "/" in name} == {"families/folded.txt", "families/plain.txt"}


def test_a_module_in_pieces_is_listed_and_stops_no_other_list(small: Path) -> None:
    found = lists(small)
    assert list(parsed(found["broken.txt"])) == ["tasks/broken.py"]
    assert "likeness/knife.py" in parsed(found["cut.txt"])


def test_a_list_says_when_a_file_is_another_one(small: Path) -> None:
    found = lists(small)
    (small / "list").write_text(found["cut.txt"])
    run(small, "sha256sum", "--check", "--quiet", "list")
    assert still(found, small)
    (small / "likeness/steel.py").write_text("sharper = True")
    assert not still(found, small)
    again = lists(small)
    assert {name for name in found if found[name] != again[name]} == {"cut.txt"}
    (small / "likeness/steel.py").unlink()
    assert not still(found, small)


@pytest.fixture(scope="module")
def copied(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_repository(repository, tmp_path_factory.mktemp("ignored") / "repo")


def test_what_no_module_reads_is_no_part_of_a_room(repository: Path, copied: Path) -> None:
    """.dvcignore knows the kinds of files that the lists do, in every room that `code` reads."""
    rooms = [dep for dep in deps_of(repository)["code"] if not dep.startswith("data/")]
    names = ("a.py~", ".a.py.swp", ".#a.py", "notes.ipynb", "__pycache__/a.pyc", ".tmp-1/a.py")
    kept = [f"{room}/deep/new{kind}" for room in rooms for kind in (".py", *RESOURCES)]
    junk = [f"{room}/deep/{name}" for room in rooms for name in names]
    for path in (*kept, *junk):
        (copied / path).parent.mkdir(parents=True, exist_ok=True)
        (copied / path).write_text("x")
    command = [sys.executable, "-m", "dvc", "check-ignore", "--non-matching", "--details"]
    done = subprocess.run(
        [*command, *kept, *junk], cwd=copied, capture_output=True, text=True, check=False
    )
    rules = dict(reversed(line.split("\t")) for line in done.stdout.splitlines())
    assert set(rules) == {*kept, *junk}
    passed_over = {p for p, rule in rules.items() if rule != "::" and ":!" not in rule}
    assert passed_over == set(junk)


def test_git_and_clean_know_the_folder_of_the_lists(copied: Path) -> None:
    folder = copied / "data/code/families"
    folder.mkdir(parents=True)
    (folder / "x.txt").write_text("")
    run(copied, "git", "check-ignore", "-q", "data/code/families/x.txt")
    (copied / "data/shards").mkdir(exist_ok=True)
    run(copied, "make", "clean")
    assert not (copied / "data/code").exists()
