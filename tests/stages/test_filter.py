"""Stage `filter`: who is kept, and every reason for leaving out."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likeness.contracts.documents import sha256_of
from likeness.contracts.errors import CatalogError, ConsentError
from likeness.contracts.params.filter import FilterParams
from likeness.contracts.tables.base import as_numpy
from likeness.contracts.tables.faces import FACES
from likeness.vision import gallery
from models.analysers.pack import load_pack
from tasks.filter import KEPT, REASONS, STAGE, judge, reference_gallery
from tests import synthetic_faces as faces

FRAMES = 60


class Scene:
    """A repository with one clip, and the stage run on it."""

    def __init__(self, root: Path, pack: Path) -> None:
        self.root, self.pack = root, pack
        self.clip = faces.write_clip(root, "walk")
        self.consent = faces.write_consent(root)
        self.folder = self.clip.parent
        faces.write_frames(self.folder / "frames.parquet", FRAMES, cuts=(30,))
        self.params = root / "params.yaml"
        self.params.write_text("filter: {}\n")

    def run(self, rows, params="{}"):
        """Run the stage; returns faces and facts."""
        self.params.write_text(f"filter: {params}\n")
        faces.write_detections(self.folder / "detections.parquet", rows, FRAMES)
        out = self.folder / "faces.parquet"
        paths = {
            "pack": self.pack,
            "clip": self.clip,
            "consent": self.consent,
            "frames": self.folder / "frames.parquet",
            "detections": self.folder / "detections.parquet",
            "faces": out,
            "params": self.params,
        }
        STAGE.execute([part for name, path in paths.items() for part in (f"--{name}", str(path))])
        return FACES.read(out), FACES.check(out)


@pytest.fixture
def scene(tmp_path, pack_folder):
    return Scene(tmp_path, pack_folder)


def walk(person: int, frames=range(FRAMES), x: float = 50.0, **changes):
    return [faces.detection(frame, person, x + frame, **changes) for frame in frames]


def test_the_dominant_person_is_kept_and_the_stranger_counted(scene):
    rows = walk(1) + walk(2, range(40), x=400)
    table, facts = scene.run(rows)
    assert as_numpy(table["frame_index"]).tolist() == list(range(FRAMES))
    assert as_numpy(table["similarity"]).min() > 0.8
    assert facts["gallery"] == "dominant_track"
    assert facts["threshold"] == load_pack(scene.pack).threshold
    assert facts["reject_counts"]["other_person"] == 40
    assert facts["tracks"] == 2  # a cut at frame 30 ends the first
    assert len(np.unique(as_numpy(table["track_index"]))) == 2
    kept = as_numpy(table["normed_embedding"], (faces.DIM,)) @ faces.direction(1)
    assert kept.min() > 0.8


def test_every_rejected_detection_is_counted_once(scene):
    tiny = np.array([300, 100, 310, 110], np.float32)
    rows = [
        *walk(1),
        *walk(2, range(10), x=400),
        *walk(1, range(5), x=500, det_score=0.4),
        *walk(1, range(5, 9), bbox=tiny),
        *walk(3, range(20, 23), x=250, sharpness=1.0),
        *walk(1, range(40, 44), x=240, det_score=0.7),  # her twin beside her
        *walk(1, range(50, 56), x=150, mesh_agrees=False),
    ]
    table, facts = scene.run(rows, "{min_sharpness: 5.0}")
    counts = facts["reject_counts"]
    assert tuple(sorted(counts)) == tuple(sorted(REASONS))
    assert counts == {
        "low_score": 5,
        "small": 4,
        "blurred": 3,
        "mesh_disagrees": 6,
        "other_person": 10,
        "second_in_frame": 4,
    }
    assert facts["detections"] == len(rows) == table.num_rows + sum(counts.values())


def mixed(person: int, other: int, share: float):
    """An embedding that looks more like `other`, but still a little like `person`."""
    vector = share * faces.direction(person) + (1 - share) * faces.direction(other)
    return vector / np.linalg.norm(vector)


def test_a_track_is_judged_as_a_whole(scene):
    """One frame of her looks like a stranger, one of him like her: both follow their track."""
    hers, his = walk(1), walk(2, range(30), x=400)
    hers[10]["normed_embedding"] = mixed(1, 5, 0.3)
    his[12]["normed_embedding"] = mixed(2, 1, 0.3)
    table, facts = scene.run(hers + his)
    assert table.num_rows == FRAMES
    assert facts["reject_counts"]["other_person"] == 30


def test_interpolated_embeddings_do_not_vote(scene):
    hers = walk(1, range(30))
    his = walk(2, range(30), x=400)
    for row in his[1:]:
        row["normed_embedding"] = mixed(2, 1, 0.3)
        row["embedding_interpolated"] = True
    table, _ = scene.run(hers + his)
    assert as_numpy(table["bbox"], (4,))[:, 0].max() < 200


def test_a_higher_threshold_keeps_less(scene):
    rows = [faces.detection(f, 1, 50 + f) for f in range(30)]
    for row in rows:
        row["normed_embedding"] = faces.seen(1, row["frame_index"], blur=1.0)
    assert scene.run(rows)[0].num_rows == 30
    table, facts = scene.run(rows, "{threshold: 0.95}")
    assert table.num_rows == 0
    assert facts["threshold"] == 0.95
    assert facts["tracks"] == 0


def test_no_detections_give_no_faces(scene):
    table, facts = scene.run([])
    assert table.num_rows == 0
    assert table.schema.equals(FACES.schema, check_metadata=False)
    assert facts["detections"] == 0
    assert sum(facts["reject_counts"].values()) == 0


def test_only_unusable_detections_give_no_faces(scene):
    table, facts = scene.run(walk(1, det_score=0.1))
    assert table.num_rows == 0
    assert facts["reject_counts"]["low_score"] == FRAMES


def test_the_same_input_gives_the_same_bytes(scene):
    rows = walk(1) + walk(2, range(40), x=400)
    scene.run(rows)
    first = sha256_of(scene.folder / "faces.parquet")
    scene.run(rows)
    assert sha256_of(scene.folder / "faces.parquet") == first


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"roles": "target"}, "allows target, not `source`"),
        ({"more": "revoked: 2024-05-01\n"}, "was revoked on 2024-05-01"),
        ({"identity": "bob"}, "is about `bob`"),
    ],
)
def test_no_consent_no_faces(scene, record, message):
    faces.write_consent(scene.root, **record)
    with pytest.raises(ConsentError, match=message):
        scene.run(walk(1))
    assert not (scene.folder / "faces.parquet").exists()


def test_detections_of_another_pack_are_refused(scene, tmp_path):
    other = tmp_path / "packs/other"
    shutil.copytree(scene.pack, other)
    text = (other / "pack.json").read_text().replace('"name": "embedded"', '"name": "other"')
    (other / "pack.json").write_text(text)
    scene.pack = other
    with pytest.raises(CatalogError, match="made with pack `embedded`, not `other`"):
        scene.run(walk(1))


def reference(scene, photo: Path, name: str = "still.jpg", sha256: str | None = None) -> None:
    """Put a still beside the consent record, and list it there."""
    folder = scene.root / "data/consents/stills"
    folder.mkdir(exist_ok=True)
    content = photo.read_bytes()
    (folder / name).write_bytes(content)
    digest = sha256 or hashlib.sha256(content).hexdigest()
    listed = f"references:\n  - file: stills/{name}\n    sha256: '{digest}'\n"
    faces.write_consent(scene.root, more=listed)


def test_reference_stills_decide_who_is_meant(scene, shared):
    """With a still of the person, even a stranger on most frames is turned away."""
    reference(scene, shared / "photos/franck_02045.jpg")
    pack = load_pack(scene.pack)
    from likeness.contracts.catalog import load_consent
    from likeness.media.pictures import read_image

    found = reference_gallery(load_consent(scene.consent, "ann"), scene.consent.parent, pack)
    assert found is not None
    rgb = read_image(shared / "photos/franck_02159.jpg")
    other = pack.embedder.embed(rgb, pack.detector.detect(rgb)[2])[0]
    rows = walk(3) + walk(2, range(10), x=400)
    for row in rows[FRAMES:]:
        row["normed_embedding"] = other / np.linalg.norm(other)
    table, facts = scene.run(rows)
    assert facts["gallery"] == "references"
    assert table.num_rows == 10
    assert as_numpy(table["similarity"]).min() > pack.threshold


@pytest.mark.parametrize(
    ("photo", "sha256", "message"),
    [
        ("multi_face.jpg", None, "shows 5 faces"),
        ("mask_blue.jpg", None, "shows no face"),
        ("franck_02045.jpg", "0" * 64, "sha256 differs"),
    ],
)
def test_a_bad_reference_is_named(scene, shared, photo, sha256, message):
    reference(scene, shared / "photos" / photo, sha256=sha256)
    with pytest.raises(CatalogError, match=message):
        scene.run(walk(1))


def test_a_missing_reference_is_named(scene, shared):
    reference(scene, shared / "photos/franck_02045.jpg")
    (scene.root / "data/consents/stills/still.jpg").unlink()
    with pytest.raises(CatalogError, match="reference still is missing"):
        scene.run(walk(1))


def test_a_reference_cannot_leave_the_folder(scene, shared):
    listed = f"references:\n  - file: ../../out.jpg\n    sha256: '{'0' * 64}'\n"
    faces.write_consent(scene.root, more=listed)
    with pytest.raises(CatalogError, match="leaves"):
        scene.run(walk(1))


def found_from(rows) -> gallery.Detections:
    return gallery.Detections(
        np.array([r["frame_index"] for r in rows], np.int32),
        np.stack([r["bbox"] for r in rows]),
        np.array([r["det_score"] for r in rows], np.float32),
        np.array([r["sharpness"] for r in rows], np.float32),
        np.stack([r["normed_embedding"] for r in rows]),
        np.array([not r["embedding_interpolated"] for r in rows]),
        np.array([r["track"] for r in rows], np.int32),
        np.zeros(len(rows), np.int32),
        np.array([r["mesh_agrees"] for r in rows]),
    )


ROWS = st.lists(
    st.tuples(
        st.integers(0, 5),  # frame
        st.integers(0, 3),  # person
        st.integers(-1, 4),  # track
        st.sampled_from([0.3, 0.7, 0.9]),
        st.sampled_from([0.0, 20.0]),
        st.booleans(),
    ),
    min_size=1,
    max_size=40,
)


@given(ROWS, st.booleans())
@settings(deadline=None)
def test_verdicts_always_add_up_and_keep_one_per_frame(given_rows, with_gallery):
    rows = [
        faces.detection(
            frame,
            person,
            50.0 * person,
            det_score=score,
            sharpness=sharp,
            embedding_interpolated=interpolated,
            track=track,
        )
        for frame, person, track, score, sharp, interpolated in sorted(given_rows)
    ]
    references = np.stack([faces.direction(1)]) if with_gallery else None
    found = found_from(rows)
    verdict, similarity = judge(found, references, 0.4, FilterParams(min_sharpness=5.0))
    assert set(verdict.tolist()) <= {KEPT, *REASONS}
    assert len(verdict) == len(similarity) == len(rows)
    kept = found.frame_index[verdict == KEPT]
    assert len(np.unique(kept)) == len(kept)
    assert (np.abs(similarity) <= 1.0 + 1e-5).all()


def test_similarity_is_the_mean_of_the_best_references():
    references = np.stack([faces.direction(1), faces.direction(2), faces.direction(3)])
    vector = np.zeros((1, faces.DIM), np.float32)
    vector[0, 1:4] = [0.8, 0.5, 0.1]
    assert gallery.cosines(vector, references, 2)[0] == pytest.approx(0.65)
    assert gallery.cosines(vector, references, 9)[0] == pytest.approx(1.4 / 3)
    # A face that is itself a reference does not vouch for itself.
    own = np.array([0], np.int32)
    assert gallery.cosines(vector, references, 2, own)[0] == pytest.approx(0.3)
