"""Constants that are copied to a device once: whoever asks first, training may use them later."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from models.layers import face_shape, oklab, recogniser
from models.losses import pixels
from models.swappers.faceshifter import occluders
from models.swappers.fsgan import heatmaps, poisson
from models.swappers.pix2pix import drawings
from models.training.landmarks import partners

META = torch.device("meta")
KEPT = (
    pixels._blur,
    oklab._matrix,
    poisson._transfer,
    face_shape._canonical,
    heatmaps._vertices,
    drawings._on,
    partners,
    recogniser._template,
)


def square(crop: Tensor) -> Tensor:
    return pixels.dssim(crop, crop.detach().flip(-1))


def colours(crop: Tensor) -> Tensor:
    return oklab.to_rgb(oklab.to_oklab(crop)).square().mean()


def points(crop: Tensor) -> Tensor:
    return heatmaps.landmarks(crop.flatten(2)[:1, :, :2].expand(468, -1, -1).transpose(0, 1)).mean()


def placed(crop: Tensor) -> Tensor:
    return recogniser.to_template(crop.flatten()[:10].view(1, 5, 2) * 32, 32).square().mean()


@pytest.mark.parametrize("look", [square, colours, points, placed])
def test_what_a_swap_has_kept_serves_a_training(look: Callable[[Tensor], Tensor]) -> None:
    for kept in KEPT:
        kept.cache_clear()
    torch.manual_seed(0)
    crop = torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        wanted = look(crop.clone())
    crop.requires_grad_()
    found = look(crop)
    found.backward()  # type: ignore[no-untyped-call]  # torch's
    assert torch.equal(found.detach(), wanted)
    assert crop.grad is not None and crop.grad.abs().max() > 0


@pytest.mark.parametrize(
    "make",
    [
        lambda device: pixels._blur(32, 11, 1.5, device),
        lambda device: oklab._matrix("lab", torch.float32, device),
        lambda device: poisson._transfer(torch.float32, device),
        lambda device: face_shape._canonical(torch.float32, device),
        lambda device: heatmaps._vertices(device)[0],
        lambda device: drawings._on(device, drawings.polylines()).begin,
        lambda device: partners("landmarks_5", device),
        recogniser._template,
    ],
)
def test_constants_of_a_device_are_made_once(make: Callable[[torch.device], Tensor]) -> None:
    cpu = torch.device("cpu")
    for kept in KEPT:
        kept.cache_clear()
    with torch.inference_mode():
        first = make(META)
    assert make(META) is first and first.device == META
    assert not first.is_inference()
    assert make(cpu) is make(cpu) and make(cpu).device == cpu


def test_windows_differ_by_their_width() -> None:
    cpu = torch.device("cpu")
    assert not torch.equal(pixels._blur(32, 11, 1.5, cpu), pixels._blur(32, 11, 2.0, cpu))


def test_occluders_are_painted_where_the_crops_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    real, copied = Tensor.to, []

    def to(self: Tensor, *given: object, **named: object) -> Tensor:
        found = real(self, *given, **named)
        if self.device != found.device:
            copied.append((self.numel(), named.get("non_blocking", False)))
        return found

    monkeypatch.setattr(Tensor, "to", to)
    covered, cover = occluders.occlude(torch.zeros(4, 3, 128, 128, device=META))
    assert covered.is_meta and covered.shape == (4, 3, 128, 128)
    assert cover.is_meta and cover.shape == (4, 1, 128, 128)
    assert max(numbers for numbers, _ in copied) == 4 * 3 * 16 * 16  # noise, before it is enlarged
    assert all(behind for _, behind in copied)


def test_random_numbers_are_those_of_the_cpu_on_any_device() -> None:
    after = []
    for device in ("cpu", "meta"):
        torch.manual_seed(7)
        occluders.occlude(torch.zeros(3, 3, 16, 16, device=device), 0.5)
        after.append(torch.rand(4))
    assert torch.equal(*after)
