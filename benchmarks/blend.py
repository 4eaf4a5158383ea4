"""Blending one face into a 1080p frame, without encoding, beside the two usual ways.

Ours: `tasks.blend.blend_face` on the frame's planes, the copy of the frame included.
`blend.full_frame`: the same arithmetic with the same crop, mask and colours, but warped, mixed and
converted over the whole frame in float32. `blend.insightface`: what `INSwapper.get(...,
paste_back=True)` of the installed insightface does behind its network, whose answer is given.
All three run in turns in one process; the shortest of many turns counts.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.harness import Result, cost, record, seconds
from likeness.contracts.environment import shared_folder, threads
from likeness.contracts.params.blend import BlendParams
from likeness.media.colour import Planes, rgb_to_yuv420, yuv420_region_to_rgb
from likeness.media.footage import open_footage
from likeness.vision import placing
from likeness.vision.box import Box
from likeness.vision.colour import SteadyColours, lab_transfer
from likeness.vision.pasting import Face
from likeness.vision.patch import GRID_PX, cut_patch, patch_colours
from likeness.vision.templates import template
from tasks.blend import blend_face

SIZE = (1920, 1080)
SPACE = ("bt709", "limited")
CROP_PX, FACE_PX = 256, 360
TURNS = 12
ALLOWED_LEVELS = 2
Pixels = npt.NDArray[np.uint8]


def frame_1080p() -> Pixels:
    """RGB (1080,1920,3): a real frame, enlarged; drawn where the test material is missing."""
    path = shared_folder() / "footage/lp_s18.mp4"
    if path.is_file():
        rgb = next(iter(open_footage(path).frames([0]))).rgb()
    else:
        rgb = np.random.default_rng(0).integers(30, 220, (27, 48, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(rgb, SIZE, interpolation=cv2.INTER_CUBIC))


def make_face() -> Face:
    """A smooth face crop with an oval mask that measures `FACE_PX` across the frame."""
    random = np.random.default_rng(1)
    coarse = random.integers(60, 200, (8, 8, 3)).astype(np.uint8)
    crop = cv2.resize(coarse, (CROP_PX, CROP_PX), interpolation=cv2.INTER_CUBIC)
    mask = np.zeros((CROP_PX, CROP_PX), np.uint8)
    cv2.ellipse(mask, (128, 140), (62, 84), 0, 0, 360, 255, -1, cv2.LINE_AA)
    turn, scale = np.deg2rad(8), 168 / FACE_PX  # the oval is 168 crop px high
    linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    affine = np.column_stack([linear, np.array([128.0, 140.0]) - linear @ (900, 520)])
    return Face((0, 0), np.asarray(crop), mask, affine)


def ours(planes: Planes, face: Face, params: BlendParams) -> Planes:
    """The stage's own way, on a copy of the planes."""
    copied = (planes[0].copy(), planes[1].copy(), planes[2].copy())
    blend_face(copied, face, params, SPACE, SteadyColours(0.0))
    return copied


def paste_full(below: Pixels, face: Face, params: BlendParams) -> Pixels:
    """The same arithmetic over a whole RGB frame in float32; the colours cost what ours cost."""
    size = (below.shape[1], below.shape[0])
    whole = Box(0, 0, *size)
    patch = cut_patch(
        face.crop, face.mask, face.affine, size, erode=params.erode, feather=params.feather
    )
    if patch is None:
        return below
    measured = patch_colours(patch, placing.sample(below, patch.grid(), GRID_PX), size)
    crop = patch.crop
    if measured is not None:
        crop = lab_transfer(crop, *measured, params.colour_strength)
    above = placing.warp_to_box(crop, patch.to_crop, whole).astype(np.float32)
    alpha = placing.warp_alpha(patch.alpha, patch.to_alpha, whole)[..., None]
    mixed = below.astype(np.float32) * (1 - alpha) + above * alpha
    return np.asarray(np.clip(np.rint(mixed), 0, 255).astype(np.uint8))


def full_frame(planes: Planes, face: Face, params: BlendParams) -> Planes:
    """`paste_full` between planes, which every frame comes from and goes to."""
    below = yuv420_region_to_rgb(planes, Box(0, 0, *SIZE), *SPACE)
    return rgb_to_yuv420(paste_full(below, face, params), *SPACE)


def insightface_paste(rgb: Pixels, face: Face) -> Callable[[], Any]:
    """insightface's own paste_back on the frame, with the network's answer given."""
    from insightface.model_zoo.inswapper import INSwapper

    side = 128
    answer = cv2.resize(face.crop, (side, side)).astype(np.float32) / 255
    swapper = INSwapper.__new__(INSwapper)  # its __init__ loads weights that nobody may ship
    swapper.session = SimpleNamespace(run=lambda *_: [answer.transpose(2, 0, 1)[None]])
    swapper.emap = np.eye(8, dtype=np.float32)
    swapper.input_size, swapper.input_mean, swapper.input_std = (side, side), 0.0, 255.0
    swapper.input_names, swapper.output_names = ["target", "source"], ["output"]
    points = template("ffhq_512", CROP_PX)
    back = cv2.invertAffineTransform(face.affine)
    target = SimpleNamespace(kps=(points @ back[:, :2].T + back[:, 2]).astype(np.float32))
    source = SimpleNamespace(normed_embedding=np.ones(8, np.float32))
    bgr = np.ascontiguousarray(rgb[..., ::-1])
    return lambda: swapper.get(bgr, target, source, paste_back=True)


def run() -> list[Result]:
    """Milliseconds per face of the three ways.

    Raises:
        ValueError: the box gives something else than the full frame.
    """
    cv2.setNumThreads(threads())
    rgb, face, params = frame_1080p(), make_face(), BlendParams()
    planes = rgb_to_yuv420(rgb, *SPACE)
    works: dict[str, Callable[[], Any]] = {
        "ours": lambda: ours(planes, face, params),
        "blend.full_frame": lambda: full_frame(planes, face, params),
        "blend.insightface": insightface_paste(rgb, face),
    }
    pairs = zip(works["ours"](), works["blend.full_frame"](), strict=True)
    difference = max(int(np.abs(a.astype(int) - b).max()) for a, b in pairs)
    print(f"blend: differs by {difference} grey levels from the full frame", flush=True)
    if difference > ALLOWED_LEVELS:
        raise ValueError(f"the box differs by {difference} levels from the full frame")
    spent = {name: [seconds(work)[0] for _ in range(2)] for name, work in works.items()}
    for _ in range(TURNS):
        for name, work in works.items():
            spent[name] += [seconds(work)[0] for _ in range(4 if name == "ours" else 1)]
    best = {name: 1000 * min(values) for name, values in spent.items()}
    return [
        cost(name, best["ours"], best[name], "ms/face")
        for name in ("blend.full_frame", "blend.insightface")
    ]


if __name__ == "__main__":
    record(run())
