"""Retrieval: known answers with people who are directions in space."""

from __future__ import annotations

import numpy as np
import pytest

from likeness.metrics import retrieval


def person(axis: int, faces: int, seed: int, noise: float = 0.1) -> np.ndarray:
    points = np.random.default_rng(seed).normal(0, noise, (faces, 8))
    points[:, axis] += 1.0
    return points * np.linspace(0.5, 40, faces)[:, None]  # lengths say nothing


def test_frames_are_evenly_spaced_and_distinct() -> None:
    assert retrieval.even_frames(100).tolist() == [5, 15, 25, 35, 45, 55, 65, 75, 85, 95]
    assert retrieval.even_frames(4).tolist() == [0, 1, 2, 3]
    assert len(retrieval.even_frames(0)) == 0


def test_the_right_person_is_found_and_another_is_not() -> None:
    probes = np.concatenate([person(0, 10, 1), person(3, 10, 2)])
    search = retrieval.Search(probes)
    for name, axis in (("ann", 0), ("ben", 1), ("cem", 2)):
        search.add(name, person(axis, 30, 10 + axis))
    assert search.owners[:10] == ["ann"] * 10
    assert search.cosines[:10].min() > 0.9 > search.cosines[10:].max()
    assert search.faces == 90
    assert retrieval.top_1(["ann"] * 10, search.owners[:10]) == 1
    assert retrieval.top_1(["ben"] * 10, search.owners[:10]) == 0


def test_batches_change_nothing_and_the_copy_of_a_face_wins() -> None:
    gallery, probes = person(1, 9000, 5, noise=0.5), person(2, 6, 6, noise=0.5)
    whole, parts = retrieval.Search(probes), retrieval.Search(probes)
    whole.add("ann", gallery)
    for part in np.array_split(gallery, 7):
        parts.add("ann", part)
    assert whole.cosines == pytest.approx(parts.cosines, abs=1e-12)
    whole.add("ben", probes[3:4] * 5)
    assert whole.owners[3] == "ben"
    assert whole.cosines[3] == pytest.approx(1)


def test_the_table_counts_every_face_once() -> None:
    expected, found = ["ann", "ann", "ben", "ann"], ["ann", "ben", "ben", "ann"]
    table = retrieval.confusion(expected, found)
    assert table == {"ann": {"ann": 2, "ben": 1}, "ben": {"ben": 1}}
    assert retrieval.top_1(expected, found) == 0.75
    assert np.isnan(retrieval.top_1([], []))


def test_nobody_known_means_nobody_found() -> None:
    search = retrieval.Search(person(0, 2, 1))
    search.add("ann", np.zeros((0, 8)))
    assert search.owners == ["", ""]
    search.add("ben", -person(0, 1, 1))
    assert search.owners == ["ben", "ben"]
