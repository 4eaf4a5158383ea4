"""Make-up, heavier brows, other lips and wrinkles: they belong to the face and cover nothing.

Two people lend their faces to the lessons; what makes others look unlike them is drawn on here.
"""

from __future__ import annotations

import cv2
import numpy as np

from likeness.vision.mesh import (
    IMAGE_LEFT_BROW,
    IMAGE_LEFT_EYE,
    IMAGE_RIGHT_BROW,
    IMAGE_RIGHT_EYE,
    LIPS_INNER,
    LIPS_OUTER,
)
from likeness.vision.occluders.canvas import Face, Floats, Points, Sheet, place

UPPER_LIDS = ((33, 246, 161, 160, 159, 158, 157, 173, 133), (263, 466, 388, 387, 386, 385, 384, 398, 362))  # noqa: E501  # fmt: skip  # two lids, one line
"""From the outer corner to the inner one."""
EYES, BROWS = (IMAGE_LEFT_EYE, IMAGE_RIGHT_EYE), (IMAGE_LEFT_BROW, IMAGE_RIGHT_BROW)


def _tinted(picture: Floats, sheet: Sheet, tone: Points, share: float, soft_px: float) -> Floats:
    """The picture with a colour where the sheet is drawn."""
    where = sheet.averaged()[1]
    if soft_px > 0.3:
        where = cv2.GaussianBlur(where, (0, 0), soft_px)
    return np.asarray(picture + (tone - picture) * (where * share)[..., None], np.float32)


def _lined(face: Face, picture: Floats, rng: np.random.Generator) -> Floats:
    """Lines and lashes along the upper lids, with or without a wing."""
    sheet, wide = Sheet(face.size_px, np.zeros(3)), rng.uniform(0.6, 3.0)
    wing = rng.uniform(0, 0.09) * face.width_px
    for lid, side in zip(UPPER_LIDS, (-1, 1), strict=True):
        path = face.points[list(lid)] + (0, rng.uniform(-1.5, 0.5))
        tip = path[0] + wing * np.array([side, -rng.uniform(0.1, 0.7)])
        sheet.line(np.concatenate([tip[None], path]), np.zeros(3), wide)
        for at in path[1:-2]:
            lash = np.array([side * rng.uniform(0, 3), -rng.uniform(0, 6)])
            sheet.line(np.stack([at, at + lash]), np.zeros(3), 0.5)
    return _tinted(
        picture, sheet, rng.uniform(0, 50, 3), rng.uniform(0.3, 1.0), rng.uniform(0, 0.8)
    )


def _shadowed(face: Face, picture: Floats, rng: np.random.Generator) -> Floats:
    """Colour or shade on the lids and around the eyes."""
    sheet = Sheet(face.size_px, np.zeros(3))
    for eye in EYES:
        outline = cv2.convexHull(face.points[list(eye)].astype(np.float32))[:, 0]
        middle = outline.mean(axis=0)
        larger = middle + (outline - middle) * rng.uniform(1.0, 1.8) + (0, rng.uniform(-4, 3))
        sheet.area(larger, np.zeros(3))
    tone = face.skin * rng.uniform(0.3, 1.2, 3)
    return _tinted(picture, sheet, tone, rng.uniform(0.1, 0.5), rng.uniform(1.0, 4.0))


def _browed(face: Face, picture: Floats, rng: np.random.Generator) -> Floats:
    """Heavier, darker, lighter or otherwise coloured brows."""
    sheet = Sheet(face.size_px, np.zeros(3))
    shift = (rng.normal(0, 1.5), rng.uniform(-4, 2))
    for brow in BROWS:
        outline = cv2.convexHull(face.points[list(brow)].astype(np.float32))[:, 0]
        middle = outline.mean(axis=0)
        sheet.area(middle + (outline - middle) * rng.uniform(0.8, 1.25) + shift, np.zeros(3))
    tone = face.hair[rng.integers(len(face.hair))] * rng.uniform(0.5, 2.0)
    return _tinted(picture, sheet, tone, rng.uniform(0.2, 0.9), rng.uniform(0.3, 1.5))


def _lips(face: Face, picture: Floats, rng: np.random.Generator) -> Floats:
    """Another colour of the lips; sometimes a dark or bright mouth between them."""
    sheet = Sheet(face.size_px, np.zeros(3))
    sheet.area(face.points[list(LIPS_OUTER)], np.zeros(3))
    tone = np.array([rng.uniform(90, 220), rng.uniform(20, 130), rng.uniform(30, 140)])
    picture = _tinted(picture, sheet, tone, rng.uniform(0.2, 0.8), rng.uniform(0.4, 1.2))
    if rng.random() < 0.5:
        inner = Sheet(face.size_px, np.zeros(3))
        inner.area(face.points[list(LIPS_INNER)], np.zeros(3))
        grey = rng.uniform(150, 235) if rng.random() < 0.4 else rng.uniform(10, 90)
        picture = _tinted(picture, inner, np.array([grey, grey * 0.8, grey * 0.75]), 0.8, 0.6)
    return picture


def _wrinkled(face: Face, picture: Floats, rng: np.random.Generator) -> Floats:
    """Fine lines across the forehead, beside the mouth and under the eyes; moles."""
    sheet = Sheet(face.size_px, np.zeros(3))
    for _ in range(int(rng.integers(1, 7))):
        begin = place(face, rng.uniform(-0.7, 0.7), rng.uniform(-0.9, 0.9))
        along = np.linspace(0, rng.uniform(0.05, 0.4) * face.width_px, 8)
        angle = rng.normal(0, 0.6)
        path = begin + np.stack([along * np.cos(angle), along * np.sin(angle)], -1)
        path[:, 1] += rng.uniform(-3, 3) * np.sin(np.linspace(0, np.pi, 8))
        sheet.line(path, np.zeros(3), rng.uniform(0.5, 1.5))
    tone = face.skin * rng.uniform(0.4, 1.2)
    return _tinted(picture, sheet, tone, rng.uniform(0.1, 0.4), rng.uniform(0.4, 1.2))


def another_look(face: Face, picture: Floats, rng: np.random.Generator) -> Floats:
    """The picture (S,S,3) with some of these drawn on."""
    for drawn in (_shadowed, _lined, _browed, _lips, _wrinkled):
        if rng.random() < 0.45:
            picture = drawn(face, picture, rng)
    return picture
