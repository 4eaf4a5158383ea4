"""One lesson: a bare crop in other light, with something before it, and what is covered.

All is drawn from (seed, index): the same numbers give the same bytes, in whatever order and by
however many processes lessons are drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from likeness.vision.framing import face_square
from likeness.vision.masks import hull_mask
from likeness.vision.occluders import hair, hands, light, looks, things
from likeness.vision.occluders.bare import Bare
from likeness.vision.occluders.canvas import Face, Floats, Layer, Points, lay, noise

REGION_LIFT = 0.15
"""Coverage is learned on the mesh's hull and so many face heights above it."""
SOFT = 0.5
"""From this cover on a pixel counts as covered where nothing is known of the crop itself."""

Painter = Callable[[Face, np.random.Generator, Floats], Layer]
KINDS: dict[str, tuple[Painter, float]] = {
    "loose": (lambda face, rng, _: hair.loose(face, rng), 0.12),
    "fringe": (lambda face, rng, _: hair.fringe(face, rng), 0.14),
    "curtain": (lambda face, rng, _: hair.curtain(face, rng), 0.14),
    "temples": (lambda face, rng, _: hair.temples(face, rng), 0.08),
    "hand": (lambda face, rng, _: hands.hand(face, rng), 0.14),
    "fingers": (lambda face, rng, _: hands.fingers(face, rng), 0.06),
    "spectacles": (lambda face, rng, _: things.spectacles(face, rng), 0.14),
    "cup": (things.cup, 0.05),
    "microphone": (things.microphone, 0.05),
    "slab": (things.slab, 0.04),
    "cloth": (things.cloth, 0.04),
}
NOTHING, TWO = 0.12, 0.25
"""Shares of lessons with nothing before the face, and with two things."""


class Lesson(NamedTuple):
    """What the network sees and should say.

    Attributes:
        rgb: (S,S,3) uint8.
        points: (468,2) float32 px, a little beside the face, as a mesh is.
        covers: (S,S) uint8, 255 where the face is hidden.
        counts: (S,S) uint8, 255 where `covers` is known and asked for.
        kinds: what was drawn.
    """

    rgb: npt.NDArray[np.uint8]
    points: npt.NDArray[np.float32]
    covers: npt.NDArray[np.uint8]
    counts: npt.NDArray[np.uint8]
    kinds: tuple[str, ...]


def _framed(crop: Bare, side_px: int, rng: np.random.Generator) -> tuple[Bare, Points]:
    """The crop in a square a little beside the usual one, mirrored half of the time."""
    matrix = np.vstack([face_square(crop.points, side_px), [0, 0, 1]])
    middle = (side_px - 1) / 2
    turn = np.vstack(
        [
            cv2.getRotationMatrix2D((middle, middle), rng.normal(0, 7), rng.uniform(0.82, 1.15)),
            [0, 0, 1],
        ]
    )
    turn[:2, 2] += rng.normal(0, 0.03, 2) * side_px
    squeeze = np.diag([rng.uniform(0.92, 1.08), rng.uniform(0.92, 1.08), 1.0])
    matrix = (turn @ squeeze @ matrix)[:2]
    if rng.random() < 0.5:
        matrix = np.array([[-1, 0], [0, 1]]) @ matrix
        matrix[0, 2] += side_px - 1
    away = _bent(rng, side_px)
    points = crop.points @ matrix[:, :2].T + matrix[:, 2]
    # A place p of the square shows what lies at p + away(p): solved for p, in two rounds.
    placed = points
    for _ in range(2):
        column, row = np.clip(np.round(placed), 0, side_px - 1).astype(int).T
        placed = points - away[row, column]
    seen = _seen_at(away, matrix)
    rgb = cv2.remap(crop.rgb, *seen, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    hairy = cv2.remap(crop.hair, *seen, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    known = cv2.remap(crop.known, *seen, cv2.INTER_NEAREST)
    return crop._replace(rgb=rgb, points=placed, hair=hairy, known=known), placed


def _bent(rng: np.random.Generator, side_px: int) -> Floats:
    """Smooth moves (S,S,2) px that make another face of this one: longer, wider, crooked."""
    reach = rng.uniform(0, 0.05) * side_px
    return np.stack([noise(rng, side_px, int(rng.integers(3, 6))) for _ in range(2)], -1) * reach


def _seen_at(away: Floats, matrix: Points) -> tuple[Floats, Floats]:
    """Where in the crop each px of the square looks: columns and rows (S,S)."""
    rows, columns = np.mgrid[: len(away), : len(away)].astype(np.float32)
    back = cv2.invertAffineTransform(matrix)
    at = (np.stack([columns, rows], -1) + away) @ back[:, :2].T + back[:, 2]
    return at[..., 0].astype(np.float32), at[..., 1].astype(np.float32)


def _kinds(rng: np.random.Generator, only: Sequence[str] | None) -> list[str]:
    names = list(only or KINDS)
    chances = np.array([KINDS[name][1] for name in names])
    count = 1 if only else int(rng.choice([0, 1, 2], p=[NOTHING, 1 - NOTHING - TWO, TWO]))
    picked = rng.choice(len(names), count, replace=False, p=chances / chances.sum())
    return [names[int(index)] for index in picked]


def _face(crop: Bare, picture: Floats, points: Points, skin: Floats) -> Face:
    return Face(picture, points, skin, crop.hairs)


def lesson(
    crops: Sequence[Bare], seed: int, index: int, side_px: int, only: Sequence[str] | None = None
) -> Lesson:
    """Draw lesson `index` on one of the crops.

    Args:
        only: kinds to choose from; exactly one thing is drawn then.
    """
    rng = np.random.default_rng((seed, index))
    crop, points = _framed(crops[int(rng.integers(len(crops)))], side_px, rng)
    picture, covers, known = crop.rgb.astype(np.float32), crop.hair, crop.known
    face = _face(crop, picture, points, crop.skin)
    if rng.random() < 0.5:
        picture = light.recoloured(picture, crop.hair, rng, hair.tone(face, rng))
    if rng.random() < 0.75:
        picture = looks.another_look(face, picture, rng)
    if rng.random() < 0.25:
        rgb, opacity = hair.beard(face, rng)
        picture = picture + (rgb - picture) * opacity[..., None]
    late = rng.random() < 0.5
    if not late:
        picture = light.lit(face, picture, rng)
    kinds = _kinds(rng, only)
    for kind in kinds:
        layer = KINDS[kind][0](_face(crop, picture, points, crop.skin), rng, picture)
        picture = lay(picture, layer)
        covers = np.maximum(covers, layer.covers)
        known = np.maximum(known, (layer.covers > SOFT).astype(np.float32))
    if late:
        picture = light.lit(face, picture, rng)
    shot = light.filmed(light.toned(picture, crop.skin, rng), rng)
    region = hull_mask(points, side_px, side_px, REGION_LIFT)
    error = rng.normal(0, 0.008 * side_px, 2) + rng.normal(0, 0.003 * side_px, (468, 2))
    counts = np.minimum(known, region)
    return Lesson(
        shot,
        (points + error).astype(np.float32),
        np.round(np.clip(covers, 0, 1) * 255).astype(np.uint8),
        np.where(counts > SOFT, 255, 0).astype(np.uint8),
        tuple(kinds),
    )
