"""The Prefect flow `rebuild`: every stage of DVC's graph as a named task after its upstream.

Prefect decides when and where; DVC alone decides whether there is anything to do.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import httpx
from prefect import flow, get_run_logger, runtime, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State as PrefectState
from prefect.client.schemas.objects import TaskRun
from prefect.futures import PrefectFuture
from prefect.states import Cancelled, Completed, Failed
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.tasks import Task

from flows.artifacts import publish_artifacts
from flows.graph import StageNode
from flows.graph_layout import reduce
from flows.preflight import check_repository
from flows.rebuild_state import CancelledError, RebuildState
from flows.run import LockedError, is_chatter
from flows.status import read_state
from flows.sweep import note, sweep
from likeness.contracts.errors import LikenessError

LOCK_RETRIES = 40_000
LOCK_DELAYS_S: list[float] = [1, 2, 4, 8, 15]
"""Pauses between attempts on a lock: a week in all; the last one is repeated."""

AT_ONCE = 16
"""Tasks in flight; only those that can begin are handed over."""


def _is_news(record: logging.LogRecord) -> bool:
    """Leaves out Prefect's line on each attempt: the rebuild says once for whom a stage waits."""
    return "LockedError(" not in record.getMessage()


logging.getLogger("prefect.task_runs").addFilter(_is_news)


def _is_lock(_task: Task[..., Any], _run: TaskRun, state: PrefectState[Any]) -> bool:
    return isinstance(state.result(raise_on_failure=False), LockedError)


def _stage_task(node: StageNode, rebuild_state: RebuildState) -> Task[[], PrefectState[Any]]:
    """The task for one stage; its body is a closure, so that Prefect need not copy the state.

    It has no tags: for each of them a task asks the server for leave to run, and a server that has
    died would end the work.
    """

    @task(
        name=node.label,
        task_run_name=node.label,
        description=f"{node.description}\n\n`dvc repro --single-item {node.address}`",
        cache_policy=NO_CACHE,
        persist_result=False,
        retries=LOCK_RETRIES,
        retry_delay_seconds=LOCK_DELAYS_S,
        retry_condition_fn=_is_lock,
    )
    def stage() -> PrefectState[Any]:
        logger = get_run_logger()
        return _state(
            rebuild_state, node.address, lambda text: is_chatter(text) or logger.info(text)
        )

    return stage


def _state(
    rebuild_state: RebuildState, address: str, say: Callable[[str], object]
) -> PrefectState[Any]:
    """Run the stage and name the state after what happened, for the run page."""
    try:
        outcome = rebuild_state.run(address, say)
    except LockedError:
        raise  # Prefect tries again
    except CancelledError as error:
        return Cancelled(message=str(error))
    except LikenessError as error:
        return Failed(message=str(error))
    if outcome.state == "cached":
        return Completed(name="Cached", message="unchanged since it last ran")
    kept = "" if outcome.changed else ", outputs unchanged"
    return Completed(name="Ran", message=f"{outcome.seconds:.1f} s{kept}")


def _run_all(rebuild_state: RebuildState) -> None:
    """Hand over each stage once all above it has ended and a slot is free: none waits "Running".

    What stands below a failed stage is handed over, too: Prefect shows it as not ready.
    """
    # Arrows that a longer path implies are left out: the run page stays readable.
    above_of = reduce({a: set(up) for a, up in rebuild_state.graph.upstream.items()})
    waiting = [
        a for a, n in rebuild_state.graph.nodes.items() if not n.footage or a in rebuild_state.stale
    ]
    futures: dict[str, PrefectFuture[Any]] = {}
    ended: set[str] = set()
    news = threading.Event()

    def submit(address: str) -> None:
        above = [futures[u] for u in sorted(above_of[address]) if u in futures]
        task_ = _stage_task(rebuild_state.graph.nodes[address], rebuild_state)
        futures[address] = task_.submit(wait_for=above, return_state=False)

        def end(_future: PrefectFuture[Any]) -> None:
            rebuild_state.free_slot(address)
            ended.add(address)
            news.set()

        futures[address].add_done_callback(end)

    while waiting or len(ended) < len(futures):
        news.clear()
        for address in list(waiting):
            ready = all(u in ended for u in above_of[address] if u in waiting or u in futures)
            if ready and rebuild_state.take_slot(address):
                waiting.remove(address)
                submit(address)
        news.wait(1.0)


def _run_name() -> str:
    return f"rebuild {runtime.flow_run.parameters.get('swap') or 'everything'}"


@flow(
    name="rebuild",
    flow_run_name=_run_name,
    task_runner=ThreadPoolTaskRunner(max_workers=AT_ONCE),  # type: ignore[arg-type]  # the runner is invariant in a type that nothing binds
    persist_result=False,
    validate_parameters=True,
)
def rebuild(swap: str | None = None) -> PrefectState[Any]:
    """Bring everything up to date, or what one swap is made from.

    Args:
        swap: name under `swaps:` in params.yaml; none rebuilds all.
    """
    root = Path.cwd()
    sweep(root)
    note(root, str(runtime.flow_run.id))
    try:
        check_repository(root)
        graph, stale = read_state(root)
        rebuild_state = RebuildState(graph.swap(swap) if swap else graph, stale, root)
    except LikenessError as error:
        return Failed(message=str(error))
    for follower in FOLLOWERS:
        follower.begun(rebuild_state)
    try:
        _run_all(rebuild_state)
    except BaseException:
        for follower in FOLLOWERS:
            follower.cancelled()
        rebuild_state.cancel()  # Ctrl-C, or cancelled on the run page: leave no stage behind
        raise
    for follower in FOLLOWERS:
        follower.ended(rebuild_state)
    try:
        publish_artifacts(rebuild_state)
    except httpx.HTTPError as error:
        get_run_logger().warning("no pages of this run: the server is gone (%s)", error)
    return conclusion(rebuild_state)


class Follower(Protocol):
    """What the command line does beside a rebuild: Prefect's own parameters are values alone."""

    def begun(self, rebuild_state: RebuildState) -> None:
        """Before the first stage."""

    def cancelled(self) -> None:
        """Once the run is cancelled, before its stages are ended."""

    def ended(self, rebuild_state: RebuildState) -> None:
        """Once every stage has ended, while the flow still runs."""


FOLLOWERS: list[Follower] = []


def conclusion(rebuild_state: RebuildState) -> PrefectState[Any]:
    """State of the whole run."""
    name, message = rebuild_state.summary()
    return Failed(message=message) if name == "Failed" else Completed(name=name, message=message)
