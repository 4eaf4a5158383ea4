"""Prefect's server on this machine, with the deployments of prefect.yaml."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flows import server
from flows.process import end_group, environment
from likeness.contracts.documents import load_yaml
from likeness.contracts.errors import GraphError

START_S = 90.0
"""Seconds the server may take until it answers; 4 s here, more on a loaded machine."""


@contextmanager
def running_server(root: Path, port: int) -> Iterator[str]:
    """A Prefect server for this project; yields its API address and ends it afterwards.

    Raises:
        GraphError: it did not come up; its log is named.
    """
    log = server.home(root) / "server.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    url = f"http://{server.ADDRESS}:{port}/api"
    command = [sys.executable, "-m", "prefect", "server", "start"]
    command += ["--host", server.ADDRESS, "--port", str(port)]
    with log.open("w", encoding="utf-8") as handle:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=subprocess.STDOUT,
            env={**environment(), "PREFECT_API_URL": url},
            start_new_session=True,
        )
    try:
        _await(child, url, log)
        server.remember(root, url)
        yield url
    finally:
        server.forget(root)
        end_group(child.pid)
        child.wait()


def _await(child: subprocess.Popen[bytes], url: str, log: Path) -> None:
    until = time.monotonic() + START_S
    while not server.answers(url):
        if child.poll() is not None or time.monotonic() > until:
            tail = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
            problem = f"the Prefect server did not start ({''.join(tail)[:200]})"
            raise GraphError(url, problem, f"see {log}")
        time.sleep(0.2)


def deployments(path: Path) -> list[Any]:
    """The deployments of prefect.yaml (RunnerDeployment), to be served by this process.

    Raises:
        GraphError: the file names a flow other than `rebuild`.
    """
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
        found.append(
            rebuild.to_deployment(
                name=str(entry["name"]),
                description=str(entry.get("description", "")),
                parameters=dict(entry.get("parameters") or {}),
                schedules=schedules,
            )
        )
    return found


def serve_ui(root: Path, port: int) -> None:
    """Start the server, serve the deployments until Ctrl-C, and print the address.

    Raises:
        GraphError: the server did not start, or one of this project runs already.
    """
    if url := server.running(root):
        address = url.removesuffix("/api")
        raise GraphError(address, "is this project's server already", "open it, or end it first")
    server.configure(root)
    with running_server(root, server.free_port(port)) as url:
        os.environ["PREFECT_API_URL"] = url
        print(f"Prefect: {url.removesuffix('/api')}   (Ctrl-C ends it)", flush=True)
        _serve(root)


def _serve(root: Path) -> None:
    from prefect import serve

    chosen = deployments(root / "prefect.yaml")
    for deployment in chosen:
        print(f"  deployment rebuild/{deployment.name}", flush=True)
    serve(*chosen, pause_on_shutdown=False, print_starting_message=False)
