"""Perceptual distance on a recogniser's intermediate features. Not LPIPS: no VGG, no weights.

LPIPS (Zhang et al. 2018) compares unit-length features of a network for objects with weights
learned from people's judgements. Here the features are those of the analyser pack's face
recogniser and every layer counts alike: the order of two distances means what LPIPS's order means,
the figure itself compares with other figures of the same pack alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Layer = npt.NDArray[np.floating]
Values = npt.NDArray[np.float64]
POOLED_LAYER = 2
"""Which layer FID and KID use: 14x14 for the packs here, parts of a face but not who it is."""


def distance(first: Sequence[Layer], second: Sequence[Layer]) -> float:
    """Mean over layers and pixels of 1 - cosine of the features (C,h,w) there: 0 same, at most 2.

    LPIPS's equation 1 with w = 1/2: |u - v|^2 / 2 = 1 - <u, v> for unit vectors.
    """
    return float(np.mean([_apart(a, b) for a, b in zip(first, second, strict=True)]))


def _apart(first: Layer, second: Layer) -> float:
    product, squares, others = (
        np.einsum("chw,chw->hw", a, b)
        for a, b in ((first, second), (first, first), (second, second))
    )
    lengths = np.sqrt(squares * others)
    # Where both have no features they do not differ; where one has none they differ by 1.
    alike = np.where(lengths > 0, product / np.where(lengths > 0, lengths, 1), squares == others)
    return float(1.0 - np.minimum(alike, 1.0).mean(dtype=np.float64))


def pooled(layers: Sequence[Layer]) -> Values:
    """One vector (C,) for a picture: the mean of one layer over its pixels, for FID and KID."""
    return np.asarray(layers[POOLED_LAYER], np.float64).mean(axis=(1, 2))
