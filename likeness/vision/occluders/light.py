"""Light and cameras that a lesson meets: shadows, sun, other skin, blur, noise, compression."""

from __future__ import annotations

import cv2
import numpy as np

from likeness.vision.occluders.canvas import Bytes, Face, Floats, noise, place

LUMA = np.array([0.299, 0.587, 0.114], np.float32)

PALE, DARK = np.array([235.0, 195, 175]), np.array([75.0, 48, 38])
"""Ends of the line of skins, as a camera shows them."""


def edge(face: Face, rng: np.random.Generator) -> Floats:
    """A bent line through the face, 0 on one side and 1 on the other, hard or soft: (S,S)."""
    size = face.size_px
    rows, columns = np.mgrid[:size, :size].astype(np.float32)
    at = place(face, rng.uniform(-0.8, 0.8), rng.uniform(-0.9, 0.9))
    angle = rng.uniform(-np.pi, np.pi)
    if rng.random() < 0.5:
        # Light comes from a side more often than from above or below.
        angle = rng.choice([0.0, np.pi]) + rng.normal(0, 0.4)
    across = np.cos(angle) * (columns - at[0]) + np.sin(angle) * (rows - at[1])
    along = np.cos(angle) * (rows - at[1]) - np.sin(angle) * (columns - at[0])
    bent = across + rng.normal(0, 0.25) * along**2 / size
    bent = bent + rng.uniform(0, 12) * noise(rng, size, int(rng.integers(2, 8)))
    soft = np.exp(rng.uniform(np.log(1.5), np.log(60)))
    return np.asarray(1 / (1 + np.exp(-np.clip(bent / soft * 2, -30, 30))), np.float32)


def lit(face: Face, picture: Floats, rng: np.random.Generator) -> Floats:
    """The face in other light: a gradient, up to three shadows or patches of sun."""
    field = 1 + rng.uniform(0, 0.35) * noise(rng, face.size_px, 2)[..., None]
    # Cheeks are redder than foreheads, made-up lids bluer: colour changes softly over a face.
    blush = [noise(rng, face.size_px, int(rng.integers(2, 6))) for _ in range(3)]
    field = field * (1 + rng.uniform(0, 0.14) * np.stack(blush, -1))
    for _ in range(int(rng.choice([0, 1, 2, 3], p=[0.35, 0.4, 0.15, 0.1]))):
        share = edge(face, rng)
        if rng.random() < 0.3:
            share = share * edge(face, rng)
        gain = np.exp(rng.uniform(np.log(0.4), np.log(2.2)))
        warm = gain * np.exp(rng.normal(0, 0.08, 3))
        field = field * (1 + share[..., None] * (warm - 1))
    return np.asarray(picture * field, np.float32)


def recoloured(picture: Floats, share: Floats, rng: np.random.Generator, target: Floats) -> Floats:
    """The hair of a picture in another colour: `share` (S,S) of the way to `target` (3,)."""
    luma = picture @ LUMA
    usual = float((luma * share).sum() / max(float(share.sum()), 1.0))
    contrast = rng.uniform(0.4, 1.0)
    structure = 1 + contrast * np.clip(luma / max(usual, 8.0) - 1, -0.9, 1.5)
    hair = structure[..., None] * target
    return np.asarray(picture + (hair - picture) * share[..., None], np.float32)


def toned(picture: Floats, skin: Floats, rng: np.random.Generator) -> Floats:
    """Another skin and another white balance, exposure and contrast of the whole picture.

    Args:
        skin: (3,) usual colour of the cheeks; it becomes one between pale and dark brown.
    """
    wanted = PALE + (DARK - PALE) * rng.beta(1.0, 1.6) + rng.normal(0, 12, 3)
    share = rng.choice([0.0, 1.0, rng.uniform()], p=[0.2, 0.5, 0.3])
    gain = 1 + share * (wanted / np.maximum(skin, 10) - 1)
    value = np.clip(picture * np.clip(gain, 0.1, 2.5), 0, 255) / 255
    grey = (value @ LUMA)[..., None]
    colour = 0.0 if rng.random() < 0.08 else rng.uniform(0.5, 1.6)
    value = np.clip(grey + (value - grey) * colour, 0, 1)
    value = value ** np.exp(rng.normal(0, 0.2))
    value = value * np.exp(rng.normal(0, 0.22)) * np.exp(rng.normal(0, 0.08, 3))
    if rng.random() < 0.25:
        value = value + rng.uniform(0, 0.12)
    return np.asarray(np.clip(value, 0, 1) * 255, np.float32)


def filmed(picture: Floats, rng: np.random.Generator) -> Bytes:
    """Through a camera: a smaller picture, blur, noise, JPEG; (S,S,3) uint8."""
    size = picture.shape[0]
    if rng.random() < 0.35:
        small = int(size * rng.uniform(0.45, 1))
        picture = cv2.resize(picture, (small, small), interpolation=cv2.INTER_AREA)
        picture = cv2.resize(picture, (size, size), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.5:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.3, 1.0))
    if rng.random() < 0.12:
        reach = int(rng.integers(3, 7))
        line = np.zeros((reach, reach), np.float32)
        if rng.random() < 0.5:
            line[reach // 2] = 1 / reach
        else:
            line[:, reach // 2] = 1 / reach
        picture = cv2.filter2D(picture, -1, line)
    grainy = picture + rng.normal(0, rng.uniform(0, 4), (size, size, 1))
    whole = np.clip(np.round(grainy), 0, 255).astype(np.uint8)
    if rng.random() < 0.6:
        # JPEG of one plane order or the other loses alike: OpenCV takes RGB for BGR here.
        quality = int(rng.integers(35, 96))
        packed = cv2.imencode(".jpg", whole, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        whole = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)
    return whole
