"""`likeness live | export`: a trained model outside the graph, on a camera or as a file."""

from __future__ import annotations

import signal
import subprocess
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.common import ROOT
from flows.process import environment
from likeness.contracts.choices import choices
from likeness.contracts.documents import load_yaml
from likeness.contracts.errors import CatalogError, LikenessError
from likeness.contracts.pools import model_names

MODELS = Path("data/models")


class Shown(StrEnum):
    """What of a frame is shown."""

    paste = "paste"
    crop = "crop"
    side_by_side = "side-by-side"


class Runtime(StrEnum):
    """What runs the model."""

    auto = "auto"
    torch = "torch"
    onnx = "onnx"


def complete_model(incomplete: str) -> list[str]:
    """Models for shell completion."""
    try:
        return [name for name in model_names(ROOT / "params.yaml") if name.startswith(incomplete)]
    except LikenessError:
        return []  # completion must never print an error into the command line


MODEL = typer.Argument(help="Key under models: in params.yaml.", autocompletion=complete_model)


def folder_of(model: str) -> Path:
    """Folder of a trained model.

    Raises:
        CatalogError: params.yaml knows none of that name, or it is not trained yet.
    """
    known = model_names(ROOT / "params.yaml")
    if model not in known:
        raise CatalogError(model, "no such model", choices(model, known))
    folder = MODELS / model
    if not (ROOT / folder / "config.json").is_file():
        raise CatalogError(model, "is not trained yet", f"run `dvc repro train@{model}`")
    return folder


def _foreground(module: str, arguments: list[str]) -> None:
    """Run a module of another room with this terminal; Ctrl-C reaches it, and it ends by itself."""
    child = subprocess.Popen([sys.executable, "-m", module, *arguments], env=environment())
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    while True:
        try:
            code = child.wait()
            break
        except KeyboardInterrupt:  # the child has it, too, and finishes its film
            continue
    if code != 0:
        raise typer.Exit(code=code if 0 < code < 256 else 1)


def live(
    model: Annotated[str, MODEL],
    *,
    taken_from: Annotated[
        str,
        typer.Option(
            "--input", help="camera, camera:N, a video file, a folder of stills, or - for stdin."
        ),
    ] = "camera",
    output: Annotated[str, typer.Option(help="window, or a file to write (.mp4).")] = "window",
    source: Annotated[str | None, typer.Option(help="Whose face, for a model of any face.")] = None,
    view: Annotated[
        Shown | None,
        typer.Option(
            help="The face in its frame, the crop alone, or the crop beside the driver's."
        ),
    ] = None,
    every_frame: Annotated[
        bool, typer.Option("--every-frame", help="Drop nothing, however long it takes.")
    ] = False,
    runtime: Annotated[
        Runtime, typer.Option(help="auto: whichever is faster in a short trial.")
    ] = Runtime.auto,
    scan_every: Annotated[
        int, typer.Option(min=1, help="Frames between two scans of the whole picture.")
    ] = 8,
    seconds: Annotated[
        float | None, typer.Option(min=0.1, help="End after so much of the input's time.")
    ] = None,
) -> None:
    """Run a trained model frame by frame; late frames are dropped, the visible mark stays on.

    Everybody behind the model must consent today. `q` or Esc ends it, and so does Ctrl-C; a film
    is whole then. A file as input is played at its own rate, and its sound is copied.

    [bold]Examples[/bold]

    likeness live woman-man-mesh

    likeness live woman-man-autoencoder --input take.mp4 --output live.mp4 --every-frame

    likeness live anybody --source woman --input camera:1 --view side-by-side
    """
    pack = (load_yaml(ROOT / "params.yaml").get("pack") or {}).get("name", "embedded")
    arguments = [str(folder_of(model)), f"--pack=data/packs/{pack}", f"--input={taken_from}"]
    arguments += [f"--output={output}", f"--runtime={runtime.value}"]
    arguments += [f"--scan-every={scan_every}"]
    arguments += [f"--source={source}"] if source else []
    arguments += [f"--view={view.value}"] if view else []
    arguments += ["--every-frame"] if every_frame else []
    arguments += ["--seconds", f"{seconds:g}"] if seconds else []
    _foreground("apps.live", arguments)


def export(
    model: Annotated[str, MODEL],
    out: Annotated[Path, typer.Argument(help="File to write, .onnx.")],
    *,
    source: Annotated[str | None, typer.Option(help="Whose face, for a model of any face.")] = None,
) -> None:
    """Write a trained model as an ONNX graph, checked against torch on real crops.

    [bold]Example[/bold]

    likeness export woman-man-autoencoder woman-man.onnx
    """
    named = [f"--source={source}"] if source else []
    arguments = [*named, "--", str(folder_of(model)), str(out)]
    _foreground("apps.live.export", arguments)
