"""The Prefect flow `rebuild`: every stage of DVC's graph as a named task after its upstream.

Prefect decides when and where; DVC alone decides whether there is anything to do.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, runtime, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State as PrefectState
from prefect.client.schemas.objects import TaskRun
from prefect.futures import PrefectFuture, wait
from prefect.states import Completed, Failed
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.tasks import Task

from flows.artifacts import publish_artifacts
from flows.board import Board
from flows.graph import StageNode
from flows.layout import reduce
from flows.preflight import check_repository
from flows.run import LockedError, is_chatter
from flows.status import read_state
from likeness.contracts.errors import LikenessError

LOCK_RETRIES = 240
LOCK_DELAYS_S: list[float] = [1, 2, 4, 8, 15]
"""Pauses between attempts on a lock: an hour in all; the last one is repeated."""

AT_ONCE = 16
"""Tasks in flight. Tasks are submitted upstream first, so waiting ones cannot block the rest."""


def _is_lock(_task: Task[..., Any], _run: TaskRun, state: PrefectState[Any]) -> bool:
    return isinstance(state.result(raise_on_failure=False), LockedError)


def _stage_task(node: StageNode, board: Board) -> Task[[], PrefectState[Any]]:
    """The task for one stage; its body is a closure, so that Prefect need not copy the board."""

    @task(
        name=node.label,
        task_run_name=node.label,
        description=f"{node.description}\n\n`dvc repro --single-item {node.address}`",
        tags=[node.resource],
        cache_policy=NO_CACHE,
        persist_result=False,
        retries=LOCK_RETRIES,
        retry_delay_seconds=LOCK_DELAYS_S,
        retry_condition_fn=_is_lock,
    )
    def stage() -> PrefectState[Any]:
        logger = get_run_logger()
        return _state(board, node.address, lambda text: is_chatter(text) or logger.info(text))

    return stage


def _state(board: Board, address: str, say: Callable[[str], object]) -> PrefectState[Any]:
    """Run the stage and name the state after what happened, for the run page."""
    try:
        outcome = board.run(address, say)
    except LockedError:
        raise  # Prefect tries again
    except LikenessError as error:
        return Failed(message=str(error))
    if outcome.state == "cached":
        return Completed(name="Cached", message="unchanged since it last ran")
    kept = "" if outcome.changed else ", outputs unchanged"
    return Completed(name="Ran", message=f"{outcome.seconds:.1f} s{kept}")


def _submit(board: Board) -> list[PrefectFuture[Any]]:
    # Arrows that a longer path implies are left out: the run page stays readable.
    above_of = reduce({a: set(up) for a, up in board.graph.upstream.items()})
    futures: dict[str, PrefectFuture[Any]] = {}
    for address, node in board.graph.nodes.items():
        if node.footage and address not in board.stale:
            continue
        above = [futures[u] for u in sorted(above_of[address]) if u in futures]
        futures[address] = _stage_task(node, board).submit(wait_for=above, return_state=False)
    return list(futures.values())


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
    try:
        check_repository(root)
        graph, stale = read_state(root)
        board = Board(graph.swap(swap) if swap else graph, stale, root)
    except LikenessError as error:
        return Failed(message=str(error))
    try:
        wait(_submit(board))
    except BaseException:
        board.cancel()  # Ctrl-C, or cancelled on the run page: leave no stage behind
        raise
    LAST.clear()
    LAST.append(board)
    publish_artifacts(board)
    return _conclusion(board)


LAST: list[Board] = []
"""The board of the rebuild that this process ran last, for the command line's table."""


def _conclusion(board: Board) -> PrefectState[Any]:
    states = [board.state_of(node.address) for node in board.graph.stages]
    counts = {name: states.count(name) for name in ("ran", "cached", "failed", "not run")}
    message = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    if counts["failed"] or counts["not run"]:
        return Failed(message=message)
    return Completed(name="Ran" if counts["ran"] else "Cached", message=message)
