"""Mesh transfer: what is carried where, which views are taken, and what stays the target's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import Delaunay
from torch import Tensor

from likeness.contracts.errors import ModelError
from models.batch import Batch
from models.layers import appearance_map, mesh_topology
from models.layers.face_shape import describe, fit_pose, flip, open_eyes
from models.layers.gaussian_blur import blur, masked_blur
from models.layers.oklab import to_oklab, to_rgb
from models.layers.triangles import rasterise
from models.layers.uv_texture import EYE_EDGES, MOUTH_EDGE
from models.layers.view_bank import nearest_weights
from models.swappers.mesh_transfer.config import MeshTransferConfig
from models.swappers.mesh_transfer.swapper import MeshTransfer

SIDE = 128


def turned(
    yaw: float = 0.0, pitch: float = 0.0, scale: float = 5.0, open_cm: float = 0.6
) -> Tensor:
    """Mesh (468,3) of the canonical face, turned by degrees, eyes and mouth ajar, in px."""
    shape = mesh_topology.canonical_vertices()
    for upper, lower in ((159, 145), (386, 374), (13, 14)):
        middle = (shape[upper, 1] + shape[lower, 1]) / 2
        shape[upper, 1], shape[lower, 1] = middle - open_cm / 2, middle + open_cm / 2
    a, b = np.radians([yaw, -pitch])
    about_y = [[np.cos(a), 0, -np.sin(a)], [0, 1, 0], [np.sin(a), 0, np.cos(a)]]
    about_x = [[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]]
    rotation = torch.tensor(np.array(about_y) @ np.array(about_x), dtype=torch.float32)
    return scale * shape @ rotation.T + torch.tensor([SIDE / 2 - 0.5, SIDE / 2 - 0.5, 0.0])


def skin_picture(seed: int, hue: tuple[float, float, float] = (0.5, 0.2, 0.1)) -> Tensor:
    """(3,S,S) in [-1,1]: smooth patches of one colour, as alike in lightness as skin is."""
    noise = torch.randn(1, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))
    patches = blur(noise, 3.0)[0]
    return (torch.tensor(hue)[:, None, None] + 0.08 * patches / patches.std()).clamp(-1, 1)


def coloured_picture(seed: int) -> Tensor:
    """Like `skin_picture`, with patches of colour that lightness does not explain."""
    noise = blur(torch.randn(1, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(seed)), 5.0)
    red = torch.tensor([0.15, -0.05, 0.0])[:, None, None] * (noise / noise.std())[0]
    return (skin_picture(seed) + red).clamp(-1, 1)


@dataclass
class Drawn:
    """Crops made in memory; `rows` are the columns of a batch."""

    identity: str
    rows: Batch

    def __len__(self) -> int:
        return len(self.rows["crop"])

    def batches(self, size: int) -> Iterator[Batch]:
        for first in range(0, len(self), size):
            yield {name: column[first : first + size] for name, column in self.rows.items()}


def drawn(identity: str, pictures: list[Tensor], meshes: list[Tensor], **columns: Any) -> Drawn:
    count = len(pictures)
    rows = {
        "crop": torch.stack(pictures) if pictures else torch.zeros(0, 3, SIDE, SIDE),
        "landmarks_468": torch.stack(meshes) if meshes else torch.zeros(0, 468, 3),
        "mask": torch.ones(count, 1, SIDE, SIDE),
        "similarity": torch.full((count,), 0.9),
        "sharpness": torch.full((count,), 100.0),
        "mesh_error": torch.full((count,), 0.03),
    }
    return Drawn(identity, rows | {name: torch.tensor(v) for name, v in columns.items()})


def made(source: Drawn, target: Drawn, **settings_given: Any) -> MeshTransfer:
    plain = {"size_px": SIDE, "shape": 0.0, "light": 0.0, "mirror": False, "blend": 1}
    swapper = MeshTransfer(MeshTransferConfig(**(plain | settings_given))).eval()
    swapper.prepare(source, target)
    return swapper


def pixels_of(mesh: Tensor, *groups: tuple[int, ...]) -> Tensor:
    """bool (S,S): well inside the polygons that the groups' points span."""
    share = torch.zeros(1, 468, 1)
    share[0, [index for group in groups for index in group]] = 1.0
    raster = rasterise(mesh[None], mesh_topology.triangles(), SIDE)
    return raster.picture(raster.interpolate(share))[0, ..., 0] > 0.999


def covered(mesh: Tensor) -> Tensor:
    raster = rasterise(mesh[None], mesh_topology.triangles(), SIDE)
    return raster.picture(torch.ones(len(raster.pixel), 1))[0, ..., 0] > 0


# Geometry


def test_topology_is_one_symmetrical_sheet() -> None:
    triangles, mirror = mesh_topology.triangles(), mesh_topology.mirrored()
    assert triangles.shape == (898, 3)
    assert sorted(set(triangles.flatten().tolist())) == list(range(468))
    assert torch.equal(mirror[mirror], torch.arange(468))
    assert len(set(mesh_topology.outline().tolist())) == 36


@settings(max_examples=15, deadline=None)
@given(angle=st.floats(-3, 3), scale=st.floats(0.6, 1.4), shift=st.floats(-9, 9))
def test_triangles_carry_an_affine_map_exactly(angle: float, scale: float, shift: float) -> None:
    """Points carried from a mesh to its affine image are the affine map's own."""
    mesh = turned(10)
    turn = torch.tensor([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * scale
    image = mesh[:, :2] @ turn.float().T + shift
    raster = rasterise(mesh[None], mesh_topology.triangles(), SIDE)
    carried = raster.interpolate(image[None])
    here = torch.stack([raster.pixel % SIDE, raster.pixel // SIDE], 1).float()
    assert (carried - (here @ turn.float().T + shift)).abs().max() < 0.02


def test_the_nearest_triangle_wins_and_the_back_is_left_out() -> None:
    corners = torch.tensor([[2.0, 2, 0], [2, 30, 0], [30, 2, 0]])
    near, far = corners - torch.tensor([0, 0, 5.0]), corners + torch.tensor([0, 0, 5.0])
    both = torch.cat([far, near])[None]
    order = torch.tensor([[0, 1, 2], [3, 4, 5]])
    for triangles in (order, order.flip(0)):
        raster = rasterise(both, triangles, 32)
        assert len(raster.pixel) > 300
        assert (raster.corners >= 3).all()
    assert len(rasterise(both, order.flip(1), 32).pixel) == 0


def test_far_side_of_a_turned_head_is_not_drawn() -> None:
    """At 60 degrees the nose hides the far cheek: what is drawn is what is nearest."""
    mesh = turned(60)[None]
    raster = rasterise(mesh, mesh_topology.triangles(), SIDE)
    depth = raster.interpolate(mesh[..., 2:])[:, 0]
    triangles = mesh[0][mesh_topology.triangles()]
    for index in range(0, len(raster.pixel), 97):
        x, y = int(raster.pixel[index] % SIDE), int(raster.pixel[index] // SIDE)
        matrix = torch.cat([triangles[..., :2], torch.ones(898, 3, 1)], 2).transpose(1, 2)
        weights = torch.linalg.solve(matrix, torch.tensor([x, y, 1.0]).expand(898, 3)[..., None])
        hit = (weights[..., 0] > 1e-3).all(1)
        if hit.any():
            depths = (weights[..., 0] * triangles[..., 2]).sum(1)[hit]
            assert depth[index] <= depths.min() + 0.05


@pytest.mark.parametrize(("yaw", "pitch"), [(0, 0), (35, 0), (-20, 15), (5, -25)])
def test_pose_is_found_and_mirrors(yaw: float, pitch: float) -> None:
    mesh = turned(yaw, pitch)[None]
    angles = fit_pose(mesh).angles_deg()[0]
    assert torch.allclose(angles[:2], torch.tensor([float(yaw), float(pitch)]), atol=1.0)
    opposite = fit_pose(flip(mesh, SIDE)).angles_deg()[0]
    assert torch.allclose(opposite, angles * torch.tensor([-1.0, 1, -1]), atol=1e-2)
    pose = fit_pose(mesh)
    assert torch.allclose(pose.place(pose.unplace(mesh)), mesh, atol=1e-2)


# Choice of views


@settings(max_examples=30, deadline=None)
@given(
    distance=st.lists(st.floats(0, 50), min_size=1, max_size=12),
    count=st.integers(1, 4),
    nudge=st.floats(-1e-3, 1e-3),
)
def test_weights_change_smoothly(distance: list[float], count: int, nudge: float) -> None:
    before = torch.tensor(distance, dtype=torch.float64)
    weights = nearest_weights(before, count)
    assert weights.sum() == pytest.approx(1.0)
    assert int((weights > 0).sum()) <= count
    assert (weights >= 0).all()
    if len(distance) > count and before.sort().values[count] > 1 + before.min():
        after = before.clone()
        after[0] = (after[0] + nudge).clamp(min=0)
        assert (nearest_weights(after, count) - weights).abs().max() < 0.05


def test_delaunay_agrees_with_scipy() -> None:
    points = torch.tensor(np.random.default_rng(3).uniform(-60, 60, (20, 2)), dtype=torch.float32)
    ours = {tuple(sorted(t)) for t in appearance_map.delaunay(points).tolist()}
    theirs = {tuple(sorted(map(int, t))) for t in Delaunay(points.numpy()).simplices}
    assert ours == theirs


def test_barycentric_weights_give_the_pose_back() -> None:
    nodes = torch.tensor([[-30.0, -20], [30, -20], [0, 30], [2, 1]])
    points = appearance_map.with_corners(nodes)
    triangles = appearance_map.delaunay(points)
    places = torch.tensor([[1.0, 2], [-5, -5], [10, -10], [70, 70], [-200, 0]])
    weights = appearance_map.barycentric(points, triangles, places)
    assert torch.allclose(weights.sum(1), torch.ones(5), atol=1e-5)
    assert ((weights > 1e-6).sum(1) <= 3).all()
    assert torch.allclose(weights[:3] @ nodes, places[:3], atol=1e-3)


def test_clean_crops_alone_become_views() -> None:
    """A hand over the face, a bad mesh, a stranger and a blurred crop are no views."""
    poses = [-12.0, -8, -4, 0, 4, 8, 12, 2]
    face = skin_picture(1)
    pictures = [face.clone() for _ in poses]
    pictures[1][:, 60:100, 40:80] = -0.6
    pictures[1][:, 60:100, 44:80:6] = 0.6
    source = drawn(
        "ann",
        pictures,
        [turned() for _ in poses],
        mesh_error=[0.03, 0.03, 0.5, 0.03, 0.03, 0.03, 0.03, 0.03],
        similarity=[0.9, 0.9, 0.9, 0.2, 0.9, 0.9, 0.9, 0.9],
        sharpness=[100.0, 100, 100, 100, 10, 100, 100, 100],
    )
    meshes = torch.stack([turned(yaw) for yaw in poses])
    source.rows["landmarks_468"] = meshes
    # The faces move with the meshes, so that only the hand differs.
    for index, yaw in enumerate(poses):
        if index != 1:
            source.rows["crop"][index] = carried(face, turned(), turned(yaw))
    swapper = made(source, drawn("ben", [skin_picture(2)], [turned()]))
    kept = {round(float(a)) for a in fit_pose(swapper.bank.points[:, :468]).angles_deg()[:, 0]}
    assert kept == {-12, 8, 12, 2}


def carried(picture: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """The picture with the face of mesh `start` drawn as mesh `end`."""
    raster = rasterise(end[None], mesh_topology.triangles(), SIDE)
    grid = raster.picture(raster.interpolate(start[None, :, :2]))
    grid = (grid + 0.5) * 2 / SIDE - 1
    moved = torch.nn.functional.grid_sample(picture[None], grid, align_corners=False)[0]
    return torch.where(covered(end), moved, picture)


def test_expression_chooses_between_views_of_one_pose() -> None:
    """Of two views that differ by the mouth alone, an open mouth takes the open one."""
    shut, wide = skin_picture(1, (0.5, 0.3, 0.2)), skin_picture(1, (0.1, -0.1, -0.2))
    source = drawn("ann", [shut, wide], [turned(open_cm=0.3), turned(open_cm=1.6)])
    swapper = made(source, drawn("ben", [skin_picture(2)], [turned()]))
    opened = open_eyes(turned()[None])
    for mouth, view in ((0.3, 0), (1.6, 1)):
        features = describe(turned(open_cm=mouth)[None], opened).features
        lower = swapper.bank.weights(features)[0, 1]
        assert int(lower.argmax()) == view
        assert lower[view] == pytest.approx(1.0)


# Swapping


def test_same_mesh_gives_the_sources_pixels() -> None:
    source, target = coloured_picture(1), skin_picture(2)
    mesh = turned()
    swapper = made(drawn("ann", [source], [mesh]), drawn("ben", [target], [mesh]), eyes="source")
    image, mask = swapper.swap(drawn("ben", [target], [mesh]).rows)
    inside = covered(mesh) & ~pixels_of(mesh, MOUTH_EDGE)
    inside = -torch.nn.functional.max_pool2d(-inside[None].float(), 13, 1, 6)[0] > 0
    assert inside.sum() > 2000
    assert (image[0] - source)[:, inside].abs().max() < 0.03
    assert mask[0, 0][inside].min() > 0.9
    outside = mask[0, 0] == 0
    assert torch.equal(image[0][:, outside & ~covered(mesh)], target[:, outside & ~covered(mesh)])


def test_eyes_and_the_inside_of_the_mouth_stay_the_targets() -> None:
    mesh = turned(open_cm=1.2)
    source, target = skin_picture(1), skin_picture(2, (-0.1, 0.1, 0.3))
    batch = drawn("ben", [target], [mesh])
    eyeballs, inside = pixels_of(mesh, EYE_EDGES), pixels_of(mesh, MOUTH_EDGE)
    assert min(eyeballs.sum(), inside.sum()) > 15
    for owner in ("target", "source"):
        swapper = made(drawn("ann", [source], [mesh]), batch, eyes=owner)
        image = swapper.swap(batch.rows)[0][0]
        assert (image - target)[:, inside].abs().max() < 0.02
        kept = (image - target)[:, eyeballs].abs().max() < 0.02
        assert bool(kept) == (owner == "target")


def test_a_source_without_colour_takes_the_targets() -> None:
    mesh = turned()
    grey = skin_picture(1, (0.2, 0.2, 0.2))
    target = drawn("ben", [skin_picture(2, (0.6, 0.1, -0.1))], [mesh])
    swapper = made(drawn("ann", [grey], [mesh]), target)
    assert bool(swapper.bank.grey)
    image = to_oklab(swapper.swap(target.rows)[0])[0]
    wanted = to_oklab(target.rows["crop"])[0]
    inside = covered(mesh)
    assert (image[1:, inside].mean(1) - wanted[1:, inside].mean(1)).abs().max() < 0.02
    # Detail of lightness is the source's: in the middle of a cheek it follows the grey picture.
    cheek = pixels_of(mesh, (50, 101, 118, 117, 123, 147, 187, 205, 36))
    lightness = torch.stack([image[0], to_oklab(grey[None])[0, 0]])[:, cheek]
    assert torch.corrcoef(lightness)[0, 1] > 0.95


def test_a_source_in_colour_is_known_as_such() -> None:
    mesh = turned()
    coloured = coloured_picture(1)
    swapper = made(drawn("ann", [coloured], [mesh]), drawn("ben", [coloured], [mesh]))
    assert not bool(swapper.bank.grey)


def test_light_of_the_target_is_taken() -> None:
    mesh = turned()
    target = skin_picture(2) - 0.5
    batch = drawn("ben", [target], [mesh])
    inside = covered(mesh)
    lit = []
    for light in (0.0, 1.0):
        swapper = made(drawn("ann", [skin_picture(1)], [mesh]), batch, light=light)
        lit.append(to_oklab(swapper.swap(batch.rows)[0])[0, 0, inside].mean())
    wanted = to_oklab(batch.rows["crop"])[0, 0, inside].mean()
    assert abs(lit[1] - wanted) < 0.02 < abs(lit[0] - wanted)


def test_shape_moves_the_inner_face_and_not_its_edge() -> None:
    wide = turned()
    wide[[61, 291], 0] += torch.tensor([-4.0, 4.0])
    source = drawn("ann", [skin_picture(1)], [wide])
    target = drawn("ben", [skin_picture(2)], [turned()])
    swapper = made(source, target, shape=1.0)
    offset = swapper.shape_offset * swapper.sheet.inner[:468, None]
    assert offset[291, 0] > 0.4
    assert offset[61, 0] == pytest.approx(-float(offset[291, 0]), abs=1e-4)
    assert offset[mesh_topology.outline()].abs().max() == 0


@pytest.mark.parametrize("views", ["nearest", "appearance_map"])
def test_every_pose_gives_a_picture(views: str) -> None:
    """Poses beyond all views, odd batches, and one crop alone: finite, and each by itself."""
    face = skin_picture(1)
    yaws = [-25.0, -10, 0, 10, 25]
    meshes = [turned(yaw) for yaw in yaws]
    pictures = [carried(face, turned(), mesh) for mesh in meshes]
    poses = [turned(yaw, pitch) for yaw in (-70.0, -20, 5, 70) for pitch in (-30.0, 0, 30)][:11]
    target = drawn("ben", [skin_picture(n) for n in range(11)], poses)
    swapper = made(drawn("ann", pictures, meshes), target, views=views, mirror=True, blend=2)
    image, mask = swapper.swap(target.rows)
    assert image.shape == (11, 3, SIDE, SIDE)
    assert image.isfinite().all()
    assert image.abs().max() <= 1
    assert (mask.amax((1, 2, 3)) > 0.9).all()
    for index in (0, 10):
        alone = {name: column[index : index + 1] for name, column in target.rows.items()}
        assert (swapper.swap(alone)[0] - image[index : index + 1]).abs().max() < 1e-3


def test_errors_say_what_to_do() -> None:
    target = drawn("ben", [skin_picture(2)], [turned()])
    with pytest.raises(ModelError, match="no views"):
        MeshTransfer(MeshTransferConfig(size_px=SIDE)).swap(target.rows)
    stranger = drawn("ann", [skin_picture(1)], [turned()], similarity=[0.1])
    with pytest.raises(ModelError, match="`min_similarity`"):
        made(stranger, target)
    with pytest.raises(ModelError, match="no crops"):
        made(drawn("ann", [], []), target)
    with pytest.raises(ModelError, match="no crops"):
        made(drawn("ann", [skin_picture(1)], [turned()]), drawn("ben", [], []))


# Pixels


def test_oklab_there_and_back() -> None:
    picture = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert (to_rgb(to_oklab(picture)) - picture).abs().max() < 1e-3
    white = to_oklab(torch.ones(1, 3, 1, 1))
    assert torch.allclose(white.flatten(), torch.tensor([1.0, 0, 0]), atol=1e-3)


@pytest.mark.parametrize("sigma", [0.5, 2.0, 7.0, 20.0])
def test_blur_has_the_width_it_is_asked_for(sigma: float) -> None:
    point = torch.zeros(1, 1, 128, 128)
    point[0, 0, 60:68, 60:68] = 1 / 64
    spread = blur(point, sigma)[0, 0]
    assert spread.sum() == pytest.approx(1.0, abs=0.06)
    way = torch.arange(128) - 63.5
    variance = float((spread.sum(0) * way.square()).sum() / spread.sum()) - 63 / 12
    assert variance**0.5 == pytest.approx(sigma, rel=0.15, abs=0.1)
    flat = masked_blur(torch.full((1, 1, 64, 64), 0.3), torch.ones(1, 1, 64, 64), sigma)
    assert torch.allclose(flat, torch.tensor(0.3), atol=1e-4)
