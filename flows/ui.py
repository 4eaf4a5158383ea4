"""Prefect's server on this machine, with the deployments of prefect.yaml."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

from flows import server
from flows.sweep import sweep
from likeness.contracts.documents import load_yaml
from likeness.contracts.errors import GraphError

POLL_S = 1.0


def deployments(path: Path) -> list[Any]:
    """The deployments of prefect.yaml (RunnerDeployment), to be served by this process.

    Raises:
        GraphError: the file names a flow other than `rebuild`.
    """
    from prefect.client.schemas.objects import ConcurrencyLimitConfig
    from prefect.schedules import Cron

    from flows.rebuild import rebuild

    found = []
    for entry in load_yaml(path).get("deployments") or []:
        if entry.get("entrypoint") != "flows/rebuild.py:rebuild":
            raise GraphError(path, f"unknown flow {entry.get('entrypoint')}", "correct entrypoint:")
        schedules = [
            Cron(s["cron"], timezone=s.get("timezone", "UTC"), active=s.get("active", True))
            for s in entry.get("schedules") or []
        ]
        limit = entry.get("concurrency_limit")
        if isinstance(limit, dict):
            limit = ConcurrencyLimitConfig.model_validate(limit)
        found.append(
            rebuild.to_deployment(
                name=str(entry["name"]),
                description=str(entry.get("description", "")),
                parameters=dict(entry.get("parameters") or {}),
                schedules=schedules,
                concurrency_limit=limit,
            )
        )
    return found


def serve_ui(root: Path, port: int) -> None:
    """Start the server, serve the deployments until Ctrl-C, and print the address.

    Raises:
        GraphError: the server did not start, has died, or one of this project runs already.
    """
    server.past_proxies()
    if url := server.running(root):
        address = url.removesuffix("/api")
        raise GraphError(address, "is this project's server already", "open it, or end it first")
    server.configure(root)
    with server.running_server(root, server.free_port(port), noted=True) as found:
        os.environ["PREFECT_API_URL"] = found.url
        print(f"Prefect: {found.url.removesuffix('/api')}   (Ctrl-C ends it)", flush=True)
        for run in sweep(root):
            print(f"  run {run} had died and is marked as crashed", flush=True)
        died = threading.Event()
        watch = threading.Thread(target=_watch, args=(found, died), daemon=True)
        watch.start()
        try:
            _serve(root)
        except KeyboardInterrupt:
            if not died.is_set():
                raise
        if died.is_set():
            problem = f"the Prefect server has ended ({found.last_line()})"
            raise GraphError(found.url, problem, f"see {found.log}, then start `likeness ui` again")


def _watch(found: server.Running, died: threading.Event) -> None:
    """Wait for the server's end, and interrupt the serving then."""
    while found.child.poll() is None:
        time.sleep(POLL_S)
    died.set()
    os.kill(os.getpid(), signal.SIGINT)


def _serve(root: Path) -> None:
    from prefect import serve

    chosen = deployments(root / "prefect.yaml")
    for deployment in chosen:
        print(f"  deployment rebuild/{deployment.name}", flush=True)
    serve(*chosen, pause_on_shutdown=False, print_starting_message=False)
