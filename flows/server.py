"""Where Prefect keeps its state, and its server on this machine; nothing leaves the machine."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import urllib.error
import urllib.request
from pathlib import Path

from likeness.contracts.atomic import write_text
from likeness.contracts.environment import state_folder
from likeness.contracts.errors import GraphError

ADDRESS = "127.0.0.1"
PORT = 4200


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
        # A server of its own takes 8 s here, and longer while stages of another run compute.
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
        "DO_NOT_TRACK": "1",
    }
    if "PREFECT_API_URL" not in os.environ and (url := running(root)):
        chosen["PREFECT_API_URL"] = url
    fresh = {name: value for name, value in chosen.items() if name not in os.environ}
    os.environ.update(fresh)
    home(root).mkdir(parents=True, exist_ok=True)
    return fresh


def answers(url: str, seconds: float = 1.0) -> bool:
    """Whether a Prefect server answers at `url` (".../api")."""
    if not url.startswith("http://"):
        return False
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=seconds) as reply:  # noqa: S310  # http only, checked above
            return bool(json.load(reply) is True)
    except (OSError, ValueError, urllib.error.URLError):
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
