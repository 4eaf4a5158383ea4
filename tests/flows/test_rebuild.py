"""The Prefect flow against a real server: names, states, artifacts, schedules, cancelling."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from flows.outcomes import Outcome
from flows.rebuild_state import RebuildState, slots_from_environment
from flows.run import State
from flows.status import read_state
from likeness.contracts.errors import GraphError
from tests.flows.commands import await_file, clean_environment, lives, start, wait_for

ALIGN_ANN, ALIGN_BEN = "data/clips/ann-1/dvc.yaml:align", "data/clips/ben-1/dvc.yaml:align"


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
        output = child.communicate(timeout=240)[0]
        return child.returncode, output

    def last_run(self) -> dict[str, Any]:
        ended = {"state": {"type": {"any_": ["COMPLETED", "FAILED", "CANCELLED"]}}}
        wanted = {"sort": "START_TIME_DESC", "limit": 1, "flow_runs": ended}
        found = self.ask("/flow_runs/filter", wanted)
        return dict(found[0])

    def task_states(self, run: str) -> dict[str, str]:
        found = self.ask("/task_runs/filter", {"flow_runs": {"id": {"any_": [run]}}})
        return {task["name"]: task["state_name"] for task in found}


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
    nightly = served.ask("/deployments/name/rebuild/nightly")
    assert nightly["global_concurrency_limit"]["limit"] == 1
    assert nightly["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
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
    wait_for(lambda: not lives(sleeper))
    wait_for(lambda: served.ask(f"/flow_runs/{run['id']}")["state_type"] == "CANCELLED")
    wait_for(lambda: served.task_states(run["id"])["align ben-1"] == "Cancelled")


@pytest.mark.slow
def test_of_three_nightlies_at_once_one_runs(served: Served) -> None:
    """The limit of prefect.yaml: one run; another that is due meanwhile has nothing to add."""
    noted = served.root / "child.pid"
    noted.unlink(missing_ok=True)
    (served.root / "data/clips/ben-1/footage.txt").write_text("sleep")
    nightly = served.ask("/deployments/name/rebuild/nightly")["id"]
    ids = [served.ask(f"/deployments/{nightly}/create_flow_run", {})["id"] for _ in range(3)]
    seen: list[list[str]] = []

    def settled() -> bool:
        seen.append(sorted(served.ask(f"/flow_runs/{run}")["state_type"] for run in ids))
        return seen[-1] == ["CANCELLED", "CANCELLED", "RUNNING"] and noted.is_file()

    wait_for(settled)
    assert all(states.count("RUNNING") <= 1 for states in seen)
    sleeper = int(wait_for(noted.read_text))
    for run in ids:
        if served.ask(f"/flow_runs/{run}")["state_type"] == "RUNNING":
            cancelling = {"state": {"type": "CANCELLING", "name": "Cancelling"}, "force": True}
            served.ask(f"/flow_runs/{run}/set_state", cancelling)
    wait_for(lambda: not lives(sleeper))


@pytest.mark.slow
def test_a_killed_run_is_put_right_by_the_next(served: Served) -> None:
    """Until then one stage runs, and the one that waits for its slot does not say so."""
    (served.root / "child.pid").unlink(missing_ok=True)
    for clip in ("ann-1", "ben-1"):
        (served.root / f"data/clips/{clip}/footage.txt").write_text(f"sleep {clip}")
    child = start(served.root, served.repository, "rebuild")
    sleeper = int(await_file(served.root / "child.pid"))
    wanted = {"flow_runs": {"state": {"type": {"any_": ["RUNNING"]}}}}
    (run,) = served.ask("/flow_runs/filter", wanted)
    states = wait_for(lambda: aligns(served.task_states(run["id"])))
    assert states == ["Running"]
    child.kill()
    os.kill(sleeper, signal.SIGKILL)
    child.communicate()
    for clip in ("ann-1", "ben-1"):
        (served.root / f"data/clips/{clip}/footage.txt").write_text(clip)
    assert served.rebuild()[0] == 0
    assert served.ask(f"/flow_runs/{run['id']}")["state_type"] == "CRASHED"
    assert "Running" not in served.task_states(run["id"]).values()


def aligns(states: dict[str, str]) -> list[str]:
    return [state for name, state in states.items() if name.startswith("align")]


@pytest.mark.slow
def test_pages_of_others_are_refused(served: Served) -> None:
    """A page in the browser may neither read nor start anything; nor may one of a rebound name."""
    own = served.api.removesuffix("/api")

    def status(**headers: str) -> int:
        request = urllib.request.Request(f"{served.api}/health", headers=headers)  # noqa: S310  # ours
        try:
            with urllib.request.urlopen(request, timeout=20) as reply:  # noqa: S310  # as above
                assert reply.headers.get("Access-Control-Allow-Origin") in {
                    None,
                    own,
                    own.replace("127.0.0.1", "localhost"),
                }
                return int(reply.status)
        except urllib.error.HTTPError as error:
            return error.code

    assert status() == status(Origin=own) == 200
    assert status(Origin=own.replace("127.0.0.1", "localhost")) == 200
    assert status(Origin="http://127.0.0.1:9") == 403
    assert status(Origin="http://pages.example") == 403
    assert status(Host="pages.example") == 400


CLOSED = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:9")
"""A proxy that takes no call, and nothing that excepts this machine."""


@pytest.mark.slow
def test_the_end_of_the_server_does_not_end_the_work(built: Path, repository: Path) -> None:
    (built / "data/clips/ben-1/footage.txt").write_text("hold")
    child = start(built, repository, "rebuild", LIKENESS_STATE=str(built / "own"))
    await_file(built / "held")
    (server,) = [c for c in psutil.Process(child.pid).children() if "uvicorn" in c.cmdline()]
    server.kill()
    for line in child.stdout or ():
        if "the work goes on" in line:
            break
    (built / "go").touch()
    output = child.communicate(timeout=200)[0]
    assert child.returncode == 0, output
    assert "EventsWorker" not in output
    assert (built / "data/swaps/ann-on-ben/published.mp4").read_text()
    assert "6 ran" in output or output.count(" ran ") == 6


@pytest.mark.slow
def test_ctrl_c_ends_a_rebuild_with_all_its_processes(built: Path, repository: Path) -> None:
    """As a terminal sends it: to every process of the group, and the server has gone before."""
    (built / "data/clips/ben-1/footage.txt").write_text("sleep")
    child = start(built, repository, "rebuild", LIKENESS_STATE=str(built / "own"))
    sleeper = int(await_file(built / "child.pid"))
    family = psutil.Process(child.pid).children(recursive=True)
    next(c for c in family if "uvicorn" in c.cmdline()).kill()
    child.send_signal(signal.SIGINT)
    output = child.communicate(timeout=60)[0]
    assert child.returncode == 130, output
    assert "interrupted; run the same command again" in output
    assert not lives(sleeper)
    assert not [c for c in family if lives(c.pid)]


@pytest.mark.slow
def test_ui_notices_that_its_server_has_died(built: Path, repository: Path) -> None:
    shutil.copyfile(repository / "prefect.yaml", built / "prefect.yaml")
    child = start(built, repository, "ui", "--port", "4260", LIKENESS_STATE=str(built / "own"))
    assert child.stdout is not None
    while "rebuild/nightly" not in next(iter(child.stdout)):
        pass
    (server,) = [c for c in psutil.Process(child.pid).children() if "uvicorn" in c.cmdline()]
    server.kill()
    output = child.communicate(timeout=60)[0]
    assert child.returncode == 2, output
    assert "the Prefect server has ended" in output.splitlines()[-1]


@pytest.mark.slow
def test_rebuild_needs_no_server_of_its_own(built: Path, repository: Path) -> None:
    (built / "data/clips/ben-1/footage.txt").write_text("another take")
    child = start(built, repository, "rebuild", **CLOSED)  # and no proxy between it and itself
    output = child.communicate(timeout=200)[0]
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
    rebuild_state = RebuildState(graph, stale, built)
    say: list[str] = []
    outcomes = [rebuild_state.run(a, say.append) for a in graph.nodes if not graph.nodes[a].footage]
    states = {o.address: (o.state, o.changed) for o in outcomes}
    assert states[ALIGN_BEN] == ("ran", False)
    assert {state for a, state in states.items() if a != ALIGN_BEN} == {("cached", False)}
    assert sum("Running stage" in line for line in say) == 1


def test_a_night_in_which_only_rosters_looked_is_cached(built: Path) -> None:
    graph, _ = read_state(built)
    nodes = {a: replace(n, always_changed=n.name == "shard") for a, n in graph.nodes.items()}
    rebuild_state = RebuildState(replace(graph, nodes=nodes), {}, built)
    for address in (node.address for node in rebuild_state.graph.stages):
        looked = nodes[address].always_changed
        state: State = "ran" if looked else "cached"
        rebuild_state.outcomes[address] = Outcome(address, state, 0.0, {})
    assert rebuild_state.summary()[0] == "Cached"
    rebuild_state.outcomes["shard@ann"] = Outcome(
        "shard@ann", "ran", 0.0, {}, frozenset({"data/shards/ann"})
    )
    assert rebuild_state.summary()[0] == "Ran"


def test_slots_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIKENESS_SLOTS", "compute=3, io=4")
    assert slots_from_environment() == {"compute": 3, "io": 4, "network": 1, "data": 2}
    monkeypatch.setenv("LIKENESS_SLOTS", "cpu=3")
    with pytest.raises(GraphError, match=r"LIKENESS_SLOTS=cpu=3: .* known: compute, io"):
        slots_from_environment()


def prefect(served: Served, *arguments: str) -> str:
    """Prefect's own client against the server of `likeness ui`."""
    own = {"PREFECT_API_URL": served.api, "PREFECT_HOME": str(served.root / ".likeness/client")}
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", *arguments],
        cwd=served.root,
        env={**clean_environment(served.repository), **own},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_clients_own_commands_register_and_a_worker_runs(served: Served) -> None:
    """As docs/how-to/schedule.md says; last, because it takes the deployments over."""
    (served.root / "flows").symlink_to(served.repository / "flows")
    (served.root / "data/clips/ben-1/footage.txt").write_text("well")
    prefect(served, "work-pool", "create", "likeness", "--type", "process")
    prefect(served, "deploy", "--all")
    listed = prefect(served, "deployment", "ls")
    assert "rebuild/on-demand" in listed
    assert "rebuild/nightly" in listed
    nightly = served.ask("/deployments/name/rebuild/nightly")
    assert nightly["work_pool_name"] == "likeness"
    assert nightly["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
    deployment = served.ask("/deployments/name/rebuild/on-demand")
    run = served.ask(f"/deployments/{deployment['id']}/create_flow_run", {})
    prefect(served, "worker", "start", "--pool", "likeness", "--run-once")
    ended = wait_for(lambda: (s := served.ask(f"/flow_runs/{run['id']}"))["end_time"] and s)
    assert ended["state_type"] == "COMPLETED", ended["state"]
