"""The Prefect flow against a real server: names, states, artifacts, schedules, cancelling."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flows.board import Board, slots_from_environment
from flows.status import read_state
from likeness.contracts.errors import GraphError

ALIGN_ANN, ALIGN_BEN = "data/clips/ann-1/dvc.yaml:align", "data/clips/ben-1/dvc.yaml:align"


def clean_environment(repository: Path) -> dict[str, str]:
    """Environment without settings of a Prefect that belongs to somebody else."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
    return {**kept, "PYTHONPATH": str(repository)}


def start(root: Path, repository: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "flows.cli", *arguments],
        cwd=root,
        env=clean_environment(repository),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@dataclass
class Served:
    """A small repository with the server of `likeness ui`."""

    root: Path
    repository: Path
    api: str

    def ask(self, path: str, content: Any = None) -> Any:
        data = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(  # noqa: S310  # our own server on 127.0.0.1
            f"{self.api}{path}", data, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=20) as reply:  # noqa: S310  # as above
            text = reply.read()
        return json.loads(text) if text else None

    def rebuild(self, *arguments: str) -> tuple[int, str]:
        child = start(self.root, self.repository, "rebuild", *arguments)
        output = child.communicate(timeout=120)[0]
        return child.returncode, output

    def last_run(self) -> dict[str, Any]:
        ended = {"state": {"type": {"any_": ["COMPLETED", "FAILED", "CANCELLED"]}}}
        wanted = {"sort": "START_TIME_DESC", "limit": 1, "flow_runs": ended}
        found = self.ask("/flow_runs/filter", wanted)
        return dict(found[0])

    def task_states(self, run: str) -> dict[str, str]:
        found = self.ask("/task_runs/filter", {"flow_runs": {"id": {"any_": [run]}}})
        return {task["name"]: task["state_name"] for task in found}


def wait_for(what: Callable[[], Any], seconds: float = 90) -> Any:
    until = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < until, "it never came"
        time.sleep(0.2)
    return found


@pytest.fixture(scope="module")
def served(
    built_stub: Path, repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    root = Path(shutil.copytree(built_stub, tmp_path_factory.mktemp("served") / "repo"))
    shutil.copyfile(repository / "prefect.yaml", root / "prefect.yaml")
    child = start(root, repository, "ui", "--port", "4230")
    lines: list[str] = []
    assert child.stdout is not None
    for line in child.stdout:
        lines.append(line)
        if "rebuild/nightly" in line:
            break
    address = next((text.split()[1] for text in lines if text.startswith("Prefect: ")), "")
    assert address.startswith("http://127.0.0.1:"), "".join(lines)
    try:
        yield Served(root, repository, f"{address}/api")
    finally:
        child.send_signal(signal.SIGINT)
        rest = child.communicate(timeout=60)[0]
    assert "Traceback" not in rest
    assert not (root / ".likeness/prefect/server.json").exists()


@pytest.mark.slow
def test_deployments_are_served_and_the_nightly_one_is_scheduled(served: Served) -> None:
    def names() -> set[str]:
        return {d["name"] for d in served.ask("/deployments/filter", {})}

    wait_for(lambda: names() == {"on-demand", "nightly"})
    scheduled = {"flow_runs": {"state": {"name": {"any_": ["Scheduled"]}}}}
    runs = wait_for(lambda: served.ask("/flow_runs/filter", scheduled))
    assert all("T02:30:00" in run["expected_start_time"] for run in runs)


@pytest.mark.slow
def test_one_branch_fails_and_the_other_finishes(served: Served) -> None:
    (served.root / "data/clips/ann-1/footage.txt").write_text("a new take")
    (served.root / "data/clips/ben-1/footage.txt").write_text("fail")
    code, output = served.rebuild("ann-on-ben")
    assert code == 2
    assert "Traceback" not in output
    assert "1 failed" in output.splitlines()[-1]
    run = served.last_run()
    assert (run["name"], run["state_type"]) == ("rebuild ann-on-ben", "FAILED")
    states = served.task_states(run["id"])
    assert states["pack"] == "Cached"
    assert states["align ann-1"] == states["shard ann"] == "Ran"
    assert states["align ben-1"] == "Failed"
    assert states["shard ben"] == states["publish ann-on-ben"] == "NotReady"
    keys = {"flow_runs": {"id": {"any_": [run["id"]]}}}
    found = {a["key"]: a["data"] for a in served.ask("/artifacts/filter", keys)}
    assert set(found) == {"stages", "graph", "swap-ann-on-ben"}
    rows = {row["stage"]: row for row in json.loads(found["stages"])}
    assert rows["shard@ann"]["state"] == "ran"
    assert len(rows["shard@ann"]["hash"]) == 12
    assert rows[ALIGN_BEN]["state"] == "failed"
    assert found["graph"].startswith("![the graph](data:image/png;base64,")


@pytest.mark.slow
def test_cancelling_on_the_run_page_ends_the_stage(served: Served) -> None:
    (served.root / "child.pid").unlink(missing_ok=True)
    (served.root / "data/clips/ben-1/footage.txt").write_text("sleep")
    wait_for(lambda: served.ask("/deployments/filter", {}))
    deployment = served.ask("/deployments/name/rebuild/on-demand")
    run = served.ask(f"/deployments/{deployment['id']}/create_flow_run", {})
    noted = served.root / "child.pid"
    sleeper = int(wait_for(lambda: noted.is_file() and noted.read_text()))
    assert Path(f"/proc/{sleeper}").exists()
    cancelling = {"state": {"type": "CANCELLING", "name": "Cancelling"}, "force": True}
    served.ask(f"/flow_runs/{run['id']}/set_state", cancelling)
    wait_for(lambda: not _runs(sleeper))
    wait_for(lambda: served.ask(f"/flow_runs/{run['id']}")["state_type"] == "CANCELLED")


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.slow
def test_rebuild_needs_no_server_of_its_own(built: Path, repository: Path) -> None:
    (built / "data/clips/ben-1/footage.txt").write_text("another take")
    child = start(built, repository, "rebuild")
    output = child.communicate(timeout=120)[0]
    assert child.returncode == 0, output
    table = dict(
        line.split()[:2]
        for line in output.splitlines()
        if line.startswith(("pack", "data", "shard"))
    )
    assert table == {
        "pack": "cached",
        ALIGN_ANN: "cached",
        ALIGN_BEN: "ran",
        "shard@ann": "cached",
        "shard@ben": "ran",
    }
    assert "data/swaps/ann-on-ben/render.mp4" in output
    assert "6 ran, 3 cached" in output


def test_a_stage_is_looked_at_only_if_something_above_it_changed(built: Path) -> None:
    """Stages below a changed one may stay as they are: unchanged output stops the rest."""
    (built / "data/clips/ben-1/footage.txt").write_text("ben-1 ben-1")  # the same words
    graph, stale = read_state(built)
    board = Board(graph, stale, built)
    say: list[str] = []
    outcomes = [board.run(a, say.append) for a in graph.nodes if not graph.nodes[a].footage]
    states = {o.address: (o.state, o.changed) for o in outcomes}
    assert states[ALIGN_BEN] == ("ran", False)
    assert {state for a, state in states.items() if a != ALIGN_BEN} == {("cached", False)}
    assert sum("Running stage" in line for line in say) == 1


def test_slots_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIKENESS_SLOTS", "compute=3, io=4")
    assert slots_from_environment() == {"compute": 3, "io": 4, "network": 1, "data": 2}
    monkeypatch.setenv("LIKENESS_SLOTS", "cpu=3")
    with pytest.raises(GraphError, match=r"LIKENESS_SLOTS=cpu=3: .* known: compute, io"):
        slots_from_environment()
