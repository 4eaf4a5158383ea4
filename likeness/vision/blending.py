"""Two pictures become one: the soft edge of a mask, mixing by it, and cloning of gradients."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from likeness.vision.box import Box

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


def soft_alpha(mask: Pixels, erode_px: float, feather_px: float) -> Floats:
    """Alpha with a soft edge, float32 (S,S) in [0,1], from a mask uint8 (S,S), 255 = replace.

    The edge is drawn inwards: from `erode_px` inside the mask, alpha rises over `feather_px` as
    3t^2 - 2t^3 of the distance to the edge, times the mask's own value. It is 0 wherever the mask
    is 0 and at the rim of the crop, so that no pixel outside the mask changes and the crop's
    border never shows.
    """
    # Only the box (h,w) of what is not 0 is worked on.
    framed = mask.copy()
    framed[[0, -1], :] = 0
    framed[:, [0, -1]] = 0
    alpha = np.zeros(mask.shape, np.float32)
    x, y, width, height = cv2.boundingRect(framed)
    if not width:
        return alpha
    # The rim is 0, so that a ring of zeros fits around what is not.
    part = Box(x - 1, y - 1, x + width + 1, y + height + 1)
    shown = part.cut(framed)
    rise = part.cut(alpha)
    np.multiply(shown, np.float32(1 / 255), out=rise)
    if erode_px or feather_px:
        depth = np.asarray(cv2.distanceTransform(shown, cv2.DIST_L2, cv2.DIST_MASK_5))
        # A pixel at the edge is one px deep; without a feather the step lies within one px.
        depth -= np.float32(erode_px)
        depth *= np.float32(1 / max(feather_px, 1.0))
        np.clip(depth, 0, 1, out=depth)
        # t = (distance - erode) / feather in 0 to 1; smoothstep 3t^2 - 2t^3, flat at both ends.
        rise *= depth * depth * (3 - 2 * depth)
    return alpha


def mixed(below: Pixels, above: Pixels, alpha: Floats) -> Pixels:
    """`below` where alpha is 0, `above` where it is 1: uint8 (h,w) or (h,w,3), alpha (h,w)."""
    return np.asarray(cv2.blendLinear(below, above, 1.0 - alpha, alpha))


def composite_planes(
    below: tuple[Pixels, Pixels, Pixels], above: tuple[Pixels, Pixels, Pixels], alpha: Floats
) -> None:
    """Mix the 4:2:0 planes `above` into `below`, in place.

    Y (h,w), U and V (h/2,w/2) of one box, alpha (h,w). Mixing is linear, and so is the way from
    R'G'B' to Y'CbCr: mixing the planes equals mixing the colours, without converting the target
    there and back. Samples whose alpha is 0 keep their value to the bit.
    """
    # U and V hold one sample for 2 x 2 px, which is mixed by the mean of their alphas.
    half = cv2.resize(
        alpha, (alpha.shape[1] // 2, alpha.shape[0] // 2), interpolation=cv2.INTER_AREA
    )
    for under, over, share in zip(below, above, (alpha, half, half), strict=True):
        under[:] = mixed(np.ascontiguousarray(under), over, share)


def poisson(below: Pixels, above: Pixels, alpha: Floats) -> Pixels | None:
    """`above` with its gradients kept and its level taken from `below` around the mask.

    Perez, Gangnet, Blake: "Poisson Image Editing", SIGGRAPH 2003, by cv2.seamlessClone. Both
    uint8 RGB (h,w,3), alpha (h,w). The clone is centred on the box of its own mask, so that it
    stands where it stood: a centre computed elsewhere moves it by a pixel and jitters.

    Returns:
        The cloned picture (h,w,3), or None where it cannot be made: a mask of less than 3 px, or
        one that OpenCV refuses.
    """
    mask = (alpha > 0.02).astype(np.uint8) * 255
    # A mask that touches the rim of the box leaves no ring of target pixels to start from.
    mask[[0, -1], :] = 0
    mask[:, [0, -1]] = 0
    x, y, width, height = cv2.boundingRect(mask)
    if width < 3 or height < 3:
        return None
    try:
        cloned = cv2.seamlessClone(
            above, below, mask, (x + width // 2, y + height // 2), cv2.NORMAL_CLONE
        )
    except cv2.error:
        return None
    return np.asarray(cloned)
