"""Whole crops as a film: how `blend` writes one, and how target and render are compared in it.

With `blend: {mode: crop}` nothing is laid into the target's footage: the film shows the crop of
one face, at the times of the target's frames. What is measured of such a film is measured
against the target cut out in the same way, so that frame and place mean the same on both sides.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from likeness.contracts.errors import FootageError, TableError
from likeness.contracts.params.blend import LEAST_PX
from likeness.contracts.progress import Advance
from likeness.contracts.tables.base import Facts, as_numpy
from likeness.contracts.tables.converted import CONVERTED
from likeness.evaluation.face import FaceRow
from likeness.evaluation.reference import Reference
from likeness.media.codec_roundtrip import PlanesFrame
from likeness.media.colour import Planes, rgb_to_yuv420
from likeness.media.encode import VideoWriter
from likeness.media.footage import Footage
from likeness.media.frame import Frame
from likeness.metrics.catalogue import around
from likeness.vision import alignment
from likeness.vision.alignment import Affine, rescaled
from likeness.vision.tracks import leading

NO_MEANING = tuple(row.name for row in around() if row.columns is not None)
"""Scores of what lies around a face that was laid in: a film of whole crops has no such place."""
REASON = "blend.mode is crop: the whole picture is generated, nothing is laid into the target"
PICTURE, CROP = "picture", "crop"
"""Key and value of metrics.json that tell such a film from footage with a face laid in."""
BLACK = {"full": 0, "limited": 16}


def side_of(crop_px: int | None, size_px: int) -> int:
    """Side of the film of a family with crops of `size_px`; `crop_px` is what params.yaml asks."""
    return crop_px or max(size_px + size_px % 2, LEAST_PX)


def facts_of(facts: Facts, side: int) -> Facts:
    """Stream facts of the target, now of the film of its crops, whose pixels are square."""
    return facts | {"width_px": side, "height_px": side, "sample_aspect_ratio": [1, 1]}


def black(side: int, colour_range: str) -> Planes:
    """What is shown before the first face."""
    half = (side // 2, side // 2)
    luma = np.full((side, side), BLACK[colour_range], np.uint8)
    return luma, np.full(half, 128, np.uint8), np.full(half, 128, np.uint8)


def planes_of(rgb: npt.NDArray[np.uint8], side: int, facts: Facts) -> Planes:
    """A crop, uint8 RGB (S,S,3), as planes of the film."""
    if len(rgb) != side:
        how = cv2.INTER_AREA if len(rgb) > side else cv2.INTER_CUBIC
        rgb = np.asarray(cv2.resize(rgb, (side, side), interpolation=how), np.uint8)
    return rgb_to_yuv420(rgb, facts["colour_space"], facts["colour_range"])


def write_film(
    writer: VideoWriter,
    frames: Iterable[Frame],
    crops: Iterable[npt.NDArray[np.uint8] | None],
    film: Facts,
    advance: Advance,
) -> Counter[str]:
    """Write every frame's crop at its time; counts "pasted" and "faceless".

    A frame without a face shows the crop before it again, so that length and sound stay in step;
    before the first one the film is black.

    Args:
        writer: of the film.
        frames: of the target.
        crops: of each frame, uint8 RGB (S,S,3); None where there is no face.
        film: facts of the film (`facts_of`).
        advance: called with 1 for each frame.

    Raises:
        TableError: more or fewer frames than `crops` has entries.
    """
    side, counts = film["width_px"], Counter[str]()
    planes = black(side, film["colour_range"])
    for frame, crop in itertools.zip_longest(frames, crops, fillvalue=0):
        if isinstance(frame, int) or isinstance(crop, int):
            raise TableError("frames.parquet", "does not fit the footage", "run `dvc repro`")
        if crop is not None:
            planes = planes_of(crop, side, film)
        writer.write(*planes, frame.pts)
        counts["faceless" if crop is None else "pasted"] += 1
        advance(1)
    return counts


def shown_faces(converted: Path) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Affine]:
    """The face that such a film shows in each frame that has one: that of the larger track.

    Frame (N,), track (N,) and affine_matrix (N,2,3) of each.
    """
    rows = CONVERTED.read(converted, ["frame_index", "track_index", "affine_matrix"])
    frames, tracks = (as_numpy(rows[name]) for name in ("frame_index", "track_index"))
    affines = as_numpy(rows["affine_matrix"], (2, 3))
    sizes = 1 / np.sqrt(np.abs(np.linalg.det(affines[:, :, :2])))
    chosen = leading(frames, tracks, sizes)
    return frames[chosen], tracks[chosen], affines[chosen]


def cuts(converted: Path, side: int) -> dict[int, Affine]:
    """Frame px -> px of the film (2,3), of the face shown of every frame that has one."""
    size = CONVERTED.check(converted)["size_px"]
    frames, _, affines = shown_faces(converted)
    pairs = zip(frames.tolist(), affines, strict=True)
    return {frame: rescaled(affine, size, side) for frame, affine in pairs}


class Cropped(Footage):
    """Footage seen through the crops: each frame is what the film would show of it.

    Frames without a face count as such that cannot be decoded: nothing of them is compared.

    Args:
        footage: the target.
        faces: of which frame what to cut out: (2,3) frame px -> px of the film.
        side: of the film, px.

    Attributes:
        faces, side_px: as given.
        faceless: frames of the last reading that can be decoded and show no face.
    """

    def __init__(self, footage: Footage, faces: Mapping[int, Affine], side: int) -> None:
        super().__init__(footage.path, facts_of(footage.facts, side))
        self._footage, self.faces, self.side_px = footage, faces, side
        self.faceless = 0

    def _read(self) -> Iterator[Frame]:
        self.faceless = 0
        for frame in self._footage.frames():
            there = frame.frame_index in self.faces
            self.faceless += frame.decoded and not there
            if frame.decoded and there:
                yield self.seen(frame)
            else:
                yield Frame(self, frame.frame_index, frame.pts)

    def seen(self, frame: Frame) -> Frame:
        """A frame of the target, or one of its size in its place, as the film would show it."""
        facts, side, affine = self._footage.facts, self.side_px, self.faces[frame.frame_index]
        box = alignment.region(affine, side, facts["width_px"], facts["height_px"])
        near = alignment.moved(affine, box[0], box[1])
        crop = alignment.warp_crop(frame.region_rgb(*box), near, side)
        return PlanesFrame(self, frame.frame_index, frame.pts, planes_of(crop, side, self.facts))


def cropped(target: Footage, converted: Path, render: Footage, crop_px: int | None) -> Cropped:
    """The target as the film shows it.

    Args:
        target: its footage.
        converted: the swap's converted.parquet.
        render: the film.
        crop_px: as in params.yaml.

    Raises:
        FootageError: the render is no such film.
    """
    side = side_of(crop_px, CONVERTED.check(converted)["size_px"])
    if (render.facts["width_px"], render.facts["height_px"]) != (side, side):
        raise FootageError(render.path, f"is not {side}x{side} px", "run `dvc repro`")
    return Cropped(target, cuts(converted, side), side)


@dataclasses.dataclass(frozen=True)
class InFilm(Reference):
    """Baselines of footage, each frame as the film would show it.

    Attributes:
        whole: the baselines.
        film: the film; also `footage`.
    """

    whole: Reference
    film: Cropped

    def shown(self, middle: int, run: Sequence[Frame]) -> dict[str, list[Frame]]:
        """See `Reference`."""
        found = self.whole.shown(middle, run)
        return {prefix: [self.film.seen(f) for f in frames] for prefix, frames in found.items()}


def in_film(whole: Reference, film: Cropped) -> InFilm:
    """The baselines of a target, for a film of its crops."""
    kept = {field.name: getattr(whole, field.name) for field in dataclasses.fields(whole)}
    return InFilm(**{**kept, "footage": film}, whole=whole, film=film)


def in_crop(row: FaceRow, side: int) -> FaceRow:
    """A face of the target's frame, now of its crop in the film."""
    mask_px = len(row.mask)
    to_frame = alignment.invert(rescaled(row.to_mask, mask_px, side))
    return dataclasses.replace(
        row,
        aligned=alignment.compose(row.aligned, to_frame),
        to_mask=rescaled(np.eye(2, 3), side, mask_px),
    )


def rows_in_crop(rows: Iterable[list[FaceRow]], side: int) -> Iterator[list[FaceRow]]:
    """Faces of every frame, the measured one first -> that one alone, in the film."""
    for faces in rows:
        yield [in_crop(faces[0], side)] if faces else []


def explained(metrics: dict[str, Any], film: Cropped) -> dict[str, Any]:
    """metrics.json of such a film, which says what it does not measure and why."""
    for part in {row.path.partition(".")[0] for row in around()}:
        metrics[part] = metrics[part] | {"reason": REASON}
    # Frames without a face were left out like those that cannot be decoded.
    counts = metrics["frames"]
    metrics["frames"] = counts | {"undecodable": counts["undecodable"] - film.faceless}
    return metrics | {PICTURE: CROP}
