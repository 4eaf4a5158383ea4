"""What was asked for, and where its pictures come from."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from apps.live.compose import VIEWS, View
from likeness.contracts.catalog import DATA
from likeness.contracts.errors import LikenessError
from likeness.media.camera import open_camera, open_pipe
from likeness.media.container import footage_error
from likeness.media.footage import Footage, open_footage

CAMERA, PIPE, WINDOW = "camera", "-", "window"
Runtime = Literal["torch", "onnx", "auto"]


@dataclass(frozen=True)
class Request:
    """What was asked for on the command line; paths are those of the repository in `root`.

    Attributes:
        model: folder of the model.
        pack: folder of the analysers.
        taken_from: camera, camera:N, a file, or "-".
        output: "window" or a file.
        source: whose face, for a model of any face.
        view: None: pasted, or side by side for a family that re-enacts.
        every_frame: drop nothing, however long it takes.
        runtime: of the model.
        scan_every: frames between two scans of the whole picture.
        seconds: end after so much of the footage's time; None: when it ends.
        root: the repository.
        asked_s: when, by `time.monotonic`.
    """

    model: Path
    pack: Path
    taken_from: str = CAMERA
    output: str = WINDOW
    source: str | None = None
    view: View | None = None
    every_frame: bool = False
    runtime: Runtime = "auto"
    scan_every: int = 8
    seconds: float | None = None
    root: Path = field(default_factory=Path)
    asked_s: float = field(default_factory=time.monotonic)

    @property
    def live(self) -> bool:
        """True where pictures arrive by themselves; False for a file."""
        return self.taken_from == PIPE or self.taken_from.split(":")[0] == CAMERA

    @property
    def film(self) -> Path | None:
        """The file to write, if it is one."""
        return None if self.output == WINDOW else Path(self.output)

    def shown(self, mode: str) -> View:
        """The view asked for, else the one that suits a family of `mode`."""
        return self.view or (VIEWS[0] if mode == "swap" else VIEWS[2])


def require_writable(path: Path, suffix: str, root: Path) -> None:
    """Check that a file of this kind may be written here.

    Raises:
        LikenessError: another suffix, or a place among the clips, whose footage it could replace.
    """
    if path.suffix.lower() != suffix:
        raise LikenessError(path, f"is no {suffix}", f"name a file that ends with {suffix}")
    clips = root / DATA / "clips"
    if path.resolve().is_relative_to(clips.resolve()):
        raise LikenessError(path, f"lies in {clips}, beside footage", "name a file elsewhere")


def require_film(request: Request) -> None:
    """Check that the output can be written as it is named.

    Raises:
        LikenessError: not an MP4, among the clips, or the input itself.
    """
    film, given = request.film, Path(request.taken_from)
    if film is None:
        return
    require_writable(film, ".mp4", request.root)
    if film.exists() and given.exists() and film.samefile(given):
        raise LikenessError(film, "is input and output", "name another output")


def require_input(request: Request) -> None:
    """Check what can be checked of the input at once, before anything is loaded.

    Raises:
        LikenessError: no such file, a camera's name that is none, or a terminal as pipe.
    """
    if request.taken_from == PIPE:
        if os.isatty(0):
            step = "pipe MPEG-TS or Matroska into it, for example `ffmpeg ... -f mpegts -`"
            raise LikenessError("standard input", "is the terminal, not a video", step)
    elif request.live:
        camera_number(request)
    elif not Path(request.taken_from).exists():
        raise footage_error(Path(request.taken_from), "does not exist")


def camera_number(request: Request) -> int:
    """Number of the camera that the input names.

    Raises:
        LikenessError: what follows `camera:` is no number.
    """
    number = request.taken_from.partition(":")[2] or "0"
    if not number.isdecimal():
        raise LikenessError(request.taken_from, "names no camera", "write camera:0, camera:1, ...")
    return int(number)


def open_input(request: Request) -> Footage:
    """The camera, pipe or file.

    Raises:
        LikenessError: it is not there, or is no video.
    """
    if request.taken_from == PIPE:
        return open_pipe(None if request.every_frame else request.asked_s)
    if not request.live:
        return open_footage(Path(request.taken_from), decode_threads=1)
    return open_camera(camera_number(request))
