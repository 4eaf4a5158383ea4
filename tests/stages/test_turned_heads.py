"""Heads that lie turned in the picture: found upright by a second look, or left out and counted."""

from __future__ import annotations

import numpy as np
import pytest

from likeness.contracts.tables.base import as_numpy
from likeness.contracts.tables.faces import FACES
from likeness.vision import alignment
from tasks import align
from tasks import filter as filter_task
from tests import synthetic_faces as faces
from tests.shots import Shot, pictures, turn, write

FRAMES = 9
CLIPS = {"lp_s18": 4, "clm_franck": 4}


@pytest.fixture(scope="module", params=list(CLIPS))
def upright(request, shared, pack_folder, tmp_path_factory):
    root = tmp_path_factory.mktemp("upright")
    path = shared / f"footage/{request.param}.mp4"
    shown = list(pictures(path, FRAMES, CLIPS[request.param]))
    return shown, Shot(root, pack_folder, write(root / "a.mp4", shown)).analysed()


@pytest.mark.parametrize("turn_deg", [60, 75, 90, 120, 180, -90])
def test_a_turned_head_is_found_upright(upright, pack_folder, tmp_path, turn_deg):
    shown, wanted = upright
    turned = [turn(rgb, turn_deg) for rgb in shown]
    film = write(tmp_path / "b.mp4", [rgb for rgb, _ in turned])
    found = Shot(tmp_path, pack_folder, film).analysed()
    own, other = found.faces, wanted.faces
    assert own["frame_index"].to_pylist() == other["frame_index"].to_pylist()
    affine = turned[0][1]
    points = as_numpy(own["landmarks_5"], (5, 2))
    true = alignment.apply(affine, as_numpy(other["landmarks_5"], (5, 2)))
    eyes = np.linalg.norm(true[:, 1] - true[:, 0], axis=1)
    off = np.linalg.norm(points - true, axis=2).mean(axis=1) / eyes
    # Two upright pictures of one face differ by up to .1; misread ones by .3 to 1.4.
    assert off.max() < 0.17
    vectors = [as_numpy(t["normed_embedding"], (128,)) for t in (own, other)]
    assert (vectors[0] * vectors[1]).sum(axis=1).min() > 0.8
    # The crops are upright and look the same way; the roll is that of the picture.
    poses = [as_numpy(table["pose_deg"], (3,)) for table in (found.crops, wanted.crops)]
    assert np.abs(poses[0] - poses[1])[:, :2].mean(axis=0).max() < 4.0
    rolls = (poses[0][:, 2] - poses[1][:, 2] - turn_deg + 180) % 360 - 180
    assert np.abs(rolls).max() < 6.0
    assert as_numpy(found.crops["mesh_error"]).max() < 0.2
    assert found.aligned["left_out"] == {"mesh_disagrees": 0}


def test_upright_heads_need_no_second_look(upright):
    _, wanted = upright
    assert as_numpy(wanted.detections["mesh_agrees"]).all()
    assert wanted.aligned["left_out"] == {"mesh_disagrees": 0}


def test_points_beside_the_face_are_never_swapped(upright, pack_folder, tmp_path):
    """Points that are .3 eye distances off: said by `detect`, or found by `align`."""
    _, given = upright
    shot = Shot(tmp_path, pack_folder, given.footage)
    rows = given.detections.to_pylist()
    for row in rows:
        five = np.array(row["landmarks_5"]).reshape(5, 2)
        eyes = np.linalg.norm(five[1] - five[0])
        if row["frame_index"] in {2, 3}:
            # Two of the points, so that a similarity cannot follow them.
            five[2:4] += eyes * np.array([0.9, -0.4])
        row["landmarks_5"] = five.reshape(-1)
        row["mesh_agrees"] = row["frame_index"] != 5
    faces.write_detections(shot.path("detections.parquet"), rows, FRAMES)
    shot.path("frames.parquet").write_bytes(given.path("frames.parquet").read_bytes())
    shot.stage(filter_task.STAGE)
    assert FACES.check(shot.path("faces.parquet"))["reject_counts"]["mesh_disagrees"] == 1
    shot.stage(align.STAGE)
    left = sorted(set(range(FRAMES)) - {2, 3, 5})
    assert shot.crops["frame_index"].to_pylist() == left
    assert shot.aligned["left_out"] == {"mesh_disagrees": 2}
    assert shot.aligned["frames_without_face"] == 3
