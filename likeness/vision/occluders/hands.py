"""Hands before a face: fingers of two or three joints, shaded like cylinders, a palm, an arm."""

from __future__ import annotations

import cv2
import numpy as np

from likeness.vision.occluders.canvas import (
    Face,
    Floats,
    Layer,
    Points,
    cast,
    noise,
    place,
)

FINER = 1
"""Limbs are drawn with soft edges: they need no finer sheet than the crop."""
NAIL = np.array([1.05, 0.95, 0.97], np.float32)
"""A nail's colour against the skin's."""


def skin_tone(face: Face, rng: np.random.Generator) -> Floats:
    """Mostly the face's own colour in a little other light; sometimes another person's."""
    own = face.skin * rng.uniform(0.72, 1.2) * rng.normal(1, 0.04, 3)
    if rng.random() < 0.15:
        own = face.skin * rng.uniform(0.3, 1.3) * np.array([1, 0.9, 0.8]) ** rng.uniform(-0.5, 1)
    return np.clip(own, 5, 250).astype(np.float32)


def tube(size_px: int, path: Points, radii: Points) -> Floats:
    """Height (S*FINER,S*FINER) of a limb above its outline: 0 outside, 1 along its middle.

    A cone between each two points of `path` (N,2) px with `radii` (N,) px, as shares of the radius.
    """
    side = size_px * FINER
    height = np.zeros((side, side), np.float32)
    fine = (np.asarray(path) + 0.5) * FINER - 0.5
    wide = np.asarray(radii) * FINER
    for begin, end, first, last in zip(fine[:-1], fine[1:], wide[:-1], wide[1:], strict=True):
        reach = max(first, last) + 2
        low = np.maximum(np.floor(np.minimum(begin, end) - reach), 0).astype(int)
        high = np.minimum(np.ceil(np.maximum(begin, end) + reach) + 1, side).astype(int)
        if (high <= low).any():
            continue
        rows, columns = np.mgrid[low[1] : high[1], low[0] : high[0]].astype(np.float32)
        along = end - begin
        share = ((columns - begin[0]) * along[0] + (rows - begin[1]) * along[1]) / max(
            float(along @ along), 1e-6
        )
        share = np.clip(share, 0, 1)
        away = np.hypot(columns - begin[0] - share * along[0], rows - begin[1] - share * along[1])
        found = np.clip(1 - away / (first + share * (last - first)), 0, 1)
        part = height[low[1] : high[1], low[0] : high[0]]
        np.maximum(part, found.astype(np.float32), out=part)
    return height


def shaded(height: Floats, depth: float, light: Points) -> Floats:
    """Brightness of a round limb from its height, lit from `light` (x, y)."""
    round_ = np.sqrt(np.clip(1 - (1 - height) ** 2, 0, 1))
    across = cv2.Sobel(round_, cv2.CV_32F, 1, 0, ksize=5) * light[0]
    down = cv2.Sobel(round_, cv2.CV_32F, 0, 1, ksize=5) * light[1]
    slope = np.clip((across + down) * 0.12, -0.5, 0.4)
    return np.asarray(1 - depth * (1 - round_) + slope, np.float32)


class Hand:
    """A hand being drawn, limb by limb, the nearer ones over the farther ones."""

    def __init__(self, face: Face, rng: np.random.Generator) -> None:
        self.face, self.rng = face, rng
        side = face.size_px * FINER
        self.tone = skin_tone(face, rng)
        self.rgb = np.empty((side, side, 3), np.float32)
        self.rgb[:] = self.tone
        self.opacity = np.zeros((side, side), np.float32)
        self.depth = float(rng.uniform(0.15, 0.55))
        angle = rng.uniform(-np.pi, 0)
        self.light = np.array([np.cos(angle), np.sin(angle)])

    def limb(self, path: Points, radii: Points, flat: bool = False) -> None:
        """Draw one limb over what is there, with a dark line where it meets the rest."""
        height = tube(self.face.size_px, path, radii)
        inside = np.clip(height * float(np.mean(radii)) * FINER, 0, 1)
        bright = shaded(height, self.depth * (0.4 if flat else 1.0), self.light)
        near = cv2.GaussianBlur(inside, (0, 0), 2.5 * FINER) * self.opacity * 0.35
        self.rgb *= (1 - near * (1 - inside))[..., None]
        drawn = self.tone * self.rng.normal(1, 0.03) * bright[..., None]
        self.rgb += (drawn - self.rgb) * inside[..., None]
        self.opacity = np.maximum(self.opacity, inside)

    def finger(self, root: Points, angle: float, length: float, radius: float) -> None:
        """A finger of three joints with creases, and a nail where its back is seen."""
        rng, bend = self.rng, self.rng.normal(0, 0.22)
        points, here, turn = [np.asarray(root, float)], np.asarray(root, float), angle
        for share in (0.45, 0.32, 0.23):
            here = here + length * share * np.array([np.cos(turn), np.sin(turn)])
            points.append(here)
            turn += bend
        radii = radius * np.array([1.08, 1.0, 0.92, 0.78])
        self.limb(np.array(points), radii)
        across = np.array([-np.sin(turn), np.cos(turn)])
        for joint, size in zip(points[1:3], radii[1:3], strict=True):
            if rng.random() < 0.7:
                self._crease(joint + across * size * 0.7, joint - across * size * 0.7)
        if rng.random() < 0.6:
            self._nail(points[-1], turn - bend, radius)

    def _crease(self, begin: Points, end: Points) -> None:
        line = np.zeros(self.opacity.shape, np.uint8)
        ends = np.round(np.array([begin, end]) * 16).astype(int)
        cv2.line(line, ends[0], ends[1], 255, 1, cv2.LINE_AA, 4)
        dark = line.astype(np.float32) / 255 * self.rng.uniform(0.1, 0.3)
        self.rgb *= (1 - dark)[..., None]

    def _nail(self, tip: Points, angle: float, radius: float) -> None:
        mask = np.zeros(self.opacity.shape, np.uint8)
        centre = (np.asarray(tip) + 0.5) * FINER - 0.5
        axes = (radius * 0.6 * FINER, radius * 0.5 * FINER)
        box = (tuple(centre.tolist()), (2 * axes[0], 2 * axes[1]), float(np.degrees(angle)))
        cv2.ellipse(mask, box, 255, -1, cv2.LINE_AA)
        share = mask.astype(np.float32)[..., None] / 255 * 0.7
        tone = self.tone * NAIL * self.rng.uniform(0.95, 1.2)
        if self.rng.random() < 0.2:
            tone = self.rng.uniform(10, 240, 3)
        self.rgb += (tone - self.rgb) * share

    def layer(self) -> Layer:
        """What was drawn, with the unevenness of skin."""
        size = self.face.size_px
        uneven = (
            1 + 0.07 * noise(self.rng, size * FINER, 9) + 0.03 * noise(self.rng, size * FINER, 60)
        )
        fine = np.clip(self.rgb * uneven[..., None], 0, 255)
        rgb = cv2.resize(fine, (size, size), interpolation=cv2.INTER_AREA)
        opacity = cv2.resize(self.opacity, (size, size), interpolation=cv2.INTER_AREA)
        return Layer(rgb, opacity, opacity, cast(opacity, self.rng))


def hand(face: Face, rng: np.random.Generator) -> Layer:
    """A hand that reaches into the face from below or beside it, seen with its fingers."""
    drawing = Hand(face, rng)
    width = face.width_px
    angle = rng.choice([-np.pi / 2, -np.pi / 2 - 0.9, -np.pi / 2 + 0.9]) + rng.normal(0, 0.4)
    if rng.random() < 0.15:
        angle = rng.uniform(-np.pi, np.pi)
    ahead = np.array([np.cos(angle), np.sin(angle)])
    beside = np.array([-ahead[1], ahead[0]])
    finger, palm = width * rng.uniform(0.055, 0.1), width * rng.uniform(0.2, 0.3)
    middle = place(face, rng.uniform(-0.8, 0.8), rng.uniform(-0.2, 1.1))
    heart = middle - ahead * palm * rng.uniform(0.6, 2.2)
    arm = np.array([heart - ahead * 2.5 * width, heart - ahead * 0.4 * palm])
    drawing.limb(arm, np.array([palm * 0.8, palm * 0.75]), flat=True)
    count = int(rng.choice([1, 2, 3, 4], p=[0.15, 0.2, 0.15, 0.5]))
    spread, order = rng.uniform(0.0, 0.2), rng.permutation(4)[:count]
    folded = rng.random() < 0.2
    for which in order:
        offset = which - 1.5
        root = heart + beside * offset * palm * 0.5 + ahead * palm * 0.55
        length = width * rng.uniform(0.33, 0.6) * (0.5 if folded else 1.0)
        drawing.finger(root, angle + spread * offset + rng.normal(0, 0.07), length, finger)
    back = np.array([heart - ahead * palm * 0.3, heart + ahead * palm * 0.45])
    drawing.limb(back, np.array([palm, palm * 0.95]), flat=True)
    if rng.random() < 0.6:
        side = rng.choice([-1.0, 1.0])
        root = heart + beside * side * palm * 0.75
        turn = angle + side * rng.uniform(0.3, 1.0)
        drawing.finger(root, turn, width * rng.uniform(0.3, 0.45), finger * 1.15)
    return drawing.layer()


def fingers(face: Face, rng: np.random.Generator) -> Layer:
    """One to four fingers from somewhere, without the hand: at the chin, lips, brows or nose."""
    drawing = Hand(face, rng)
    angle = rng.uniform(-np.pi, np.pi)
    ahead = np.array([np.cos(angle), np.sin(angle)])
    beside = np.array([-ahead[1], ahead[0]])
    radius = face.width_px * rng.uniform(0.055, 0.1)
    tip = place(face, rng.uniform(-0.8, 0.8), rng.uniform(-0.9, 0.95))
    for which in range(int(rng.integers(1, 5))):
        end = tip + beside * which * radius * rng.uniform(1.8, 2.4) + ahead * rng.normal(0, 6)
        length = face.width_px * rng.uniform(0.6, 1.2)
        drawing.finger(end - ahead * length, angle + rng.normal(0, 0.08), length, radius)
    return drawing.layer()
