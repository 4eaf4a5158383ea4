"""Critics at several scales and the losses over their verdicts."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from models.layers.patch_critics import MultiScale, Patch
from models.losses import adversarial


def test_channels_at_the_published_size() -> None:
    with torch.device("meta"):
        critic = Patch(3, 64, 3)
    convolutions = [m for m in critic.modules() if isinstance(m, torch.nn.Conv2d)]
    assert [c.out_channels for c in convolutions] == [64, 128, 256, 512, 1]
    assert [c.stride[0] for c in convolutions] == [2, 2, 2, 1, 1]
    # pix2pixHD's 70x70 critic has 2,764,737: those less the biases that its norms take out.
    assert sum(p.numel() for p in critic.parameters()) == 2_764_737 - (128 + 256 + 512)


@pytest.mark.parametrize("side", [64, 96, 256])
def test_each_scale_gives_a_map(side: int) -> None:
    verdicts = MultiScale(3, 2, 4, scales=3)(torch.zeros(2, 3, side, side))
    assert [v.shape[:2] for v in verdicts] == [(2, 1)] * 3
    sides = [v.shape[-1] for v in verdicts]
    assert sides == sorted(sides, reverse=True)
    assert side / 16 <= sides[0] <= side / 16 + 4


@torch.no_grad()
def test_the_coarse_critic_sees_the_small_picture_and_no_neighbour() -> None:
    torch.manual_seed(0)
    critics = MultiScale(3, 4, 2, scales=2)
    image = torch.randn(3, 3, 32, 32)
    small = torch.nn.functional.avg_pool2d(image, 3, 2, 1, count_include_pad=False)
    verdicts = critics(image)
    assert torch.equal(verdicts[1], critics.critics[1](small))
    assert torch.allclose(verdicts[0][1:2], critics(image[1:2])[0], atol=1e-5)
    features = critics.features(image)
    assert [len(layers) for layers in features] == [4, 4]
    assert torch.equal(features[0][-1], verdicts[0])


def maps(*values: float) -> list[Tensor]:
    return [
        torch.full((2, 1, side, side), value) for side, value in zip((4, 2), values, strict=True)
    ]


def test_hinge_values() -> None:
    undecided = maps(0, 0)
    assert adversarial.hinge_critic(undecided, undecided) == 1
    assert adversarial.hinge_critic(maps(1, 3), maps(-1, -5)) == 0
    assert adversarial.hinge_critic(maps(0.5, 2), maps(-0.5, -2)) == pytest.approx(0.25)
    assert adversarial.hinge_generator(maps(3, 1)) == -2  # scales count alike, whatever their size


def test_least_squares_values() -> None:
    assert adversarial.squares_critic(maps(1, 1), maps(0, 0)) == 0
    assert adversarial.squares_critic(maps(0, 1), maps(1, 0)) == pytest.approx(0.5)
    assert adversarial.squares_generator(maps(1, 3)) == 2


def test_feature_matching_counts_the_last_layers_and_leaves_the_real_side_alone() -> None:
    real = [[torch.zeros(1, 2, 8, 8, requires_grad=True), torch.zeros(1, 4, 4, 4), torch.zeros(1)]]
    drawn = [[torch.full((1, 2, 8, 8), 4.0), torch.ones(1, 4, 4, 4), torch.full((1,), 9.0)]]
    assert adversarial.feature_matching(real, drawn, layers=1) == 1
    assert adversarial.feature_matching(real, drawn) == 2.5
    drawn[0][0].requires_grad_()
    torch.autograd.backward(adversarial.feature_matching(real, drawn))
    assert real[0][0].grad is None
    assert drawn[0][0].grad is not None


def test_losses_keep_float32_under_autocast() -> None:
    verdict = torch.full((1, 1, 2, 2), 0.5, dtype=torch.bfloat16, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        loss = adversarial.hinge_critic([verdict], [verdict])
    assert loss.dtype == torch.float32
