"""Colour transfer while training: what each mode promises about the result's distribution."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from models.layers.oklab import to_oklab
from models.swappers.saehd.colour_transfer import MODES, recolour, transport


def pictures(seed: int, side: int = 32) -> Tensor:
    """Smooth pictures (3,3,S,S) of mild colours, each row with its own."""
    random = torch.Generator().manual_seed(seed)
    coarse = torch.rand((3, 3, 4, 4), generator=random) * 0.6 - 0.3
    tint = (torch.rand((3, 3, 1, 1), generator=random) - 0.5) * 0.5
    return torch.nn.functional.interpolate(coarse + tint, size=(side, side), mode="bicubic")


def covariance(picture: Tensor) -> Tensor:
    flat = picture.flatten(2)
    apart = flat - flat.mean(dim=2, keepdim=True)
    return apart @ apart.transpose(1, 2) / flat.shape[2]


@pytest.mark.parametrize("mode", MODES)
def test_own_colours_change_nothing_and_rows_are_apart(mode: str) -> None:
    torch.manual_seed(0)
    given = pictures(1)
    assert torch.allclose(recolour([given], given, mode)[0], given, atol=2e-3)
    wanted = torch.cat([given[:1], pictures(2)[1:]])
    changed = recolour([given], wanted, mode)[0]
    assert torch.allclose(changed[0], given[0], atol=2e-3)
    assert (changed[1:] - given[1:]).abs().mean() > (0.02 if mode != "none" else -1)


@pytest.mark.parametrize("mode", ["lct", "mkl"])
def test_linear_maps_bring_mean_and_covariance(mode: str) -> None:
    given, wanted = pictures(1), pictures(2)
    changed = recolour([given], wanted, mode)[0]
    assert torch.allclose(changed.mean(dim=(2, 3)), wanted.mean(dim=(2, 3)), atol=5e-3)
    assert torch.allclose(covariance(changed), covariance(wanted), atol=2e-3)


def test_mkl_moves_colours_least() -> None:
    given, wanted = pictures(1), pictures(2)
    ways = [(recolour([given], wanted, m)[0] - given).square().mean() for m in ("mkl", "lct")]
    assert ways[0] <= ways[1] + 1e-5


def test_rct_brings_mean_and_deviation_in_its_space() -> None:
    given, wanted = pictures(1), pictures(2)
    changed = to_oklab(recolour([given], wanted, "rct")[0])
    goal = to_oklab(wanted)
    assert torch.allclose(changed.mean(dim=(2, 3)), goal.mean(dim=(2, 3)), atol=3e-3)
    assert torch.allclose(changed.std(dim=(2, 3)), goal.std(dim=(2, 3)), atol=5e-3)


@pytest.mark.parametrize("mode", ["idt", "sot"])
def test_transport_brings_the_whole_distribution(mode: str) -> None:
    torch.manual_seed(0)
    random = torch.Generator().manual_seed(3)
    # Two clusters: no linear map makes them out of one.
    given = torch.randn((2, 3, 400), generator=random) * 0.1
    goal = given.roll(1, dims=2) + torch.where(torch.arange(400) < 200, 0.5, -0.4)
    found = transport(given, goal, mode)
    for axis in (torch.eye(3)[0], torch.ones(3) / 3**0.5, torch.tensor([0.0, 0.6, 0.8])):
        sides = (given, found, goal)
        before, after, aim = ((axis @ points).sort(dim=1).values for points in sides)
        assert (after - aim).abs().mean() < 0.15 * (before - aim).abs().mean()


@pytest.mark.parametrize("mode", ["rct", "mkl", "sot"])
def test_a_second_picture_is_changed_as_the_first(mode: str) -> None:
    torch.manual_seed(0)
    given, wanted = pictures(1), pictures(2)
    same, other = recolour([given, given.flip(3)], wanted, mode)
    assert torch.allclose(other.flip(3).mean(dim=(2, 3)), same.mean(dim=(2, 3)), atol=0.05)
    if mode != "sot":
        assert torch.allclose(other.flip(3), same, atol=1e-5)


@pytest.mark.parametrize("mode", ["rct", "lct", "mkl", "idt", "sot"])
def test_what_lies_beside_the_face_does_not_count(mode: str) -> None:
    torch.manual_seed(0)
    given, wanted, blue = pictures(1), pictures(2), torch.tensor([-0.8, -0.8, 0.9])
    mask = torch.zeros(3, 1, 32, 32)
    mask[..., 4:28, 8:24] = 1
    screened = torch.where(mask > 0, given, blue.view(1, 3, 1, 1))
    plain, behind = (recolour([g], wanted, mode, (mask, mask))[0] for g in (given, screened))
    inner = (slice(None), slice(None), slice(8, 24), slice(11, 21))
    # The copy in which distributions are moved has no sharper edge than its pixels.
    assert (plain - behind)[inner].abs().mean() < 0.02
    careless = recolour([screened], wanted, mode)[0]
    assert (plain - careless)[inner].abs().mean() > 0.05
    torch.manual_seed(0)
    empty = recolour([given], wanted, mode, (mask * 0, mask * 0))[0]
    torch.manual_seed(0)
    assert torch.allclose(empty, recolour([given], wanted, mode)[0], atol=1e-5)


def test_a_picture_of_one_colour_and_bf16_stay_finite() -> None:
    flat = torch.full((3, 3, 16, 16), 0.2)
    for mode in MODES:
        with torch.autocast("cpu", torch.bfloat16):
            changed = recolour([flat], pictures(2, 16), mode)[0]
        assert changed.isfinite().all()
        assert changed.abs().max() <= 1
