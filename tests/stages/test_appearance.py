"""Stage `appearance`: views thinned and triangulated, the map read back, its picture."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import Delaunay

from likeness.contracts.appearance import load_map
from likeness.contracts.documents import sha256_of
from likeness.contracts.errors import LikenessError, ParamsError
from likeness.contracts.tables.base import as_column
from likeness.contracts.tables.shards import SHARDS
from likeness.media.images import decode_jpeg, encode_jpeg
from likeness.vision import pose_picture, poses
from models.layers.appearance_map import barycentric
from tasks.appearance import STAGE
from tests.synthetic_shards import write_shards

CORNERS = [(-75.0, -75.0), (-75.0, 75.0), (75.0, -75.0), (75.0, 75.0)]


class Ann:
    """An identity's shards, and the stage run on them."""

    def __init__(self, root):
        self.root, self.shards = root, root / "shards"
        self.out = root / "appearance"

    def write(self, angles, *, shard=0, **columns):
        """One shard with crops at these angles; each crop is of one shade, 4 times its row."""
        folder = write_shards(self.shards, "ann", len(angles))
        path = folder / "train-00000.parquet"
        facts, rows = SHARDS.check(path), SHARDS.read(path).to_pydict()
        pose = np.zeros((len(angles), 3), np.float32)
        pose[:, :2] = np.array(angles, np.float32).reshape(-1, 2)
        shades = [np.full((64, 64, 3), 4 * i, np.uint8) for i in range(len(angles))]
        rows |= {"pose_deg": pose, "crop": [encode_jpeg(s) for s in shades]} | columns
        path.unlink()
        SHARDS.write(folder / f"train-{shard:05d}.parquet", _table(rows), facts)

    def run(self, params="{}"):
        """Run the stage; the map and its picture."""
        (self.root / "params.yaml").write_text(f"appearance: {params}\n")
        self.out.mkdir(exist_ok=True)
        STAGE.execute(
            [
                *("--shards", str(self.shards), "--params", str(self.root / "params.yaml")),
                *("--map", str(self.out / "map.json"), "--picture", str(self.out / "map.jpg")),
            ]
        )
        picture = decode_jpeg((self.out / "map.jpg").read_bytes())
        return load_map(self.out / "map.json"), picture


def _table(rows):
    fields = SHARDS.schema
    return pa.table([as_column(rows[f.name], f.type) for f in fields], schema=fields)


@pytest.fixture
def ann(tmp_path):
    return Ann(tmp_path)


def fan(count):
    """Angles apart from each other by far more than the radius."""
    turn = np.arange(count) * 2.4
    radius = 8.0 * np.sqrt(np.arange(count))
    return np.stack([radius * np.cos(turn), radius * np.sin(turn)], 1)


# The geometry

ANGLES = st.lists(st.tuples(st.floats(-74, 74), st.floats(-74, 74)), max_size=40)


@given(ANGLES, st.floats(0.5, 20))
def test_every_crop_has_a_view_and_no_two_views_are_near(angles, radius):
    angles = poses.rounded(np.array(angles).reshape(-1, 2))
    quality = np.arange(len(angles)) % 7
    kept, counts = poses.merged(angles, quality, radius)
    assert counts.sum() == len(angles)
    apart = np.linalg.norm(angles[:, None] - angles[kept][None], axis=2)
    if len(angles):
        assert apart.min(axis=1).max() <= radius
        assert (apart[kept] + 1e9 * np.eye(len(kept)) > radius).all()
        assert quality[kept[0]] == quality.max()


@given(ANGLES)
def test_triangles_are_delaunays_and_fill_the_square(angles):
    angles = poses.rounded(np.array(angles).reshape(-1, 2))
    angles = angles[poses.merged(angles, np.zeros(len(angles)), 0.5)[0]]
    found = poses.triangulated(angles, 75.0)
    points = np.concatenate([angles, CORNERS])
    assert found.shape == (2 * len(angles) + 2, 3)
    a, b, c = points[found].transpose(1, 0, 2)
    area = np.abs((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]) / 2
    assert area.min() > 0
    assert area.sum() == pytest.approx(150.0**2)


@pytest.mark.parametrize("seed", range(4))
def test_triangles_are_those_of_scipy(seed):
    angles = poses.rounded(np.random.default_rng(seed).uniform(-70, 70, (60, 2)))
    angles = angles[poses.merged(angles, np.zeros(60), 2.0)[0]]
    theirs = np.sort(Delaunay(np.concatenate([angles, CORNERS])).simplices, axis=1)
    theirs = theirs[np.lexsort(theirs.T[::-1])]
    assert np.array_equal(poses.triangulated(angles, 75.0), theirs)


def test_points_on_one_circle_are_triangulated_once():
    grid = np.stack(np.meshgrid(np.arange(-60, 61, 20.0), np.arange(-60, 61, 20.0)), -1)
    found = poses.triangulated(grid.reshape(-1, 2), 75.0)
    assert len(found) == 2 * 49 + 2
    assert len(np.unique(found, axis=0)) == len(found)


# The map


def test_of_near_views_the_surest_and_sharpest_stands_for_all(ann):
    near = [(10.0, 5.0), (10.5, 5.0), (10.0, 5.5), (-20.0, 0.0)]
    ann.write(near, similarity=[0.5, 0.9, 0.7, 0.4], sharpness=[100.0, 100.0, 100.0, 100.0])
    found, _ = ann.run("{radius_deg: 1}")
    assert found.identity == "ann"
    assert found.crops == 4
    assert [(v.frame_index, v.crops) for v in found.views] == [(1, 3), (3, 1)]
    assert (found.views[0].yaw_deg, found.views[0].pitch_deg) == (10.5, 5.0)
    ann.write(near[:2], similarity=[0.8, 0.8], sharpness=[100.0, 140.0])
    assert [v.frame_index for v in ann.run()[0].views] == [1]


def test_crops_turned_beyond_the_corners_are_counted(ann):
    ann.write([(0.0, 0.0), (80.0, 0.0), (0.0, -76.0), (30.0, 30.0)])
    found, _ = ann.run()
    assert (found.crops, found.beyond, len(found.views)) == (4, 2, 2)
    found, _ = ann.run("{corner_deg: 20}")
    assert (found.beyond, len(found.views)) == (3, 1)
    assert found.points()[1:] == [(-20.0, -20.0), (-20.0, 20.0), (20.0, -20.0), (20.0, 20.0)]


def test_the_map_gives_weights_for_any_angle(ann):
    angles = fan(30)
    ann.write(angles)
    found, _ = ann.run()
    points, triangles = torch.tensor(found.points()), torch.tensor(found.triangles)
    nodes = points[:-4]
    assert torch.allclose(nodes, torch.tensor(np.round(angles, 2)).float()[_order(found)])
    at_views = barycentric(points, triangles, nodes)
    assert torch.allclose(at_views, torch.eye(30), atol=1e-4)
    places = torch.rand(50, 2) * 16 - 8
    weights = barycentric(points, triangles, places)
    assert weights.shape == (50, 30)
    assert bool(((weights > 1e-6).sum(1) <= 3).all())
    assert torch.allclose(weights @ nodes, places, atol=1e-3)


def _order(found):
    return [view.frame_index for view in found.views]


def test_an_identity_without_crops_is_legal(ann):
    ann.write([])
    found, picture = ann.run()
    assert found.views == ()
    assert found.triangles == ((0, 1, 2), (1, 2, 3))
    assert picture.shape[0] > 200


@pytest.mark.parametrize("text", ["{}", '{"views": []}'])
def test_a_map_that_is_none_is_one_line(tmp_path, text):
    (tmp_path / "map.json").write_text(text)
    with pytest.raises(LikenessError, match=r"map.json.*is missing"):
        load_map(tmp_path / "map.json")


def test_the_same_input_gives_the_same_bytes(ann):
    ann.write(fan(12))
    ann.run()
    first = sha256_of(ann.out)
    ann.run()
    assert sha256_of(ann.out) == first
    assert json.loads((ann.out / "map.json").read_text())["radius_deg"] == 2.0


@pytest.mark.parametrize("params", ["{radius_deg: 0}", "{corner_deg: 120}", "{radius: 2}"])
def test_settings_out_of_range_are_refused(ann, params):
    ann.write([(0.0, 0.0)])
    with pytest.raises(ParamsError, match=r"params.yaml:1"):
        ann.run(params)


# The picture


def test_each_thumbnail_stands_at_its_angles(ann):
    angles = [(-30.0, -20.0), (0.0, 25.0), (30.0, -10.0), (5.0, -15.0)]
    ann.write(angles)
    # A second shard, so that a crop's place counts over both.
    ann.write([(-10.0, 5.0), (20.0, 15.0)], shard=1)
    ann.write(angles)
    found, picture = ann.run("{thumbnail_px: 40}")
    assert len(found.views) == 6
    plane = pose_picture.plane_of(np.array(found.points())[:-4], 40)
    for view in found.views:
        x, y = np.round(plane.place(np.array([view.yaw_deg, view.pitch_deg]))).astype(int)
        shade = picture[y - 15 : y + 15, x - 15 : x + 15].astype(int)
        assert np.abs(shade - 4 * view.frame_index).max() < 16, view


def test_yaw_goes_right_and_pitch_up():
    plane = pose_picture.plane_of(np.array([[0.0, 0.0], [10.0, 20.0]]), 32)
    low, high = plane.place(np.array([[0.0, 0.0], [10.0, 20.0]]))
    assert high[0] > low[0]
    assert high[1] < low[1]
    assert high[0] - low[0] == pytest.approx((low[1] - high[1]) / 2)


def test_a_view_too_near_another_for_a_thumbnail_is_a_dot(ann):
    ann.write([(0.0, 0.0), (5.0, 0.0)], similarity=[0.9, 0.8])
    found, picture = ann.run("{thumbnail_px: 400}")
    plane = pose_picture.plane_of(np.array(found.points())[:-4], 400)
    (x0, y0), (x1, y1) = np.round(plane.place(np.array(found.points())[:2])).astype(int)
    assert np.abs(picture[y0 - 150 : y0 + 150, x0 - 150 : x0 + 150].astype(int)).max() < 16
    assert np.abs(picture[y1, x1].astype(int) - pose_picture.DOT).max() < 40
