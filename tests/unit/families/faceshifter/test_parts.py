"""Networks and losses of FaceShifter, one by one."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from models.layers.attribute_figure import attribute_figure
from models.layers.norm import instance_norm
from models.swappers.faceshifter import losses
from models.swappers.faceshifter.aad import AAD, AADGenerator
from models.swappers.faceshifter.aei import AEINet
from models.swappers.faceshifter.attributes import AttributeEncoder, natural_depth
from models.swappers.faceshifter.gaze import LOWER, UPPER, gaze_distance, openings
from models.swappers.faceshifter.hearnet import HearNet
from models.swappers.faceshifter.injection import InjectionGenerator
from models.swappers.faceshifter.occluders import occlude, outlines

MAPS = [1024, 2048, 1024, 512, 256, 128, 64, 64]
DOWN = [3, 32, 64, 128, 256, 512, 1024, 1024]
BLOCKS = [1024, 1024, 1024, 1024, 512, 256, 128, 64, 3]


def count(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.fixture(scope="module")
def paper() -> AEINet:
    with torch.device("meta"):
        return AEINet(256, 128)


def test_attribute_encoder_has_the_published_channels(paper: AEINet) -> None:
    encoder = paper.encoder
    assert encoder.channels == MAPS
    down = [layer[0] for layer in encoder.net.down]  # type: ignore[index]
    assert [c.out_channels for c in down] == DOWN[1:]
    way_down = sum(16 * a * b + 2 * b for a, b in pairwise(DOWN))
    # Each map but the first is half from below, half from the way down.
    way_up = sum(8 * below * above + above for below, above in pairwise(MAPS[:-1]))
    assert count(encoder) == way_down + way_up


def test_generator_has_the_published_channels(paper: AEINet) -> None:
    generator = paper.generator
    assert generator.channels == BLOCKS
    expected = 128 * 1024 * 2 * 2 + 3  # the first 2x2 px, and the last convolution's bias
    for (wide, out), given in zip(pairwise(BLOCKS), MAPS, strict=True):
        layers = 3 if wide != out else 2
        expected += layers * (2 * wide * (given + 1) + 2 * wide * (128 + 1) + wide + 1)
        expected += 9 * wide * wide + 9 * wide * out * (2 if wide != out else 1)
    assert count(generator) == expected


def test_hearnet_and_simswap_have_the_published_channels() -> None:
    with torch.device("meta"):
        hear, simswap = HearNet(), InjectionGenerator(512)
    assert [layer[0].out_channels for layer in hear.net.down] == [32, 64, 128, 256, 512]  # type: ignore[index]
    assert hear.net.down[0][0].in_channels == 6  # type: ignore[index]
    assert [layer[0].out_channels for layer in simswap.encoder] == [64, 128, 256, 512]  # type: ignore[index]
    assert len(simswap.blocks) == 9


@pytest.mark.parametrize(("side", "depth"), [(256, 7), (128, 6), (96, 5), (64, 5), (80, 4)])
def test_depth_follows_the_side(side: int, depth: int) -> None:
    assert natural_depth(side) == depth


@pytest.mark.parametrize(("side", "depth"), [(64, None), (64, 3), (96, None)])
@torch.no_grad()
def test_maps_double_up_to_the_crop(side: int, depth: int | None) -> None:
    net = AEINet(side, 8, width=0.02, depth=depth)
    picture, maps = net(torch.zeros(2, 3, side, side), torch.ones(2, 8))
    halvings = depth or natural_depth(side)
    assert [m.shape[-1] for m in maps] == [side >> k for k in range(halvings, -1, -1)]
    assert [m.shape[1] for m in maps] == net.encoder.channels
    assert picture.shape == (2, 3, side, side)


@pytest.mark.parametrize(("half", "near"), [(False, 1e-4), (True, 0.02)])
def test_instance_norm_is_the_same_with_and_without_gradients(half: bool, near: float) -> None:
    hidden = torch.randn(2, 6, 8, 8, generator=torch.Generator().manual_seed(0)) * 3 + 5
    hidden = hidden.to(torch.bfloat16 if half else torch.float32)
    hidden = hidden.contiguous(memory_format=torch.channels_last)
    wanted = instance_norm(hidden)
    with torch.no_grad():
        found = instance_norm(hidden)
    assert found.dtype == wanted.dtype == hidden.dtype
    assert torch.allclose(found.float(), wanted.float(), atol=near)
    assert float(wanted.float().mean((2, 3)).abs().max()) < near
    assert torch.allclose(found.float().var((2, 3), correction=0), torch.ones(2, 6), atol=near)


@pytest.mark.parametrize("mask", [0.0, 1.0])
@torch.no_grad()
def test_a_forced_mask_leaves_one_path(mask: float) -> None:
    torch.manual_seed(0)
    layer = AAD(6, 4, 5)
    layer.mask.weight.zero_()
    layer.mask.bias.fill_(200 if mask else -200)
    hidden, attributes = torch.randn(2, 6, 8, 8), torch.randn(2, 4, 8, 8)
    identity, masks = torch.randn(2, 5), list[Tensor]()
    drawn = layer(hidden, attributes, identity, masks)
    normed = functional.instance_norm(hidden)
    if mask:
        scale, shift = layer.identity(identity)[:, :, None, None].chunk(2, 1)
    else:
        scale, shift = layer.attributes(attributes).chunk(2, 1)
    assert torch.allclose(drawn, scale * normed + shift, atol=1e-5)
    assert torch.equal(masks[0], torch.full((2, 1, 8, 8), mask))
    # The other path's input has no say.
    other = (attributes + 1, identity) if mask else (attributes, identity + 1)
    assert torch.allclose(layer(hidden, *other, masks), drawn, atol=1e-5)


@torch.no_grad()
def test_generator_collects_the_masks_of_every_block() -> None:
    encoder = AttributeEncoder(4, 0.02)
    generator = AADGenerator(encoder.channels, 2, 8, 0.02)
    masks: list[list[Tensor]] = []
    generator(encoder(torch.randn(3, 3, 32, 32)), torch.randn(3, 8), masks)
    assert [block[0].shape for block in masks] == [(3, 1, s, s) for s in (2, 4, 8, 16, 32)]
    assert [len(block) for block in masks] == [len(block.aad) for block in generator.blocks]  # type: ignore[arg-type]
    assert all(m.min() >= 0 and m.max() <= 1 for block in masks for m in block)


def test_losses_have_known_values() -> None:
    one = functional.normalize(torch.ones(2, 4))
    assert losses.identity_distance(one, one) == pytest.approx(0, abs=1e-6)
    assert losses.identity_distance(one, -one) == pytest.approx(2)
    levels = [torch.zeros(2, 3, 4, 4), torch.zeros(2, 1, 8, 8)]
    assert losses.attribute_distance([level + 2 for level in levels], levels) == 4
    drawn, wanted = torch.zeros(3, 3, 2, 2), torch.ones(3, 3, 2, 2)
    wanted[2] = 3
    assert losses.paired_squares(drawn, wanted, torch.tensor([1.0, 0, 0])) == 0.5
    assert losses.paired_squares(drawn, wanted, torch.tensor([1.0, 0, 1])) == 2.5
    assert losses.paired_squares(drawn, wanted, torch.zeros(3)) == 0


@torch.no_grad()
def test_occluders_cover_what_they_say() -> None:
    torch.manual_seed(0)
    image = torch.full((60, 3, 48, 48), 0.25)
    covered, cover = occlude(image)
    assert torch.equal(covered[(cover == 0).expand_as(image)], image[(cover == 0).expand_as(image)])
    assert covered.abs().max() <= 1
    hidden = (cover == 1).expand_as(image)
    torch.manual_seed(0)
    assert torch.equal(occlude(-image)[0][hidden], covered[hidden])  # nothing shows through
    share = cover.mean(dim=(1, 2, 3))
    assert 0.05 < share.mean() < 0.3
    assert (share > 0.01).float().mean() > 0.9
    assert share.max() < 0.75


@torch.no_grad()
def test_occluders_come_by_chance_and_by_seed() -> None:
    image = torch.zeros(200, 3, 16, 16)
    torch.manual_seed(1)
    _, cover = occlude(image, chance=0.5)
    assert 0.35 < (cover.amax(dim=(1, 2, 3)) > 0).float().mean() < 0.6
    assert torch.equal(occlude(image, chance=0)[0], image)
    torch.manual_seed(2)
    first = outlines(4, 32)
    torch.manual_seed(2)
    assert torch.equal(outlines(4, 32), first)


def eyes(shift_px: float, light: float = 1.0) -> tuple[Tensor, Tensor]:
    """A face of two eyes, 16 px wide, that look `shift_px` aside: crop (1,3,64,64) and mesh."""
    mesh = torch.zeros(1, 468, 3)
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    picture = torch.full((64, 64), 0.6)
    for eye, centre in enumerate((20.0, 44.0)):
        for step, (upper, lower) in enumerate(zip(UPPER[eye], LOWER[eye], strict=True)):
            mesh[0, upper, :2] = torch.tensor([centre - 6 + 2 * step, 29.0])
            mesh[0, lower, :2] = torch.tensor([centre - 6 + 2 * step, 35.0])
        iris = torch.hypot(columns - centre - shift_px, rows - 32) < 2.5
        picture = torch.where(iris, -0.7, picture)
    return (light * picture).expand(1, 3, -1, -1), mesh


def test_gaze_distance_sees_where_eyes_look_and_not_the_light() -> None:
    ahead, mesh = eyes(0)
    places = openings(mesh)
    assert places.shape == (1, 2, 7, 5, 2)
    assert 29 < places[..., 1].min() < places[..., 1].max() < 35
    assert gaze_distance(ahead, ahead, mesh) == 0
    dim = gaze_distance(eyes(0, light=0.5)[0], ahead, mesh)
    aside, little = (gaze_distance(eyes(shift)[0], ahead, mesh) for shift in (4, 1))
    assert dim < 0.05 < little < aside


def test_gaze_distance_has_a_gradient_between_the_lids_alone() -> None:
    ahead, mesh = eyes(0)
    drawn = eyes(3)[0].clone().requires_grad_()
    torch.autograd.backward(gaze_distance(drawn, ahead, mesh))
    assert drawn.grad is not None
    assert drawn.grad[..., 30:34, :].abs().sum() > 0
    assert drawn.grad[..., :26, :].abs().sum() == drawn.grad[..., 40:, :].abs().sum() == 0


def test_a_sheet_has_a_row_per_face() -> None:
    columns = [torch.zeros(2, 3, 64, 64), -torch.ones(2, 1, 2, 2)]
    drawn = attribute_figure(columns, 16)
    assert drawn.shape == (3, 2 * 20 - 4, 2 * 20 - 4)
    assert drawn[:, 0, 16].eq(1).all()
    assert drawn[:, 0, 20].eq(-1).all()


def test_a_layer_chooses_as_the_paper_has_it_and_so_do_its_gradients() -> None:
    torch.manual_seed(0)
    layer = AAD(6, 5, 7).double()
    given = [torch.randn(shape, dtype=torch.double) for shape in ((2, 6, 8, 8), (2, 5, 8, 8))]
    given.append(torch.randn(2, 7, dtype=torch.double))

    def plainly(hidden: Tensor, attributes: Tensor, identity: Tensor) -> Tensor:
        normed = functional.instance_norm(hidden)
        mask = torch.sigmoid(layer.mask(normed))
        scale, shift = layer.attributes(attributes).chunk(2, dim=1)
        factor, offset = layer.identity(identity)[:, :, None, None].chunk(2, dim=1)
        return (1 - mask) * (scale * normed + shift) + mask * (factor * normed + offset)

    found, grads = [], []
    for draw in (lambda *some: layer(*some, []), plainly):
        own = [tensor.clone().requires_grad_() for tensor in given]
        picture = draw(*own)
        found.append(picture.detach())
        wanted = [*own, *layer.parameters()]
        grads.append(torch.autograd.grad(picture.square().sum(), wanted))
    assert torch.allclose(*found)
    assert all(torch.allclose(a, b) for a, b in zip(*grads, strict=True))
