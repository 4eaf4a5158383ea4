"""Changed code in a real repository: what it runs, what `status` says, and whom it waits for."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from flows.graph import read_graph
from flows.process import environment
from flows.rebuild_state import RebuildState
from flows.run import LockedError, repro_once
from flows.status import read_state, will_run
from tests.flows.commands import await_file, likeness, start
from tests.flows.stub import run
from tests.house import copy_repository

pytestmark = pytest.mark.slow

WORD = "likeness/vision/word.py"
TASK = """
from pathlib import Path
import time
from likeness.contracts.documents import Document
from likeness.contracts.stage import Context, Stage
{imports}

class Params(Document):
    pass

def run(context: Context[Params]) -> None:
    {work}
    context.outputs["out"].write_text({said})

STAGE = Stage(
    name="{name}", params=Params, inputs={{}}, outputs={{"out": None}}, run=run
)
if __name__ == "__main__":
    STAGE.main()
"""
WAIT = """Path("held").write_text("yes")
    while Path("hold").exists():
        time.sleep(0.05)"""
IMPORT = "from likeness.vision.word import SAID"
TASKS = {
    "slow": TASK.format(name="slow", imports=IMPORT, work=WAIT, said="SAID"),
    "other": TASK.format(name="other", imports="", work="", said="'other'"),
    "reader": TASK.format(
        name="reader", imports="", work="", said="Path('data/slow.txt').read_text()[:1]"
    ),
}
"""`slow` writes a word as its code has it, and waits as long as there is a file `hold`."""


def stage(name: str, *deps: str) -> dict[str, Any]:
    return {
        "cmd": f"/bin/sh tasks/python -m tasks.{name} --out data/{name}.txt",
        "deps": [f"data/code/{name}.txt", *deps],
        "outs": [f"data/{name}.txt"],
    }


@pytest.fixture(scope="module")
def prepared(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real code with the stages `names` and `code` of the real graph, and three small ones."""
    root = copy_repository(repository, tmp_path_factory.mktemp("code") / "repo")
    yaml = YAML()
    stages = yaml.load(root / "dvc.yaml")["stages"]
    kept = {name: stages[name] for name in ("names", "code")}
    own = {
        "slow": stage("slow"),
        "other": stage("other"),
        "reader": stage("reader", "data/slow.txt"),
    }
    yaml.dump({"stages": {**kept, **own}}, root / "dvc.yaml")
    for name, text in TASKS.items():
        (root / f"tasks/{name}.py").write_text(text)
    (root / WORD).write_text('SAID = "one"\n')
    with (root / "data/.gitignore").open("a") as file:
        file.write("/slow.txt\n/other.txt\n/reader.txt\n")
    with (root / ".git/info/exclude").open("a") as file:
        file.write("hold\nheld\n")
    dvc(root, "repro")
    return root


@pytest.fixture
def made(prepared: Path, tmp_path: Path) -> Path:
    """A copy of one's own, up to date."""
    return Path(shutil.copytree(prepared, tmp_path / "repo", symlinks=True))


def dvc(root: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(
        command, cwd=root, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def say_two(root: Path) -> None:
    (root / WORD).write_text('SAID = "owo"\n')


@pytest.fixture
def held(made: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`dvc repro` in the middle of stage `slow`."""
    (made / "hold").touch()
    (made / "held").unlink()
    child = subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro", "--force", "--single-item", "slow"],
        cwd=made,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    await_file(made / "held")
    yield child
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def test_code_edited_while_its_stage_runs_counts_as_changed(
    made: Path, held: subprocess.Popen[bytes]
) -> None:
    """DVC hashes what a stage read when it has ended: the list is the one of before."""
    say_two(made)
    (made / "hold").unlink()
    assert held.wait(timeout=120) == 0
    assert (made / "data/slow.txt").read_text() == "one"
    assert read_state(made)[1]["slow"] == (f"input {WORD} modified",)
    assert "Running stage 'slow'" in dvc(made, "repro", "slow")
    assert (made / "data/slow.txt").read_text() == "owo"
    assert "slow" not in read_state(made)[1]


def test_no_stage_runs_code_that_is_not_listed(made: Path) -> None:
    """DVC would lock the list beside what other code wrote, and nobody knew once it is undone."""
    say_two(made)
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "repro", "--force", "--single-item", "slow"],
        cwd=made,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert f"{WORD}: changed after stage `code` had listed what `slow` runs" in done.stderr
    assert "Traceback" not in done.stderr
    dvc(made, "repro", "slow")
    assert (made / "data/slow.txt").read_text() == "owo"


def test_a_rebuild_runs_code_first_and_then_what_reads_the_list(made: Path) -> None:
    """Stage by stage, as the flow does; those whose lists are as they were are not looked at."""
    say_two(made)
    assert repro_once(["slow"], single=True, root=made).runs["slow"].state == "cached"
    state = RebuildState(*read_state(made), made)
    said: dict[str, list[str]] = {address: [] for address in state.graph.nodes}
    for address in state.graph.nodes:
        state.run(address, said[address].append)
    states = {address: outcome.state for address, outcome in state.outcomes.items()}
    # The word's first letter is another one, so what stands below runs as well.
    assert states == {
        "names": "ran", "code": "ran", "slow": "ran", "reader": "ran", "other": "cached",
    }  # fmt: skip
    assert said["other"] == []
    assert (made / "data/reader.txt").read_text() == "o"
    assert state.outcomes["code"].differing >= {"data/code", "data/code/slow.txt"}
    assert "data/code/other.txt" not in state.outcomes["code"].differing


def test_an_edit_that_nothing_above_knew_of_is_found_by_the_list(made: Path) -> None:
    """Saved after the rebuild has begun, before `code` runs: no reason stood in the first look."""
    state = RebuildState(*read_state(made), made)
    say_two(made)
    state.stale["code"] = ("input likeness modified",)
    for address in state.graph.nodes:
        state.run(address, lambda _line: None)
    assert state.outcomes["slow"].state == "ran"
    assert state.outcomes["other"].state == "cached"


def test_status_starts_from_the_lists_that_differ(made: Path, repository: Path) -> None:
    """Before `code` has run, by its lists in memory; an edit that is taken back leaves no trace."""
    assert will_run(*read_state(made)) == []
    say_two(made)
    graph, stale = read_state(made)
    assert will_run(graph, stale) == ["code", "slow", "reader"]
    assert stale["slow"] == (f"input {WORD} modified",)
    assert "reader" not in stale
    told = likeness(made, repository, "status", "--json")
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout)["will_run"] == ["code", "slow", "reader"]
    dvc(made, "repro", "code")
    assert will_run(*read_state(made)) == ["slow", "reader"]
    assert read_state(made)[1]["slow"] == (f"input {WORD} modified",)  # its old list: DVC's cache
    (made / WORD).write_text('SAID = "one"\n')
    assert will_run(*read_state(made)) == ["code"]


def test_a_new_import_and_a_lost_one_are_named(made: Path) -> None:
    (made / "likeness/vision/letter.py").write_text("")
    text = TASKS["slow"].replace(IMPORT, "from likeness.vision import letter")
    (made / "tasks/slow.py").write_text(text)
    assert read_state(made)[1]["slow"] == (
        "input likeness/vision/letter.py new",
        f"input {WORD} gone",
        "input tasks/slow.py modified",
    )


def test_code_that_nobody_imports_runs_code_alone(made: Path) -> None:
    (made / "likeness/vision/scratch.py").write_text("")
    assert will_run(*read_state(made)) == ["code"]
    assert "Running stage 'slow'" not in dvc(made, "repro")
    assert will_run(*read_state(made)) == []


def test_lists_that_are_gone_are_no_reason_to_run(made: Path) -> None:
    shutil.rmtree(made / "data/code")
    assert will_run(*read_state(made)) == ["code"]
    (made / "data/names.txt").unlink()
    assert will_run(*read_state(made)) == ["names", "code"]


def test_changed_code_waits_for_a_running_stage_and_says_what_does_not(
    made: Path, repository: Path, held: subprocess.Popen[bytes]
) -> None:
    state = RebuildState(*read_state(made), made)
    assert "code" not in state.stale
    say_two(made)
    state.stale["code"] = ("input likeness modified",)
    said: list[str] = []
    with pytest.raises(LockedError):
        state.run("code", said.append)
    line = (
        f"waiting for another run (process {held.pid}); it works with the code of before:"
        " changed code runs beside it in a worktree (`git worktree add`) or by"
        " `dvc exp run --temp`"
    )
    assert said == [line]
    child = start(made, repository, "swap")
    assert child.stdout is not None
    lines = [next(iter(child.stdout))]
    while "waiting for another run" not in lines[-1]:
        lines.append(next(iter(child.stdout)))
    assert lines[-1] == f"{line}\n"
    (made / "hold").unlink()
    rest = child.communicate(timeout=240)[0]
    assert child.returncode == 0, rest
    assert (made / "data/slow.txt").read_text() == "owo"


def test_an_experiment_runs_changed_code_beside_a_running_stage(
    made: Path, held: subprocess.Popen[bytes]
) -> None:
    run(made, "git", "add", "-A")
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    run(made, "git", *identity, "commit", "-qm", "all")
    say_two(made)
    told = dvc(made, "exp", "run", "--temp", "slow")
    assert "Running stage 'code'" in told
    assert "Running stage 'slow'" in told
    assert held.poll() is None
    assert not (made / "data/slow.txt").exists()  # of the stage that still runs


def test_the_lists_stand_before_everything_but_names(prepared: Path) -> None:
    graph = read_graph(prepared)
    assert graph.upstream["code"] == ("names",)
    assert all("code" in graph.upstream[a] for a in ("slow", "other", "reader"))
