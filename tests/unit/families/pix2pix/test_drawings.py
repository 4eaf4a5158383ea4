"""Drawings of landmarks: against distances by hand, mirrored, enlarged, with eyes shut."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import Tensor

from models.layers.face_shape import flip
from models.layers.mesh_topology import canonical_vertices, mirrored
from models.swappers.pix2pix import drawings
from models.swappers.pix2pix.drawings import Drawing, draw, near, oval
from tests.synthetic_shards import drawn_mesh

KINDS = get_args(Drawing)


def meshes(size_px: int, *yaw: float) -> Tensor:
    return torch.from_numpy(drawn_mesh(torch.tensor(yaw).numpy(), size_px))


def distance(points: Tensor, begin: Tensor, end: Tensor) -> Tensor:
    """Distance of points (...,2) to one segment, in float64."""
    along = end - begin
    share = ((points - begin) @ along / along.square().sum().clamp(min=1e-18)).clamp(0, 1)
    return (points - begin - share[..., None] * along).norm(dim=-1)


@pytest.mark.parametrize("reach", [0.5, 1.5, 3.2])
def test_distances_are_those_by_hand_for_segments_of_any_kind(reach: float) -> None:
    random = torch.Generator().manual_seed(1)
    side, count = 24, 12
    ends = torch.rand(2, count, 2, generator=random, dtype=torch.float64) * 44 - 10
    ends[1, 0] = ends[0, 0]  # a point
    ends[1, 1] = ends[0, 1] + torch.tensor([7.0, 0.0])  # along a row, along a column, diagonal
    ends[1, 2] = ends[0, 2] + torch.tensor([0.0, -7.0])
    ends[1, 3] = ends[0, 3] + torch.tensor([9.0, 9.0])
    plane = torch.arange(count) % 3
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    pixels = torch.stack([columns, rows], -1).double()
    wanted = torch.full((3, side, side), reach, dtype=torch.float64)
    for begin, end, where in zip(*ends, plane.tolist(), strict=True):
        wanted[where] = torch.minimum(wanted[where], distance(pixels, begin, end))
    found = near((ends[0].float(), ends[1].float()), plane, (3, side), reach)
    assert torch.allclose(found, wanted.float(), atol=2e-5)
    assert (found < reach).any(dim=(1, 2)).all()


def test_the_68_points_are_their_own_mirror_image() -> None:
    points = torch.tensor(drawings.POINTS_68)
    assert len(points) == len(set(points.tolist())) == 68
    partner = mirrored()
    # iBUG's numbers of the other side: the jaw runs from 0 to 16, brows from 17 to 26, ...
    other = [*range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1),
             45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
             54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55,
             64, 63, 62, 61, 60, 67, 66, 65]  # fmt: skip
    assert partner[points].tolist() == points[other].tolist()
    shape = canonical_vertices()[points]
    assert shape[8, 1] == shape[:, 1].max()  # the chin is lowest
    assert (shape[36:42, 0] < 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_mirrored_face_draws_the_mirror_image(kind: Drawing) -> None:
    mesh = meshes(96, -0.8, 0.3)
    drawn = draw(mesh, 96, kind)
    assert drawn.shape == (2, 3, 96, 96)
    assert drawn.dtype == torch.float32
    assert drawn.min() == -1
    assert (drawn.amax((2, 3)) > 0.9).all()
    assert torch.allclose(draw(flip(mesh, 96), 96, kind), drawn.flip(3), atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_face_is_drawn_alike_at_every_size(kind: Drawing) -> None:
    small, large = meshes(128, 0.5), meshes(256, 0.5)
    # meshes() keeps the face's middle at the crop's, in px from the corner of the first pixel.
    scaled = torch.nn.functional.avg_pool2d(draw(large - 0.5, 256, kind), 2)
    found = draw(small - 0.5, 128, kind)
    # A line is at least a pixel wide, so that the thin ones of a mesh are wider at 128.
    mean = (found - scaled).abs().mean()
    assert mean < (0.02 if kind != "mesh" else 0.12)
    if kind == "mesh":
        assert (found - scaled)[:, 1:].abs().mean() < 0.02


@pytest.mark.parametrize("kind", KINDS)
def test_faces_do_not_depend_on_their_neighbours_or_on_type(kind: Drawing) -> None:
    mesh = meshes(64, -1.0, 0.0, 1.0)
    mesh[2] *= 1.7  # reaches beyond the picture
    together = draw(mesh, 64, kind)
    for index in range(3):
        assert torch.equal(draw(mesh[index : index + 1], 64, kind), together[index : index + 1])
    assert torch.equal(draw(mesh.double()[..., :2], 64, kind), together)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(draw(mesh, 64, kind), together)


@pytest.mark.parametrize("kind", KINDS)
def test_a_closed_eye_draws_closed_and_lips_that_touch_a_line(kind: Drawing) -> None:
    mesh = meshes(256, 0.0)
    shut = mesh.clone()
    pairs = ((33, 133), (362, 263), (78, 308))
    outlines = (*drawings.FULL_EYES, drawings.FULL_MOUTH)
    for (first, last), outline in zip(pairs, outlines, strict=True):
        corners = mesh[0, [first, last], :2]
        share = (mesh[0, list(outline), 0] - corners[0, 0]) / (corners[1, 0] - corners[0, 0])
        shut[0, list(outline), :2] = corners[0] + share[:, None] * (corners[1] - corners[0])
    for outline, channel in zip(outlines, (1, 1, 2), strict=True):
        x = round(float(mesh[0, list(outline), 0].mean()))
        rows = mesh[0, list(outline), 1]
        top, low = int(rows.min()) - 3, int(rows.max()) + 4
        opened = (draw(mesh, 256, kind)[0, channel, top:low, x] + 1) / 2
        closed = (draw(shut, 256, kind)[0, channel, top:low, x] + 1) / 2
        lit = closed > 0.2
        if channel == 1:  # one short line where there were two, or a filled eye
            assert 0 < lit.sum() <= 4
            assert (opened > 0.2).sum() > lit.sum()
        elif kind == "parsing":  # no hole in the lips any more but a line's
            assert opened.min() == 0
            assert 0.4 < closed[2:-2].min() < 0.9
        assert closed.max() > 0.4


def test_filled_parts_are_what_their_outlines_enclose() -> None:
    square = torch.tensor([[[10.0, 10.0], [30.5, 10.0], [30.5, 20.0], [10.0, 20.0]]])
    lines = drawings._lines([(0, (0, 1, 2, 3), True)])
    filled = drawings.fill(square, lines, 40)[0, 0]
    assert filled.sum() == pytest.approx(20.5 * 10, rel=0.01)
    assert filled[15, 20] == 1
    assert filled[15, 31] == 0
    assert filled[10, 20] == pytest.approx(0.5)
    hole = torch.cat([square, square * 0.5 + square.mean(1, keepdim=True) * 0.5], 1)
    lines = drawings._lines([(0, (0, 1, 2, 3), True), (0, (4, 5, 6, 7), True)])
    assert drawings.fill(hole, lines, 40)[0, 0, 15, 20] == 0


def test_the_oval_holds_the_face_and_nothing_far_from_it() -> None:
    mesh = meshes(128, 0.0)
    mask = oval(mesh, 128)
    inner = mesh[0, [1, 33, 263, 61, 291, 13]].round().long()
    assert mask.shape == (1, 1, 128, 128)
    assert (mask[0, 0, inner[:, 1], inner[:, 0]] == 1).all()
    assert mask[0, 0, :8].max() == 0


def test_a_mesh_that_is_no_number_or_far_away_draws_nothing_and_takes_no_time() -> None:
    mesh = meshes(64, 0.0, 0.0, 0.0)
    mesh[0] = torch.nan
    mesh[1] += 1e9
    for kind in KINDS:
        drawn = draw(mesh, 64, kind)
        assert (drawn[:2] == -1).all()
        assert drawn[2].max() > 0.9
