"""Several swaps of one target as a film of cells: the same frames side by side, labelled.

`python -m likeness.provenance.grid OUT.mp4 --target FOOTAGE --swap NAME RENDER ... --times T.json`;
`likeness compare` calls it. It stands beside the marks because what it shows are swaps: every cell
with a swap carries the visible mark, whatever `publish` is told.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from likeness.contracts.atomic import atomic_path
from likeness.contracts.commands import ended
from likeness.contracts.documents import write_json
from likeness.contracts.errors import FootageError
from likeness.contracts.progress import progress
from likeness.contracts.tables.base import Facts
from likeness.media.colour import rgb_to_yuv420
from likeness.media.encode import StreamFacts, VideoWriter
from likeness.media.footage import Footage, open_footage
from likeness.media.frame import Frame
from likeness.media.images import decode_jpeg
from likeness.provenance.marks import Mark, Planes, make_mark, stamp

Pixels = npt.NDArray[np.uint8]
MOST_PX = (1440, 1080)
"""Width and height of the whole film at most."""
GAP_PX = 4
CRF, PRESET = 20.0, "veryfast"
LABEL_SHARE = 0.05
GREY = 58
"""Level around the sources' faces."""
TEXT = "AI face swap · likeness"


@dataclass(frozen=True)
class Layout:
    """Where the cells stand; all numbers in px and even, so that chroma halves without a rest.

    Attributes:
        columns, rows: of cells.
        cell: width and height of one.
        size: width and height of the film.
    """

    columns: int
    rows: int
    cell: tuple[int, int]
    size: tuple[int, int]

    def corner(self, place: int) -> tuple[int, int]:
        """x and y of a cell's first pixel."""
        row, column = divmod(place, self.columns)
        return column * (self.cell[0] + GAP_PX), row * (self.cell[1] + GAP_PX)


def layout(
    cells: int, frame_px: tuple[int, int], most_px: tuple[int, int] = MOST_PX, spare: int = 0
) -> Layout:
    """The arrangement that shows the cells largest: wide frames in two columns, tall ones in a row.

    Args:
        cells: how many.
        frame_px: width and height of a frame; cells keep its shape and never exceed it.
        most_px: width and height of the film at most.
        spare: places that may stay without a cell; whoever asks fills them.
    """

    def scale(columns: int) -> float:
        room = [
            (most - GAP_PX * (count - 1)) / count / side
            for most, count, side in zip(
                most_px, (columns, -(-cells // columns)), frame_px, strict=True
            )
        ]
        return min(1.0, *room)

    # Of equally large ones the widest: it needs the least scrolling.
    fitting = [count for count in range(1, cells + 1) if -cells % count <= spare]
    columns = max(fitting, key=lambda count: (scale(count), count))
    width, height = (max(int(side * scale(columns) / 2), 1) * 2 for side in frame_px)
    rows = -(-cells // columns)
    size = (columns * (width + GAP_PX) - GAP_PX, rows * (height + GAP_PX) - GAP_PX)
    return Layout(columns, rows, (width, height), size)


def resized(planes: Planes, size: tuple[int, int]) -> Planes:
    """Planes y (H,W), u and v (half of it) at another, even `size` (width, height)."""
    half = (size[0] // 2, size[1] // 2)
    y, u, v = (
        np.asarray(cv2.resize(plane, wanted, interpolation=cv2.INTER_AREA), np.uint8)
        for plane, wanted in zip(planes, (size, half, half), strict=True)
    )
    return y, u, v


def compose(cells: Sequence[Planes], place: Layout, full_range: bool) -> Planes:
    """One frame from its cells; what lies between them is black."""
    width, height = place.size
    y = np.full((height, width), 0 if full_range else 16, np.uint8)
    u, v = (np.full((height // 2, width // 2), 128, np.uint8) for _ in range(2))
    for number, cell in enumerate(cells):
        x0, y0 = place.corner(number)
        for plane, part, by in zip((y, u, v), cell, (1, 2, 2), strict=True):
            rows, columns = part.shape
            plane[y0 // by : y0 // by + rows, x0 // by : x0 // by + columns] = part
    return y, u, v


def paired(footages: Sequence[Footage]) -> Iterator[tuple[Frame, ...]]:
    """Frames of the same index of all `footages`, whose times agree.

    Raises:
        FootageError: one has another number of frames than the first, or other times.
    """
    for frames in zip_longest(*(footage.frames() for footage in footages)):
        for footage, frame in zip(footages, frames, strict=True):
            first, step = frames[0], "run `likeness swap` for it"
            if first is None or frame is None:
                problem = f"has another number of frames than {footages[0].path}"
                raise FootageError(footage.path, problem, step)
            if abs(frame.pts_s - first.pts_s) > 1e-3:
                problem = f"shows frame {frame.frame_index} at another time"
                raise FootageError(footage.path, problem, step)
        yield frames


def still_cell(pictures: Sequence[Pixels], size: tuple[int, int], facts: Facts) -> Planes:
    """Pictures (H,W,3) beside each other on grey, as a cell of `size` (width, height).

    Args:
        pictures: RGB; each is scaled to fit its share of the width.
        size: even numbers.
        facts: of the footage whose colours the film has.
    """
    width, height = size
    cell = np.full((height, width, 3), GREY, np.uint8)
    share = width // len(pictures)
    for place, picture in enumerate(pictures):
        scale = min(share / picture.shape[1], height / picture.shape[0])
        fit = (max(int(picture.shape[1] * scale), 1), max(int(picture.shape[0] * scale), 1))
        x, y = place * share + (share - fit[0]) // 2, (height - fit[1]) // 2
        small = cv2.resize(picture, fit, interpolation=cv2.INTER_AREA)
        cell[y : y + fit[1], x : x + fit[0]] = small
    space, colour_range = str(facts["colour_space"]), str(facts["colour_range"])
    y_plane, u, v = rgb_to_yuv420(cell, space, colour_range)
    return y_plane, u, v


def marks_for(names: Sequence[str], cell: tuple[int, int], text: str) -> list[list[Mark]]:
    """Per cell: its label, and the visible mark on every cell but the first (the target)."""
    labels = [make_mark(name, cell, "top-left", LABEL_SHARE) for name in names]
    shown = make_mark(text, cell, "bottom-right")
    return [[label, shown] if place else [label] for place, label in enumerate(labels)]


def write_grid(
    path: Path,
    target: Path,
    swaps: Sequence[tuple[str, Path]],
    text: str = TEXT,
    sources: Sequence[Path] = (),
) -> dict[str, list[float]]:
    """Write the film; the target stands first, its sound is kept.

    Where the cells leave a place free, the faces of the sources stand there.

    Args:
        path: the .mp4, written atomically.
        target: footage of the target clip.
        swaps: (label, render) of each swap.
        text: of the visible mark.
        sources: JPEG files of the sources' faces.

    Returns:
        {"frames": frame_index of each picture, "times": when it is shown, s,
        "sources": how many faces of sources stand in each of them}.

    Raises:
        FootageError: footage that cannot be read or does not pair.
    """
    shown: dict[str, list[float]] = {"frames": [], "times": [], "sources": []}
    with contextlib.ExitStack() as opened:
        footages = [opened.enter_context(open_footage(p)) for p in (target, *(r for _, r in swaps))]
        facts = footages[0].facts
        frame_px = (facts["width_px"], facts["height_px"])
        place = layout(len(footages), frame_px, spare=1 if sources else 0)
        further: list[Planes] = []
        if place.columns * place.rows > len(footages):
            faces = [decode_jpeg(file.read_bytes()) for file in sources]
            label = make_mark("source", place.cell, "top-left", LABEL_SHARE)
            further = [stamp(still_cell(faces, place.cell, facts), label)]
        marks = marks_for(["target", *(name for name, _ in swaps)], place.cell, text)
        size = {"width_px": place.size[0], "height_px": place.size[1]}
        temporary = opened.enter_context(atomic_path(path))
        writer = opened.enter_context(
            VideoWriter(temporary, StreamFacts(target, facts | size), CRF, PRESET)
        )
        advance = opened.enter_context(progress("frames", facts["frames_hint"]))
        for frames in paired(footages):
            advance(1)
            if all(frame.decoded for frame in frames):
                cells = [_cell(f, place.cell, m) for f, m in zip(frames, marks, strict=True)]
                full = facts["colour_range"] == "full"
                writer.write(*compose([*cells, *further], place, full), frames[0].pts)
                shown["frames"].append(frames[0].frame_index)
                shown["times"].append(round(frames[0].pts_s, 6))
                shown["sources"].append(len(sources) if further else 0)
    return shown


def _cell(frame: Frame, size: tuple[int, int], marks: Sequence[Mark]) -> Planes:
    planes = resized(frame.planes(), size)
    for mark in marks:
        planes = stamp(planes, mark)
    return planes


def parser() -> argparse.ArgumentParser:
    """Parser of this command's arguments."""
    made = argparse.ArgumentParser(
        prog="python -m likeness.provenance.grid",
        description="Write a film that shows swaps of one target side by side, frame by frame.",
    )
    made.add_argument("film", type=Path, help="the .mp4 to write")
    made.add_argument("--target", type=Path, required=True, help="footage of the target clip")
    made.add_argument(
        "--swap", nargs=2, action="append", required=True, metavar=("NAME", "RENDER"),
        help="a label and a render; may be given several times",
    )  # fmt: skip
    made.add_argument("--text", default=TEXT, help="of the visible mark")
    made.add_argument("--source", type=Path, action="append", default=[], help="a face, as JPEG")
    made.add_argument("--times", type=Path, help="JSON to write: frames and their times")
    return made


def main(arguments: list[str] | None = None) -> int:
    """Run; returns 0, 2 with one line on a fault of footage or disk, 130 on Ctrl-C."""
    given = parser().parse_args(arguments)
    swaps = [(name, Path(render)) for name, render in given.swap]

    def work() -> None:
        shown = write_grid(given.film, given.target, swaps, given.text, given.source)
        if given.times is not None:
            write_json(given.times, shown)

    return ended(work, given.film, "interrupted; nothing was written")


if __name__ == "__main__":
    sys.exit(main())
