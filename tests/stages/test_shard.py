"""Stage `shard`: split, thinning, balance, and what the manifest says."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from likeness.contracts.documents import sha256_of, to_json
from likeness.contracts.errors import TableError
from likeness.contracts.tables.base import as_numpy
from likeness.contracts.tables.shards import SHARDS
from likeness.vision import selection
from models.analysers.pack import load_pack
from tasks.shard import STAGE, rank, validation_seconds
from tests import synthetic_faces as faces

KEEP_ALL = "{thin_pose_deg: 0, thin_expression: 0}"


@pytest.fixture(scope="module")
def canonical(pack_folder):
    return load_pack(pack_folder).canonical_mesh()[0]


class Identity:
    """A repository with one identity, and the stage run on it."""

    def __init__(self, root, canonical):
        self.root, self.canonical = root, canonical
        self.crops, self.shards = root / "data/crops/ann", root / "data/shards/ann"
        self.crops.mkdir(parents=True)
        self.clips = []

    def add(self, clip, poses, facts=None, **columns):
        """One more clip in the roster."""
        rows = faces.crop_rows(poses, self.canonical, **columns)
        self.clips.append(clip)
        return faces.write_crops(self.crops / f"{clip}.parquet", rows, **(facts or {}))

    def run(self, params="{}"):
        """Run the stage; returns the manifest."""
        roster = self.root / "roster.json"
        entries = [{"clip": c, "role": "source", "licence": "test"} for c in sorted(self.clips)]
        roster.write_text(
            to_json({"identity": "ann", "consent_sha256": "f" * 64, "clips": entries})
        )
        (self.root / "params.yaml").write_text(f"shard: {params}\n")
        arguments = ["--roster", str(roster), "--crops", str(self.crops)]
        arguments += ["--shards", str(self.shards), "--params", str(self.root / "params.yaml")]
        beside = self.root / "ann.json"
        STAGE.execute([*arguments, "--manifest", str(beside)])
        assert beside.read_bytes() == (self.shards / "manifest.json").read_bytes()
        return json.loads(beside.read_text())

    def rows(self, half):
        """All rows of one half as a pandas table."""
        parts = [SHARDS.read(path) for path in sorted(self.shards.glob(f"{half}-*.parquet"))]
        return parts[0] if len(parts) == 1 else parts


@pytest.fixture
def ann(tmp_path, canonical):
    return Identity(tmp_path, canonical)


def turning(count):
    """A head that turns by two degrees a frame: no two crops alike."""
    return [(-40 + 2.0 * (i % 40), -20 + 2.0 * (i // 40)) for i in range(count)]


def test_split_goes_by_clip_and_second(ann):
    ann.add("walk", turning(250))
    ann.add("run", turning(200))
    manifest = ann.run("{val_share: 0.3}")
    halves = {}
    for half in ("train", "val"):
        table = ann.rows(half)
        seconds = np.floor(as_numpy(table["pts_s"])).astype(int)
        halves[half] = set(zip(table["clip"].to_pylist(), seconds.tolist(), strict=True))
        assert table.num_rows == manifest[half]["rows"] > 0
        order = list(
            zip(table["clip"].to_pylist(), as_numpy(table["frame_index"]).tolist(), strict=True)
        )
        assert order == sorted(order)
    assert not halves["train"] & halves["val"]
    assert len(halves["train"] | halves["val"]) == 18
    assert manifest["train"]["rows"] + manifest["val"]["rows"] == 450


def test_only_the_rosters_clips_are_read(ann):
    ann.add("walk", turning(100))
    ann.add("gone", turning(100))
    ann.clips.remove("gone")
    manifest = ann.run()
    assert set(manifest["clips"]) == {"walk"}
    assert set(ann.rows("train")["clip"].to_pylist()) == {"walk"}


SECONDS = st.sets(st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(0, 400)), max_size=60)


@given(SECONDS, st.floats(0, 0.9))
def test_validation_is_a_part_never_all_and_never_nothing(seconds, share):
    val = validation_seconds(seconds, share)
    assert val <= seconds
    assert len(val) < max(len(seconds), 1)
    if share > 0 and len(seconds) >= 3:
        assert val


@given(SECONDS, SECONDS)
def test_more_footage_moves_no_second_out_of_its_half(first, more):
    """Unless so little was there that one second had to stand in."""
    before, after = (validation_seconds(s, 0.3) for s in (first, first | more))
    for pair in first:
        if rank(*pair) < 0.3 and len(before) < len(first) - 1 and len(after) > 1:
            assert pair in before
            assert pair in after
        if rank(*pair) >= 0.3 and len(after) > 1:
            assert pair not in after


def test_near_duplicates_leave_the_sharpest(ann):
    sharp = np.array([5, 50, 7, 8, 9, 4], np.float32)
    poses = [(0, 0), (0.2, 0.1), (0.1, 0), (20, 0), (20.3, 0), (0, 0)]
    smile = np.array([0, 0, 0, 0, 0, 2.0])  # the last one opens the mouth
    ann.add("walk", poses, sharpness=sharp, smile=smile)
    manifest = ann.run("{val_share: 0}")
    assert as_numpy(ann.rows("train")["frame_index"]).tolist() == [1, 4, 5]
    assert manifest["clips"]["walk"] == {"crops": 6, "train": 3, "thinned": 3}


POSES = st.lists(
    st.tuples(st.floats(-9, 9), st.floats(-9, 9), st.floats(0, 0.02)), min_size=1, max_size=25
)


@given(POSES, st.integers(0, 9))
def test_thinning_covers_all_and_keeps_no_pair(rows, seed):
    pose = np.array([(yaw, pitch, 0) for yaw, pitch, _ in rows])
    expression = np.zeros((len(rows), 4, 3))
    expression[:, :, 0] = np.array([e for *_, e in rows])[:, None]
    sharpness = np.random.default_rng(seed).integers(0, 4, len(rows))
    keep = selection.thin(pose, expression, sharpness, 2.0, 0.01)

    def near(i, j):
        close = np.abs(pose[i, :2] - pose[j, :2]).max() < 2.0
        return close and abs(expression[i, 0, 0] - expression[j, 0, 0]) < 0.01 - 1e-7

    kept = np.flatnonzero(keep).tolist()
    assert not any(near(i, j) for i in kept for j in kept if i < j)
    for i in np.flatnonzero(~keep):
        covers = [j for j in kept if near(i, j) or abs_close(expression, i, j)]
        assert any(sharpness[j] >= sharpness[i] for j in covers)


def abs_close(expression, i, j):
    """Within rounding of the limit."""
    return abs(abs(expression[i, 0, 0] - expression[j, 0, 0]) - 0.01) < 1e-6


def test_bad_meshes_and_blurred_crops_are_left_out(ann):
    error = np.full(60, 0.05, np.float32)
    error[:10] = 0.9
    ann.add("walk", turning(60), mesh_error=error)
    manifest = ann.run("{min_sharpness: 20, thin_pose_deg: 0, thin_expression: 0, val_share: 0}")
    # Sharpness grows from 10 by 1 per crop: the first ten fail twice, and are blurred.
    assert manifest["clips"]["walk"] == {"crops": 60, "blurred": 10, "train": 50}
    manifest = ann.run("{thin_pose_deg: 0, thin_expression: 0, val_share: 0}")
    assert manifest["clips"]["walk"] == {"crops": 60, "mesh_error": 10, "train": 50}
    manifest = ann.run("{max_mesh_error: null, thin_pose_deg: 0, val_share: 0}")
    assert manifest["clips"]["walk"] == {"crops": 60, "train": 60}


def test_weights_even_out_the_poses(ann):
    poses = [(0.0, 0.0)] * 90 + [(40.0, 0.0)] * 10
    ann.add("walk", poses)
    for balance, share in ((0.0, 0.1), (1.0, 0.5)):
        ann.run(f"{{val_share: 0, thin_pose_deg: 0, balance: {balance}, max_weight_ratio: 100}}")
        table = ann.rows("train")
        weight = as_numpy(table["sample_weight"])
        assert weight.mean() == pytest.approx(1.0, abs=1e-5)
        turned = as_numpy(table["pose_deg"], (3,))[:, 0] > 20
        assert weight[turned].sum() / weight.sum() == pytest.approx(share, abs=1e-4)


@given(
    st.lists(st.tuples(st.floats(-90, 90), st.floats(-60, 60)), min_size=1, max_size=60),
    st.floats(0, 1),
    st.floats(1, 20),
)
def test_weights_have_mean_one_and_a_bounded_ratio(poses, balance, ratio):
    pose = np.array([(*p, 0) for p in poses])
    weight = selection.balance_weights(pose, 10.0, balance, ratio)
    assert weight.mean() == pytest.approx(1.0, abs=1e-4)
    assert weight.max() <= weight.min() * ratio * (1 + 1e-5)
    counted = selection.pose_histogram(pose, 10.0)
    assert sum(n for row in counted.values() for n in row.values()) == len(poses)


def test_shards_are_filled_and_listed_with_their_hashes(ann):
    ann.add("walk", turning(1300))
    manifest = ann.run("{val_share: 0, rows_per_shard: 512, thin_pose_deg: 0, thin_expression: 0}")
    files = manifest["train"]["files"]
    assert [f["rows"] for f in files] == [512, 512, 276]
    assert [f["file"] for f in files] == [f"train-{i:05d}.parquet" for i in range(3)]
    for file in files:
        path = ann.shards / file["file"]
        assert sha256_of(path) == file["sha256"]
        assert SHARDS.check(path)["split"] == "train"
    frames = np.concatenate([as_numpy(part["frame_index"]) for part in ann.rows("train")])
    assert frames.tolist() == list(range(1300))
    assert manifest["val"]["rows"] == 0
    assert [f["rows"] for f in manifest["val"]["files"]] == [0]


def test_the_manifest_says_how_the_crops_are_made(ann):
    ann.add("walk", turning(100))
    manifest = ann.run()
    assert manifest["identity"] == "ann"
    assert manifest["consent_sha256"] == "f" * 64
    form = {key: manifest[key] for key in ("size_px", "mask_size_px", "template", "pack")}
    assert form == {"size_px": 64, "mask_size_px": 32, "template": "ffhq_512", "pack": "embedded"}
    counted = sum(n for row in manifest["train"]["pose_histogram"].values() for n in row.values())
    assert counted == manifest["train"]["rows"]


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"size_px": 128}, "size_px is 128, but 64 in clip `one`"),
        ({"template": "arcface_112"}, "template is arcface_112, but ffhq_512 in clip `one`"),
        ({"pack": "buffalo_l"}, "pack is buffalo_l, but embedded in clip `one`"),
    ],
)
def test_clips_made_in_different_ways_are_refused(ann, facts, message):
    ann.add("one", turning(10))
    ann.add("two", turning(10), facts)
    with pytest.raises(TableError, match=message):
        ann.run()
    assert not ann.shards.exists()


def test_a_clip_of_the_roster_without_crops_is_named(ann):
    ann.clips.append("lost")
    with pytest.raises(TableError, match=r"lost\.parquet: does not exist"):
        ann.run()


@pytest.mark.parametrize("clips", [0, 1])
def test_an_identity_without_faces_is_legal(ann, clips):
    for _ in range(clips):
        ann.add("dark", [])
    manifest = ann.run()
    for half in ("train", "val"):
        assert manifest[half]["rows"] == 0
        table = ann.rows(half)
        assert table.num_rows == 0
        assert table.schema.equals(SHARDS.schema, check_metadata=False)


def test_the_same_input_gives_the_same_bytes(ann):
    ann.add("walk", turning(200))
    ann.run()
    first = sha256_of(ann.shards)
    ann.run()
    assert sha256_of(ann.shards) == first


def test_unknown_params_are_refused(ann):
    from likeness.contracts.errors import ParamsError

    ann.add("walk", turning(10))
    with pytest.raises(ParamsError, match="did you mean `val_share`"):
        ann.run("{vall_share: 0.1}")
