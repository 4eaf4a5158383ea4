"""Seams: what shows at the border of the pasted face."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from likeness.metrics.colour import delta_e_2000, rgb_to_lab
from likeness.metrics.landmarks import eye_distance
from likeness.vision.masks import oval_mask
from likeness.vision.mesh import (
    IMAGE_LEFT_BROW,
    IMAGE_LEFT_EYE,
    IMAGE_RIGHT_BROW,
    IMAGE_RIGHT_EYE,
    LIPS_OUTER,
    NOSE,
)

Pixels = npt.NDArray[np.uint8]
Lab = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float32]
Rings = tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]
WIDTH_PX = 2
OUT_PX, IN_PX = 4, 20
"""How far outside and inside of the outline an edge still belongs to it: a mask fades in, and a
face may end before its mask does."""
BESIDE_PX = 4
"""How far beside an edge of the render one of the target excuses it."""
APART = 0.14
"""How far around brows, eyes, nose and lips edges are the face's own, eye distances."""
SHARP_PX, OUTLINE_PX = 0.7, 2.0
"""Sigma of the low pass before a slope is taken, and of the one that makes normals even."""
VISIBLE_STEP = 1.5
"""Lab per px of a view, above the target's own slope, from which an edge shows: 3 over two px;
colours side by side are told apart from 2.3 (Mahy et al. 1994)."""
RIM_PX, NEAR_PX = (3, 12), 8.0
"""Depth of the rim whose shade is compared, and sigma of the window along it; px of a view."""


def rings(mask: npt.NDArray[np.uint8], width_px: int = WIDTH_PX) -> Rings:
    """Rings (H,W) around the outline of `mask` (uint8, inside >= 128): inner, border, outer.

    `border` reaches `width_px` to either side of the outline; `inner` and `outer` follow it with
    twice that width. Parts beyond the picture are no border.
    """
    solid = (mask >= 128).astype(np.uint8)
    framed = cv2.copyMakeBorder(solid, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    into = cv2.distanceTransform(framed, cv2.DIST_L2, 3)[1:-1, 1:-1]
    away = cv2.distanceTransform(1 - framed, cv2.DIST_L2, 3)[1:-1, 1:-1]
    border = ((into > 0) & (into <= width_px)) | ((away > 0) & (away <= width_px))
    inner = (into > width_px) & (into <= 3 * width_px)
    outer = (away > width_px) & (away <= 3 * width_px)
    return inner, border, outer


def boundary_delta_e(rgb: Pixels, around: Rings, width_px: int = WIDTH_PX) -> float:
    """CIEDE2000 step across the outline that `rings` are around, averaged along it; nan without.

    At each border pixel the mean Lab of the near inner ring is compared with that of the near
    outer ring (box of seven widths), so that a face whose overall colour fits but whose left rim
    does not is found out. Faces have such a step by nature: compare with the target's own.
    """
    return lab_step(rgb_to_lab(rgb), around, width_px)


def lab_step(lab: npt.NDArray[np.float32], around: Rings, width_px: int = WIDTH_PX) -> float:
    """`boundary_delta_e` of a picture that is Lab (H,W,3) already."""
    # What lies beyond the rings has no say; with a margin as wide as the box reaches.
    side = 7 * width_px
    x, y, width, height = cv2.boundingRect((around[0] | around[1] | around[2]).astype(np.uint8))
    rows, columns = (slice(max(v - side, 0), v + n + side) for v, n in ((y, height), (x, width)))
    lab = lab[rows, columns]
    inner, border, outer = (ring[rows, columns] for ring in around)
    inside, near_inside = _local_mean(lab, inner, side)
    outside, near_outside = _local_mean(lab, outer, side)
    counted = border & near_inside & near_outside
    if not counted.any():
        return float("nan")
    return float(delta_e_2000(inside[counted], outside[counted]).mean())


def _local_mean(
    lab: npt.NDArray[np.float32], ring: npt.NDArray[np.bool_], side_px: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Mean of `lab` (H,W,3) over the ring in a box around each pixel, and where there is any."""
    weight = ring.astype(np.float32)
    size = (side_px, side_px)
    near = cv2.blur(weight, size)
    summed = cv2.blur(lab * weight[..., None], size)
    known = near > 0.5 / side_px**2
    return summed / np.where(known, near, 1.0)[..., None], known


def gradient_ratio(rgb: Pixels, around: Rings) -> float:
    """Gradient energy on the border against the rings inside and outside of it (see `rings`).

    2 E(border) / (E(inner) + E(outer)) with E the mean squared Sobel gradient of the luma: above
    1 an edge runs along the border, below 1 it is smoother than what lies beside it. nan without
    a border or in a flat picture.
    """
    inner, border, outer = around
    luma = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    energy = cv2.Sobel(luma, cv2.CV_32F, 1, 0) ** 2 + cv2.Sobel(luma, cv2.CV_32F, 0, 1) ** 2
    if not (inner.any() and border.any() and outer.any()):
        return float("nan")
    beside = float(energy[inner].mean() + energy[outer].mean())
    return 2 * float(energy[border].mean()) / beside if beside > 0 else float("nan")


def outline(mask: npt.NDArray[np.uint8]) -> tuple[Floats, Floats]:
    """Outermost px (K,2) x, y inside `mask` (uint8, inside >= 128), and their normals (K,2).

    Normals point outwards, and are even: one px of a ragged outline does not turn them. Where the
    mask reaches the picture's rim there is no outline.
    """
    into, away = _depths(mask)
    signed = cv2.GaussianBlur(away - into, (0, 0), OUTLINE_PX)
    rows, columns = np.nonzero((into > 0) & (into <= 1.0))
    slopes = [cv2.Sobel(signed, cv2.CV_32F, *way)[rows, columns] for way in ((1, 0), (0, 1))]
    normals = np.stack(slopes, axis=1)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-6)
    return np.stack([columns, rows], axis=1).astype(np.float32), normals.astype(np.float32)


def _depths(mask: npt.NDArray[np.uint8]) -> tuple[Floats, Floats]:
    """Distance (H,W) of each px inside to the outside, and the other way round."""
    solid = (mask >= 128).astype(np.uint8)
    framed = cv2.copyMakeBorder(solid, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    into, away = (cv2.distanceTransform(side, cv2.DIST_L2, 5) for side in (framed, 1 - framed))
    return into[1:-1, 1:-1], away[1:-1, 1:-1]


def features(landmarks_468: npt.NDArray[np.floating], side_px: int) -> npt.NDArray[np.uint8]:
    """Where a face (468,2 or 3) has edges of its own, 255: around brows, eyes, nose and lips."""
    points = np.asarray(landmarks_468, np.float64)[:, :2]
    found = np.zeros((side_px, side_px), np.uint8)
    for part in (IMAGE_LEFT_BROW, IMAGE_RIGHT_BROW, IMAGE_LEFT_EYE, IMAGE_RIGHT_EYE, NOSE):
        hull = cv2.convexHull(points[list(part)].astype(np.float32))[:, 0]
        cv2.fillPoly(found, [np.round(hull).astype(np.int32)], 255)
    cv2.fillPoly(found, [np.round(points[list(LIPS_OUTER)]).astype(np.int32)], 255)
    width = 2 * max(round(APART * eye_distance(landmarks_468)), 1) + 1
    return np.asarray(cv2.dilate(found, np.ones((width, width), np.uint8)), np.uint8)


def _slopes(lab: Lab, places: Floats, normals: Floats) -> Floats:
    """Slopes of Lab (K,N) across an outline from `IN_PX` inside to `OUT_PX` outside; per px."""
    soft = cv2.GaussianBlur(lab, (0, 0), SHARP_PX)
    at = _along(places, normals, 1)
    seen = cv2.remap(
        soft, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(np.linalg.norm(seen[:, 2:] - seen[:, :-2], axis=2) / 2, np.float32)


def _along(places: Floats, normals: Floats, more: int = 0) -> Floats:
    """Places (K,N,2) along each normal, a px apart."""
    steps = np.arange(-IN_PX - more, OUT_PX + more + 1, dtype=np.float32)
    return places[:, None] + steps[None, :, None] * normals[:, None]


def visible_seam(
    given: Lab,
    wanted: Lab,
    mask: npt.NDArray[np.uint8],
    landmarks_468: npt.NDArray[np.floating] | None = None,
) -> float:
    """Length of the outline along which an edge shows that the target does not have; px.

    At each px of the outline (see `outline`) the steepest slope of Lab across it, in the render
    less that of the target at the same place; counted where that is above `VISIBLE_STEP`. An edge
    that the target has there by nature, a jaw or a hairline, is none, and brows, eyes, nose and
    lips are left out. nan without an outline.

    Args:
        given, wanted: Lab (H,W,3) of render and target.
        mask: (H,W) uint8, inside >= 128.
        landmarks_468: of the target's face, (468,2 or 3); None: nothing is left out.
    """
    places, normals = outline(mask)
    if not len(places):
        return float("nan")
    slopes = [_slopes(lab, places, normals) for lab in (given, wanted)]
    if landmarks_468 is not None:
        at = np.clip(np.round(_along(places, normals)), 0, len(mask) - 1).astype(np.intp)
        own = features(landmarks_468, len(mask))[at[..., 1], at[..., 0]] > 0
        slopes = [np.where(own, 0, slope) for slope in slopes]
    # An edge of the target excuses one that lies a few px beside it.
    near = cv2.dilate(slopes[1].astype(np.float32), np.ones((1, 2 * BESIDE_PX + 1), np.uint8))
    return float(((slopes[0] - near).max(axis=1) > VISIBLE_STEP).sum())


def shade_mismatch(given: Lab, wanted: Lab, mask: npt.NDArray[np.uint8]) -> float:
    """How far the shade of the rim is from the target's own there, where it is worst; Lab.

    The difference of Lab over a rim inside the outline (`RIM_PX` deep), averaged along it in a
    window (`NEAR_PX`), as a length (CIE 1976); the 90th percentile over the outline. What lies
    outside is the target's, so that this is the step of shade that a swap makes where there was
    none, however softly it fades. nan without a rim.
    """
    into, _ = _depths(mask)
    rim = ((into > RIM_PX[0]) & (into <= RIM_PX[1])).astype(np.float32)
    places = outline(mask)[0].astype(np.intp)
    near = cv2.GaussianBlur(rim, (0, 0), NEAR_PX)
    apart = cv2.GaussianBlur((given - wanted) * rim[..., None], (0, 0), NEAR_PX)
    weights = near[places[:, 1], places[:, 0]]
    known = weights > 1e-3
    if not known.any():
        return float("nan")
    shades = apart[places[:, 1], places[:, 0]][known] / weights[known][:, None]
    return float(np.quantile(np.linalg.norm(shades, axis=1), 0.9))


def covered(mask: npt.NDArray[np.uint8], landmarks_468: npt.NDArray[np.floating]) -> float:
    """Share of the face's oval on the mesh (468,2 or 3) that `mask` (S,S) uint8 replaces, 0-1.

    What a hand or hair before the face takes away is missing, too; nan for a mesh outside of the
    picture.
    """
    side = len(mask)
    oval = oval_mask(landmarks_468, side, side)
    whole = float(oval.sum())
    return float((oval * (mask >= 128)).sum()) / whole if whole > 0 else float("nan")
