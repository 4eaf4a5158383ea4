"""A person and their mirror image: chosen by track for a whole shot, never by frame."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from likeness.contracts.tables.base import as_numpy
from likeness.contracts.tables.faces import FACES
from tests.shots import Shot, pictures, write

FRAMES = 24


def changes(values) -> int:
    return int((np.diff(values) != 0).sum())


@pytest.fixture(scope="module")
def doubled(shared, pack_folder, tmp_path_factory):
    """Two copies side by side, the right one mirrored."""
    root = tmp_path_factory.mktemp("doubled")
    shown = [np.hstack([p, p[:, ::-1]]) for p in pictures(shared / "footage/lp_d6.mp4", FRAMES, 2)]
    return shown[0].shape[1] / 2, Shot(root, pack_folder, write(root / "a.mp4", shown)).analysed()


def test_one_of_the_two_is_kept_and_it_is_always_the_same(doubled):
    middle, shot = doubled
    table = shot.crops
    assert table["frame_index"].to_pylist() == list(range(FRAMES))
    assert changes(as_numpy(table["track_index"])) == 0
    boxes = as_numpy(shot.faces["bbox"], (4,))
    assert changes(boxes[:, [0, 2]].mean(axis=1) < middle) == 0
    counts = FACES.check(shot.path("faces.parquet"))["reject_counts"]
    assert counts["second_in_frame"] == FRAMES


def test_both_are_kept_where_asked(doubled):
    from tasks import align
    from tasks import filter as filter_task

    middle, shot = doubled
    shot.stage(filter_task.STAGE, "{copies: all}")
    shot.stage(align.STAGE)
    table = shot.crops
    assert table.num_rows == 2 * FRAMES
    boxes, tracks = as_numpy(shot.faces["bbox"], (4,)), as_numpy(table["track_index"])
    left = boxes[:, [0, 2]].mean(axis=1) < middle
    assert len(np.unique(tracks[left])) == len(np.unique(tracks[~left])) == 1


def crossing(rgb, index):
    """Two copies, one mirrored, on their way to each other's place; one passes before the other."""
    side = 256
    copy = cv2.resize(rgb[96:, 40:424], (side, side), interpolation=cv2.INTER_AREA)
    stage = np.full((side + 32, 3 * side, 3), 96, np.uint8)
    gone = round(index / (FRAMES * 2 - 1) * 2 * side)
    for picture, left in ((copy[:, ::-1], 2 * side - gone), (copy, gone)):
        stage[16 : 16 + side, left : left + side] = picture
    return stage


def test_they_cross_and_the_chosen_one_goes_on(shared, pack_folder, tmp_path):
    shown = pictures(shared / "footage/lp_d6.mp4", FRAMES * 2)
    film = write(tmp_path / "a.mp4", [crossing(rgb, index) for index, rgb in enumerate(shown)])
    shot = Shot(tmp_path, pack_folder, film).analysed()
    boxes = as_numpy(shot.faces["bbox"], (4,))
    assert len(boxes) >= 1.9 * FRAMES
    assert changes(as_numpy(shot.faces["track_index"])) == 0
    # The same head all the way: it never goes back, and arrives on the other side.
    way = np.abs(np.diff(boxes[:, [0, 2]].mean(axis=1)))
    assert way.max() < 40
    assert abs(boxes[-1, 0] - boxes[0, 0]) > 400
