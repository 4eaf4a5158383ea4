"""Identity: cosines between embeddings, and how steady they are over time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Embeddings = npt.NDArray[np.floating]
Values = npt.NDArray[np.float64]


def unit(embeddings: Embeddings) -> Values:
    """Embeddings (...,D) scaled to length 1; one of length 0 stays 0."""
    vectors = np.asarray(embeddings, np.float64)
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1.0)


def cosine(first: Embeddings, second: Embeddings) -> Values:
    """Cosine of the angle between embeddings (...,D), in [-1,1]; shapes broadcast.

    c = <a, b> / (|a| |b|), the similarity of ArcFace (Deng et al. 2019).
    """
    return np.clip((unit(first) * unit(second)).sum(axis=-1), -1.0, 1.0)


def centroid(gallery: Embeddings) -> Values:
    """One unit vector (D,) for a gallery (N,D): the mean of its unit vectors, scaled to length 1.

    The template of IJB's verification protocol (Klare et al. 2015). An empty gallery gives zeros,
    whose cosine to anything is 0.
    """
    vectors = unit(gallery)
    if not len(vectors):
        return np.zeros(vectors.shape[-1])
    return unit(vectors.mean(axis=0))


def variance(cosines: Values) -> float:
    """Variance of per-frame identity cosines (N,): identity flicker (DreamID-V's IDBench-V).

    nan for less than two frames.
    """
    return float(np.var(cosines)) if len(cosines) > 1 else float("nan")


def to_the_others(gallery: Embeddings) -> float:
    """Mean cosine of each embedding (N,D) to the centroid of the others; nan for less than two.

    What a face of the right person reaches against such a gallery: the most to be hoped for.
    """
    vectors = unit(gallery)
    if len(vectors) < 2:
        return float("nan")
    return float(cosine(vectors, vectors.sum(axis=0) - vectors).mean())
