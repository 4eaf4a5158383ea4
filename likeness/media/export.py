"""Frames as PNG files for a person to look at; no stage reads them.

`python -m likeness.media.export FOOTAGE OUT_FOLDER`; `likeness export-frames` calls it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from likeness.contracts.commands import ended, positive
from likeness.contracts.progress import progress
from likeness.media.footage import Footage, open_footage
from likeness.media.frame import Frame
from likeness.media.pictures import write_png

_EXAMPLE = """example:
  python -m likeness.media.export data/clips/man-portrait/footage.mp4 out --every 24 --end 10
writes every 24th frame of the first ten seconds to out/000000.png, out/000024.png, ..."""


def parser() -> argparse.ArgumentParser:
    """Parser of this command's arguments."""
    made = argparse.ArgumentParser(
        prog="python -m likeness.media.export",
        description="Write upright frames of a video or folder of stills as PNG, named by index.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("footage", type=Path, help="video file, or folder of stills")
    made.add_argument("folder", type=Path, help="folder to write to; made if it is missing")
    made.add_argument("--every", type=positive, default=1, metavar="N", help="only each N-th frame")
    made.add_argument(
        "--start", type=float, default=None, metavar="S", help="first second, as in the footage"
    )
    made.add_argument("--end", type=float, default=None, metavar="S", help="second to stop before")
    return made


def selected(
    footage: Footage, every: int, start_s: float | None, end_s: float | None
) -> Iterator[Frame]:
    """Frames whose index is a multiple of `every`, from `start_s` to before `end_s`."""
    for frame in footage.frames():
        if end_s is not None and frame.pts_s >= end_s:
            return
        if frame.frame_index % every == 0 and (start_s is None or frame.pts_s >= start_s):
            yield frame


def export(
    path: Path,
    folder: Path,
    every: int = 1,
    start_s: float | None = None,
    end_s: float | None = None,
) -> tuple[int, int]:
    """Write PNGs of the chosen frames; each file appears whole or not at all.

    Returns:
        Number of frames written, and of frames that cannot be decoded.

    Raises:
        FootageError: the footage cannot be read.
    """
    written = undecodable = 0
    with open_footage(path) as footage:
        folder.mkdir(parents=True, exist_ok=True)
        whole = every == 1 and start_s is None and end_s is None
        total = footage.facts["frames_hint"] if whole else None
        with progress(f"frames of {path.name}", total) as advance:
            for frame in selected(footage, every, start_s, end_s):
                if frame.decoded:
                    write_png(folder / f"{frame.frame_index:06d}.png", frame.rgb())
                    written += 1
                else:
                    undecodable += 1
                advance(1)
    return written, undecodable


def main(arguments: list[str] | None = None) -> int:
    """Run; returns 0, 2 with one line on a fault of the footage or disk, 130 on Ctrl-C."""
    given = parser().parse_args(arguments)

    def work() -> None:
        written, lost = export(given.footage, given.folder, given.every, given.start, given.end)
        note = f"; {lost} cannot be decoded" if lost else ""
        print(f"{written} frames written to {given.folder}{note}")

    return ended(work, given.folder, "interrupted; the files written so far are whole")


if __name__ == "__main__":
    sys.exit(main())
