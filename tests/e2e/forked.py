"""Stages of a test repository in forks of one process: real stages without their start.

A stage needs a second or more to import what it uses, and a project of twelve clips has a hundred
stages. `serve` imports once and forks for each; `use_forks` makes the repository's `tasks/python`
ask it. DVC, its graph, commands, files and the stages' own code are what they always are.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import runpy
import shlex
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

PRELOADED = (
    "cv2",
    "av",
    "pyarrow.parquet",
    "onnxruntime",
    "ai_edge_litert.interpreter",
    "simplejpeg",
    "likeness.contracts.stage",
    "likeness.media.footage",
    "likeness.evaluation.views",
    "likeness.vision.selection",
    "models.analysers.judge",
    "models.analysers.sweep",
    "models.training.run",
    "models.swappers.mesh_transfer.swapper",
)
CLIENT = """\
import array, json, os, socket, sys
place, given = sys.argv[1], sys.argv[2:]
line = json.dumps({"given": given, "folder": os.getcwd(), "environment": dict(os.environ)})
link = socket.socket(socket.AF_UNIX)
link.connect(place)
socket.send_fds(link, [len(line.encode()).to_bytes(8, "big")], [1, 2])
link.sendall(line.encode())
sys.exit(int(link.makefile().read() or 70))
"""


def serve(place: str) -> None:
    """Take orders at a socket for ever; says `ready` on stdout when it listens."""
    for name in PRELOADED:
        importlib.import_module(name)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(place)
    listener.listen()
    print("ready", flush=True)
    while True:
        link, _ = listener.accept()
        if os.fork():
            link.close()
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            continue
        listener.close()
        _work(link)


def _work(link: socket.socket) -> None:
    """Be the stage that is asked for, and say how it ended."""
    head, streams, _, _ = socket.recv_fds(link, 8, 2)
    text = b""
    while len(text) < int.from_bytes(head, "big"):
        text += link.recv(1 << 20)
    order = json.loads(text)
    for number, stream in zip((1, 2), streams, strict=True):
        os.dup2(stream, number)
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 - lasts as long as the process
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115 - likewise
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    sys.path[0] = order["folder"]
    sys.argv = ["-m", *order["given"][2:]]
    code = 0
    try:
        runpy.run_module(order["given"][1], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())  # as the interpreter would
        code = 1
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    link.sendall(str(code).encode())
    os._exit(0)


@contextlib.contextmanager
def use_forks(root: Path, repository: Path) -> Iterator[None]:
    """Make the stages of the test repository `root` run in forks, as long as this lasts."""
    with contextlib.ExitStack() as stack:
        # Names of sockets are short: not below pytest's folder.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="forks-")))
        place = folder / "socket"
        command = [sys.executable, "-m", "tests.e2e.forked", str(place)]
        server = subprocess.Popen(command, cwd=repository, stdout=subprocess.PIPE, text=True)
        stack.enter_context(server)
        assert server.stdout is not None
        try:
            assert server.stdout.readline() == "ready\n"
            client = folder / "client.py"
            client.write_text(CLIENT)
            starter = root / "tasks/python"
            before = starter.read_text()
            words = [sys.executable, "-S", "-E", str(client), str(place)]
            starter.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
            yield
            starter.write_text(before)
        finally:
            server.terminate()


if __name__ == "__main__":
    serve(sys.argv[1])
