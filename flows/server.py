"""Where Prefect keeps its state, and its server on this machine; nothing leaves the machine."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from flows.process import bound, end_group, environment
from likeness.contracts.atomic import write_text
from likeness.contracts.environment import state_folder
from likeness.contracts.errors import GraphError

ADDRESS = "127.0.0.1"
PORT = 4200

HERE = ("127.0.0.1", "localhost", "::1")
"""Names of this machine: what is sent to them goes past every proxy."""

START_S = 180.0
"""Seconds the server may take until it answers; 4 s here, more while stages compute beside it."""

STOP_S = 4.0
"""Seconds it gets to end; it has open connections then."""


def home(root: Path) -> Path:
    """Folder of Prefect's database and logs: in the project's state folder, not the user's."""
    return (root / state_folder() / "prefect").resolve()


def _note(root: Path) -> Path:
    return home(root) / "server.json"


def configure(root: Path) -> dict[str, str]:
    """Set Prefect's environment for this process and its children; call before importing it.

    What the user has set already stays. A server started by `likeness ui` is used if it answers.

    Returns:
        The variables that were set.
    """
    chosen = {
        "PREFECT_HOME": str(home(root)),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_CLI_PROMPT": "false",
        "DO_NOT_TRACK": "1",
    }
    if "PREFECT_API_URL" not in os.environ and (url := running(root)):
        chosen["PREFECT_API_URL"] = url
    fresh = {name: value for name, value in chosen.items() if name not in os.environ}
    os.environ.update(fresh)
    past_proxies()
    home(root).mkdir(parents=True, exist_ok=True)
    home(root).chmod(0o700)  # logs and parameters of runs are nobody else's business
    return fresh


def past_proxies() -> None:
    """Add this machine to NO_PROXY for this process and its children.

    Without it every client that reads the environment would ask the proxy for 127.0.0.1.
    """
    given = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    named = [part.strip() for part in given.split(",") if part.strip()]
    named += [name for name in HERE if name not in named]
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(named)


_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def answers(url: str, seconds: float = 1.0) -> bool:
    """Whether a Prefect server answers at `url` (".../api") on this machine."""
    if not url.startswith("http://"):
        return False
    try:
        with _direct.open(f"{url}/health", timeout=seconds) as reply:
            return bool(json.load(reply) is True)
    except (OSError, ValueError, urllib.error.URLError):
        return False


def refuses(url: str) -> bool:
    """Whether nothing listens any more at a URL of this machine; slow is not gone."""
    parts = urlsplit(url)
    if parts.hostname not in HERE:
        return False
    try:
        with socket.create_connection((parts.hostname, parts.port or 80), timeout=5):
            return False
    except ConnectionRefusedError:
        return True
    except OSError:
        return False


def running(root: Path) -> str:
    """API address of the server that `likeness ui` started for this project; "" if none answers."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        url = str(json.loads(_note(root).read_text(encoding="utf-8"))["url"])
        return url if answers(url) else ""
    return ""


def remember(root: Path, url: str) -> None:
    """Note the address of this project's server, so that `likeness rebuild` reports to it."""
    write_text(_note(root), json.dumps({"url": url, "pid": os.getpid()}) + "\n")


def forget(root: Path) -> None:
    """Remove the note."""
    _note(root).unlink(missing_ok=True)


def free_port(first: int = PORT, tries: int = 20) -> int:
    """First port from `first` on which nothing listens.

    Raises:
        GraphError: all of them are taken.
    """
    for port in range(first, min(first + tries, 65536)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind((ADDRESS, port))
                return port
    raise GraphError(f"port {first}", "and the next are taken", "give another with --port")


@dataclass(frozen=True)
class Running:
    """A server of ours.

    Attributes:
        url: of its API.
        child: its process, which heads a group of its own.
        log: what it prints.
    """

    url: str
    child: subprocess.Popen[bytes]
    log: Path

    def last_line(self) -> str:
        """The end of its log, for a message."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1][:200] if lines else "its log is empty"


@contextmanager
def running_server(root: Path, port: int, *, noted: bool) -> Iterator[Running]:
    """A Prefect server for this project; ended afterwards.

    It has a process group of its own: Ctrl-C on the terminal reaches those who use it, who end it
    once they have told it what became of their runs.

    Args:
        noted: others may find and use it (see `running`).

    Raises:
        GraphError: it did not come up; its log is named.
    """
    log = home(root) / ("server.log" if noted else "server-of-rebuild.log")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as handle:
        child = subprocess.Popen(
            bound(_command(port)),
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=subprocess.STDOUT,
            env={**environment(), **_settings(port)},
            start_new_session=True,
        )
    server = Running(_settings(port)["PREFECT_API_URL"], child, log)
    try:
        _await(server)
        if noted:
            remember(root, server.url)
        yield server
    finally:
        if noted:
            forget(root)
        end_group(child.pid, STOP_S)
        child.wait()


def _command(port: int) -> list[str]:
    """As `prefect server start` does, with the checks of `flows.prefect_app` before it."""
    command = [sys.executable, "-m", "uvicorn", "--factory", "flows.prefect_app:guarded"]
    command += ["--host", ADDRESS, "--port", str(port), "--log-level", "warning"]
    return [*command, "--timeout-keep-alive", "5", "--timeout-graceful-shutdown", "2"]


def _settings(port: int) -> dict[str, str]:
    return {
        "PREFECT_API_URL": f"http://{ADDRESS}:{port}/api",
        "PREFECT_SERVER_API_HOST": ADDRESS,
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": f"http://{ADDRESS}:{port},http://localhost:{port}",
    }


def _await(server: Running) -> None:
    until = time.monotonic() + START_S
    while not answers(server.url):
        if server.child.poll() is not None or time.monotonic() > until:
            problem = f"the Prefect server did not start ({server.last_line()})"
            raise GraphError(server.url, problem, f"see {server.log}")
        time.sleep(0.2)


def any_port() -> int:
    """A port on which nothing listens now."""
    with socket.socket() as probe:
        probe.bind((ADDRESS, 0))
        return int(probe.getsockname()[1])
