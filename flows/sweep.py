"""Runs whose process has died: noted while they run, and put right at the next start.

Prefect hears of a run's end from the run itself; one that was killed would stay "Running".
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any
from uuid import UUID

from flows import server
from likeness.contracts.atomic import write_text

DIED = "its process ended and could not say so"


def _folder(root: Path) -> Path:
    return server.home(root) / "runs"


def _began(pid: int) -> float | None:
    """When a process began; None if there is none. Numbers come again, times do not."""
    import psutil

    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return float(process.create_time())
    except psutil.Error:
        return None


def note(root: Path, run: str) -> None:
    """Note that this process works on flow run `run`.

    The note stays when the run ends: only the server knows whether it has heard of that.
    """
    path = _folder(root) / f"{run}.json"
    write_text(path, json.dumps({"pid": os.getpid(), "began": _began(os.getpid())}) + "\n")


def dead_runs(root: Path) -> list[str]:
    """Flow runs that were noted here and whose process is gone, whether they ended well or not."""
    found = []
    for path in sorted(_folder(root).glob("*.json")):
        with contextlib.suppress(OSError, ValueError, KeyError):
            note = json.loads(path.read_text(encoding="utf-8"))
            if _began(int(note["pid"])) != note["began"]:
                found.append(path.stem)
    return found


def sweep(root: Path) -> list[str]:
    """Tell the server of PREFECT_API_URL that dead runs, and their tasks, have crashed.

    Returns:
        The runs that it had believed to be alive.
    """
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    dead = dead_runs(root)
    crashed = []
    if not dead:
        return []
    with get_client(sync_client=True) as client:
        for run in dead:  # each once: the note goes
            with contextlib.suppress(ObjectNotFound):
                if _crash(client, UUID(run)):
                    crashed.append(run)
            (_folder(root) / f"{run}.json").unlink(missing_ok=True)
    return crashed


def _crash(client: Any, run: UUID) -> bool:
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
    from prefect.states import Crashed

    found = client.read_flow_run(run)
    own = FlowRunFilter(id=FlowRunFilterId(any_=[run]))
    for task in client.read_task_runs(flow_run_filter=own):
        if task.state is None or not task.state.is_final():
            client.set_task_run_state(task.id, Crashed(message=DIED), force=True)
    if found.state is not None and found.state.is_final():
        return False
    client.set_flow_run_state(run, Crashed(message=DIED), force=True)
    return True
