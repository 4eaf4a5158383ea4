"""FSGAN's other parts: segmentation and its labels, inpainting, blending, soft erosion, Poisson."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from models.batch import as_image, as_pixels
from models.layers.mesh_topology import canonical_vertices
from models.swappers.fsgan.face_parts import BACKGROUND, HAIR, SKIN, frame, hull, pseudo_labels
from models.swappers.fsgan.inpainting import Blending, Inpainting
from models.swappers.fsgan.poisson import poisson
from models.swappers.fsgan.segmentation_unet import SegmentationUNet
from models.swappers.fsgan.soft_erosion import SoftErosion, kernel_at


def disc(size_px: int, radius_px: float, at: tuple[float, float] | None = None) -> Tensor:
    x, y = at or ((size_px - 1) / 2, (size_px - 1) / 2)
    axis = torch.arange(size_px, dtype=torch.float32)
    apart = (axis - x).square() + (axis[:, None] - y).square()
    return (apart < radius_px**2).float()[None, None]


def smooth_picture(seed: int, detail: int = 5, size_px: int = 64) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    drawn = 0.4 * torch.randn(1, 3, detail, detail, generator=random)
    large = functional.interpolate(drawn, (size_px, size_px), mode="bicubic", align_corners=True)
    return large.clamp(-0.7, 0.7)


# Networks


def test_segmentation_has_the_papers_channels() -> None:
    with torch.device("meta"):
        network = SegmentationUNet()
        logits = network(torch.zeros(2, 3, 32, 32))
    assert logits.shape == (2, 3, 32, 32)
    sizes = {
        "entry.0.weight": (64, 3, 3, 3),
        "down.0.0.weight": (128, 64, 3, 3),
        "down.3.0.weight": (1024, 512, 3, 3),
        "down.3.3.weight": (1024, 1024, 3, 3),
        "up.0.0.weight": (512, 1536, 3, 3),
        "up.3.0.weight": (64, 192, 3, 3),
        "head.weight": (3, 64, 1, 1),
    }
    assert {name: tuple(network.get_parameter(name).shape) for name in sizes} == sizes


@pytest.mark.parametrize(("width", "depth", "size_px"), [(4, 2, 24), (3, 4, 32)])
def test_segmentation_sizes_are_settings(width: int, depth: int, size_px: int) -> None:
    network = SegmentationUNet(width, depth)
    logits = network(torch.zeros(3, 3, size_px, size_px))
    assert logits.shape == (3, 3, size_px, size_px)
    logits.square().sum().backward()
    assert all(p.grad is not None for p in network.parameters())


def test_segmentation_learns_where_a_face_is() -> None:
    torch.manual_seed(0)
    network = SegmentationUNet(4, 2)
    places = [(10.0, 12.0), (20.0, 16.0), (14.0, 22.0), (18.0, 10.0)]
    wanted = torch.cat([disc(32, 7, at) for at in places])[:, 0].long()
    image = wanted[:, None].float().expand(-1, 3, -1, -1) * 0.6 - 0.2
    image = image + 0.1 * torch.randn(image.shape)
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(25):
        optimiser.zero_grad()
        functional.cross_entropy(network(image), wanted).backward()
        optimiser.step()
    assert (network(image).argmax(1) == wanted).float().mean() > 0.97


def test_painters_have_the_papers_channels() -> None:
    with torch.device("meta"):
        inpainting, blending = Inpainting(), Blending()
    for network, channels in ((inpainting, 4), (blending, 7)):
        first = network.network.stem.convolution.weight
        assert tuple(first.shape) == (128, channels, 7, 7)
        assert max(p.shape[0] for p in network.parameters()) == 1024


def test_what_lies_in_a_hole_is_not_seen() -> None:
    network, hole = Inpainting(2, (1, 1)), disc(16, 5)
    image = smooth_picture(1, size_px=16)
    covered = image + hole * 0.3
    drawn = network(image, hole)
    assert drawn.shape == image.shape
    assert drawn.abs().max() <= 1
    assert torch.equal(drawn, network(covered, hole))
    assert not torch.equal(drawn, network(image, hole * 0))
    assert network(image[..., ::2, ::2], hole[..., ::2, ::2], small=True).shape == (1, 3, 8, 8)


def test_blending_sees_the_swapped_face_inside_the_mask_alone() -> None:
    network, mask = Blending(2, (1, 1)), disc(16, 5)
    target, swapped = smooth_picture(1, size_px=16), smooth_picture(2, size_px=16)
    drawn = network(swapped, target, mask)
    assert torch.equal(drawn, network(swapped + 0.2 * (1 - mask), target, mask))
    assert not torch.equal(drawn, network(swapped + 0.2 * mask, target, mask))
    assert network(swapped, target, mask, small=True).shape == (1, 3, 16, 16)


# Soft erosion


def test_soft_erosion_shrinks_and_softens() -> None:
    mask = disc(128, 50)
    soft, inside = SoftErosion()(mask)
    assert inside.sum() < mask.sum()
    assert bool((soft[inside] == 1).all())
    line = soft[0, 0, 64, 64:]
    assert bool((line[1:] <= line[:-1] + 1e-6).all())
    steps = int(((line > 0.02) & (line < 0.98)).sum())
    assert 6 <= steps <= 16
    # At a straight edge the cone leaves half; the threshold of 0.6 lies a few px inside.
    edge = int(inside[0, 0, 64, 64:].sum())
    assert 45 <= edge <= 49


def test_soft_erosion_of_a_picture_does_not_depend_on_the_others() -> None:
    erosion = SoftErosion(9)
    mask, other = disc(48, 15), disc(48, 3)
    alone = erosion(mask)[0]
    both = erosion(torch.cat([other, mask]))[0]
    assert torch.allclose(both[1:], alone, atol=1e-6)
    assert float(both[0].max()) <= 1


def test_soft_erosion_again_and_again_shrinks_further() -> None:
    mask = disc(64, 24)
    areas = [int(SoftErosion(9, 0.6, count)(mask)[1].sum()) for count in (1, 4, 8)]
    assert areas[0] > areas[1] > areas[2] > 0


def test_soft_erosion_never_shows_the_crops_border() -> None:
    soft, inside = SoftErosion(21)(torch.ones(1, 1, 64, 64))
    assert not bool(inside[..., [0, -1], :].any() | inside[..., [0, -1]].any())
    assert float(soft[..., 32, 32]) == 1
    assert float(SoftErosion(21)(torch.zeros(1, 1, 32, 32))[0].max()) == 0


def test_the_kernel_follows_the_crops_side() -> None:
    assert [kernel_at(size) for size in (256, 128, 64, 16)] == [21, 11, 5, 3]


# Poisson


def dense(swapped: Tensor, target: Tensor, inside: Tensor) -> Tensor:
    """The same equations, solved as a full matrix: pictures (3,S,S), inside bool (S,S)."""
    side = inside.shape[-1]
    number = -torch.ones(side, side, dtype=torch.long)
    number[inside] = torch.arange(int(inside.sum()))
    matrix = torch.zeros(int(inside.sum()), int(inside.sum()), dtype=torch.float64)
    wanted = torch.zeros(int(inside.sum()), 3, dtype=torch.float64)
    for y, x in inside.nonzero().tolist():
        row = number[y, x]
        matrix[row, row] = 4
        for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            wanted[row] += (swapped[:, y, x] - swapped[:, v, u]).double()
            if inside[v, u]:
                matrix[row, number[v, u]] = -1
            else:
                wanted[row] += target[:, v, u].double()
    found = target.clone()
    found[:, inside] = torch.linalg.solve(matrix, wanted).T.float()
    return found.clamp(-1, 1)


@pytest.mark.parametrize("seed", range(3))
def test_poisson_solves_its_equations(seed: int) -> None:
    swapped, target = smooth_picture(seed, 9, 36), smooth_picture(seed + 10, 4, 36)
    random = torch.Generator().manual_seed(seed)
    ragged = functional.interpolate(torch.rand(1, 1, 7, 7, generator=random), (36, 36))
    inside = (disc(36, 15)[0, 0] * (ragged[0, 0] > 0.2)) > 0.5
    solved = poisson(swapped, target, inside[None, None].float())
    # 1/255 is 0.008 here.
    assert float((solved[0] - dense(swapped[0], target[0], inside)).abs().max()) < 2e-3
    assert torch.equal(solved[0][:, ~inside], target[0][:, ~inside])


def test_poisson_agrees_with_opencv() -> None:
    """Where the two pictures differ at the mask's edge by a tone; OpenCV lets the rest leak out."""
    target, swapped = smooth_picture(3, 4, 128), smooth_picture(3, 4, 128)
    detail = 0.25 * torch.sin(torch.arange(128) / 5.0) * disc(128, 34)
    tone = torch.tensor([0.3, -0.2, 0.1])[:, None, None]
    swapped = (swapped + functional.avg_pool2d(detail, 9, 1, 4) + tone).clamp(-1, 1)
    mask = disc(128, 45)
    ours = as_pixels(poisson(swapped, target, mask))[0].numpy().astype(int)
    stencil = (mask[0, 0].numpy() * 255).astype(np.uint8)
    pictures = [as_pixels(p)[0].numpy() for p in (swapped, target)]
    x, y, width, height = cv2.boundingRect(stencil)
    centre = (x + width // 2, y + height // 2)
    above, below = pictures
    theirs = cv2.seamlessClone(above, below, stencil, centre, cv2.NORMAL_CLONE).astype(int)
    apart = np.abs(ours - theirs)
    pasted = np.abs(pictures[0].astype(int) - theirs)[stencil > 0].mean()
    assert apart.max() <= 6
    assert apart[stencil > 0].mean() < 1.5
    assert pasted > 20


def test_poisson_brings_a_tint_back() -> None:
    target = smooth_picture(5, 6)
    tinted = target + torch.tensor([0.25, -0.2, 0.1])[:, None, None]
    assert torch.allclose(poisson(tinted, target, disc(64, 25)), target, atol=2e-3)


def test_poisson_of_a_picture_does_not_depend_on_the_others() -> None:
    target, swapped = smooth_picture(1, 8), smooth_picture(2, 8)
    masks = torch.cat([disc(64, 9, (40.0, 30.0)), disc(64, 30), torch.zeros(1, 1, 64, 64)])
    batch = poisson(swapped.expand(3, -1, -1, -1), target.expand(3, -1, -1, -1), masks)
    for row, mask in enumerate(masks):
        assert torch.allclose(batch[row], poisson(swapped, target, mask[None])[0], atol=1e-5)
    assert torch.equal(batch[2], target[0])


def test_poisson_keeps_the_crops_rim_and_full_precision() -> None:
    target, swapped = smooth_picture(1).requires_grad_(), smooth_picture(2)
    with torch.autocast("cpu", torch.bfloat16):
        solved = poisson(swapped, target, torch.ones(1, 1, 64, 64))
    assert solved.dtype == torch.float32
    assert not solved.requires_grad
    assert torch.equal(solved[..., 0, :], target[..., 0, :])
    assert bool(torch.isfinite(solved).all())


# Labels


def drawn_head(size_px: int, tilt: float = 0.0) -> tuple[dict[str, Tensor], Tensor]:
    """A face with hair above and beside it, and what its labels are."""
    vertices = canonical_vertices()
    turn = torch.tensor([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]]).float()
    points = vertices[:, :2] @ turn.T * (0.27 * size_px / 8) + size_px * 0.52
    mesh = torch.cat([points, vertices[:, 2:]], 1)[None]
    place = frame(mesh, size_px)
    face = hull(mesh, size_px)[0, 0]
    cap = (place.across[0] / 1.3).square() + ((place.up[0] - 0.1) / 1.5).square() < 1
    hair = cap & (place.up[0] > 0) & ~face
    neck = (place.across[0].abs() < 0.5) & (place.up[0] < -0.5) & ~face
    labels = torch.where(face, SKIN, torch.where(hair, HAIR, BACKGROUND))
    picture = torch.tensor([60.0, 90.0, 120.0]).expand(size_px, size_px, 3).clone()
    for part, colour in ((neck | face, (205, 150, 120)), (hair, (50, 35, 25))):
        picture[part] = torch.tensor(colour).float()
    random = torch.Generator().manual_seed(0)
    picture = (picture + 6 * torch.randn(picture.shape, generator=random)).clamp(0, 255)
    mask = face[None, None].float()
    crop = as_image(picture.byte()[None])
    return {"crop": crop, "mask": mask, "landmarks_468": mesh}, labels


@pytest.mark.parametrize("tilt", [0.0, 0.3])
@pytest.mark.parametrize("size_px", [64, 128])
def test_labels_follow_what_is_drawn(size_px: int, tilt: float) -> None:
    batch, wanted = drawn_head(size_px, tilt)
    found = pseudo_labels(batch)
    assert found.dtype == torch.int64
    for label in (BACKGROUND, SKIN, HAIR):
        both = (found[0] == label) & (wanted == label)
        either = (found[0] == label) | (wanted == label)
        assert float(both.sum() / either.sum()) > 0.85, label


def test_labels_know_what_the_person_mask_leaves_out() -> None:
    batch, wanted = drawn_head(64)
    before = pseudo_labels(batch)[0]
    batch["mask"] = batch["mask"].clone()
    batch["mask"][..., :32] = 0
    after = pseudo_labels(batch)[0]
    face = wanted == SKIN
    assert bool((after[:, :31][face[:, :31]] == BACKGROUND).all())
    assert torch.equal(after[:, 33:], before[:, 33:])


def test_a_picture_without_a_person_is_background() -> None:
    batch, _ = drawn_head(64)
    both = {
        name: column.repeat(2, 1, 1, 1)[:2] for name, column in batch.items() if column.ndim > 3
    }
    both["landmarks_468"] = batch["landmarks_468"].repeat(2, 1, 1)
    both["mask"][0] = 0
    nobody, somebody = pseudo_labels(both)
    assert set(nobody.unique().tolist()) == {BACKGROUND}
    assert torch.equal(somebody, pseudo_labels(batch)[0])


def test_labels_of_a_picture_without_colours_are_finite() -> None:
    batch, _ = drawn_head(64)
    batch["crop"] = torch.zeros_like(batch["crop"])
    found = pseudo_labels(batch)
    assert set(found.unique().tolist()) <= {BACKGROUND, SKIN, HAIR}
    assert bool((found[0] == SKIN).any())


def test_the_hull_is_the_polygon_of_the_oval() -> None:
    batch, _ = drawn_head(64, 0.2)
    oval = batch["landmarks_468"][
        0,
        [
            10,
            338,
            297,
            332,
            284,
            251,
            389,
            356,
            454,
            323,
            361,
            288,
            397,
            365,
            379,
            378,
            400,
            377,
            152,
            148,
            176,
            149,
            150,
            136,
            172,
            58,
            132,
            93,
            234,
            127,
            162,
            21,
            54,
            103,
            67,
            109,
        ],
        :2,
    ]
    drawn = np.zeros((64, 64), np.uint8)
    cv2.fillPoly(drawn, [np.round(oval.numpy() * 16).astype(np.int32)], 1, cv2.LINE_8, 4)
    ours = hull(batch["landmarks_468"], 64)[0, 0].numpy()
    assert (ours != (drawn > 0)).mean() < 0.03
