"""The family FaceShifter: phases, losses and swap, with networks of a few channels."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from likeness.contracts.errors import ModelError
from models.batch import Batch
from models.layers.norm import layers_of, settling
from models.swappers import registry
from models.swappers.faceshifter.aei import attribute_masks
from models.swappers.faceshifter.config import FaceShifterConfig
from models.swappers.faceshifter.refinement import error, own_faces
from models.swappers.faceshifter.swapper import FaceShifter
from models.training.initialisation import adapted_state

FIVE = ((0.38, 0.45), (0.62, 0.45), (0.5, 0.6), (0.4, 0.72), (0.6, 0.72))


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)  # several get in each other's way on pictures this small


def make(**settings: Any) -> FaceShifter:
    torch.manual_seed(0)
    return FaceShifter(FaceShifterConfig(**{"size_px": 32, "width": 0.05, **settings}))


def batch(count: int, side: int = 32, seed: int = 0) -> Batch:
    random = torch.Generator().manual_seed(seed)
    mesh = torch.rand((count, 468, 3), generator=random) * side
    return {
        "crop": torch.rand((count, 3, side, side), generator=random) * 2 - 1,
        "landmarks_5": torch.tensor(FIVE).mul(side).expand(count, -1, -1),
        "landmarks_468": mesh,
        "same": (torch.arange(count) % 2).float(),
        "identity_index": torch.arange(count),
    }


def total(losses: dict[str, Tensor]) -> Tensor:
    return torch.stack(list(losses.values())).sum()


OPTIONS: list[dict[str, Any]] = [
    {},
    {"feature_matching": 1.0, "eyes": 1.0},
    {"identity_injection": "adain", "injection_blocks": 2},
]


@pytest.mark.parametrize("settings", OPTIONS)
def test_gradients_reach_every_parameter_of_a_phase_and_no_other(settings: dict[str, Any]) -> None:
    swapper = make(**settings).train()
    for phase in swapper.phases():
        own = {id(p) for p in phase.parameters}
        for parameter in swapper.parameters():
            parameter.grad = None
            parameter.requires_grad_(id(parameter) in own)
        losses = swapper.losses(phase.name, batch(4, seed=1), batch(4, seed=2))
        torch.autograd.backward(total(losses))
        missing = [
            name
            for name, p in swapper.named_parameters()
            # Hinges of both sides cancel in the bias of a verdict that is within the margin.
            if id(p) in own and (p.grad is None or not p.grad.any())
            if not name.endswith("verdict.bias")
        ]
        assert missing == []
        assert all(p.grad is None for p in swapper.parameters() if id(p) not in own)


def test_the_phases_share_the_budget() -> None:
    swapper = make(hear_share=0.25)
    swapper.plan_images = 1000
    lives = {phase.name: (phase.first_image, phase.last_image) for phase in swapper.phases()}
    assert lives == {"generator": (0, 750), "critic": (0, 750), "hear": (750, None)}
    alone = make(hear=False)
    alone.plan_images = 1000
    assert [(p.name, p.last_image) for p in alone.phases()] == [
        ("generator", None),
        ("critic", None),
    ]
    assert all(phase.betas == (0.0, 0.999) for phase in swapper.phases())


def test_weights_scale_their_losses_and_same_pairs_alone_are_reconstructed() -> None:
    source, target = batch(4, seed=1), batch(4, seed=2)
    plain = make().losses("generator", source, target)
    double = make(attribute=20.0, reconstruction=20.0).losses("generator", source, target)
    assert set(plain) == {"adversarial", "identity", "reconstruction", "attribute"}
    for name, factor in {"attribute": 2, "reconstruction": 2, "adversarial": 1}.items():
        assert double[name].item() == pytest.approx(factor * plain[name].item(), rel=1e-4)
    others = make().losses("generator", source, {**target, "same": torch.zeros(4)})
    assert others["reconstruction"] == 0
    with pytest.raises(TypeError):
        make().losses("autoencoder", source, target)


class Mirror(nn.Module):
    """A first stage that reconstructs perfectly, whoever it should show."""

    def forward(self, target: Tensor, identity: Tensor) -> tuple[Tensor, list[Tensor]]:
        return target, []


@torch.no_grad()
def test_nothing_is_missing_where_the_reconstruction_is_perfect() -> None:
    swapper, target = make(), batch(3)
    given = (target["crop"], swapper.identity_of(target))
    assert error(swapper.aei, *given).abs().max() > 0
    swapper.aei = Mirror()  # type: ignore[assignment]
    assert error(swapper.aei, *given).abs().max() == 0


class Watcher(nn.Module):
    """A second stage that notes what it is given, and changes nothing."""

    def forward(self, first: Tensor, error: Tensor) -> Tensor:
        self.seen = first
        return first


@torch.no_grad()
def test_refinement_sees_covered_targets_and_its_share_of_own_faces() -> None:
    given = (torch.arange(2000) < 400).float()
    share = torch.maximum(own_faces(given, 0.2, 0.5).float(), given).mean()
    assert share == pytest.approx(0.5, abs=0.03)
    assert not own_faces(given, 0.5, 0.5).any()
    swapper = make()
    swapper.aei, watcher = Mirror(), Watcher()  # type: ignore[assignment]
    target = {**batch(4), "same": torch.ones(4)}
    losses = swapper._hear_losses(watcher, batch(4, seed=1), target)  # type: ignore[arg-type]
    assert (watcher.seen != target["crop"]).flatten(1).any(dim=1).sum() >= 2
    assert losses["change"] == losses["reconstruction"] == 0


@pytest.mark.parametrize("side", [64, 128, 256])
@torch.no_grad()
def test_swap_at_every_size(side: int) -> None:
    swapper = make(size_px=side, width=0.02).eval()
    image, mask = swapper.swap(batch(2, side), batch(3, side, seed=1))
    assert image.shape == (2, 3, side, side)
    assert mask.shape == (2, 1, side, side)
    assert image.abs().max() <= 1
    assert mask[:, :, side // 2, side // 2].eq(1).all()
    assert mask[..., 0, :].max() < 0.1


@torch.no_grad()
def test_the_source_counts_by_its_mean_identity() -> None:
    swapper = make().eval()
    several = batch(3, seed=1)
    turned = {name: column.flip(0) for name, column in several.items()}
    wanted = swapper.wanted(several)
    assert wanted.shape == (1, 128)
    assert wanted.norm() == pytest.approx(1, abs=1e-5)
    assert torch.allclose(swapper.wanted(turned), wanted, atol=1e-5)
    target = batch(2)
    assert torch.allclose(
        swapper.swap(target, several)[0], swapper.swap(target, turned)[0], atol=1e-4
    )
    with pytest.raises(TypeError):
        swapper.swap(target)


@torch.no_grad()
def test_the_recogniser_looks_at_the_source_once(monkeypatch: pytest.MonkeyPatch) -> None:
    swapper, source, seen = make(hear=False).eval(), batch(3, seed=1), list[int]()
    embed = swapper.recogniser.embed

    def counted(crop: Tensor, points: Tensor) -> Tensor:
        seen.append(len(crop))
        return embed(crop, points)

    monkeypatch.setattr(swapper.recogniser, "embed", counted)
    first = swapper.swap(batch(2), source)[0]
    assert torch.equal(swapper.swap(batch(2), dict(source))[0], first)
    assert seen == [3]
    other = batch(3, seed=4)
    assert torch.equal(swapper.wanted(other), make(hear=False).eval().wanted(other))
    assert seen == [3, 3]


@torch.no_grad()
def test_refinement_can_be_left_out() -> None:
    plain = make(hear=False).eval()
    target, source = batch(2), batch(1, seed=1)
    drawn, _ = plain.aei(target["crop"], plain.wanted(source).expand(2, -1))
    assert torch.equal(plain.swap(target, source)[0], drawn)
    with pytest.raises(TypeError):
        plain.losses("hear", source, target)


@torch.no_grad()
def test_previews_leave_refinement_out_until_it_trains() -> None:
    swapper, target, source = make(hear_share=0.5).eval(), batch(2), batch(1, seed=1)
    first, _ = swapper.aei(target["crop"], swapper.wanted(source).expand(2, -1))
    swapper.plan_images, swapper.images_seen = 100, 40
    assert torch.equal(swapper.swap(target, source)[0], first)
    swapper.images_seen = 50
    assert not torch.equal(swapper.swap(target, source)[0], first)


@torch.no_grad()
def test_masks_are_shown_per_level() -> None:
    swapper = make().eval()
    target, source = batch(6), batch(2, seed=1)
    masks = attribute_masks(swapper.aei, target["crop"], swapper.wanted(source))
    assert [m.shape for m in masks] == [(6, 1, s, s) for s in (2, 4, 8, 16, 32)]
    picture = swapper.pictures(target, source)["masks"]
    assert picture.shape == (3, 4 * 100 - 4, (3 + 5) * 100 - 4)
    assert picture.abs().max() <= 1
    assert make(identity_injection="adain").eval().pictures(target, source) == {}


@torch.no_grad()
def test_normalisation_settles_on_bare_targets_and_covered_refinements() -> None:
    swapper, target = make().train(), batch(4)
    with settling(swapper):
        for phase in swapper.phases():
            torch.manual_seed(3)
            swapper.rehearse(phase.name, batch(4, seed=1), target)
    first = swapper.aei.encoder.net.down[0]
    seen = first[0](target["crop"])  # type: ignore[operator,index]
    assert torch.allclose(first[1].mean, seen.mean(dim=(0, 2, 3)), atol=1e-5)  # type: ignore[index]
    assert all(layer.mean.any() for layer in layers_of(swapper))  # HEAR-Net's too


def test_hear_net_can_be_put_behind_a_model_without_it() -> None:
    bare = make(hear=False)
    whole = make()
    own = {name: value.clone() for name, value in whole.state_dict().items()}
    registry.restore(whole, adapted_state(whole, bare.state_dict()), "first")
    for name, value in whole.state_dict().items():
        wanted = own if name.startswith("hear.") else bare.state_dict()
        assert torch.equal(value, wanted[name])
    # The other way round it is left behind, and nothing else may be missing.
    registry.restore(bare, adapted_state(bare, whole.state_dict()), "first")
    assert not any(name.startswith("hear.") for name in bare.state_dict())
    other = make(identity_injection="adain")
    with pytest.raises(ModelError, match="does not fit"):
        registry.restore(other, adapted_state(other, whole.state_dict()), "first")
