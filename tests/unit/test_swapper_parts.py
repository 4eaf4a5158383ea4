"""Tensor files, the registry, shared losses and layers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some
from safetensors.torch import load_file, save_file
from torch.nn import functional

from likeness.contracts.errors import ModelError, ParamsError
from models import tensorfile
from models.layers.gaussian_blur import widen
from models.layers.mask_border import soft_border
from models.layers.memory_format import lay_out
from models.layers.norm import instance_norm
from models.losses.pixels import dssim, l1
from models.swappers import registry

TENSORS = {
    "weight": torch.linspace(-1, 1, 12).view(3, 4),
    "steps": torch.arange(5),
    "scalar": torch.tensor(2.5),
    "none": torch.zeros(0, 3),
    "half": torch.ones(7, dtype=torch.bfloat16),
    "bytes": torch.tensor([1, 2, 255], dtype=torch.uint8),
    "flags": torch.tensor([True, False]),
}


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(
        torch.equal(first[k], second[k])
        and first[k].shape == second[k].shape
        and first[k].dtype == second[k].dtype
        for k in first
    )


def test_tensor_files_are_those_of_safetensors(tmp_path: Path) -> None:
    tensorfile.write(tmp_path / "ours", TENSORS)
    save_file(TENSORS, tmp_path / "theirs")
    assert same(load_file(tmp_path / "ours"), TENSORS)
    assert same(tensorfile.read(tmp_path / "theirs"), TENSORS)
    backwards = dict(reversed(TENSORS.items()))
    tensorfile.write(tmp_path / "again", backwards)
    assert (tmp_path / "again").read_bytes() == (tmp_path / "ours").read_bytes()


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 64, b"\2\0\0\0\0\0\0\0[]", None])
def test_other_files_are_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "model.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=r"model.safetensors: .*dvc repro"):
        tensorfile.read(path)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"widht": 8}, "unknown key `widht`.*allowed: border, bottleneck"),
        ({"size_px": 50}, "`size_px: 50` is not allowed"),
        ({"bottleneck": "conv"}, "dense"),
        ({"width": "many"}, "`width: many` is not allowed"),
    ],
)
def test_settings_that_are_not_allowed(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ParamsError, match=said):
        registry.build("autoencoder", settings)


def test_unknown_families_are_refused_with_the_known_ones() -> None:
    with pytest.raises(ParamsError, match=r"did you mean `autoencoder`\? known:.*mesh_transfer"):
        registry.load_class("autoencodr")
    with pytest.raises(ParamsError):
        registry.load_class("../base")


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"config.json: does not exist"):
        registry.load(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"config.json: is damaged"):
        registry.load(tmp_path)


def test_weights_of_another_size_are_refused() -> None:
    small, large = (registry.build("autoencoder", {"size_px": 32, "width": w}) for w in (4, 8))
    with pytest.raises(ModelError, match="does not fit"):
        registry.restore(small, large.state_dict(), "m")


def test_buffers_that_hold_data_take_its_size() -> None:
    swapper = registry.build("autoencoder", {"size_px": 32, "width": 4})
    swapper.encoder.register_buffer("views", torch.zeros(0))
    state = {**swapper.state_dict(), "encoder.views": torch.arange(6.0).view(2, 3)}
    registry.restore(swapper, state, "m")
    assert torch.equal(swapper.encoder.views, torch.arange(6.0).view(2, 3))


@given(some.floats(0, 1), some.floats(0, 1))
def test_dssim_of_even_pictures_compares_their_intensities(first: float, second: float) -> None:
    luminance = (2 * first * second + 1e-4) / (first**2 + second**2 + 1e-4)
    pictures = [torch.full((1, 3, 16, 16), value) for value in (first, second)]
    assert float(dssim(*pictures)) == pytest.approx((1 - luminance) / 2, abs=3e-4)


@given(some.integers(0, 1000))
def test_dssim_is_half_of_what_ssim_lacks_to_one(seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    first, second = torch.rand((2, 7, 7), generator=random, dtype=torch.float64)
    offset = torch.arange(7, dtype=torch.float64) - 3
    window = torch.exp(-(offset[:, None] ** 2 + offset**2) / (2 * 1.5**2))
    window /= window.sum()
    one, other = (window * first).sum(), (window * second).sum()
    spread = (window * (first - one) ** 2).sum() + (window * (second - other) ** 2).sum()
    shared = (window * (first - one) * (second - other)).sum()
    ssim = (2 * one * other + 0.01**2) / (one**2 + other**2 + 0.01**2)
    ssim *= (2 * shared + 0.03**2) / (spread + 0.03**2)
    pictures = [p.float().expand(1, 3, 7, 7) for p in (first, second)]
    found = dssim(*pictures, window_px=7)
    assert float(found) == pytest.approx(float(1 - ssim) / 2, abs=1e-5)


@given(some.integers(0, 1000), some.floats(0, 0.25))
def test_dssim_is_a_distance_like_measure(seed: int, noise: float) -> None:
    random = torch.Generator().manual_seed(seed)
    image = torch.rand((1, 3, 24, 24), generator=random)
    other = image + noise * torch.randn(image.shape, generator=random)
    assert dssim(image, image) == pytest.approx(0, abs=1e-6)
    assert -1e-6 <= float(dssim(image, other)) <= 1
    assert float(dssim(image, other)) == pytest.approx(float(dssim(other, image)), abs=1e-6)


def test_dssim_keeps_its_precision_under_autocast() -> None:
    image = torch.rand(2, 3, 32, 32) * 0.01 + 0.7  # tiny variances round away in bf16
    other = image + 0.001
    plain = dssim(image, other)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(dssim(image, other), plain)


def test_l1_counts_in_units_of_the_whole_range() -> None:
    assert l1(torch.ones(1, 3, 4, 4), -torch.ones(1, 3, 4, 4)) == 1


@given(some.integers(0, 40), some.integers(1, 9), some.integers(1, 9), some.integers(0, 99))
def test_widening_takes_the_greatest_around(reach: int, height: int, width: int, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    picture = torch.rand((2, 1, height, width), generator=random) - 0.5
    around = functional.pad(picture, (reach,) * 4, value=-1)
    wanted = around.unfold(2, 2 * reach + 1, 1).unfold(3, 2 * reach + 1, 1).amax((4, 5))
    assert torch.equal(widen(picture, reach), wanted)


def test_soft_border_falls_to_the_edge() -> None:
    border = soft_border(64, 0.1)[0, 0]
    assert border[32, 32] == 1
    assert border[0].max() < 0.02
    assert (border[32, :8].diff() > 0).sum() >= 5
    assert soft_border(16, 0).min() == 1


@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_instance_norm_keeps_type_and_layout(order: torch.memory_format) -> None:
    torch.manual_seed(0)
    # A mean far from 0, of which bf16 keeps too little to take it out again.
    feature = (torch.randn(3, 4, 6, 6) + 8).contiguous(memory_format=order)
    wanted = functional.instance_norm(feature.bfloat16().float())
    with torch.autocast("cpu", torch.bfloat16):
        normed = instance_norm(feature.bfloat16())
    assert normed.dtype == torch.bfloat16
    assert normed.is_contiguous(memory_format=order)
    assert (normed.float() - wanted).abs().max() < 2**-7


@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_instance_norm_has_torchs_gradients(order: torch.memory_format) -> None:
    torch.manual_seed(0)
    feature = torch.randn(2, 3, 5, 5, dtype=torch.double).contiguous(memory_format=order)
    assert torch.autograd.gradcheck(instance_norm, feature.requires_grad_())


def test_a_layout_changes_neither_weights_nor_results() -> None:
    torch.manual_seed(0)
    network, picture = torch.nn.Conv2d(4, 6, 3), torch.randn(2, 4, 8, 8)
    weight, drawn = network.weight.detach().clone(), network(picture).detach()
    lay_out(network, torch.channels_last)
    assert network.weight.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(network.weight, weight)
    found = network(picture)
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(found, drawn, atol=1e-6)
