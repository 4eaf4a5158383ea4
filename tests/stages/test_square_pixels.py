"""Non-square pixels from footage to film: the same geometry as square ones, the shape kept."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from likeness.contracts.tables.base import Writer, as_numpy
from likeness.contracts.tables.converted import CONVERTED
from likeness.contracts.tables.crops import CROPS
from likeness.media.images import decode_jpeg, encode_jpeg
from likeness.media.probe import probe
from likeness.vision import alignment
from likeness.vision.squares import Squares
from tasks import blend
from tests.shots import Shot, pictures, write

FRAMES = 10
SWAPS = "swaps:\n  s: {source: ann, target: walk, model: m}\n"
# Width and height of a pixel: PAL 16:9, PAL 16:9 of MPEG-4, and pixels that are higher than wide.
ASPECTS = [(64, 45), (16, 11), (8, 11)]


def squeezed(rgb, aspect):
    """A picture of square pixels, sampled anew with pixels of `aspect`."""
    height, width = rgb.shape[:2]
    wide, high = aspect
    size = (
        (round(width * high / wide / 2) * 2, height)
        if wide > high
        else (width, round(height * wide / high / 2) * 2)
    )
    return cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)


@pytest.fixture(scope="module")
def square(shared, pack_folder, tmp_path_factory):
    root = tmp_path_factory.mktemp("square")
    shown = list(pictures(shared / "footage/lp_s18.mp4", FRAMES, 4))
    return shown, Shot(root, pack_folder, write(root / "a.mp4", shown)).analysed()


@pytest.mark.parametrize("aspect", ASPECTS, ids=lambda pair: f"{pair[0]}-{pair[1]}")
def test_pose_crops_and_embeddings_are_those_of_square_pixels(
    square, pack_folder, tmp_path, aspect
):
    shown, wanted = square
    film = write(tmp_path / "b.mp4", [squeezed(rgb, aspect) for rgb in shown], aspect)
    found = Shot(tmp_path, pack_folder, film).analysed()
    own, other = found.crops, wanted.crops
    assert own["frame_index"].to_pylist() == other["frame_index"].to_pylist()
    poses = [as_numpy(table["pose_deg"], (3,)) for table in (own, other)]
    assert np.abs(poses[0] - poses[1]).mean(axis=0).max() < 1.0
    vectors = [as_numpy(t["normed_embedding"], (128,)) for t in (found.faces, wanted.faces)]
    assert (vectors[0] * vectors[1]).sum(axis=1).min() > 0.95
    meshes = [as_numpy(table["landmarks_468"], (468, 3))[..., :2] for table in (own, other)]
    # Of a crop of 256 px; the mesh itself moves by so much when a picture is sampled anew.
    assert np.linalg.norm(meshes[0] - meshes[1], axis=2).mean() < 2.5
    for one, two in zip(own["crop"].to_pylist(), other["crop"].to_pylist(), strict=True):
        assert np.abs(decode_jpeg(one).astype(int) - decode_jpeg(two)).mean() < 8
    # Tables and affine_matrix keep to the px that are stored.
    squares = Squares.of(probe(film))
    five = as_numpy(found.faces["landmarks_5"], (5, 2))
    affines = as_numpy(own["affine_matrix"], (2, 3))
    inside = as_numpy(own["landmarks_5"], (5, 2))
    for affine, before, after in zip(affines, five, inside, strict=True):
        assert alignment.apply(affine, before) == pytest.approx(after, abs=1e-2)
        similar = affine[:, :2] / np.array(squares.along)
        assert similar @ similar.T == pytest.approx(np.eye(2) * (similar @ similar.T)[0, 0])


def test_the_film_keeps_its_pixels_and_a_face_lies_where_it_was(shared, pack_folder, tmp_path):
    """Crops laid back as they are, but in grey: the face turns grey, and nothing moves."""
    aspect = (64, 45)
    shown = [squeezed(rgb, aspect) for rgb in pictures(shared / "footage/lp_s18.mp4", 4, 8)]
    film = write(tmp_path / "film.mp4", shown, aspect)
    shot = Shot(tmp_path, pack_folder, film).analysed()
    shot.path("footage.mp4").write_bytes(film.read_bytes())
    with Writer(CONVERTED, tmp_path / "converted.parquet") as writer:
        rows = shot.crops
        names = ("frame_index", "track_index", "mask", "affine_matrix")
        crops = [decode_jpeg(crop) for crop in rows["crop"].to_pylist()]
        grey = [encode_jpeg(crop.mean(axis=2, keepdims=True).repeat(3, 2).astype(np.uint8), 95)
                for crop in crops]  # fmt: skip
        writer.add({"crop": grey, **{name: rows[name] for name in names}})
        form = {name: CROPS.check(shot.path("crops.parquet"))[name]
                for name in ("size_px", "mask_size_px", "template")}  # fmt: skip
        about = dict.fromkeys(("swap", "source", "target", "model", "family"), "s")
        writer.facts.update(about, **form)
    (tmp_path / "params.yaml").write_text("blend: {colour: none, crf: 8}\n" + SWAPS)
    paths = {
        "clip": shot.path("clip.yaml"),
        "frames": shot.path("frames.parquet"),
        "converted": tmp_path / "converted.parquet",
        "render": tmp_path / "render.mp4",
        "params": tmp_path / "params.yaml",
    }
    arguments = [part for name, path in paths.items() for part in (f"--{name}", str(path))]
    blend.STAGE.execute(["--swap", "s", *arguments])
    own, kept = probe(paths["render"]), ("width_px", "height_px", "sample_aspect_ratio")
    assert {name: own[name] for name in kept} == {
        "width_px": shown[0].shape[1],
        "height_px": shown[0].shape[0],
        "sample_aspect_ratio": [64, 45],
    }
    before, after = pictures(film, 4), pictures(paths["render"], 4)
    masks = as_numpy(shot.crops["affine_matrix"], (2, 3))
    for one, two, affine in zip(before, after, masks, strict=True):
        height, width = one.shape[:2]
        inner = cv2.circle(np.zeros((256, 256), np.uint8), (128, 150), 40, 255, -1)
        face = cv2.warpAffine(inner, affine, (width, height), flags=cv2.WARP_INVERSE_MAP) > 200
        assert np.ptp(two[face].astype(int), axis=1).mean() < 6  # grey
        levels = one.mean(axis=2), two.mean(axis=2)
        assert np.abs(levels[0] - levels[1])[face].mean() < 4  # where it was


def test_square_pixels_are_left_as_they_are():
    squares = Squares.shaped(641, 359, (1, 1))
    assert squares.square
    assert squares.size == (641, 359)
    assert (squares.matrix == np.eye(2, 3)).all()
    assert Squares.shaped(640, 360, (0, 1)).square  # unknown, as some files say


@pytest.mark.parametrize("aspect", ASPECTS)
def test_the_way_to_square_pixels_and_back(aspect):
    squares = Squares.shaped(720, 576, aspect)
    points = np.random.default_rng(0).uniform(0, 700, (7, 2))
    assert squares.stored(squares.drawn(points)) == pytest.approx(points)
    assert alignment.apply(squares.matrix, points) == pytest.approx(squares.drawn(points))
    assert min(squares.along) == 1.0
    assert squares.along[0] / squares.along[1] == pytest.approx(aspect[0] / aspect[1])
    # The frame's outer edges stay its outer edges.
    assert squares.drawn(np.array([-0.5, -0.5])) == pytest.approx([-0.5, -0.5])
