"""The appearance map as a picture: views at their angles, the triangles between them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.floating]
Indices = npt.NDArray[np.int64]

GROUND, INK, FAINT = (250, 250, 249), (28, 28, 30), (110, 110, 115)
GRID, EDGE, DOT = (228, 228, 228), (150, 175, 200), (214, 96, 32)
MOST_PX = (1320, 960)
"""Width and height of the plane at most."""
LEFT_PX, TOP_PX, RIGHT_PX, BOTTOM_PX = 84, 108, 28, 72
HALF_RANGE_DEG = 6.0
"""At least so much is shown to each side of the middle."""
STEPS_DEG = (1, 2, 5, 10, 15, 30)
TICK_PX = 90
_SHIFT = 4


@dataclass(frozen=True)
class Plane:
    """Where angles lie in the picture: yaw to the right, pitch up, both to one scale.

    Attributes:
        low: (2,) yaw and pitch of the lower left corner, degrees.
        high: (2,) of the upper right corner.
        scale: px per degree.
    """

    low: Floats
    high: Floats
    scale: float

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of the plane."""
        width, height = np.round((self.high - self.low) * self.scale).astype(int)
        return int(width), int(height)

    def place(self, angles: Floats) -> Floats:
        """Angles (...,2) -> x, y in px of the picture."""
        offset = np.asarray(angles, np.float64) - np.stack([self.low[0], self.high[1]])
        return offset * [self.scale, -self.scale] + [LEFT_PX, TOP_PX]


def plane_of(angles: Floats, thumbnail_px: int) -> Plane:
    """The part of the plane that holds all views (N,2) and their thumbnails."""
    low = np.array([-HALF_RANGE_DEG, -HALF_RANGE_DEG])
    high = -low
    if len(angles):
        low, high = np.minimum(angles.min(0), low), np.maximum(angles.max(0), high)
    room = np.array(MOST_PX) - thumbnail_px
    scale = float((room / (high - low)).min())
    margin = thumbnail_px / 2 / scale
    return Plane(low - margin, high + margin, scale)


def _write(
    canvas: Pixels, text: str, place: tuple[int, int], size_px: int, colour: tuple[int, int, int]
) -> None:
    cv2.putText(canvas, text, place, colour, cv2.FontFace("sans"), size_px, 400)


def _text_width(text: str, size_px: int) -> int:
    return int(cv2.getTextSize((0, 0), text, (0, 0), cv2.FontFace("sans"), size_px, 400)[2])


def _ticks(low: float, high: float, scale: float) -> list[int]:
    """Whole degrees to label, at least `TICK_PX` apart where that is possible."""
    step = next((s for s in STEPS_DEG if s * scale >= TICK_PX), STEPS_DEG[-1])
    return [d for d in range(-180, 181, step) if low <= d <= high]


def _axes(canvas: Pixels, plane: Plane) -> None:
    """Grid lines with degrees, and what the axes are."""
    width, height = plane.size_px
    right, bottom = LEFT_PX + width, TOP_PX + height
    for degrees in _ticks(plane.low[0], plane.high[0], plane.scale):
        x = round(float(plane.place(np.array([degrees, 0]))[0]))
        cv2.line(canvas, (x, TOP_PX), (x, bottom), GRID, 1 + 2 * (degrees == 0))
        label = f"{degrees:+d}°" if degrees else "0°"
        _write(canvas, label, (x - _text_width(label, 15) // 2, bottom + 22), 15, FAINT)
    for degrees in _ticks(plane.low[1], plane.high[1], plane.scale):
        y = round(float(plane.place(np.array([0, degrees]))[1]))
        cv2.line(canvas, (LEFT_PX, y), (right, y), GRID, 1 + 2 * (degrees == 0))
        label = f"{degrees:+d}°" if degrees else "0°"
        _write(canvas, label, (LEFT_PX - 10 - _text_width(label, 15), y + 5), 15, FAINT)
    across = "yaw, degrees (to the image's right: +)"
    place = (LEFT_PX + (width - _text_width(across, 16)) // 2, bottom + 52)
    _write(canvas, across, place, 16, INK)
    _write(canvas, "pitch, degrees (up: +)", (16, TOP_PX - 14), 16, INK)


def _triangles(canvas: Pixels, plane: Plane, points: Floats, triangles: Indices) -> None:
    """Edges of all triangles, cut off at the plane's border."""
    width, height = plane.size_px
    part = canvas[TOP_PX : TOP_PX + height, LEFT_PX : LEFT_PX + width]
    places = (plane.place(points) - [LEFT_PX, TOP_PX]) * (1 << _SHIFT)
    edges = np.unique(np.sort(triangles[:, [[0, 1], [1, 2], [0, 2]]].reshape(-1, 2)), axis=0)
    for pair in edges:
        ends = [tuple(int(v) for v in np.round(places[i])) for i in pair]
        cv2.line(part, ends[0], ends[1], EDGE, 1, cv2.LINE_AA, _SHIFT)


def _paste(canvas: Pixels, thumbnail: Pixels, place: Floats) -> None:
    """A thumbnail whose middle stands at `place`, in a thin frame."""
    side = thumbnail.shape[0]
    x, y = (round(float(v) - side / 2) for v in place)
    canvas[y : y + side, x : x + side] = thumbnail
    cv2.rectangle(canvas, (x - 1, y - 1), (x + side, y + side), DOT, 1)


def draw_map(
    points: Floats,
    triangles: Indices,
    thumbnails: dict[int, Pixels],
    thumbnail_px: int,
    lines: tuple[str, str],
) -> Pixels:
    """RGB uint8 (H,W,3): the plane of yaw and pitch with views, triangles and thumbnails.

    Args:
        points: (P,2) degrees; the last four are the empty corners.
        triangles: (T,3) indices of points.
        thumbnails: index of a view -> uint8 (side,side,3); the other views are dots.
        thumbnail_px: their side.
        lines: title and what stands below it.
    """
    plane = plane_of(points[:-4], thumbnail_px)
    width, height = plane.size_px
    size = (TOP_PX + height + BOTTOM_PX, LEFT_PX + width + RIGHT_PX, 3)
    canvas: Pixels = np.full(size, GROUND, np.uint8)
    _axes(canvas, plane)
    _triangles(canvas, plane, points, triangles)
    places = plane.place(points)
    for place in places[:-4]:
        centre = tuple(int(v) for v in np.round(place * (1 << _SHIFT)))
        cv2.circle(canvas, centre, 4 << _SHIFT, DOT, -1, cv2.LINE_AA, _SHIFT)
    for index in sorted(thumbnails, reverse=True):
        _paste(canvas, thumbnails[index], places[index])
    _write(canvas, lines[0], (16, 30), 22, INK)
    _write(canvas, lines[1], (16, 54), 15, FAINT)
    return canvas
