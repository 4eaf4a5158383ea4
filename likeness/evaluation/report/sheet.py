"""The contact sheet: pairs of target and render on one picture."""

from __future__ import annotations

from itertools import zip_longest

import cv2
import numpy as np
import numpy.typing as npt

from likeness.evaluation.report.album import REASONS, Album, Shown, Still
from likeness.media.images import decode_jpeg

Pixels = npt.NDArray[np.uint8]
COLUMNS = 3
GAP_PX = 16
LABEL_PX = 44
HEADING_PX = 48
GROUND = (250, 250, 249)
INK = (28, 28, 30)
FAINT = (110, 110, 115)


def _write(
    sheet: Pixels, text: str, place: tuple[int, int], size_px: int, colour: tuple[int, int, int]
) -> None:
    """Text whose first line begins at `place` (x, baseline y)."""
    cv2.putText(sheet, text, place, colour, cv2.FontFace("sans"), size_px, 400)


def _ground(height_px: int, width_px: int) -> Pixels:
    return np.full((height_px, width_px, 3), GROUND, np.uint8)


def _pair(shown: Shown, text: str) -> Pixels:
    """Target beside render, and two lines below."""
    pictures = np.concatenate([shown.target, shown.render], axis=1)
    label = _ground(LABEL_PX, pictures.shape[1])
    _write(label, f"frame {shown.frame_index}", (2, 17), 14, INK)
    _write(label, text, (2, 36), 13, FAINT)
    return np.concatenate([pictures, label], axis=0)


def _grid(cells: list[Pixels]) -> Pixels:
    """Cells of one size in rows of `COLUMNS`."""
    height, width = cells[0].shape[:2]
    rows = -(-len(cells) // COLUMNS)
    across = COLUMNS * width + (COLUMNS + 1) * GAP_PX
    grid = _ground(rows * (height + GAP_PX), across)
    for place, cell in enumerate(cells):
        row, column = divmod(place, COLUMNS)
        x, y = GAP_PX + column * (width + GAP_PX), row * (height + GAP_PX)
        grid[y : y + height, x : x + width] = cell
    return grid


def _heading(text: str, width_px: int) -> Pixels:
    band = _ground(HEADING_PX, width_px)
    _write(band, text, (GAP_PX, 32), 20, INK)
    return band


def _whole(still: Still, width_px: int) -> Pixels:
    """A whole frame of target and render side by side, over the sheet's width."""
    pair = [decode_jpeg(still.target), decode_jpeg(still.render)]
    each = (width_px - 3 * GAP_PX) // 2
    scale = min(each / pair[0].shape[1], 480 / pair[0].shape[0])
    size = (round(pair[0].shape[1] * scale), round(pair[0].shape[0] * scale))
    band = _ground(size[1] + GAP_PX, width_px)
    for place, picture in enumerate(pair):
        x = GAP_PX + place * (each + GAP_PX)
        band[: size[1], x : x + size[0]] = cv2.resize(
            picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        )
    return band


def worst_first(album: Album, most: int) -> list[tuple[str, Shown]]:
    """The worst frame of each reason, then the second worst of each, and so on."""
    columns = [[(r.title, s) for s in album.worst[r.name]] for r in REASONS]
    found = [shown for row in zip_longest(*columns) for shown in row if shown is not None]
    return found[:most]


def contact_sheet(album: Album, swap: str) -> Pixels:
    """RGB uint8 (H,W,3): a whole frame, evenly spaced faces, and the worst ones with the reason.

    Each pair is target, then render. A swap without faces shows its whole frames alone.
    """
    side = album.even[0].target.shape[0] if album.even else 192
    width = COLUMNS * 2 * side + (COLUMNS + 1) * GAP_PX
    bands = [_heading(f"{swap}: target | render", width)]
    if album.stills:
        bands.append(_whole(album.stills[len(album.stills) // 2], width))
    if album.even:
        bands += [_heading("Evenly spaced", width), _grid([_pair(s, s.text) for s in album.even])]
    worst = worst_first(album, 3 * COLUMNS)
    if worst:
        cells = [_pair(shown, f"{title}: {shown.text}") for title, shown in worst]
        bands += [_heading("Worst by metric", width), _grid(cells)]
    if not album.even:
        bands.append(_heading("No face was replaced", width))
    return np.concatenate(bands, axis=0)
