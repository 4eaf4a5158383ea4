"""Cups, telephones, microphones, cloth and spectacles before a face."""

from __future__ import annotations

import cv2
import numpy as np

from likeness.vision.mesh import IMAGE_LEFT_EYE, IMAGE_RIGHT_EYE
from likeness.vision.occluders.canvas import Face, Floats, Layer, Points, Sheet, cast, noise, place


def turned(points: Points, angle: float, centre: Points) -> Points:
    """Points (N,2) turned about (0,0), then moved to `centre`."""
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = np.array([[cosine, sine], [-sine, cosine]])
    return np.asarray(points) @ turn + centre


def tone_apart(face: Face, rng: np.random.Generator) -> Points:
    """Any colour that is clearly none of this face's skin: what could be skin teaches nothing."""
    tone = rng.uniform(5, 250, 3)
    for _ in range(8):
        ratio = tone / np.maximum(face.skin, 10)
        if np.ptp(np.log(ratio)) > 0.35 or not 0.5 < float(ratio.mean()) < 1.4:
            break
        tone = rng.uniform(5, 250, 3)
    return tone


def pattern(face: Face, rng: np.random.Generator, scene: Floats) -> Floats:
    """A surface (S,S,3), 0-255: plain, mottled, striped, or a piece of the background."""
    size = face.size_px
    rows, columns = np.mgrid[:size, :size].astype(np.float32)
    angle = rng.uniform(0, np.pi)
    across = np.cos(angle) * columns + np.sin(angle) * rows
    kind = rng.choice(["plain", "striped", "piece"], p=[0.55, 0.2, 0.25])
    if kind == "piece":
        piece = size // 5
        left, top = rng.choice([0, size - piece]), rng.choice([0, size - piece])
        part = scene[top : top + piece, left : left + piece]
        base = cv2.resize(part, (size, size), interpolation=cv2.INTER_CUBIC)
        base = base * rng.uniform(0.6, 1.4, 3).astype(np.float32)
    else:
        base = np.empty((size, size, 3), np.float32)
        base[:] = tone_apart(face, rng)
    if kind == "striped":
        wave = np.sin(across * rng.uniform(0.1, 1.2) + rng.uniform(0, 6))[..., None] > 0
        base = np.where(wave, base, tone_apart(face, rng))
    light = 1 + rng.uniform(0, 0.5) * np.sin(across / size * rng.uniform(1, 6) + rng.uniform(0, 6))
    rough = rng.uniform(0, 0.15) * noise(rng, size, int(rng.integers(4, 64)))
    return np.asarray(base * (light + rough)[..., None], np.float32)


def _solid(face: Face, rng: np.random.Generator, rgb: Floats, outlines: list[Points]) -> Layer:
    sheet = Sheet(face.size_px, np.zeros(3))
    for outline in outlines:
        sheet.area(outline, np.zeros(3))
    opacity = sheet.averaged()[1]
    soft = rng.uniform(0.0, 0.9)
    if soft > 0.4:
        opacity = cv2.GaussianBlur(opacity, (0, 0), soft)
    return Layer(np.clip(rgb, 0, 255), opacity, opacity, cast(opacity, rng))


def _round(half_width: float, half_height: float, power: float = 2.0) -> Points:
    """A closed outline (48,2), an ellipse (2) or nearly a rectangle (8)."""
    at = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    reach = (np.abs(np.cos(at)) ** power + np.abs(np.sin(at)) ** power) ** (-1 / power)
    return np.stack([half_width * reach * np.cos(at), half_height * reach * np.sin(at)], -1)


def cup(face: Face, rng: np.random.Generator, scene: Floats) -> Layer:
    """A cup, glass or can, wider at its top, mostly before the mouth."""
    wide, high = face.width_px * rng.uniform(0.2, 0.5), face.height_px * rng.uniform(0.4, 0.9)
    taper = rng.uniform(0.65, 1.0)
    top = np.stack([np.linspace(-wide, wide, 24), np.zeros(24)], -1)
    top[:, 1] -= np.sqrt(np.clip(1 - (top[:, 0] / wide) ** 2, 0, 1)) * wide * rng.uniform(0, 0.3)
    bottom = np.array([[wide * taper, high], [-wide * taper, high]])
    centre = place(face, rng.uniform(-0.6, 0.6), rng.uniform(0.2, 0.9))
    outline = turned(np.concatenate([top, bottom]), rng.normal(0, 0.3), centre)
    return _solid(face, rng, pattern(face, rng, scene), [outline])


def microphone(face: Face, rng: np.random.Generator, scene: Floats) -> Layer:
    """A ball of mesh or foam on a handle, from below or beside."""
    radius = face.width_px * rng.uniform(0.1, 0.24)
    head = place(face, rng.uniform(-0.7, 0.7), rng.uniform(0.2, 1.0))
    angle = rng.normal(0, 0.9)
    ball = turned(_round(radius, radius * rng.uniform(1, 1.5)), angle, head)
    grip, reach = radius * rng.uniform(0.45, 0.8), face.height_px * 2
    stick = turned(np.array([[-grip, 0], [grip, 0], [grip * 0.7, reach], [-grip * 0.7, reach]]),
                   angle, head)  # fmt: skip  # one outline, its place
    rows, columns = np.mgrid[: face.size_px, : face.size_px].astype(np.float32)
    grid = np.sin(columns * rng.uniform(1, 2.5)) * np.sin(rows * rng.uniform(1, 2.5))
    rgb = rng.uniform(8, 110) * rng.normal(1, 0.08, 3) * (1 + rng.uniform(0, 0.5) * grid[..., None])
    if rng.random() < 0.3:
        rgb = pattern(face, rng, scene)
    lit = 1 + rng.uniform(0, 0.6) * noise(rng, face.size_px, 4)
    return _solid(face, rng, np.asarray(rgb * lit[..., None], np.float32), [stick, ball])


def slab(face: Face, rng: np.random.Generator, scene: Floats) -> Layer:
    """A telephone, a book, a bar or a ball anywhere before the face."""
    power = rng.choice([2.0, 3.0, 8.0])
    outline = _round(
        face.width_px * rng.uniform(0.08, 0.5), face.height_px * rng.uniform(0.08, 0.5), power
    )
    centre = place(face, rng.uniform(-1.1, 1.1), rng.uniform(-1.2, 1.2))
    outline = turned(outline, rng.uniform(0, np.pi), centre)
    return _solid(face, rng, pattern(face, rng, scene), [outline])


def cloth(face: Face, rng: np.random.Generator, scene: Floats) -> Layer:
    """What comes from one side behind a wavy edge: scarf, collar, mask, hat, blanket."""
    angle = rng.choice([0.0, np.pi, np.pi / 2, -np.pi / 2], p=[0.4, 0.3, 0.15, 0.15])
    level = rng.uniform(0.15, 0.95)
    across = np.linspace(-2.2, 2.2, 32)
    edge = level + sum(
        rng.normal(0, 0.1 / n) * np.sin(across * n + rng.uniform(0, 6)) for n in (1, 2, 4)
    )
    edge = edge + rng.uniform(-0.4, 0.4) * across**2 * 0.4
    line = np.stack([across, edge], -1)
    outline = np.concatenate([line, [[2.2, 3.0], [-2.2, 3.0]]])
    half = np.array([face.width_px, face.height_px]) / 2
    outline = turned(outline * half, angle + rng.normal(0, 0.2), place(face, 0, 0))
    return _solid(face, rng, pattern(face, rng, scene), [outline])


def rim_tone(face: Face, rng: np.random.Generator) -> Points:
    """Dark mostly, or any colour, or metal: near the skin's own, darker or lighter."""
    kind = rng.random()
    if kind < 0.45:
        return rng.uniform(0, 80, 3)
    if kind < 0.65:
        return rng.uniform(10, 250, 3)
    return np.asarray(face.skin * rng.choice([rng.uniform(0.3, 0.75), rng.uniform(1.1, 1.5)]))


def spectacles(face: Face, rng: np.random.Generator) -> Layer:
    """Rims, bridge and bows; glass is looked through, dark glass covers."""
    eyes = [face.points[list(i)].mean(axis=0) for i in (IMAGE_LEFT_EYE, IMAGE_RIGHT_EYE)]
    apart = float(np.linalg.norm(eyes[1] - eyes[0]))
    tilt = float(np.arctan2(*(eyes[1] - eyes[0])[::-1]))
    wide, tall = face.width_px * rng.uniform(0.15, 0.23), face.width_px * rng.uniform(0.1, 0.2)
    power, drop = rng.choice([2.0, 2.6, 4.0]), rng.uniform(-0.05, 0.25) * tall
    thick = rng.choice([rng.uniform(0.8, 2.0), rng.uniform(2.0, 6.0)])
    tone = rim_tone(face, rng)
    rims, glass = Sheet(face.size_px, tone), Sheet(face.size_px, np.zeros(3))
    lean = np.array([-np.sin(tilt), np.cos(tilt)])
    rimmed = rng.random() < 0.95
    for side, eye in zip((-1, 1), eyes, strict=True):
        axis = np.array([np.cos(tilt), np.sin(tilt)])
        near = min(1.0, apart / (2.3 * wide))
        centre = eye + axis * side * wide * (1 - near) + lean * drop
        outline = turned(_round(wide, tall, power), tilt, centre)
        glass.area(outline, np.zeros(3))
        if rimmed:
            rims.line(np.concatenate([outline, outline[:1]]), tone, thick)
        inner = centre - axis * side * wide - lean * tall * 0.2
        bridge = (eyes[0] + eyes[1]) / 2 + lean * (drop - tall * rng.uniform(0.1, 0.5))
        rims.line(np.array([inner, bridge]), tone, thick)
        outer = centre + axis * side * wide - lean * tall * 0.3
        ear = face.points[454 if side > 0 else 234] + (0, -0.1 * face.height_px)
        rims.line(np.array([outer, ear + axis * side * 6]), tone, thick * rng.uniform(0.8, 1.6))
    return _glazed(face, rng, rims, glass)


def _glazed(face: Face, rng: np.random.Generator, rims: Sheet, glass: Sheet) -> Layer:
    """Rims over glass that is clear, tinted or dark."""
    rim_rgb, rim = rims.averaged()
    pane = glass.averaged()[1]
    dark = rng.random() < 0.2
    tint = rng.uniform(0.75, 1.0) if dark else rng.uniform(0.0, 0.15)
    shine = np.clip(noise(rng, face.size_px, 3) - rng.uniform(0.2, 1), 0, 1)[..., None]
    colour = rng.uniform(0, 60, 3) if dark else rng.uniform(60, 255, 3)
    seen = colour + (np.array([235.0, 240, 245]) - colour) * shine
    faint = np.clip(pane * (tint + 0.35 * shine[..., 0] * rng.random()), 0, 1)
    opacity = 1 - (1 - faint) * (1 - rim)
    rgb = (rim_rgb * rim[..., None] + seen * (faint * (1 - rim))[..., None]) / np.maximum(
        opacity, 1e-4
    )[..., None]
    gloss = 1 + rng.uniform(0, 0.7) * noise(rng, face.size_px, 12)[..., None] * rim[..., None]
    covers = np.maximum(rim, pane) if dark else rim
    shadow = cast(rim, rng, 0.4)
    rgb = np.asarray(np.clip(rgb * gloss, 0, 255), np.float32)
    return Layer(rgb, opacity.astype(np.float32), covers, shadow)
