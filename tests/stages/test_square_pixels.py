"""Non-square pixels from footage to film: the same geometry as square ones, the shape kept."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from likeness.contracts.tables.base import as_numpy
from likeness.media.images import decode_jpeg
from likeness.media.probe import probe
from likeness.vision import alignment
from likeness.vision.squares import Squares
from tests.shots import Shot, pictures, write

FRAMES = 10
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
