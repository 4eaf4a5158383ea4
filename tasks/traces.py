"""Stage `traces`: forensic features of a swap's faces, and of the real ones at the same places.

In: the target clip, its frames.parquet, converted.parquet and render.mp4. Out: one row of features
for every chosen face as it is in the render, and one as it is in the target. The target goes
through the render's encoder first, in memory: a detector shown footage and render as they are would
learn the codec, not the swap.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from likeness.contracts.errors import FootageError
from likeness.contracts.params.blend import BlendParams
from likeness.contracts.params.traces import TracesParams
from likeness.contracts.progress import Advance
from likeness.contracts.sections import load_section, swap_overrides
from likeness.contracts.stage import Context, Stage
from likeness.contracts.tables.base import Writer, as_numpy
from likeness.contracts.tables.converted import CONVERTED
from likeness.contracts.tables.frames import FRAMES
from likeness.contracts.tables.traces import TRACES
from likeness.evaluation import views
from likeness.media.codec_roundtrip import through_encoder
from likeness.media.colour import Planes, chroma_box, even_box
from likeness.media.footage import Footage, open_footage
from likeness.metrics import spacing
from likeness.metrics.forensics.features import NAMES, SMALLEST_PX, features
from likeness.vision import alignment
from likeness.vision.alignment import Affine, rescaled
from likeness.vision.box import Box
from likeness.vision.pasting import Face
from tasks._whole import Cropped, cropped
from tasks.blend import black, checked_footage, composed

Pixels = npt.NDArray[np.uint8]
MARGIN_SHARE = 0.15
"""What of the frame around a mask is looked at, too, share of the mask's longer side."""
DECIMALS = 4


@dataclass(frozen=True)
class Place:
    """A face that was swapped.

    Attributes:
        frame_index, track_index: which one.
        mask: (M,M) uint8, 255 = replaced.
        to_mask: (2,3) frame px -> px of `mask`.
    """

    frame_index: int
    track_index: int
    mask: Pixels
    to_mask: Affine


def places(converted: Path, most: int) -> Iterator[Place]:
    """At most `most` evenly spaced faces of converted.parquet, in its order."""
    facts = CONVERTED.check(converted)
    size, side = facts["size_px"], facts["mask_size_px"]
    wanted = set(spacing.evenly(CONVERTED.count(converted), most).tolist())
    row = 0
    columns = ["frame_index", "track_index", "mask", "affine_matrix"]
    for batch in CONVERTED.batches(converted, columns, rows=64):
        affines = as_numpy(batch["affine_matrix"], (2, 3))
        for index in range(batch.num_rows):
            if row in wanted:
                mask = np.frombuffer(batch["mask"][index].as_py(), np.uint8).reshape(side, side)
                frame, track = (batch[name][index].as_py() for name in columns[:2])
                yield Place(frame, track, mask, views.mask_affine(affines[index], size, side))
            row += 1


def places_in(film: Cropped, converted: Path, most: int) -> Iterator[Place]:
    """Of the same, those faces that a film of whole crops shows, where they are in it."""
    for place in places(converted, most):
        mask_px = len(place.mask)
        if np.allclose(
            rescaled(place.to_mask, mask_px, film.side_px), film.faces[place.frame_index]
        ):
            yield dataclasses.replace(place, to_mask=rescaled(np.eye(2, 3), film.side_px, mask_px))


def look(planes: Planes, place: Place) -> npt.NDArray[np.float64] | None:
    """Features of one face in a frame; None: too small, or none of it shows.

    Args:
        planes: y (H,W), u and v (ceil(H/2), ceil(W/2)), uint8.
        place: where.
    """
    height, width = planes[0].shape
    laid, start = views.frame_mask(place.mask, place.to_mask, width, height)
    rows, columns = np.flatnonzero(laid.any(axis=1)), np.flatnonzero(laid.any(axis=0))
    if min(len(rows), len(columns)) < SMALLEST_PX:
        return None
    margin = max(round(MARGIN_SHARE * max(len(rows), len(columns))), 8)
    left, top = start[0] + int(columns[0]), start[1] + int(rows[0])
    right, bottom = start[0] + int(columns[-1]) + 1, start[1] + int(rows[-1]) + 1
    around = (left - margin, top - margin, right + margin, bottom + margin)
    edges = even_box(around, width, height)
    box, half = Box(*edges), Box(*chroma_box(edges))
    # The mask's own box may reach beyond this one, or end before it.
    affine = alignment.moved(place.to_mask, box.x0, box.y0)
    mask, corner = views.frame_mask(place.mask, affine, box.width, box.height)
    whole = np.zeros((box.height, box.width), np.uint8)
    whole[corner[1] : corner[3], corner[0] : corner[2]] = mask
    chroma = half.cut(planes[1]), half.cut(planes[2])
    return features(box.cut(planes[0]), chroma, whole)


def frame_pairs(
    target: Footage, render: Footage, params: BlendParams, frames: int
) -> Iterator[tuple[Planes, Planes]]:
    """Of every frame: the target's planes after the render's encoder, and the render's.

    The target is encoded with what `blend` shows where a frame cannot be decoded, so that a render
    without faces would be the same film bit for bit.

    Raises:
        FootageError: the render has another number of frames than the target.
    """
    facts = target.facts
    first = black(facts["width_px"], facts["height_px"], facts["colour_range"])
    no_faces: Iterator[list[Face]] = itertools.repeat([], frames)
    bare = composed(target.frames(), no_faces, first, _nothing)
    real = through_encoder(
        ((planes, frame.pts) for frame, planes in bare), target, params.crf, params.preset
    )
    for before, after in itertools.zip_longest(real, render.frames()):
        if before is None or after is None or not after.decoded:
            problem = f"does not have the frames of {target.path}"
            raise FootageError(render.path, problem, "run `dvc repro`")
        yield before, after.planes()


def _nothing(_planes: Planes, _face: Face) -> None:
    """Lay no face."""


def rows_of(
    pairs: Iterable[tuple[Planes, Planes]],
    chosen: Iterable[Place],
    advance: Advance,
) -> Iterator[tuple[Place, npt.NDArray[np.float64], npt.NDArray[np.float64]] | Place]:
    """Each chosen face with its features in both films; alone where it is too small for them."""
    waiting = iter(chosen)
    place = next(waiting, None)
    for index, (real, render) in enumerate(pairs):
        while place is not None and place.frame_index == index:
            found = [look(planes, place) for planes in (real, render)]
            if found[0] is None or found[1] is None:
                yield place
            else:
                yield place, found[0], found[1]
            place = next(waiting, None)
        advance(1)
        if place is None:
            return


def run(context: Context[TracesParams]) -> None:
    """Go through both films side by side and write what the chosen faces show."""
    inputs, swap = context.inputs, context.options["swap"]
    facts, most = context.facts["frames"], context.params.max_faces
    overrides = swap_overrides("blend")(context.options, context.params_file)
    encoding = load_section("blend", BlendParams, context.params_file, overrides)
    seconds = as_numpy(FRAMES.read(inputs["frames"], ["pts_s"])["pts_s"]).astype(np.int32)
    counts = {"faces": CONVERTED.count(inputs["converted"]), "chosen": 0, "small": 0}
    target = open_footage(checked_footage(inputs["clip"], facts))
    chosen = places(inputs["converted"], most)
    with (
        open_footage(inputs["render"]) as render,
        Writer(TRACES, context.outputs["traces"]) as writer,
        context.progress("frames", facts["frames"]) as advance,
    ):
        if encoding.mode == "crop":
            target = film = cropped(target, inputs["converted"], render, encoding.crop_px)
            chosen = places_in(film, inputs["converted"], most)
        pairs = frame_pairs(target, render, encoding, facts["frames"])
        for found in rows_of(pairs, chosen, advance):
            counts["chosen"] += 1
            if isinstance(found, Place):
                counts["small"] += 1
                continue
            place, real, swapped = found
            writer.add(_cells(place, int(seconds[place.frame_index]), real, swapped))
        writer.facts.update(counts, swap=swap, clip=facts["clip"], features=list(NAMES))
        writer.facts.update(crf=encoding.crf, preset=encoding.preset)
    if counts["small"] or not counts["chosen"]:
        reason = f"{counts['small']} of {counts['chosen']} faces are below {SMALLEST_PX} px"
        context.say(f"{swap}: {reason if counts['chosen'] else 'no face to look at'}")


def _cells(
    place: Place, second: int, real: npt.NDArray[np.float64], swapped: npt.NDArray[np.float64]
) -> dict[str, Any]:
    return {
        "frame_index": [place.frame_index] * 2,
        "track_index": [place.track_index] * 2,
        "second": [second] * 2,
        "swapped": [False, True],
        # Rounded, so that the file's bytes do not hang on the last bits.
        "features": [np.round(values, DECIMALS).astype(np.float32) for values in (real, swapped)],
    }


STAGE = Stage(
    name="traces",
    params=TracesParams,
    inputs={"clip": None, "frames": FRAMES, "converted": CONVERTED, "render": None},
    outputs={"traces": TRACES},
    options=("swap",),
    run=run,
    description="forensic features of swapped faces and of the real ones at the same places",
)

if __name__ == "__main__":
    STAGE.main()
