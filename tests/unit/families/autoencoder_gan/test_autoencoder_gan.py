"""The GAN autoencoder: networks of v2.2's sizes, its schedule, its losses put together."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from likeness.contracts.errors import ModelError, ParamsError
from models.batch import Batch
from models.layers.convolution import Convolution
from models.layers.feature_network import FeatureNetwork
from models.layers.recogniser import Recogniser
from models.swappers import registry
from models.swappers.autoencoder_gan.config import AutoencoderGanConfig
from models.swappers.autoencoder_gan.edges import edge_distance
from models.swappers.autoencoder_gan.losses import masks, pixels, squares
from models.swappers.autoencoder_gan.networks import Drawn, Normalised, decayed
from models.swappers.autoencoder_gan.swapper import AutoencoderGan

SMALL = {"width": 4, "critic_width": 4, "attention_px": 8, "perceptual": [0]}


def made(**settings: Any) -> AutoencoderGan:
    torch.manual_seed(0)
    swapper = registry.build("autoencoder_gan", {**SMALL, **settings})
    assert isinstance(swapper, AutoencoderGan)
    return swapper


def batch(seed: int, count: int = 2) -> Batch:
    random = torch.Generator().manual_seed(seed)
    crop = (0.4 * torch.randn(count, 3, 64, 64, generator=random)).clamp(-1, 1)
    five = torch.tensor([[20.0, 25], [44, 25], [32, 38], [23, 50], [41, 50]])
    return {"crop": crop, "warped": crop.roll(1, 3), "landmarks_5": five.expand(count, -1, -1)}


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


# Networks


def test_v22_has_73_million_parameters() -> None:
    """Counted by hand from the layers of v2.2: kernels, biases, two numbers per normalisation."""
    attention = {c: 2 * (c * c // 8 + c // 8) + c * c + c + 1 for c in (64, 128, 256, 512)}
    encoder = 25 * 3 * 64 + 9 * (64 * 128 + 128 * 256 + 256 * 512 + 512 * 1024) + 3 * 2
    encoder += attention[256] + attention[512]
    encoder += 16384 * 1024 + 1024 + 1024 * 16384 + 16384
    encoder += 9 * 1024 * 2048 + 2048 + 2
    decoder = sum(9 * c * 2 * c + 2 * c + 2 for c in (512, 256, 128))
    decoder += 2 * 9 * 64 * 64 + attention[128] + attention[64] + 25 * 64 * 4 + 4
    critic = 16 * (6 * 64 + 64 * 128 + 128 * 256) + 2 * 2 + attention[256] + 16 * 256
    with torch.device("meta"):
        swapper = registry.build("autoencoder_gan", {})
    assert count(swapper.get_submodule("encoder")) == encoder == 59_130_506
    assert count(swapper.get_submodule("decoders.source")) == decoder == 6_300_924
    assert count(swapper.get_submodule("critics.target")) == critic == 747_845
    assert count(swapper) == encoder + 2 * decoder + 2 * critic == 73_228_044


@pytest.mark.parametrize("size_px", [64, 128, 256])
def test_all_sizes_share_code_and_verdicts(size_px: int) -> None:
    with torch.device("meta"):
        swapper = registry.build("autoencoder_gan", {"size_px": size_px})
        assert isinstance(swapper, AutoencoderGan)
        image = torch.zeros(2, 3, size_px, size_px)
        code = swapper.encoder(image)
        drawn = swapper.decoders["target"](code)
        verdicts = swapper.critics["target"](image, image)
    assert code.shape == (2, 512, 8, 8)
    assert drawn.colour.shape == (2, 3, size_px, size_px)
    assert drawn.alpha.shape == (2, 1, size_px, size_px)
    assert [small.shape[-1] for small in drawn.smaller] == [64, 128][: size_px // 128]
    assert verdicts.shape == (2, 1, 8, 8)


def test_kernels_behind_a_shuffle_begin_with_equal_pixels() -> None:
    layers = [m for m in made().modules() if isinstance(m, Convolution)]
    assert layers
    image = torch.randn(1, layers[0].in_channels, 4, 4)
    drawn = torch.pixel_shuffle(layers[0](image), 2)
    blocks = drawn.view(1, -1, 4, 2, 4, 2)
    assert torch.allclose(blocks, blocks[:, :, :, :1, :, :1].expand_as(blocks), atol=1e-6)


@pytest.mark.parametrize(("kind", "others"), [("whole", (1, 2, 3)), ("channel", (2, 3))])
def test_norms_take_out_level_and_contrast(kind: str, others: tuple[int, ...]) -> None:
    feature = torch.randn(2, 6, 5, 5) * torch.arange(1, 7).view(1, 6, 1, 1) + 3
    layer = Normalised(6, kind)  # type: ignore[arg-type]  # a plain string
    drawn = layer(feature)
    variance, mean = torch.var_mean(drawn, others, correction=0)
    assert mean.abs().max() < 1e-5
    assert (variance - 1).abs().max() < 5e-3
    assert count(layer) == (2 if kind == "whole" else 12)


def test_decay_leaves_the_outer_layers_alone() -> None:
    swapper = made()
    found = {id(p) for p in decayed(swapper)}
    names = {n for n, p in swapper.named_parameters() if id(p) in found}
    assert "encoder.layers.0.weight" not in names
    assert not any(".last." in name or name.endswith("bias") for name in names)
    layers = enumerate(swapper.encoder.layers)
    dense = {f"encoder.layers.{k}.weight" for k, m in layers if isinstance(m, nn.Linear)}
    assert len(dense) == 2
    assert not dense & names
    kernels = {n for n, p in swapper.named_parameters() if p.ndim == 4}
    assert len(kernels - names) == 1 + 2 + 2  # first convolution, what draws, what judges


def test_squares_and_their_gradient_are_those_of_the_kernels() -> None:
    swapper = made()
    total = squares(swapper.encoder)
    total.backward()
    kernels = decayed(swapper.encoder)
    wanted = sum(k.detach().square().sum().item() for k in kernels)
    assert total.item() == pytest.approx(wanted, rel=1e-5)
    assert all(torch.allclose(k.grad, 2 * k) for k in kernels if k.grad is not None)
    assert sum(p.grad is not None for p in swapper.parameters()) == len(kernels)


# Schedule


@pytest.mark.parametrize(
    ("share", "margin", "rate"),
    [
        (0.0, None, 1.0),
        (0.29, None, 1.0),
        (0.3, 0.5, 1.0),
        (0.45, 0.2, 1.0),
        (0.6, 0.4, 1.0),
        (0.7, None, 0.3),
        (0.85, 0.1, 0.3),
        (0.95, None, 0.1),
        (1.0, None, 0.1),
    ],
)
def test_masks_and_rates_change_as_in_v22(share: float, margin: float | None, rate: float) -> None:
    config = AutoencoderGanConfig()
    assert (config.margin(share), config.rate(share)) == (margin, rate)


def test_phases_follow_the_budget() -> None:
    swapper = made(encoder_rate=2.0)
    swapper.plan_images = 1000
    critic, generator = swapper.phases()
    assert (critic.name, generator.name) == ("critic", "generator")
    assert (critic.learning_rate, generator.learning_rate) == (2e-4, 1e-4)
    assert generator.factors is not None
    own = {id(p) for p in swapper.encoder.parameters()}
    factors = zip(generator.parameters, generator.factors, strict=True)
    assert all(factor == (2.0 if id(p) in own else 1.0) for p, factor in factors)
    assert generator.rate is not None
    assert [generator.rate(images) for images in (0, 699, 950)] == [1.0, 0.3, 0.1]


def test_schedules_that_do_not_ascend_are_refused() -> None:
    with pytest.raises(ParamsError, match="mask_schedule must begin at 0 and ascend"):
        registry.build("autoencoder_gan", {"mask_schedule": [[0.1, None]]})
    with pytest.raises(ParamsError, match="rate_schedule must begin at 0 and ascend"):
        registry.build("autoencoder_gan", {"rate_schedule": [[0, 1], [0.5, 0.3], [0.5, 0.1]]})


# Losses


def test_alpha_lays_the_face_over_the_picture() -> None:
    colour, image = torch.full((1, 3, 4, 4), 0.5), torch.full((1, 3, 4, 4), -1.0)
    for alpha, wanted in ((0.0, -1.0), (1.0, 0.5), (0.5, -0.25)):
        drawn = Drawn(colour, torch.full((1, 1, 4, 4), alpha), [])
        assert torch.allclose(drawn.over(image), torch.tensor(wanted))


def test_the_mask_shrinks_or_is_kept_above_its_margin() -> None:
    given, alpha = AutoencoderGanConfig(), torch.full((1, 1, 4, 4), 0.3)
    for share, wanted in ((0, 0.01 * 0.3), (0.3, 0.1 * 0.2), (0.45, 0.0), (0.9, 0.01 * 0.3)):
        assert masks(alpha, given, share)["mask"] == pytest.approx(wanted, abs=1e-7)
    uneven = torch.zeros(1, 1, 4, 4)
    uneven[..., 2:] = 1
    assert masks(uneven, given, 0.0)["variation"] == pytest.approx(0.1 / 3)


@torch.no_grad()
def test_losses_at_perfection_and_their_weights() -> None:
    plain, given = made(colour_match=0.0, motion_blur=0.0), AutoencoderGanConfig()
    lesson = plain._lessons(batch(1), batch(2))[0]
    perfect = lesson._replace(wanted=lesson.drawn.colour)
    assert all(float(value) == 0 for value in pixels(perfect, given).values())
    found = pixels(lesson, given)
    apart = (lesson.drawn.colour - lesson.wanted).abs().mean()
    assert found["reconstruction"] == pytest.approx(float(apart))
    edge = float(edge_distance(lesson.drawn.colour, lesson.wanted))
    assert found["edge"] == pytest.approx(0.1 * edge)
    heavier = pixels(lesson, AutoencoderGanConfig(eyes=60))
    assert heavier["eyes"] == pytest.approx(2 * float(found["eyes"]))


@torch.no_grad()
def test_the_critic_learns_shares_and_both_faces_are_judged() -> None:
    swapper = made(colour_match=0.0, motion_blur=0.0, decay=0.0, adversarial=0.1)
    for critic in swapper.critics.values():
        for parameter in critic.parameters():
            nn.init.zeros_(parameter)
    torch.manual_seed(5)
    losses = swapper.losses("critic", batch(1), batch(2))
    assert set(losses) == {"source.mixup", "target.mixup", "decay"}
    roots = [(float(losses[f"{side}.mixup"]) / 2) ** 0.5 for side in ("source", "target")]
    assert all(0 <= root <= 1 for root in roots)  # verdicts are 0: what is lost is the share
    drawn = swapper.losses("generator", batch(1), batch(2))
    assert drawn["source.adversarial"] == pytest.approx(0.1 * 2)  # two pictures, each (0 - 1)^2


@torch.no_grad()
def test_cycle_is_an_option() -> None:
    without = made().losses("generator", batch(1), batch(2))
    assert not any(name.endswith("cycle") for name in without)
    swapper = made(cycle=10.0, colour_match=0.0, motion_blur=0.0)
    losses = swapper.losses("generator", batch(1), batch(2))
    crop = batch(1)["crop"]
    back = swapper.draw(swapper.draw(crop, "target").colour, "source").colour
    assert losses["source.cycle"] == pytest.approx(10 * float((back - crop).abs().mean()), rel=1e-4)


class Features(FeatureNetwork):
    """Two maps: the picture, and its averages."""

    def features(self, crop: Tensor, landmarks_5: Tensor) -> list[Tensor]:
        """See `FeatureNetwork`."""
        assert len(crop) == len(landmarks_5)
        return [crop, torch.nn.functional.avg_pool2d(crop, 8)]


class Frozen:
    """Networks of a test."""

    def embedder(self) -> Recogniser:
        """Not asked for."""
        raise NotImplementedError

    def perceptual(self) -> FeatureNetwork:
        """See `models.swappers.abilities.Frozen`."""
        return Features()


def test_features_count_after_a_fifth_of_the_budget() -> None:
    swapper = made(perceptual=[0.1, 0.3])
    swapper.plan_images, swapper.images_seen = 1000, 199
    assert "perceptual" not in swapper.losses("generator", batch(1), batch(2))
    swapper.images_seen = 200
    with pytest.raises(ModelError, match="whose features it compares"):
        swapper.losses("generator", batch(1), batch(2))
    swapper.equip(Frozen())
    whole = swapper.losses("generator", batch(1), batch(2))["perceptual"]
    assert 0 < whole < 2 * 2 * (0.1 + 0.3)
    assert not any("perceptual" in name for name in swapper.state_dict())


@torch.no_grad()
def test_a_swap_is_the_sources_face_and_its_mask() -> None:
    swapper, given = made(border=0.1).eval(), batch(2)
    drawn = swapper.draw(given["crop"], "source")
    image, mask = swapper.swap(given)
    assert torch.equal(image, drawn.colour)
    assert torch.equal(mask[..., 20:44, 20:44], drawn.alpha[..., 20:44, 20:44])
    assert mask[..., 0, :].max() < 0.05
    back, _ = swapper.swap_back(given)
    assert torch.equal(back, swapper.draw(given["crop"], "target").colour)
    _, whole = made(swap_mask="whole").eval().swap(given)
    assert (whole[..., 20:44, 20:44] == 1).all()
    assert whole.shape == mask.shape


def test_pictures_show_both_ways() -> None:
    swapper = made().eval()
    with torch.no_grad():
        sheet = swapper.pictures(batch(1, 3), batch(2, 2))["masks"]
    assert sheet.shape == (3, 2 * 100 - 4, 8 * 100 - 4)
    assert sheet.abs().max() <= 1
