"""Linking of detections into tracks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st

from likeness.vision.tracks import MAX_GAP_FRAMES, leading, link_tracks, match, overlaps

Floats = npt.NDArray[np.float32]


def box(x: float, y: float, size: float = 50.0) -> list[float]:
    return [x, y, x + size, y + size]


def link(rows: list[tuple[int, list[float], int]], shots: list[int] | None = None) -> list[int]:
    """Tracks of (frame, box, person); each person has an axis of its own as embedding."""
    frames = np.array([frame for frame, _, _ in rows], np.int32)
    bbox = np.array([b for _, b, _ in rows], np.float32).reshape(-1, 4)
    embedding = np.eye(8, dtype=np.float32)[[person for _, _, person in rows]]
    shot = np.array(shots if shots is not None else [0] * len(rows), np.int32)
    return link_tracks(frames, bbox, embedding.reshape(-1, 8), shot).tolist()


def test_overlap_of_known_boxes() -> None:
    first = np.array([box(0, 0), box(200, 0)], np.float32)
    second = np.array([box(25, 0), box(0, 0)], np.float32)
    assert np.allclose(overlaps(first, second), [[1 / 3, 1.0], [0.0, 0.0]])


def test_nothing_gives_nothing() -> None:
    assert link([]) == []
    assert match(np.zeros((0, 4), np.float32), np.zeros((3, 4), np.float32)) == []


def test_a_moving_face_is_one_track() -> None:
    rows = [(i, box(10.0 * i, 5), 0) for i in range(30)]
    assert set(link(rows)) == {0}


def test_crossing_people_keep_their_tracks() -> None:
    rows = []
    for i in range(21):
        rows += [(i, box(12.0 * i, 0), 0), (i, box(240 - 12.0 * i, 4), 1)]
    tracks = link(rows)
    assert len({t for t, row in zip(tracks, rows, strict=True) if row[2] == 0}) == 1
    assert len(set(tracks)) == 2


def test_another_person_in_the_same_place_is_another_track() -> None:
    assert link([(0, box(0, 0), 0), (1, box(0, 0), 1)]) == [0, 1]


def test_no_track_crosses_a_cut_or_a_long_absence() -> None:
    rows = [(0, box(0, 0), 0), (1, box(0, 0), 0)]
    assert link(rows, [0, 1]) == [0, 1]
    assert link([rows[0], (MAX_GAP_FRAMES, box(0, 0), 0)]) == [0, 0]
    assert link([rows[0], (MAX_GAP_FRAMES + 1, box(0, 0), 0)]) == [0, 1]


def test_a_leap_is_bridged_by_a_sure_embedding_only() -> None:
    far = [(0, box(0, 0), 0), (1, box(60, 0), 0)]
    assert link(far) == [0, 0]
    assert link([far[0], (1, box(400, 0), 0)]) == [0, 1]


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 6), st.integers(0, 6), st.integers(0, 10_000))
def test_pairs_are_one_to_one_and_allowed(count: int, other: int, seed: int) -> None:
    random = np.random.default_rng(seed)

    def boxes(n: int) -> Floats:
        low = random.uniform(0, 100, (n, 2))
        return np.hstack([low, low + random.uniform(20, 80, (n, 2))]).astype(np.float32)

    first, second = boxes(count), boxes(other)
    pairs = match(first, second)
    assert len({a for a, _ in pairs}) == len(pairs) == len({b for _, b in pairs})
    assert all(overlaps(first, second)[a, b] >= 0.3 for a, b in pairs)


def test_of_two_faces_of_like_size_always_the_same_leads():
    frames = np.repeat(np.arange(6), 2)
    tracks = np.tile([4, 7], 6)
    size = np.array([50, 51, 52, 50, 50, 51, 50, 52, 51, 50, 50, 53.0])  # the larger one changes
    assert tracks[leading(frames, tracks, size)].tolist() == [7] * 6
    lone = np.array([0, 1, 2, 5])
    assert leading(lone, np.array([1, 0, 0, 1]), np.ones(4)).tolist() == [0, 1, 2, 3]
    assert len(leading(lone[:0], lone[:0], np.ones(0))) == 0
