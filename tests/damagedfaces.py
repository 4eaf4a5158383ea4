"""Swapped faces with known damage, to check measures against: what is wrong, and how much of it.

Everything is made from footage by code. A good swap carries a face's texture from another frame of
the same person over to the target's mesh, gives it the target's light and fades it in. Damage is
then done to it: laid in beside its place, cut out raggedly, lit wrongly, lids let down, mouth torn
open.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from likeness.evaluation.views import ENLARGE, VIEW_PX
from likeness.media.footage import open_footage
from likeness.vision.masks import oval_mask
from likeness.vision.mesh import LIPS_INNER, MOUTH_CORNERS
from models.analysers.pack import Pack

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.floating]
KINDS = ("shifted", "ragged", "lit", "eyes", "mouth")
PLACES = (
    ("lp_d10", 20), ("lp_s18", 15), ("lp_d14", 10), ("lp_d6", 12),
    ("lp_s29", 10), ("lp_d19", 10), ("clm_franck", 20), ("clm_cap12_edit", 20),
)  # fmt: skip
"""Clips of ../shared/footage and a frame of each."""
APART_FRAMES = 12
"""Between a target and the frame whose texture it gets."""
MOUTH_RGB = (45, 22, 22)
TINT = np.float32([0.93, 0.88, 0.84])
FEATHER_PX = 5.0
LOWER_INNER = (95, 88, 178, 87, 14, 317, 402, 318, 324)
UPPER_LIDS = ((159, 145), (158, 153), (160, 144), (386, 374), (385, 380), (387, 373))


@dataclass(frozen=True)
class Seen:
    """A face as `evaluate` views it: picture (S,S,3) and mesh (468,3) in its px."""

    picture: Pixels
    mesh: Floats


@dataclass(frozen=True)
class Damaged:
    """A swap with known damage.

    Attributes:
        kind, severity: what is wrong, and how much of it, 0 to 1; 0 is a good swap.
        target: what it was laid into.
        render: (S,S,3) uint8.
        mask: (S,S) uint8, 255 = replaced.
    """

    kind: str
    severity: float
    target: Seen
    render: Pixels
    mask: Pixels


def seen(footage: Path, frame_index: int, pack: Pack) -> Seen:
    """The largest face of a frame."""
    frame = next(iter(open_footage(footage).frames({frame_index})))
    rgb = frame.rgb()
    boxes, _, fives = pack.detector.detect(rgb)
    largest = int(((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).argmax())
    mesh, _ = pack.mesh.run(rgb, fives[largest : largest + 1], boxes[largest : largest + 1])
    low, high = mesh[0, :, :2].min(axis=0), mesh[0, :, :2].max(axis=0)
    scale = VIEW_PX / (float((high - low).max()) * ENLARGE)
    offset = (VIEW_PX - 1) / 2 - scale * (low + high) / 2
    affine = np.column_stack([np.eye(2) * scale, offset])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    picture = cv2.warpAffine(rgb, affine, (VIEW_PX, VIEW_PX), flags=how)
    picture = np.asarray(picture, np.uint8)
    again, _ = pack.mesh.run_crops(picture[None])
    return Seen(picture, np.asarray(again[0], np.float64))


def carried(
    source: Seen, mesh: Floats, triangles: npt.NDArray[np.integer], below: Pixels
) -> Floats:
    """The source's texture on another mesh, triangle by triangle, over a picture (S,S,3)."""
    whole = below.astype(np.float32)
    inner = mesh[list(LIPS_INNER), :2]
    triangles = triangles[~np.isin(triangles, LIPS_INNER).all(axis=1)]
    cv2.fillPoly(whole, [np.round(inner).astype(np.int32)], MOUTH_RGB)
    picture = source.picture.astype(np.float32)
    order = np.argsort(-mesh[triangles][..., 2].mean(axis=1))  # the nearest is drawn last
    for corners in triangles[order]:
        given, wanted = source.mesh[corners, :2], mesh[corners, :2]
        edges = wanted[1:] - wanted[0]
        if edges[0, 0] * edges[1, 1] - edges[0, 1] * edges[1, 0] == 0:
            continue
        x0, y0 = np.maximum(np.floor(wanted.min(axis=0)).astype(int) - 1, 0)
        x1, y1 = np.minimum(np.ceil(wanted.max(axis=0)).astype(int) + 2, VIEW_PX)
        if x1 <= x0 or y1 <= y0:
            continue
        affine = cv2.getAffineTransform(
            given.astype(np.float32), (wanted - [x0, y0]).astype(np.float32)
        )
        part = cv2.warpAffine(picture, affine, (int(x1 - x0), int(y1 - y0)), borderMode=2)
        inside = np.zeros((y1 - y0, x1 - x0), np.uint8)
        cv2.fillConvexPoly(inside, np.round(wanted - [x0, y0]).astype(np.int32), 255)
        whole[y0:y1, x0:x1][inside > 0] = part[inside > 0]
    return whole


def matched(face: Floats, target: Pixels, mask: Pixels) -> Floats:
    """The face with the target's light: its low frequencies inside the mask."""
    weight = (mask > 0).astype(np.float32)
    near = cv2.GaussianBlur(weight, (0, 0), 12)[..., None]

    def low(picture: Floats) -> Floats:
        return cv2.GaussianBlur(picture * weight[..., None], (0, 0), 12) / np.maximum(near, 1e-3)

    return np.clip(face - low(face) + low(target.astype(np.float32)), 0, 255)


def laid(face: Floats, target: Pixels, mask: Pixels, feather_px: float = FEATHER_PX) -> Pixels:
    """The face faded into the target inside the mask."""
    into = cv2.distanceTransform((mask >= 128).astype(np.uint8), cv2.DIST_L2, 5)
    alpha = np.clip(into / feather_px, 0, 1)[..., None] if feather_px else (mask >= 128)[..., None]
    return np.asarray(np.round(target * (1 - alpha) + face * alpha), np.uint8)


def damaged(
    pair: tuple[Seen, Seen],
    triangles: npt.NDArray[np.integer],
    kind: str,
    severity: float,
    seed: int,
) -> Damaged:
    """A swap with one kind of damage; `pair`: the target, and whose texture it gets."""
    target, source = pair
    rng = np.random.default_rng(seed)
    mask = np.asarray(np.round(oval_mask(target.mesh, VIEW_PX, VIEW_PX) * 255), np.uint8)
    mask = np.asarray(cv2.erode(mask, np.ones((5, 5), np.uint8)), np.uint8)
    mesh, feather = np.array(target.mesh), FEATHER_PX
    eyes_px = float(np.linalg.norm(mesh[33] - mesh[263]))
    if kind == "eyes":
        for upper, lower in UPPER_LIDS:
            mesh[upper] += 0.9 * severity * (mesh[lower] - mesh[upper])
    if kind == "mouth":
        _open_mouth(mesh, 0.3 * severity * eyes_px)
    face = carried(source, mesh, triangles, target.picture)
    face = matched(face, target.picture, mask)
    if kind == "shifted":
        away = 0.2 * severity * eyes_px * np.array([np.cos(seed), np.sin(seed)])
        face, mask = _moved(face, away), np.asarray(_moved(mask, away), np.uint8)
    if kind == "ragged":
        face = np.clip(face * TINT, 0, 255)  # a ragged edge between equals would not show
        mask, feather = _ragged(mask, severity, rng), FEATHER_PX * (1 - severity)
    if kind == "lit":
        face = _lit(face, severity, seed)
    return Damaged(kind, severity, target, laid(face, target.picture, mask, feather), mask)


def _moved(picture: npt.NDArray[Any], by_px: Floats) -> npt.NDArray[Any]:
    move = np.array([[1, 0, by_px[0]], [0, 1, by_px[1]]])
    return cv2.warpAffine(picture, move, (VIEW_PX, VIEW_PX), borderMode=cv2.BORDER_REPLICATE)


def _lit(face: Floats, severity: float, seed: int) -> Floats:
    """Brighter as a whole, and more so on one side."""
    x, y = np.meshgrid(*[np.linspace(-1, 1, VIEW_PX)] * 2)
    slope = np.cos(seed) * x + np.sin(seed) * y
    return np.clip(face * (1 + severity * (0.4 * slope + 0.2))[..., None], 0, 255)


def _open_mouth(mesh: Floats, by_px: float) -> None:
    """Lower lip and what is below it moved down along the face, less so to the sides, in place."""
    left, right = mesh[MOUTH_CORNERS[0]], mesh[MOUTH_CORNERS[1]]
    down, across = mesh[152] - mesh[10], (right - left) / 2
    down = down / np.linalg.norm(down)
    line = (mesh - (left + right) / 2) @ across / float(across @ across)
    depth = (mesh - mesh[14]) @ down
    length = max(float((mesh[152] - mesh[14]) @ down), 1e-6)
    lower = np.isin(np.arange(len(mesh)), LOWER_INNER) | (depth > -0.5)
    share = np.clip(1 - line**2, 0, 1) * np.clip(1 - depth / length, 0, 1) * lower
    mesh += (by_px * share)[:, None] * down


def _ragged(mask: Pixels, severity: float, rng: np.random.Generator) -> Pixels:
    """The mask with bays and bumps: what lies nearer to its outline than a noise is cut off."""
    noise = cv2.GaussianBlur(rng.normal(size=mask.shape), (0, 0), 5)
    noise = (noise - noise.min()) / (noise.max() - noise.min())
    solid = (mask >= 128).astype(np.uint8)
    into = cv2.distanceTransform(solid, cv2.DIST_L2, 5)
    return np.asarray(np.where(into > 50 * severity * (noise - 0.2), mask, 0), np.uint8)


def people(shared: Path, pack: Pack) -> list[tuple[Seen, Seen]]:
    """A face of each of `PLACES`, and the same person somewhat later."""
    found = []
    for clip, frame in PLACES:
        path = shared / f"footage/{clip}.mp4"
        found.append((seen(path, frame, pack), seen(path, frame + APART_FRAMES, pack)))
    return found


def forty(pairs: list[tuple[Seen, Seen]], triangles: npt.NDArray[np.integer]) -> list[Damaged]:
    """Eight swaps of each kind of damage, as severe as 0 to 1 in eight steps."""
    found = []
    for place, kind in enumerate(KINDS):
        for step, pair in enumerate(pairs):
            severity = ((step * 3 + place) % 8) / 7
            found.append(damaged(pair, triangles, kind, severity, step))
    return found
