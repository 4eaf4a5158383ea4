"""What was asked for, and where its pictures come from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from likeness.contracts.errors import LikenessError
from likeness.media.camera import open_camera, open_pipe
from likeness.media.footage import Footage, open_footage
from models.live.compose import View
from models.live.runners import Runtime

CAMERA, PIPE, WINDOW = "camera", "-", "window"


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

    @property
    def live(self) -> bool:
        """True where pictures arrive by themselves; False for a file."""
        return self.taken_from == PIPE or self.taken_from.split(":")[0] == CAMERA

    @property
    def film(self) -> Path | None:
        """The file to write, if it is one."""
        return None if self.output == WINDOW else Path(self.output)


def require_film(request: Request) -> None:
    """Check that the output can be written as it is named.

    Raises:
        LikenessError: not an MP4, or the input itself.
    """
    film, given = request.film, Path(request.taken_from)
    if film is None:
        return
    if film.suffix.lower() != ".mp4":
        raise LikenessError(film, "is no .mp4", "name a file that ends with .mp4, or `window`")
    if film.exists() and given.exists() and film.samefile(given):
        raise LikenessError(film, "is input and output", "name another output")


def open_input(request: Request) -> Footage:
    """The camera, pipe or file.

    Raises:
        LikenessError: it is not there, or is no video.
    """
    if request.taken_from == PIPE:
        return open_pipe()
    if not request.live:
        return open_footage(Path(request.taken_from), decode_threads=1)
    number = request.taken_from.partition(":")[2] or "0"
    if not number.isdigit():
        raise LikenessError(request.taken_from, "names no camera", "write camera:0, camera:1, ...")
    return open_camera(int(number))
