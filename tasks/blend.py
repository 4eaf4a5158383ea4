"""Stage `blend`: the swapped crops back in the target's footage, or a film of the crops alone.

In: the target clip, its frames.parquet and converted.parquet. Out: render.mp4 with every frame of
the footage at its own time and the audio as it was. Only the box of each face is touched; by
`mode: crop` nothing of the footage is shown, but the crops themselves.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from likeness.contracts.catalog import footage_path
from likeness.contracts.documents import sha256_of
from likeness.contracts.errors import FootageError, TableError
from likeness.contracts.params.blend import BlendParams
from likeness.contracts.sections import swap_overrides
from likeness.contracts.stage import Context, Stage
from likeness.contracts.tables.base import Facts, as_numpy
from likeness.contracts.tables.converted import CONVERTED
from likeness.contracts.tables.frames import FRAMES
from likeness.media.colour import Planes, rgb_to_yuv420, yuv420_region_to_rgb, yuv_matrix
from likeness.media.encode import StreamFacts, VideoWriter
from likeness.media.footage import Footage, open_footage
from likeness.media.frame import Frame
from likeness.media.images import decode_jpeg
from likeness.media.links import require_inside
from likeness.vision import blending
from likeness.vision.colour import SteadyColours
from likeness.vision.pasting import Face, paste_face
from likeness.vision.patch import Patch
from tasks._whole import facts_of, shown_faces, side_of, write_film

Pixels = npt.NDArray[np.uint8]
Space = tuple[str, str]
Lay = Callable[[Planes, "Face"], None]


def blend_face(
    planes: Planes, face: Face, params: BlendParams, space: Space, steady: SteadyColours
) -> str:
    """Lay one face into the writable 4:2:0 `planes`, in place, as section `blend` says.

    Args:
        planes: y (H,W), u and v of half its size, uint8.
        face: what to lay.
        params: how.
        space: colour space and range of the footage, names of media.colour.
        steady: colours of the tracks so far.

    Returns:
        "pasted", "outside" (nothing of it shows) or "poisson refused" (pasted feathered).
    """

    def clone(patch: Patch, crop: Pixels, alpha: npt.NDArray[np.float32]) -> Planes | None:
        return cloned_planes(planes, patch, crop, alpha, space)

    way = clone if params.mode == "poisson" else None
    done = paste_face(planes, face, params, yuv_matrix(*space), steady, clone=way)
    return "poisson refused" if done == "refused" else done


def cloned_planes(
    planes: Planes, patch: Patch, crop: Pixels, alpha: npt.NDArray[np.float32], space: Space
) -> Planes | None:
    """The patch's box with `crop` cloned into it, as planes; None where that is refused."""
    region = yuv420_region_to_rgb(planes, patch.box, *space)
    cloned = blending.poisson(region, patch.in_box(crop), alpha)
    return None if cloned is None else rgb_to_yuv420(cloned, *space)


def black(width_px: int, height_px: int, colour_range: str) -> Planes:
    """A black picture, for frames that cannot be decoded and have none before them."""
    half = ((height_px + 1) // 2, (width_px + 1) // 2)
    luma = np.full((height_px, width_px), 0 if colour_range == "full" else 16, np.uint8)
    return luma, np.full(half, 128, np.uint8), np.full(half, 128, np.uint8)


def composed(
    frames: Iterable[Frame], faces: Iterable[list[Face]], shown: Planes, lay: Lay
) -> Iterator[tuple[Frame, Planes]]:
    """Every frame with its faces laid on, as 4:2:0 planes.

    A frame that cannot be decoded shows the one before it again, the first of all `shown`: a
    repeated picture keeps length and sound in step and is seen less than a black one.

    Raises:
        TableError: more or fewer frames than `faces` has entries.
    """
    for frame, present in itertools.zip_longest(frames, faces):
        if frame is None or present is None:
            raise TableError("frames.parquet", "does not fit the footage", "run `dvc repro`")
        if frame.decoded:
            shown = frame.planes()
            if present:
                shown = (shown[0].copy(), shown[1].copy(), shown[2].copy())
                for face in present:
                    lay(shown, face)
        yield frame, shown


def faces_by_frame(converted: Path, facts: Facts, shots: Iterable[int]) -> Iterator[list[Face]]:
    """The faces of every frame, one list for each entry of `shots`: the shot of each frame.

    Raises:
        TableError: rows out of order, or of frames that the clip does not have.
    """
    rows = _rows(converted, facts["mask_size_px"])
    waiting = next(rows, None)
    for index, shot in enumerate(shots):
        found: list[Face] = []
        while waiting is not None and waiting[0] == index:
            _, track, crop, mask, affine = waiting
            found.append(Face((shot, track), decode_jpeg(crop), mask, affine))
            waiting = next(rows, None)
        yield found
    if waiting is not None:
        problem = f"row of frame {waiting[0]} is out of order or beyond the clip"
        raise TableError(converted, problem, "run `dvc repro`")


def _rows(
    converted: Path, mask_px: int
) -> Iterator[tuple[int, int, bytes, Pixels, npt.NDArray[np.float64]]]:
    for batch in CONVERTED.batches(converted, rows=64):
        affines = as_numpy(batch["affine_matrix"], (2, 3))
        names = ("frame_index", "track_index", "crop", "mask")
        columns = [batch[name].to_pylist() for name in names]
        for frame, track, crop, mask, affine in zip(*columns, affines, strict=True):
            square = np.frombuffer(mask, np.uint8).reshape(mask_px, mask_px)
            yield frame, track, crop, square, affine


def _shots(frames: Path) -> Iterator[int]:
    for batch in FRAMES.batches(frames, ["shot_index"], rows=4096):
        yield from batch["shot_index"].to_pylist()


def checked_footage(clip_yaml: Path, facts: Facts) -> Path:
    """The clip's footage, if it is still what `frames` read.

    Raises:
        FootageError: it has changed since.
    """
    path = footage_path(clip_yaml)
    require_inside(path)
    if sha256_of(path) != facts["footage_sha256"]:
        raise FootageError(path, "has changed since `frames` read it", "run `dvc repro`")
    return path


def run(context: Context[BlendParams]) -> None:
    """Read frames and faces side by side, lay, encode."""
    facts = context.facts["frames"]
    footage = open_footage(checked_footage(context.inputs["clip"], facts))
    counts = (whole_crops if context.params.mode == "crop" else laid_in)(context, footage)
    _report(context, counts)


def whole_crops(context: Context[BlendParams], footage: Footage) -> Counter[str]:
    """Write the film of the crops; counts what was shown."""
    params, inputs, facts = context.params, context.inputs, context.facts["converted"]
    film = facts_of(footage.facts, side_of(params.crop_px, facts["size_px"]))
    faces = faces_by_frame(inputs["converted"], facts, _shots(inputs["frames"]))
    frames, tracks, _ = shown_faces(inputs["converted"])
    shown = dict(zip(frames.tolist(), tracks.tolist(), strict=True))
    crops = (crop_of(given, shown.get(index)) for index, given in enumerate(faces))
    model, render = StreamFacts(footage.path, film), context.outputs["render"]
    with (
        footage,
        VideoWriter(render, model, params.crf, params.preset, sound=params.sound) as writer,
        context.progress("frames", context.facts["frames"]["frames"]) as advance,
    ):
        return write_film(writer, footage.frames(), crops, film, advance)


def crop_of(faces: list[Face], track: int | None) -> Pixels | None:
    """The crop of the face on a track, of all in a frame; None without a track."""
    return next((face.crop for face in faces if face.track[1] == track), None)


def laid_in(context: Context[BlendParams], footage: Footage) -> Counter[str]:
    """Write the footage with the faces laid in; counts what became of them."""
    params, inputs = context.params, context.inputs
    facts, counts = context.facts["frames"], Counter[str]()
    space = (footage.facts["colour_space"], footage.facts["colour_range"])
    steady = SteadyColours(params.colour_memory)

    def lay(planes: Planes, face: Face) -> None:
        counts[blend_face(planes, face, params, space, steady)] += 1

    faces = faces_by_frame(
        inputs["converted"], context.facts["converted"], _shots(inputs["frames"])
    )
    with (
        footage,
        VideoWriter(
            context.outputs["render"], footage, params.crf, params.preset, sound=params.sound
        ) as writer,
        context.progress("frames", facts["frames"]) as advance,
    ):
        first = black(footage.facts["width_px"], footage.facts["height_px"], space[1])
        for frame, planes in composed(footage.frames(), faces, first, lay):
            writer.write(*planes, frame.pts)
            counts["repeated"] += not frame.decoded
            advance(1)
    return counts


def _report(context: Context[BlendParams], counts: Counter[str]) -> None:
    swap = context.options["swap"]
    if counts["faceless"]:
        context.say(f"{swap}: {counts['faceless']} frames without a face repeat the crop before")
    elif not counts["pasted"] and not counts["poisson refused"]:
        context.say(f"{swap}: no face to lay; the target is copied through")
    if counts["repeated"]:
        context.say(f"{swap}: {counts['repeated']} undecodable frames show the one before again")
    if counts["outside"]:
        context.say(f"{swap}: {counts['outside']} faces show nothing inside their frame")
    if counts["poisson refused"]:
        refused = counts["poisson refused"]
        context.say(f"{swap}: {refused} faces could not be cloned and are feathered instead")


STAGE = Stage(
    name="blend",
    params=BlendParams,
    inputs={"clip": None, "frames": FRAMES, "converted": CONVERTED},
    outputs={"render": None},
    options=("swap",),
    run=run,
    overrides=swap_overrides("blend"),
    description="Lay swapped crops into the target's footage.",
)

if __name__ == "__main__":
    STAGE.main()
