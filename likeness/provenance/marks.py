"""The visible mark: a label in a corner that says what the picture is.

White letters on a dark plate, so that it reads on light and dark pictures alike. Everything
outside the plate stays as it is, to the bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from likeness.contracts.vocabulary import Corner

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Planes = tuple[Pixels, Pixels, Pixels]
SMALLEST_PX = 12
"""Letters below this height cannot be read once the picture is compressed."""
OVERSAMPLING = 4


@dataclass(frozen=True)
class Mark:
    """A label ready to be laid on frames of one size.

    Attributes:
        x0, y0: even corner of the plate in the frame.
        plate: opacity of the dark plate (h,w), 0-1; h and w are even.
        letters: opacity of the white letters on it (h,w), 0-1.
    """

    x0: int
    y0: int
    plate: Floats
    letters: Floats


def _lettering(text: str, height_px: int) -> Floats:
    """Coverage (h,w) of `text` in letters of about `height_px`, antialiased."""
    size = height_px * OVERSAMPLING
    face = cv2.FontFace("sans")
    (x, y, width, height) = cv2.getTextSize((0, 0), text, (0, 0), face, size, 500)
    canvas = np.zeros((height + 2 * OVERSAMPLING, width + 2 * OVERSAMPLING, 3), np.uint8)
    origin = (OVERSAMPLING - x, OVERSAMPLING - y)
    cv2.putText(canvas, text, origin, (255, 255, 255), face, size, 500)
    smaller = (-(-canvas.shape[1] // OVERSAMPLING), -(-canvas.shape[0] // OVERSAMPLING))
    drawn = cv2.resize(canvas[..., 0], smaller, interpolation=cv2.INTER_AREA)
    return np.asarray(drawn, np.float32) / np.float32(255)


def _plate(height: int, width: int, radius: int) -> Floats:
    """Coverage (h,w) of a plate with round corners."""
    big = np.zeros((height * OVERSAMPLING, width * OVERSAMPLING), np.uint8)
    r = radius * OVERSAMPLING
    rows, columns = big.shape
    cv2.rectangle(big, (r, 0), (columns - 1 - r, rows - 1), 255, -1)
    cv2.rectangle(big, (0, r), (columns - 1, rows - 1 - r), 255, -1)
    for x in (r, columns - 1 - r):
        for y in (r, rows - 1 - r):
            cv2.circle(big, (x, y), r, 255, -1)
    drawn = cv2.resize(big, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(drawn, np.float32) / np.float32(255)


def make_mark(
    text: str,
    frame_px: tuple[int, int],
    corner: Corner = "bottom-right",
    size_share: float = 0.035,
    opacity: float = 0.85,
) -> Mark:
    """Draw the label for frames of `frame_px` (width, height).

    Args:
        text: what it says.
        frame_px: width and height of the frames.
        corner: where it stands.
        size_share: height of the letters, share of the frame's shorter side.
        opacity: of letters and plate, 0-1.

    The letters shrink where the label would be wider than the frame, and are never lower than
    `SMALLEST_PX` unless the frame leaves no other choice.
    """
    width, height = frame_px
    letter_px = max(round(size_share * min(frame_px)), SMALLEST_PX)
    while True:
        letters = _lettering(text, letter_px)
        gap = max(round(letter_px * 0.5), 2)
        rows, columns = (-(-(side + 2 * gap) // 2) * 2 for side in letters.shape)
        fits = columns <= width and rows <= height
        if fits or letter_px <= 4:
            break
        letter_px -= 1
    framed = np.zeros((rows, columns), np.float32)
    top, left = (rows - letters.shape[0]) // 2, (columns - letters.shape[1]) // 2
    framed[top : top + letters.shape[0], left : left + letters.shape[1]] = letters
    plate = _plate(rows, columns, min(gap, rows // 2 - 1))
    framed, plate = (
        framed[: height // 2 * 2, : width // 2 * 2],
        plate[: height // 2 * 2, : width // 2 * 2],
    )
    rows, columns = plate.shape
    margin = min(gap, (width - columns) // 2, (height - rows) // 2)
    x0 = margin if corner.endswith("left") else width - margin - columns
    y0 = margin if corner.startswith("top") else height - margin - rows
    x0, y0 = (max(v, 0) // 2 * 2 for v in (x0, y0))
    return Mark(x0, y0, plate * np.float32(opacity * 0.75), framed * np.float32(opacity))


def _lay(plane: Pixels, value: int, share: Floats) -> None:
    mixed = plane.astype(np.float32) * (1 - share) + value * share
    np.copyto(plane, np.rint(mixed).astype(np.uint8), where=share > 0)


def stamp(planes: Planes, mark: Mark, full_range: bool = False) -> Planes:
    """New planes y (H,W), u and v of half its size, with the mark; the given ones stay as are."""
    y, u, v = (np.array(plane) for plane in planes)
    black, white = (0, 255) if full_range else (16, 235)
    rows, columns = mark.plate.shape
    luma = y[mark.y0 : mark.y0 + rows, mark.x0 : mark.x0 + columns]
    _lay(luma, black, mark.plate)
    _lay(luma, white, mark.letters)
    covered = 1 - (1 - mark.plate) * (1 - mark.letters)
    half = cv2.resize(covered, (columns // 2, rows // 2), interpolation=cv2.INTER_AREA)
    for plane in (u, v):
        part = plane[mark.y0 // 2 : (mark.y0 + rows) // 2, mark.x0 // 2 : (mark.x0 + columns) // 2]
        _lay(part, 128, half)
    return y, u, v
