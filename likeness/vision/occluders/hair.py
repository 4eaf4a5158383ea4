"""Strands, fringes, hair at the temples and beards, drawn strand by strand."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from likeness.vision.mesh import FOREHEAD, IMAGE_LEFT_EYE, IMAGE_RIGHT_EYE, LIPS_OUTER
from likeness.vision.occluders.canvas import (
    Face,
    Floats,
    Layer,
    Points,
    Sheet,
    cast,
    fixed,
    noise,
    place,
)

STEPS = 16
"""Points of a strand."""
NATURAL = np.array(
    [
        *([24, 20, 20], [58, 40, 30], [96, 66, 44], [150, 110, 70], [200, 165, 115]),
        *([225, 205, 170], [120, 60, 35], [165, 90, 50]),
        *([130, 128, 126], [190, 190, 190], [40, 40, 45]),
    ],
    np.float32,
)
"""Hair black to blond, red and grey: two demo clips show two colours of it."""
CHEEK_BELOW = 0.15
"""A beard begins so far below the middle of the oval, in half heights."""


def tone(face: Face, rng: np.random.Generator) -> Floats:
    """A colour for hair: the face's own, a natural one, or between both; in the face's light."""
    own = face.hair[rng.integers(len(face.hair))]
    other = NATURAL[rng.integers(len(NATURAL))] * rng.uniform(0.6, 1.3)
    share = rng.choice([0.0, 1.0, rng.uniform()], p=[0.35, 0.4, 0.25])
    return np.asarray(own * (1 - share) + other * share, np.float32)


def strands(
    roots: Points, angles: Points, lengths: Points, bends: Points, waves: tuple[float, float]
) -> npt.NDArray[np.float64]:
    """Paths (N,STEPS,2) of hair: from a root, turning by `bends` on the way, waving.

    Args:
        roots: (N,2) px.
        angles: (N,) rad, 0 to the right, growing downwards.
        lengths: (N,) px.
        bends: (N,) rad along the whole strand.
        waves: how far directions swing, rad, and how often along the strand.
    """
    along = np.linspace(0.0, 1.0, STEPS)
    phases = np.arange(len(roots))[:, None] * 0.37
    swing = waves[0] * np.sin(2 * np.pi * waves[1] * along + phases)
    turned = angles[:, None] + bends[:, None] * along + swing
    step = (lengths / (STEPS - 1))[:, None, None]
    moves = np.stack([np.cos(turned), np.sin(turned)], -1) * step
    moves[:, 0] = 0
    return np.asarray(np.asarray(roots)[:, None] + np.cumsum(moves, axis=1), np.float64)


def drawn(
    face: Face, rng: np.random.Generator, paths: Points, width_px: tuple[float, float]
) -> Layer:
    """Strands (N,T,2) with ends that thin out, each of a slightly other shade."""
    base = tone(face, rng)
    sheet = Sheet(face.size_px, base)
    spread = rng.uniform(0.08, 0.35)
    tips = rng.uniform(0.8, 1.35)
    for path in fixed(paths):
        rgb = base * rng.normal(1.0, spread)
        width = rng.uniform(*width_px)
        for begin, end, share in ((0, 10, 1.0), (9, 13, 0.7), (12, len(path), 0.45)):
            shade = rgb * (1 + (tips - 1) * end / len(path))
            sheet.lines([path[begin:end]], shade, max(0.5, width * share))
    rgb, opacity = sheet.averaged()
    sheen = 1 + rng.uniform(0, 0.4) * noise(rng, face.size_px, int(rng.integers(3, 9)))
    opacity = opacity * np.float32(rng.uniform(0.85, 1.0))
    return Layer(rgb * sheen[..., None], opacity, opacity, cast(opacity, rng))


def _waves(rng: np.random.Generator) -> tuple[float, float]:
    """How far and how often hair waves: mostly little, sometimes curls."""
    if rng.random() < 0.7:
        return float(rng.uniform(0, 0.2)), float(rng.uniform(0.5, 2))
    return float(rng.uniform(0.3, 1.1)), float(rng.uniform(1.5, 3))


def loose(face: Face, rng: np.random.Generator) -> Layer:
    """A few strands or locks that hang into the face."""
    count = int(rng.integers(1, 8))
    locks = rng.random() < 0.5
    side = rng.choice([-1.0, 1.0])
    roots, angles, lengths, bends = [], [], [], []
    for _ in range(count):
        start = place(face, rng.uniform(-0.9, 0.9), rng.uniform(-1.5, -1.05))
        if rng.random() < 0.5:
            start = place(face, side * rng.uniform(0.85, 1.25), rng.uniform(-1.1, 0.2))
        many = int(rng.integers(3, 14)) if locks else 1
        angle = np.pi / 2 + rng.uniform(-0.6, 0.6)
        length, bend = face.height_px * rng.uniform(0.3, 1.1), rng.uniform(-1.2, 1.2)
        roots.append(start + rng.normal(0, 2.5, (many, 2)))
        angles.append(angle + rng.normal(0, 0.04, many))
        lengths.append(length * rng.uniform(0.8, 1.1, many))
        bends.append(bend + rng.normal(0, 0.12, many))
    start, turn, long, bent = (np.concatenate(p) for p in (roots, angles, lengths, bends))
    paths = strands(start, turn, long, bent, _waves(rng))
    return drawn(face, rng, paths, (0.7, 1.8) if locks else (1.0, 2.4))


def fringe(face: Face, rng: np.random.Generator) -> Layer:
    """Hair from the hairline down over the forehead: straight, swept to a side or parted."""
    arc = face.points[list(FOREHEAD)]
    raised = arc + (face.points[10] - face.points[152]) * rng.uniform(0.08, 0.35)
    count = int(rng.integers(90, 260))
    at = np.sort(rng.uniform(0, 1, count))
    line = np.linspace(0, 1, len(raised))
    roots = np.stack([np.interp(at, line, raised[:, axis]) for axis in (0, 1)], -1)
    roots = roots + rng.normal(0, 4, roots.shape)
    parting, sweep = rng.uniform(-0.3, 1.3), rng.uniform(-0.8, 0.8)
    away = np.clip((parting - at) * 3, -1, 1) * rng.uniform(0, 0.9)
    angles = np.pi / 2 + sweep + away + rng.normal(0, 0.1, count)
    uneven = np.interp(at, np.linspace(0, 1, 7), rng.uniform(0.35, 1.0, 7))
    lengths = face.height_px * rng.uniform(0.2, 0.6) * uneven * rng.uniform(0.7, 1.1, count)
    bends = rng.uniform(-0.8, 0.8) + away * 0.5 + rng.normal(0, 0.15, count)
    kept = rng.random(count) < np.interp(at, np.linspace(0, 1, 5), rng.uniform(0.2, 1.0, 5))
    paths = strands(roots, angles, lengths, bends, _waves(rng))[kept]
    return drawn(face, rng, paths, (1.0, 3.0))


def curtain(face: Face, rng: np.random.Generator) -> Layer:
    """Long hair beside the face that reaches into it, on one side or both."""
    sides = [(-1.0,), (1.0,), (-1.0, 1.0)][rng.integers(3)]
    bundles = []
    for side in sides:
        count = int(rng.integers(80, 200))
        inwards = rng.uniform(-0.05, 0.55)
        edge = 1 - inwards + np.abs(rng.normal(0, 0.35, count))
        stray = rng.random(count) < 0.04
        edge = np.where(stray, edge - rng.uniform(0, 0.4, count), edge)
        top = np.stack([side * np.minimum(edge, 1.6) * rng.uniform(0.5, 1.0), -1.3 + 0 * edge], -1)
        low = np.stack([side * (edge + rng.uniform(-0.2, 0.3)), rng.uniform(0.8, 1.6, count)], -1)
        mid = np.stack([side * (edge + rng.uniform(-0.1, 0.2)), np.full(count, -0.1)], -1)
        along = np.linspace(0, 1, STEPS)[None, :, None]
        control = 2 * mid - (top + low) / 2
        curve = (1 - along) ** 2 * top[:, None] + along**2 * low[:, None]
        curve = curve + 2 * along * (1 - along) * control[:, None]
        centre, unit = place(face, 0, 0), place(face, 1, 1) - place(face, 0, 0)
        amplitude, often = _waves(rng)
        phase = rng.normal(0, 0.6, (count, 1)) + along[0, :, 0] * 2 * np.pi * often
        path = centre + curve * unit
        path[..., 0] += 3 * amplitude * np.sin(phase)
        bundles.append(path)
    paths = np.concatenate(bundles)
    return drawn(face, rng, paths[rng.permutation(len(paths))], (1.2, 4.0))


def temples(face: Face, rng: np.random.Generator) -> Layer:
    """Short hair along the hairline and before the ears."""
    outline = face.points[[132, 93, 234, 127, *FOREHEAD, 356, 454, 323, 361]]
    first = int(rng.integers(0, len(outline) - 4))
    part = outline[first : first + int(rng.integers(4, len(outline)))]
    count = int(rng.integers(60, 220))
    at = rng.uniform(0, 1, count)
    roots = np.stack([np.interp(at, np.linspace(0, 1, len(part)), part[:, a]) for a in (0, 1)], -1)
    middle = place(face, 0, 0)
    outwards = (roots - middle) / np.linalg.norm(roots - middle, axis=1)[:, None]
    roots = roots + outwards * rng.normal(rng.uniform(-4, 6), 4, (count, 1))
    angle = np.arctan2(-outwards[:, 1], -outwards[:, 0])
    lean = rng.uniform(-1.2, 1.2)
    lengths = rng.uniform(0.03, 0.16) * face.height_px * rng.uniform(0.5, 1.2, count)
    bends = rng.normal(0, 0.5, count)
    paths = strands(roots, angle + lean + rng.normal(0, 0.3, count), lengths, bends, _waves(rng))
    return drawn(face, rng, paths, (0.8, 2.2))


def beard(face: Face, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Stubble or a beard: it belongs to the face. Its colours (S,S,3) and opacity (S,S)."""
    count = int(rng.integers(150, 500))
    spots = np.stack([rng.uniform(-0.95, 0.95, count), rng.uniform(CHEEK_BELOW, 1.05, count)], -1)
    low = spots[:, 1] > 0.35 + 0.5 * (1 - np.abs(spots[:, 0]))
    upper_lip = (np.abs(spots[:, 0]) < 0.4) & (np.abs(spots[:, 1] - 0.38) < 0.12)
    spots = spots[low | upper_lip]
    roots = np.array([place(face, *spot) for spot in spots]).reshape(-1, 2)
    angles = np.pi / 2 + rng.normal(0, 0.5, len(roots))
    lengths = face.height_px * rng.uniform(0.01, 0.09) * rng.uniform(0.5, 1.2, len(roots))
    paths = strands(roots, angles, lengths, rng.normal(0, 0.6, len(roots)), _waves(rng))
    layer = drawn(face, rng, paths, (0.5, 1.6))
    kept = Sheet(face.size_px, np.zeros(3))
    for outline in (IMAGE_LEFT_EYE, IMAGE_RIGHT_EYE, LIPS_OUTER):
        kept.area(face.points[list(outline)], np.zeros(3))
    free = 1 - kept.averaged()[1]
    return layer.rgb, layer.opacity * free * np.float32(rng.uniform(0.3, 1.0))
