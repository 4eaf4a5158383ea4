"""A family is added as docs/how-to/add-a-family.md has it: its files, a card, and nothing else."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from likeness.contracts.listed_code import parsed
from tests.house import change_params, copy_repository

FILE = re.compile(r"```python\n# (models/swappers/\S+)\n(.*?)```", re.DOTALL)
FAMILY = "twins"


@pytest.fixture(scope="module")
def added(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository with the page's family."""
    root = copy_repository(repository, tmp_path_factory.mktemp("added") / "repo")
    for room in ("tests", "benchmarks", "docs/model_cards"):
        shutil.copytree(
            repository / room, root / room, ignore=shutil.ignore_patterns("__pycache__")
        )
    page = (repository / "docs/how-to/add-a-family.md").read_text(encoding="utf-8")
    folder = root / "models/swappers" / FAMILY
    folder.mkdir()
    (folder / "__init__.py").write_text('"""The family of the page."""\n')
    for name, text in FILE.findall(page):
        assert Path(name).parent.name == FAMILY
        (root / name).write_text(text)
    (root / "docs/model_cards" / f"{FAMILY}.md").write_text(f"# {FAMILY}\n\nThat of the page.\n")
    return root


def said(root: Path, *command: str) -> str:
    """What a command in the repository prints; it must end well."""
    done = subprocess.run(
        [sys.executable, *command], cwd=root, env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


@pytest.mark.slow
def test_it_passes_what_every_family_must(added: Path) -> None:
    files = ("tests/swappers", "tests/graph/test_family_folders.py")
    printed = said(added, "-m", "pytest", *files, "-k", FAMILY, "-p", "no:cacheprovider", "-rA")
    passed = set(re.findall(rf"^PASSED \S+::(\w+)\[.*{FAMILY}.*\]", printed, re.MULTILINE))
    assert {
        "test_overfits_four_crops",
        "test_save_and_load_give_the_same_swapper",
        "test_swap_keeps_shapes_and_ranges",
        "test_threads_change_no_bit_of_a_step",
        "test_a_family_is_one_folder_and_one_card",
        "test_a_step_does_not_wait_for_the_host",
    } <= passed, printed[-4000:]
    assert "FAILED" not in printed


def test_imports_style_and_graph_are_in_order(added: Path) -> None:
    said(added, "-m", "tasks.code", "--out", "data/code")
    listed = parsed((added / f"data/code/families/{FAMILY}.txt").read_text())
    own = {f"models/swappers/{FAMILY}/{name}.py" for name in ("swapper", "config")}
    assert {*own, "models/layers/resampling.py"} <= listed.keys()
    shared = {"models/swappers/base.py", "models/swappers/abilities.py"}
    families = {name for name in listed if name.startswith("models/swappers/")} - shared
    assert families == own
    said(added, "-m", "ruff", "check", f"models/swappers/{FAMILY}")
    said(added, "-m", "ruff", "format", "--check", f"models/swappers/{FAMILY}")
    said(
        added, "-c", "from importlinter.cli import lint_imports; exit(lint_imports(no_cache=True))"
    )


def test_its_entry_is_checked_and_planned(added: Path) -> None:
    entry = {"family": FAMILY, "source": "ann", "target": "ben", "width": 64}
    change_params(added, models={"ann-ben-twins": entry})
    found = said(
        added,
        "-c",
        """
import json, sys
from pathlib import Path
from flows.graph import read_graph
from tasks.train import check_settings
node = read_graph(Path()).nodes["train@ann-ben-twins"]
print(json.dumps([check_settings("ann-ben-twins", Path("params.yaml")), sorted(node.dependencies)]))
""",
    )
    settings, dependencies = json.loads(found.splitlines()[-1])
    assert settings == {"size_px": 64, "width": 64, "learning_rate": 1e-3}
    assert f"data/code/families/{FAMILY}.txt" in dependencies
    change_params(added, models={"ann-ben-twins": {**entry, "wide": 64}})
    done = subprocess.run(
        [sys.executable, "-m", "tasks._settings", "params.yaml"], cwd=added,
        env={**os.environ, "PYTHONPATH": str(added)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "wide" in done.stderr and "learning_rate, size_px, width" in done.stderr
