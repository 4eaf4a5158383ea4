"""The autoencoder: networks of their sources' sizes, colours of one side on the other."""

from __future__ import annotations

import pytest
import torch

from models.swappers import registry


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        # Oldpan: 1024 -> 128 -> 1024 channels, no bias, in the place of the two dense layers.
        ({"bottleneck": "conv1x1"}, 82_062_470 - 2 * 1024 * 16384 - 1024 - 16384 + 2 * 1024 * 128),
        # The book: each convolution's 4f channels stay, 8x8x512 as the code all the same.
        ({"upsampling": "nearest"}, 17_214_720 + 33_571_840 + 4_719_104 + 2 * 10_637_827),
        ({"bottleneck": "conv1x1", "width": 32, "code": 8}, None),
    ],
)
def test_variants_have_the_sizes_of_their_sources(
    settings: dict[str, object], expected: int | None
) -> None:
    with torch.device("meta"):
        swapper = registry.build("autoencoder", settings)
    state = swapper.state_dict()
    if expected is not None:
        assert sum(p.numel() for p in swapper.parameters()) == expected
    if settings.get("upsampling") == "nearest":
        assert state["encoder.up.0.weight"].shape == (512, 1024, 3, 3)
        shapes = [state[f"source_decoder.up.{n}.0.weight"].shape for n in range(3)]
        assert shapes == [(1024, 512, 3, 3), (512, 1024, 3, 3), (256, 512, 3, 3)]
        assert state["target_decoder.picture.weight"].shape == (3, 256, 5, 5)
    else:
        assert {n for n in state if n.startswith("encoder.code")} == {
            "encoder.code.0.weight",
            "encoder.code.1.weight",
        }
        code = settings.get("code", 128)
        assert state["encoder.code.0.weight"].shape == (code, 8 * swapper.config.width, 1, 1)


def test_founding_network_has_82_million_parameters() -> None:
    with torch.device("meta"):
        swapper = registry.build("autoencoder", {})
    count = sum(p.numel() for p in swapper.parameters())
    assert count == 82_062_470
    sizes = {
        "encoder.down.0.0.weight": (128, 3, 5, 5),
        "encoder.down.3.0.weight": (1024, 512, 5, 5),
        "encoder.code.1.weight": (1024, 16384),
        "encoder.code.2.weight": (16384, 1024),
        "encoder.up.0.weight": (2048, 1024, 3, 3),
        "source_decoder.up.0.0.weight": (1024, 512, 3, 3),
        "source_decoder.up.2.0.weight": (256, 128, 3, 3),
        "target_decoder.picture.weight": (3, 64, 5, 5),
    }
    assert {name: tuple(swapper.get_parameter(name).shape) for name in sizes} == sizes


@pytest.mark.parametrize("upsampling", ["pixel_shuffle", "nearest"])
@pytest.mark.parametrize("bottleneck", ["dense", "conv1x1"])
@pytest.mark.parametrize("size_px", [48, 80])
def test_sizes_are_settings(upsampling: str, bottleneck: str, size_px: int) -> None:
    settings = {"size_px": size_px, "width": 4, "upsampling": upsampling, "bottleneck": bottleneck}
    swapper = registry.build("autoencoder", settings).eval()
    faces = {
        "crop": torch.zeros(2, 3, size_px, size_px),
        "mask": torch.ones(2, 1, size_px, size_px),
    }
    image, mask = swapper.swap(faces)
    assert image.shape == (2, 3, size_px, size_px)
    assert mask.shape == (2, 1, size_px, size_px)
    assert mask[0, 0, 0].max() < 0.2  # the coverage's edge never shows
    assert mask[0, 0, size_px // 2, size_px // 2] == 1


def test_colours_of_the_source_are_shifted_to_the_target() -> None:
    shifted = registry.build("autoencoder", {"size_px": 32, "width": 4})
    plain = registry.build("autoencoder", {"size_px": 32, "width": 4, "colour_shift": False})
    plain.load_state_dict(shifted.state_dict())
    for swapper in (shifted, plain):
        swapper.target_mean.fill_(0.3)
        swapper.source_mean.fill_(0.1)
    faces = torch.rand(2, 3, 32, 32) - 0.5
    moved = {"crop": faces - 0.2, "warped": faces - 0.2}
    here = {"crop": faces, "warped": faces}
    first = shifted.losses("autoencoder", moved, here)
    second = plain.losses("autoencoder", here, here)
    assert torch.allclose(first["source.l1"], second["source.l1"], atol=1e-5)
    with pytest.raises(TypeError):
        shifted.losses("discriminator", here, here)
