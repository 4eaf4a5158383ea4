"""Seams: what shows at the border of the pasted face."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from likeness.metrics.colour import delta_e_2000, rgb_to_lab

Pixels = npt.NDArray[np.uint8]
Rings = tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]
WIDTH_PX = 2


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
