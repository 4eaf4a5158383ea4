"""The layout of FaceForensics++ on disk: which videos there are, and what their names say.

original_sequences/youtube/<compression>/videos/NNN.mp4
manipulated_sequences/<Method>/<compression>/videos/<target>_<source>.mp4
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from likeness.contracts.choices import choices
from likeness.contracts.errors import LikenessError

ORIGINALS = Path("original_sequences/youtube")
MANIPULATED = Path("manipulated_sequences")
NAME = re.compile(r"([A-Za-z0-9-]+)_([A-Za-z0-9-]+)")
SUFFIXES = (".mp4", ".avi", ".mkv", ".mov")
LAYOUT = f"expected {ORIGINALS}/<compression>/videos/ and {MANIPULATED}/<Method>/..."


class LayoutError(LikenessError):
    """A folder that is not laid out as FaceForensics++."""


@dataclass(frozen=True)
class Swapped:
    """A manipulated video.

    Attributes:
        method: folder below manipulated_sequences.
        path: the file.
        target, source: names of originals; both "" where the file's name does not say.
    """

    method: str
    path: Path
    target: str
    source: str


@dataclass(frozen=True)
class DataSet:
    """What a folder holds.

    Attributes:
        originals: name -> file, by name.
        swapped: manipulated videos, by method and name.
        compression: folder of the manipulated videos ("c23").
        originals_compression: of the originals; may differ where there is only another one.
    """

    originals: dict[str, Path]
    swapped: list[Swapped]
    compression: str
    originals_compression: str


def read_layout(folder: Path, methods: Sequence[str] = (), compression: str = "") -> DataSet:
    """List the videos of `folder`.

    Args:
        folder: root of the data set, or of anything in its layout.
        methods: of manipulated_sequences; all if empty.
        compression: "raw", "c23", ...; may be empty where there is only one.

    Raises:
        LayoutError: no originals, no such method, or several compressions and none named.
    """
    known = sorted(p.name for p in (folder / MANIPULATED).glob("*") if p.is_dir())
    if not known:
        raise LayoutError(folder, f"holds no {MANIPULATED}/<Method>", LAYOUT)
    for name in methods:
        if name not in known:
            raise LayoutError(folder, f"holds no method `{name}`", choices(name, known))
    chosen = list(dict.fromkeys(methods)) or known
    given = _choose(folder, [folder / MANIPULATED / name for name in chosen], compression)
    kept = _kinds(folder / ORIGINALS)
    if not kept:
        raise LayoutError(folder, f"holds no {ORIGINALS}/<compression>/videos", LAYOUT)
    originals = given if given in kept else _choose(folder, [folder / ORIGINALS], "")
    return DataSet(
        {path.stem: path for path in _videos(folder / ORIGINALS / originals)},
        [
            _swapped(method, path)
            for method in sorted(chosen)
            for path in _videos(folder / MANIPULATED / method / given)
        ],
        given,
        originals,
    )


def _kinds(folder: Path) -> list[str]:
    return sorted(p.parent.name for p in folder.glob("*/videos") if p.is_dir())


def _choose(folder: Path, places: Sequence[Path], wanted: str) -> str:
    """The compression that is wanted, or the only one there is."""
    kinds = sorted({kind for place in places for kind in _kinds(place)})
    if wanted in kinds:
        return wanted
    if wanted:
        raise LayoutError(folder, f"holds no compression `{wanted}`", choices(wanted, kinds))
    if len(kinds) != 1:
        problem = f"holds {len(kinds)} compressions under {places[0].parent.name}"
        listed = ", ".join(kinds) or "none"
        raise LayoutError(folder, problem, f"name one with --compression: {listed}")
    return kinds[0]


def _videos(folder: Path) -> list[Path]:
    found = (folder / "videos").glob("*")
    return sorted(p for p in found if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))


def _swapped(method: str, path: Path) -> Swapped:
    name = NAME.fullmatch(path.stem)
    return Swapped(method, path, *(name.groups() if name else ("", "")))
