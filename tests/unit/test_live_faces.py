"""Live, the face of a frame is seen in square pixels and upright, whatever the camera gives."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from apps.live.tracker import Tracker
from likeness.media.colour import rgb_to_yuv420
from likeness.vision.pose import pose_from_mesh
from models.analysers.pack import load_pack
from models.analysers.view import View
from tests.shots import pictures, turn

FRAMES = 6


@pytest.fixture(scope="module")
def given(shared, pack_folder):
    return list(pictures(shared / "footage/lp_s18.mp4", FRAMES, 4)), load_pack(pack_folder)


def poses(pack, shown, aspect=(1, 1)):
    """Pose of the followed face in each picture; every picture must show one."""
    tracker, found = Tracker(pack, scan_every=4), []
    canonical, _ = pack.canonical_mesh()
    for index, rgb in enumerate(shown):
        view = View(rgb_to_yuv420(rgb, "bt709", "limited"), "bt709", "limited", aspect)
        seen = tracker(view, index / 25)
        assert seen is not None
        assert seen.track == 1
        found.append(pose_from_mesh(seen.mesh, view.squares.size, canonical))
    return np.stack(found)


def test_pixels_that_are_not_square_change_no_pose(given):
    shown, pack = given
    narrow = [cv2.resize(rgb, (900, 720), interpolation=cv2.INTER_AREA) for rgb in shown]
    wanted, found = poses(pack, shown), poses(pack, narrow, (64, 45))
    assert np.abs(found - wanted).mean(axis=0).max() < 1.0


@pytest.mark.parametrize("turn_deg", [90, 180])
def test_a_turned_head_is_followed(given, turn_deg):
    shown, pack = given
    wanted, found = poses(pack, shown), poses(pack, [turn(rgb, turn_deg)[0] for rgb in shown])
    assert np.abs(found - wanted)[:, :2].mean(axis=0).max() < 3.0
    assert np.abs((found - wanted)[:, 2] - turn_deg).max() < 5.0
