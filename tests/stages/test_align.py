"""Stage `align` on real faces: crops, meshes, poses and masks, and what aligned.json says."""

from __future__ import annotations

import json
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from likeness.contracts.documents import sha256_of
from likeness.contracts.errors import FootageError
from likeness.contracts.tables.base import as_numpy
from likeness.contracts.tables.crops import CROPS
from likeness.contracts.tables.faces import FACES
from likeness.media.footage import open_footage
from likeness.media.images import decode_jpeg
from likeness.vision import alignment, masks
from likeness.vision.templates import eye_distance_px, template
from tasks import align, frames
from tasks import filter as filter_task
from tests import synthetic_faces as faces
from tests.footage import make_clip, noise
from tests.shots import Shot

MAX_BYTES_PER_CROP = 20 * 1024


class Clip(Shot):
    """A clip that has been analysed as far as faces.parquet."""

    def align(self, params="{}", name="crops"):
        """Run `align`; returns crops path, table and aligned.json."""
        crops, aligned = self.root / f"{name}.parquet", self.root / f"{name}.json"
        self.stage(align.STAGE, params, crops=crops, aligned=aligned)
        return crops, CROPS.read(crops), json.loads(aligned.read_text())


def prepare(root: Path, pack: Path, footage: Path, every: int = 1) -> Clip:
    """Frames, the pack's detections on every `every`-th frame, and filter."""
    from models.analysers.pack import load_pack

    clip = Clip(root, pack, footage)
    clip.stage(frames.STAGE)
    analysers, rows, count = load_pack(pack), [], 0
    with open_footage(footage) as opened:
        for frame in opened.frames():
            count += 1
            if not frame.decoded or frame.frame_index % every:
                continue
            rgb = frame.rgb()
            bbox, score, five = analysers.detector.detect(rgb)
            raw = analysers.embedder.embed(rgb, five)
            rows += [
                faces.detection(
                    frame.frame_index,
                    0,
                    0.0,
                    bbox=bbox[i],
                    det_score=score[i],
                    landmarks_5=five[i].reshape(10),
                    normed_embedding=raw[i] / np.linalg.norm(raw[i]),
                )
                for i in range(len(bbox))
            ]
    faces.write_detections(clip.path("detections.parquet"), rows, count)
    clip.stage(filter_task.STAGE)
    return clip


@pytest.fixture(scope="module")
def man(shared, pack_folder, tmp_path_factory):
    """One man who smiles and turns a little, every fourth frame."""
    root = tmp_path_factory.mktemp("man")
    return prepare(root, pack_folder, shared / "footage/single_face.mp4", every=4)


@pytest.fixture(scope="module")
def aligned(man):
    return man.align()


def numbers(table):
    shapes = {"affine_matrix": (2, 3), "landmarks_5": (5, 2), "landmarks_468": (468, 3)}
    return {
        name: as_numpy(table[name], shapes.get(name, ()))
        for name in table.schema.names
        if name not in {"crop", "mask"}
    }


def test_every_face_becomes_a_crop_at_its_place(man, aligned):
    _, table, summary = aligned
    found, kept = numbers(table), FACES.read(man.path("faces.parquet"))
    assert table.num_rows == kept.num_rows == summary["rows"] == 18
    assert found["frame_index"].tolist() == list(range(0, 72, 4))
    assert found["pts_s"] == pytest.approx(found["frame_index"] / 29.97, abs=0.02)
    five = as_numpy(kept["landmarks_5"], (5, 2))
    for affine, before, after in zip(
        found["affine_matrix"], five, found["landmarks_5"], strict=True
    ):
        assert alignment.apply(affine, before) == pytest.approx(after, abs=1e-3)
        # The template is met as well as a similarity can: within a tenth of the eyes' distance.
        assert np.abs(after - template("ffhq_512", 256)).mean() < 6.3
        assert affine == pytest.approx(alignment.umeyama(before, template("ffhq_512", 256)))


def test_crops_show_what_the_affine_says(man, aligned):
    _, table, _ = aligned
    found = numbers(table)
    with open_footage(man.footage) as footage:
        for row, frame in enumerate(footage.frames(set(found["frame_index"].tolist()))):
            crop = decode_jpeg(table["crop"][row].as_py())
            assert crop.shape == (256, 256, 3)
            again = alignment.warp_crop(frame.rgb(), found["affine_matrix"][row], 256)
            assert np.abs(crop.astype(int) - again).mean() < 2.5


def test_meshes_fit_and_poses_are_plausible(aligned):
    _, table, summary = aligned
    found = numbers(table)
    mesh = found["landmarks_468"]
    assert found["mesh_error"].max() < 0.12
    assert summary["mean_mesh_error"] == pytest.approx(found["mesh_error"].mean(), abs=1e-5)
    assert ((mesh[..., :2] > 0) & (mesh[..., :2] < 256)).mean() > 0.98
    assert (mesh * align.FIXED_POINT == np.round(mesh * align.FIXED_POINT)).all()
    yaw, pitch, roll = found["pose_deg"].reshape(-1, 3).T
    assert np.abs(yaw).max() < 20
    assert np.abs(pitch).max() < 20
    # Roll is the turn that alignment took out.
    turn = -np.degrees(np.arctan2(found["affine_matrix"][:, 1, 0], found["affine_matrix"][:, 0, 0]))
    assert roll == pytest.approx(turn, abs=4)


def test_masks_cover_the_face_and_nothing_beside_the_person(aligned):
    _, table, _ = aligned
    mesh = numbers(table)["landmarks_468"]
    for row in range(table.num_rows):
        mask = masks.from_bytes(table["mask"][row].as_py(), 128)
        nose = (mesh[row, 4, :2] / 2).astype(int)
        assert mask[nose[1], nose[0]] > 0.95
        hull = masks.hull_mask(mesh[row], 256, 128)
        assert (mask <= hull + 0.01).all()
        assert 0.85 < mask.sum() / hull.sum() <= 1.0  # ears and cheeks against the wall are cut


def test_a_crop_costs_at_most_20_kilobytes(aligned):
    crops, table, _ = aligned
    assert crops.stat().st_size / table.num_rows <= MAX_BYTES_PER_CROP


def test_aligned_states_what_the_crops_hold(man, aligned):
    crops, _, summary = aligned
    assert summary["sha256"] == sha256_of(crops)
    assert summary["crops"] == crops.as_posix()
    assert (summary["clip"], summary["identity"]) == ("walk", "ann")
    assert (summary["template"], summary["size_px"]) == ("ffhq_512", 256)
    assert (summary["frames"], summary["frames_without_face"]) == (72, 54)


def test_threads_change_no_byte(man, aligned, monkeypatch):
    for threads in ("1", "3"):
        monkeypatch.setenv("LIKENESS_THREADS", threads)
        crops, _, _ = man.align(name=f"threads-{threads}")
        assert crops.read_bytes() == aligned[0].read_bytes()


def test_params_decide_the_form(man):
    crops, table, summary = man.align(
        "{template: arcface_112, size_px: 112, mask_size_px: 64, jpeg_quality: 70, person: false}",
        name="small",
    )
    facts = CROPS.check(crops)
    assert (facts["template"], facts["size_px"]) == ("arcface_112", 112)
    assert (facts["mask_size_px"], facts["jpeg_quality"]) == (64, 70)
    assert (summary["template"], summary["mask_size_px"]) == ("arcface_112", 64)
    assert decode_jpeg(table["crop"][0].as_py()).shape == (112, 112, 3)
    mesh = numbers(table)["landmarks_468"][0]
    mask = masks.from_bytes(table["mask"][0].as_py(), 64)
    inside = alignment.inside(numbers(table)["affine_matrix"][0], 112, 640, 360)
    assert np.abs(mask - masks.meet(masks.hull_mask(mesh, 112, 64), inside / 255.0)).max() < 0.01


def test_framings_of_one_frame_lie_in_each_other(man):
    sides = []
    for name in ("half_face", "whole_face", "head"):
        _, table, summary = man.align(f"{{template: {name}}}", name=name)
        assert (summary["template"], summary["rows"]) == (name, 18)
        found = numbers(table)
        five = found["landmarks_5"]
        assert np.abs(five - template(name, 256)).mean() < 0.06 * eye_distance_px(name, 256)
        assert max(found["mesh_error"]) < 0.25
        sides.append(found["affine_matrix"])
        if name == "half_face":
            # The face goes on beyond it: the mask reaches the edge, and fills most of the crop.
            mask = masks.from_bytes(table["mask"][0].as_py(), 128)
            assert mask[:, 64].min() > 0.5
            assert mask.mean() > 0.75
    for inner, outer in pairwise(sides):
        for small, large in zip(inner, outer, strict=True):
            corners = alignment.apply(large, alignment.footprint(small, 256))
            assert -0.5 < corners.min() < corners.max() < 255.5


def test_smoothing_steadies_the_mesh(man, aligned):
    _, table, _ = man.align("{smooth: true, smooth_beta: 0.5}", name="smooth")
    jitter = []
    for given in (aligned[1], table):
        found = numbers(given)
        backward = [alignment.invert(affine) for affine in found["affine_matrix"]]
        mesh = np.stack([
            alignment.apply(affine, points[:, :2])
            for affine, points in zip(backward, found["landmarks_468"], strict=True)
        ])  # fmt: skip
        jitter.append(np.abs(np.diff(mesh, n=2, axis=0)).mean())
    assert jitter[1] < 0.8 * jitter[0]


def test_of_several_people_one_is_taken(shared, pack_folder, tmp_path):
    stills = tmp_path / "stills"
    stills.mkdir()
    shutil.copy(shared / "photos/multi_face.jpg", stills / "0.jpg")
    shutil.copy(shared / "photos/multi_face.jpg", stills / "1.jpg")
    clip = prepare(tmp_path, pack_folder, stills)
    facts = FACES.check(clip.path("faces.parquet"))
    assert facts["detections"] == 10
    counts = facts["reject_counts"]
    # Two of the five look alike to this pack; the better of them stays.
    assert counts["other_person"] + counts["second_in_frame"] == 8
    _, table, summary = clip.align()
    assert table.num_rows == 2
    assert summary["frames_without_face"] == 0
    assert numbers(table)["mesh_error"].max() < 0.2


def test_a_clip_without_faces_gives_no_rows(pack_folder, tmp_path):
    footage = make_clip(tmp_path / "noise.mp4", frames=4, size=(160, 96), picture=noise)
    clip = prepare(tmp_path, pack_folder, footage)
    crops, table, summary = clip.align()
    assert table.num_rows == 0
    assert table.schema.equals(CROPS.schema, check_metadata=False)
    assert summary["rows"] == 0
    assert summary["mean_mesh_error"] is None
    assert summary["frames_without_face"] == summary["frames"] == 4
    assert summary["sha256"] == sha256_of(crops)


def test_a_face_on_a_frame_that_is_gone_is_an_error(man, tmp_path):
    """The footage was cut after `frames` and `detect` had seen it."""
    shorter = make_clip(tmp_path / "cut.mp4", frames=8, size=(640, 360))
    clip = Clip(tmp_path, man.pack, shorter)
    for name in ("frames.parquet", "faces.parquet"):
        shutil.copy(man.path(name), clip.path(name))
    with pytest.raises(FootageError, match="frame 8 with a face cannot be decoded"):
        clip.align()
    assert not (tmp_path / "crops.parquet").exists()
    assert not (tmp_path / "crops.json").exists()
