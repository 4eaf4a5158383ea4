"""The recogniser inside a family: the pack's own embeddings, differentiable, never moved."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.nn import functional

from likeness.vision.templates import template
from models import tensorfile
from models.analysers.embedder import aligned_crop
from models.layers.mobilefacenet import ArcFaceInput, MobileFaceNet
from models.layers.recogniser import SIDES_PX, TEMPLATE, Recogniser, warp_to_template
from models.training.frozen import FrozenNetworks
from tests.synthetic_shards import write_recogniser

POINTS = np.array([[41, 52], [83, 55], [60, 78], [44, 98], [79, 101]], np.float32) * 1.4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recogniser(tmp_path_factory.mktemp("recogniser"))


@pytest.fixture(scope="module")
def recogniser(folder: Path) -> Recogniser:
    return FrozenNetworks(folder).embedder()


def smooth_picture(side: int = 176) -> np.ndarray:
    rows, columns = np.mgrid[0:side, 0:side] / side
    waves = [np.sin(9 * rows + k) * np.cos(7 * columns - k) for k in range(3)]
    return ((np.stack(waves, axis=-1) + 1) * 120).astype(np.uint8)


def crop_of(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 127.5 - 1


def test_the_template_is_the_packs() -> None:
    assert np.allclose(TEMPLATE, template("arcface_112", 112))


def test_crops_are_warped_as_the_packs_embedder_does() -> None:
    picture = smooth_picture()
    theirs = aligned_crop(picture, POINTS)
    ours = warp_to_template(crop_of(picture), torch.from_numpy(POINTS)[None])
    pixels = (ours[0].permute(1, 2, 0).numpy() + 1) * 127.5
    assert np.abs(pixels - theirs).mean() < 0.3
    assert (theirs == 0).any()  # where the crop ends
    assert np.abs(pixels - theirs)[cv2.erode((theirs > 0).astype(np.uint8), None) > 0].max() < 3


def test_embeddings_are_the_networks_own(recogniser: Recogniser, folder: Path) -> None:
    network = MobileFaceNet()
    network.load_state_dict(_state(folder))
    crop, points = crop_of(smooth_picture()), torch.from_numpy(POINTS)[None]
    with torch.inference_mode():
        alone = ArcFaceInput(network.eval())(warp_to_template(crop, points))
        ours = recogniser.train().embed(crop, points)
    assert torch.allclose(ours, functional.normalize(alone), atol=1e-5)


def _state(folder: Path) -> dict[str, torch.Tensor]:
    return tensorfile.read(folder / "rec_mobilefacenet.safetensors")


def test_gradients_reach_the_crop_and_no_weight(recogniser: Recogniser) -> None:
    crop = crop_of(smooth_picture()).requires_grad_()
    points = torch.from_numpy(POINTS)[None]
    maps = recogniser.features(crop, points)
    assert tuple(m.shape[-1] for m in maps) == SIDES_PX
    torch.autograd.backward(
        sum((m.abs().mean() for m in maps), recogniser.embed(crop, points)[0, 0])
    )
    assert crop.grad is not None
    assert crop.grad.abs().sum() > 0
    assert not list(recogniser.parameters())


def test_autocast_changes_nothing(recogniser: Recogniser) -> None:
    crop, points = crop_of(smooth_picture()), torch.from_numpy(POINTS)[None]
    with torch.inference_mode():
        plain = recogniser.embed(crop, points)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(recogniser.embed(crop, points), plain)


def test_weights_are_saved_only_where_asked(recogniser: Recogniser) -> None:
    loss_alone = Recogniser(saved=False)
    assert not loss_alone.state_dict()
    loss_alone.take(recogniser)
    crop, points = crop_of(smooth_picture()), torch.from_numpy(POINTS)[None]
    with torch.inference_mode():
        assert torch.equal(loss_alone.embed(crop, points), recogniser.embed(crop, points))
    assert len(recogniser.state_dict()) > 50
