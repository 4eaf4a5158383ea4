"""Losses that count the face more than what lies around it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from models.batch import Batch
from models.losses.pixels import dssim, emphasis, l1
from models.swappers.autoencoder.config import AutoencoderConfig
from models.swappers.autoencoder.swapper import Autoencoder

SIDE = 32


@pytest.fixture
def mask() -> Tensor:
    """A face in the middle, (2,1,32,32)."""
    empty = torch.zeros(2, 1, SIDE, SIDE)
    empty[..., 8:24, 8:24] = 1
    return empty


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_weights_have_mean_one(mask: Tensor, share: float) -> None:
    weight = emphasis(mask, share)
    assert torch.allclose(weight.mean(dim=(1, 2, 3)), torch.ones(2), atol=1e-5)
    assert weight[0, 0, 0, 0] == pytest.approx(1 - share)
    assert weight[0, 0, 16, 16] == pytest.approx(1 + 3 * share)  # the face is a quarter


def test_an_empty_mask_gives_finite_weights() -> None:
    empty = emphasis(torch.zeros(1, 1, 4, 4), 1.0)
    assert torch.equal(empty, torch.zeros(1, 1, 4, 4))


def test_what_lies_outside_the_mask_counts_by_its_share(mask: Tensor) -> None:
    torch.manual_seed(0)
    wanted = torch.rand(2, 3, SIDE, SIDE) * 2 - 1
    around = wanted + 0.5 * (1 - mask)
    for loss in (l1, dssim):
        plain = float(loss(around, wanted))
        assert plain > 0.01
        assert float(loss(around, wanted, emphasis(mask, 0.0))) == pytest.approx(plain, rel=1e-4)
        half = float(loss(around, wanted, emphasis(mask, 0.5)))
        assert float(loss(around, wanted, emphasis(mask, 1.0))) < half < plain
    assert float(l1(around, wanted, emphasis(mask, 1.0))) == 0
    inside = wanted + 0.5 * mask
    assert float(l1(inside, wanted, emphasis(mask, 1.0))) == pytest.approx(
        4 * float(l1(inside, wanted)), rel=1e-4
    )


def batch(mask: Tensor) -> Batch:
    generator = torch.Generator().manual_seed(3)
    crop = torch.rand((2, 3, SIDE, SIDE), generator=generator) * 2 - 1
    return {"crop": crop, "warped": crop.clone(), "mask": mask}


def test_the_family_takes_its_share_from_the_settings(mask: Tensor) -> None:
    values = []
    for share in (0.0, 1.0):
        torch.manual_seed(0)
        config = AutoencoderConfig(size_px=32, width=4, loss="ssim_l1", mask_weight=share)
        swapper = Autoencoder(config)
        losses = swapper.losses("autoencoder", batch(mask), batch(mask))
        values.append({name: float(value) for name, value in losses.items()})
    assert values[0].keys() == values[1].keys()
    assert all(abs(values[0][name] - values[1][name]) > 1e-6 for name in values[0])
    crop, drawn = batch(mask)["crop"], swapper.source_decoder(swapper.encoder(batch(mask)["crop"]))
    only = ((drawn - crop).abs() * mask).sum() / mask.sum() / 3 / 2
    assert values[1]["source.l1"] == pytest.approx(float(only), rel=1e-4)


def test_step_size_of_the_encoder_is_a_setting() -> None:
    swapper = Autoencoder(AutoencoderConfig(size_px=32, width=4, encoder_rate=1.5))
    (phase,) = swapper.phases()
    assert phase.factors is not None
    names = [name for name, _ in swapper.named_parameters()]
    found = {name.partition(".")[0]: f for name, f in zip(names, phase.factors, strict=True)}
    assert found == {"encoder": 1.5, "source_decoder": 1.0, "target_decoder": 1.0}
