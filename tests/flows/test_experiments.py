"""`dvc exp show` on a repository with real experiments: the documented line, and our own table."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
import subprocess
import sys
from contextlib import chdir
from pathlib import Path

import pytest

from flows.cli import main
from tests.reportcase import git

pytestmark = pytest.mark.slow
METRICS = "data/swaps/first/report/metrics.json"
PIPELINE = f"""\
stages:
  evaluate:
    cmd: python measure.py
    deps: [measure.py]
    params: [convert.strength]
    metrics:
      - {METRICS}: {{cache: false}}
"""
MEASURE = f"""\
import json, pathlib
strength = float(pathlib.Path("params.yaml").read_text().split("strength:")[1].split("}}")[0])
numbers = {{"identity_cosine": {{"source": strength / 2, "target": 0.125}},
           "pose_error_deg": {{"mean": 3 - strength}}, "fid": {{"reason": "4 images"}}}}
pathlib.Path("{METRICS}").write_text(json.dumps(numbers))
"""


def dvc(root: Path, *arguments: str) -> str:
    """Run DVC in `root`; gives what it prints."""
    command = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A committed run, and one experiment named `stronger`."""
    root = tmp_path_factory.mktemp("experiments")
    git(root, "init", "-q")
    # DVC writes commits of its own, as whoever the repository names.
    git(root, "config", "user.name", "test")
    git(root, "config", "user.email", "test@example.org")
    dvc(root, "init", "-q")
    dvc(root, "config", "core.analytics", "false")
    for name, text in (("dvc.yaml", PIPELINE), ("measure.py", MEASURE)):
        (root / name).write_text(text)
    (root / "params.yaml").write_text("convert: {strength: 1.0}\nswaps: {first: {}, second: {}}\n")
    (root / METRICS).parent.mkdir(parents=True)
    (root / METRICS).with_name("report.html").write_text("")
    dvc(root, "repro", "-q")
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "first run")
    dvc(root, "exp", "run", "-q", "--name", "stronger", "--set-param", "convert.strength=1.5")
    return root


def test_the_documented_line_shows_the_chosen_columns(root: Path, repository: Path) -> None:
    text = (repository / "docs/how-to/read-the-report.md").read_text()
    line = re.search(r"^dvc exp show .*$", text, re.MULTILINE)
    assert line is not None
    said = dvc(root, *shlex.split(line[0])[1:], "--csv")
    rows = list(csv.DictReader(io.StringIO(said)))
    kept = {"identity_cosine.source", "pose_error_deg.mean"}
    assert {name.rpartition(":")[2] for name in rows[0]} == {"Experiment", "Created", *kept}
    named = {row["Experiment"]: row for row in rows}
    found = {name.rpartition(":")[2]: value for name, value in named["stronger"].items()}
    assert (found["identity_cosine.source"], found["pose_error_deg.mean"]) == ("0.75", "1.5")


def table(root: Path, capsys: pytest.CaptureFixture[str]) -> dict[tuple[str, str], float]:
    """What `likeness experiments` says: (experiment, swap) -> cosine."""
    with chdir(root), pytest.raises(SystemExit) as ended:
        main(["experiments", "--json"])
    assert ended.value.code == 0
    rows = json.loads(capsys.readouterr().out)
    return {(row["experiment"], row["swap"]): row["identity_cosine.source"] for row in rows}


def test_our_table_knows_the_experiment_of_a_single_swap(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = table(root, capsys)
    assert found["stronger", "first"] == 0.75
    assert {swap for _, swap in found} == {"first"}
    assert sorted(found.values()) == [0.5, 0.75, 0.75]  # the commit, the tree, the experiment
