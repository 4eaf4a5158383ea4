"""Similarity transforms between frame and crop, and the crop itself.

An affine (2,3) is a matrix [A | t] and maps a point p to A p + t. Pixel centres lie at integers, so
that a picture of width w covers -0.5 to w - 0.5.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from likeness.vision.box import Box

Affine = npt.NDArray[np.float64]
Points = npt.NDArray[np.floating]
Image = npt.NDArray[np.uint8]


def umeyama(from_points: Points, to_points: Points) -> Affine:
    """Least-squares similarity (2,3) float64 from `from_points` (N,2) to `to_points` (N,2).

    Rotation, one scale and translation, never a reflection (Umeyama 1991, equations 40-43).
    Points that coincide give a pure translation.
    """
    source, target = np.asarray(from_points, np.float64), np.asarray(to_points, np.float64)
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    source_centred, target_centred = source - source_mean, target - target_mean
    variance = float((source_centred**2).sum(axis=1).mean())
    linear = np.eye(2)
    # With covariance U D V^T the rotation is R = U S V^T and the scale c = trace(D S) / variance;
    # S is the identity, or flips the weaker axis where U V^T would be a reflection.
    if variance > np.finfo(np.float64).tiny:
        covariance = target_centred.T @ source_centred / len(source)
        left, singular, right = np.linalg.svd(covariance)
        signs = np.array([1.0, np.sign(np.linalg.det(left) * np.linalg.det(right)) or 1.0])
        linear = (left * signs) @ right * float((singular * signs).sum()) / variance
    # The means map onto each other: t = m' - c R m.
    return np.column_stack([linear, target_mean - linear @ source_mean])


def apply(affine: Affine, points: Points) -> npt.NDArray[np.float64]:
    """Map points (...,2) by an affine (2,3)."""
    return np.asarray(points, np.float64) @ affine[:, :2].T + affine[:, 2]


def apply_mesh(affine: Affine, landmarks: Points) -> npt.NDArray[np.float64]:
    """Map landmarks (...,3) by a similarity (2,3); depth is scaled like the plane."""
    points = np.asarray(landmarks, np.float64)
    return np.concatenate(
        [apply(affine, points[..., :2]), points[..., 2:] * scale(affine)], axis=-1
    )


def invert(affine: Affine) -> Affine:
    """The affine (2,3) that undoes `affine`.

    Raises:
        numpy.linalg.LinAlgError: the affine maps the plane onto a line or a point.
    """
    # q = A p + t, so p = A^-1 q - A^-1 t.
    linear = np.linalg.inv(affine[:, :2])
    return np.column_stack([linear, -linear @ affine[:, 2]])


def compose(second: Affine, first: Affine) -> Affine:
    """The affine (2,3) that does `first`, then `second`."""
    return np.column_stack(
        [second[:, :2] @ first[:, :2], second[:, :2] @ first[:, 2] + second[:, 2]]
    )


def scale(affine: Affine) -> float:
    """Crop px per frame px: the square root of the change of area."""
    return float(np.sqrt(abs(np.linalg.det(affine[:, :2]))))


def steps(affine: Affine) -> tuple[float, float]:
    """Crop px per frame px across and down the frame; the same where pixels are square."""
    across, down = (float(length) for length in np.linalg.norm(affine[:, :2], axis=0))
    if abs(across - down) <= 1e-9 * max(across, down):
        return scale(affine), scale(affine)
    return across, down


def moved(affine: Affine, x_px: float, y_px: float) -> Affine:
    """The same map for a picture whose pixel (0,0) is pixel (x_px, y_px) of the frame."""
    return np.column_stack([affine[:, :2], apply(affine, np.array([x_px, y_px]))])


def shifted(affine: Affine, x_px: float, y_px: float) -> Affine:
    """`affine` (2,3) into a square, now into the part of it that begins at (x_px, y_px)."""
    moved = np.array(affine, np.float64)
    moved[:, 2] -= (x_px, y_px)
    return moved


def rescaled(affine: Affine, from_px: int, to_px: int) -> Affine:
    """`affine` (2,3) into a square of `from_px`, now into the same square sampled at `to_px`.

    Pixel centres lie at integers, so that px x becomes (x + 0.5) * to / from - 0.5.
    """
    scale = to_px / from_px
    moved = np.asarray(affine, np.float64) * scale
    moved[:, 2] += 0.5 * scale - 0.5
    return moved


def halved(affine: Affine) -> Affine:
    """`affine` from frame px, now from px of a plane of half its size.

    Sample x of such a plane stands for px 2x and 2x + 1 of the frame, whose middle is 2x + 0.5.
    """
    return np.column_stack([2 * affine[:, :2], affine[:, 2] + 0.5 * affine[:, :2].sum(axis=1)])


def footprint(affine: Affine, size_px: int) -> npt.NDArray[np.float64]:
    """Corners (4,2) of the crop in frame px, clockwise from the image-left top."""
    low, high = -0.5, size_px - 0.5
    return apply(invert(affine), np.array([[low, low], [high, low], [high, high], [low, high]]))


def region(affine: Affine, size_px: int, width_px: int, height_px: int) -> Box:
    """Box x0, y0, x1, y1 (end exclusive) of the frame that holds all that a crop reads.

    Clipped to the frame; at least one pixel, even for a crop beside the frame.
    """
    corners = footprint(affine, size_px)
    # Averaging below needs whole source pixels around the outermost crop pixel.
    margin = 3.0 + 1.0 / scale(affine)
    x0, y0 = np.floor(corners.min(axis=0) - margin).astype(int)
    x1, y1 = np.ceil(corners.max(axis=0) + margin).astype(int) + 1
    x0, y0 = min(max(x0, 0), width_px - 1), min(max(y0, 0), height_px - 1)
    x1, y1 = min(max(x1, x0 + 1), width_px), min(max(y1, y0 + 1), height_px)
    return Box(int(x0), int(y0), int(x1), int(y1))


def joined(
    first: Box, bbox: npt.NDArray[np.floating], factor: float, width_px: int, height_px: int
) -> Box:
    """Box that holds `first` and a square of `factor` times the box `bbox`, turned in any way.

    Clipped to the frame; end exclusive.
    """
    centre = (bbox[:2] + bbox[2:]) / 2
    # A square turned by 45 degrees reaches half its side times sqrt(2).
    reach = float((bbox[2:] - bbox[:2]).max()) * factor / 2 * 2**0.5 + 2
    x0, y0 = np.floor(centre - reach).astype(int)
    x1, y1 = np.ceil(centre + reach).astype(int) + 1
    return Box(
        max(0, min(first.x0, int(x0))),
        max(0, min(first.y0, int(y0))),
        min(width_px, max(first.x1, int(x1))),
        min(height_px, max(first.y1, int(y1))),
    )


def warp_crop(rgb: Image, affine: Affine, size_px: int) -> Image:
    """Aligned crop (size_px, size_px, 3) uint8 of picture `rgb` (H,W,3).

    A face larger than the crop is first averaged down to the crop's scale (area filter), so that
    no detail folds over; the rest of the map is a cubic. Beyond its edges the picture is mirrored:
    repeated edge px would be streaks, which no face has, and black would be an edge across one.
    What is mirrored is surroundings for a network, never laid into a film nor shown as a picture:
    masks are 0 there (`inside`), and the report cuts views of its own.
    """
    height_px, width_px = rgb.shape[:2]
    part = region(affine, size_px, width_px, height_px)
    picture, affine = part.cut(rgb), moved(affine, part.x0, part.y0)
    ratios = steps(affine)
    if min(ratios) < 1.0:
        picture, affine = _averaged(picture, affine, ratios)
    return cv2.warpAffine(
        np.ascontiguousarray(picture),
        affine,
        (size_px, size_px),
        flags=cv2.INTER_CUBIC,
        # Not REFLECT_101: OpenCV 5 never returns from it on a picture of one px.
        borderMode=cv2.BORDER_REFLECT,
    )


def _averaged(picture: Image, affine: Affine, ratios: tuple[float, float]) -> tuple[Image, Affine]:
    """The picture at the crop's scale where it is finer, and the affine that fits it."""
    height_px, width_px = picture.shape[:2]
    width, height = (
        max(1, round(side * min(ratio, 1.0)))
        for side, ratio in zip((width_px, height_px), ratios, strict=True)
    )
    small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    along_x, along_y = width / width_px, height / height_px
    # Pixel centres at integers: small = (large + 0.5) * factor - 0.5.
    back = np.array(
        [
            [1 / along_x, 0.0, 0.5 / along_x - 0.5],
            [0.0, 1 / along_y, 0.5 / along_y - 0.5],
        ]
    )
    return small, compose(affine, back)


def inside(affine: Affine, size_px: int, width_px: int, height_px: int) -> npt.NDArray[np.uint8]:
    """Map (size_px, size_px) uint8: 255 where the crop shows the frame, 0 beyond its edges."""
    corners = np.array(
        [
            [-0.5, -0.5],
            [width_px - 0.5, -0.5],
            [width_px - 0.5, height_px - 0.5],
            [-0.5, height_px - 0.5],
        ]
    )
    shown = np.zeros((size_px, size_px), np.uint8)
    outline = np.round(apply(affine, corners) * 16).astype(np.int32)
    cv2.fillConvexPoly(shown, outline, 255, shift=4)
    return shown
