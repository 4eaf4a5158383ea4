"""The mesh's topology, rigid fits, expression, and head pose."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likeness.vision import mesh, pose
from models.analysers.pack import load_pack

SIZE = (640, 360)


@pytest.fixture(scope="module")
def canonical(pack_folder):
    return load_pack(pack_folder).canonical_mesh()


@pytest.fixture(scope="module")
def vertices(canonical):
    return canonical[0].astype(np.float64)


def test_outlines_are_where_their_names_say(canonical):
    vertices, triangles = canonical
    assert vertices.shape == (mesh.POINTS, 3)
    assert triangles.min() == 0
    assert triangles.max() == mesh.POINTS - 1
    centre = {name: vertices[list(getattr(mesh, name))].mean(axis=0) for name in OUTLINES}
    assert centre["IMAGE_LEFT_EYE"][0] < 0 < centre["IMAGE_RIGHT_EYE"][0]
    assert centre["IMAGE_LEFT_BROW"][1] > centre["IMAGE_LEFT_EYE"][1]
    assert centre["LIPS_OUTER"][1] < centre["IMAGE_LEFT_EYE"][1]
    for name in OUTLINES:
        assert len(set(getattr(mesh, name))) == len(getattr(mesh, name))


OUTLINES = (
    "IMAGE_LEFT_EYE",
    "IMAGE_RIGHT_EYE",
    "IMAGE_LEFT_BROW",
    "IMAGE_RIGHT_BROW",
    "LIPS_OUTER",
    "LIPS_INNER",
    "FACE_OVAL",
    "RIGID",
)


@pytest.mark.parametrize(
    "name", ["IMAGE_LEFT_EYE", "IMAGE_RIGHT_EYE", "LIPS_OUTER", "LIPS_INNER", "FACE_OVAL"]
)
def test_closed_outlines_follow_edges_of_the_mesh(canonical, name):
    _, triangles = canonical
    edges = {frozenset(p) for t in triangles.tolist() for p in zip(t, t[1:] + t[:1], strict=True)}
    outline = getattr(mesh, name)
    around = zip(outline, outline[1:] + outline[:1], strict=True)
    assert sum(frozenset(pair) in edges for pair in around) >= len(outline) - 2


def test_rigid_vertices_are_as_many_on_either_side(vertices):
    x = vertices[list(mesh.RIGID), 0]
    assert (x > 0.01).sum() == (x < -0.01).sum()


def test_five_points_of_the_mesh_are_in_the_order_of_landmarks_5(vertices):
    five = mesh.mesh_to_five(vertices * [1, -1, 1])  # image: y down
    assert five.shape == (5, 2)
    assert five[0, 0] < five[2, 0] < five[1, 0]
    assert five[3, 0] < five[4, 0]
    assert five[:2, 1].max() < five[2, 1] < five[3:, 1].min()
    assert mesh.mesh_to_five(np.stack([vertices, vertices])).shape == (2, 5, 2)


def test_mesh_error_counts_eye_distances(vertices):
    image = vertices * [1, -1, 1]
    five = mesh.mesh_to_five(image)
    assert mesh.mesh_error(image, five, 10.0) == 0
    assert mesh.mesh_error(image, five + np.array([3, 4]), 10.0) == pytest.approx(0.5)


ROTATIONS = st.tuples(st.floats(-85, 85), st.floats(-60, 60), st.floats(-170, 170))


@given(ROTATIONS)
def test_rotation_and_pose_are_one_thing(angles):
    rotation = pose.rotation_from_pose(angles)
    assert np.linalg.det(rotation) == pytest.approx(1)
    assert pose.pose_from_rotation(rotation) == pytest.approx(np.array(angles), abs=1e-6)


@given(ROTATIONS, st.floats(-12, 12), st.floats(-7, 7), st.floats(30, 200))
@settings(deadline=None)
def test_pose_of_a_projected_face_is_recovered(vertices, angles, x, y, z):
    place = np.array([x * z / 30, y * z / 30, z])
    image = pose.project(vertices, angles, place, SIZE)
    assert pose.pose_from_mesh(image, SIZE, vertices) == pytest.approx(np.array(angles), abs=1.0)


def test_pose_of_a_small_face_in_a_large_frame(vertices):
    rng = np.random.default_rng(2)
    for place in ([200, 100, 1500.0], [-600, 300, 3000.0]):
        image = pose.project(vertices, (-30, 10, 20), np.array(place), (3840, 2160))
        assert np.ptp(image[:, 0]) < 50
        image += rng.normal(0, 0.1, image.shape)
        found = pose.pose_from_mesh(image, (3840, 2160), vertices)
        assert found == pytest.approx([-30, 10, 20], abs=2.0)


def test_pose_is_a_number_whatever_the_mesh(vertices):
    rng = np.random.default_rng(4)
    for spread in (0.0, 1e-3, 0.3, 5.0, 500.0):
        for _ in range(20):
            mesh_px = rng.normal(rng.uniform(-100, 700), spread, (mesh.POINTS, 3))
            assert np.isfinite(pose.pose_from_mesh(mesh_px, SIZE, vertices)).all()


def test_pose_survives_noise_and_an_open_mouth(vertices):
    rng = np.random.default_rng(5)
    image = pose.project(vertices, (25, -10, 5), np.array([0, 0, 60.0]), SIZE)
    image += rng.normal(0, 0.5, image.shape)
    jaw = vertices[:, 1] < vertices[mesh.LIPS_INNER[5], 1]
    image[jaw] += [0, 12]
    assert pose.pose_from_mesh(image, SIZE, vertices) == pytest.approx([25, -10, 5], abs=2.0)


@pytest.mark.parametrize(
    ("angles", "axis", "sign"), [((30, 0, 0), 0, 1), ((0, 30, 0), 1, -1), ((-30, 0, 0), 0, -1)]
)
def test_signs_of_yaw_and_pitch(vertices, angles, axis, sign):
    """Yaw > 0 moves the nose to the image's right of the eyes' middle; pitch > 0 moves it up."""
    place = np.array([0, 0, 80.0])
    straight = mesh.mesh_to_five(pose.project(vertices, (0, 0, 0), place, SIZE))
    turned = mesh.mesh_to_five(pose.project(vertices, angles, place, SIZE))
    nose = [five[2] - five[:2].mean(axis=0) for five in (straight, turned)]
    assert np.sign(nose[1][axis] - nose[0][axis]) == sign


def test_roll_is_clockwise(vertices):
    five = mesh.mesh_to_five(pose.project(vertices, (0, 0, 20), np.array([0, 0, 80.0]), SIZE))
    assert five[1, 1] > five[0, 1]  # the image-right eye is lower
    slope = np.degrees(np.arctan2(*(five[1] - five[0])[::-1]))
    assert slope == pytest.approx(20, abs=1)


def test_pose_of_a_mirrored_face_is_mirrored(vertices):
    image = pose.project(vertices, (20, 10, -15), np.array([3, 1, 50.0]), SIZE)
    swapped = image[mirror_of(vertices)] * [-1, 1] + [SIZE[0] - 1, 0]
    found = pose.pose_from_mesh(swapped, SIZE, vertices)
    assert found == pytest.approx([-20, 10, 15], abs=1)


def mirror_of(vertices):
    """Number of each vertex's partner on the other half."""
    distance = np.linalg.norm(vertices[:, None] * [-1, 1, 1] - vertices[None], axis=2)
    return distance.argmin(axis=1)


@given(ROTATIONS, st.floats(0.1, 10), st.integers(0, 2**31))
def test_fit_similarity_recovers_it(angles, factor, seed):
    points = np.random.default_rng(seed).normal(size=(12, 3))
    rotation, offset = pose.rotation_from_pose(angles), np.array([1.0, -2.0, 3.0])
    size, found, shift = mesh.fit_similarity(points, factor * points @ rotation.T + offset)
    assert size == pytest.approx(factor)
    assert found == pytest.approx(rotation, abs=1e-6)
    assert shift == pytest.approx(offset, abs=1e-5)


def test_expression_ignores_pose_place_and_size(vertices):
    rng = np.random.default_rng(1)
    poses = rng.uniform(-30, 30, (20, 3))
    still = np.stack([
        rng.uniform(5, 15) * vertices @ pose.rotation_from_pose(p).T + rng.normal(size=3) * 20
        for p in poses
    ])  # fmt: skip
    assert np.abs(mesh.expression(still)).max() < 1e-6
    lips = vertices.copy()
    lips[list(mesh.LIPS_INNER)] += [0, -1, 0]
    moved = mesh.expression(np.concatenate([still, (lips * 9 + 4)[None]]))
    amount = np.linalg.norm(moved, axis=2).mean(axis=1)
    assert amount[-1] > 5 * amount[:-1].max()
    assert mesh.expression(np.zeros((0, mesh.POINTS, 3))).shape == (0, mesh.POINTS, 3)
