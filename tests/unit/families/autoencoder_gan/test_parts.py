"""Parts of the GAN autoencoder against their definitions: attention, losses, augmentation."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Beta

from models.losses.perceptual import standardised_squares
from models.swappers.autoencoder_gan.colour_match import SEEN, match, moments, random_match
from models.swappers.autoencoder_gan.edges import edge_distance, slopes, total_variation
from models.swappers.autoencoder_gan.eye_boxes import HIGH, WIDE, eye_boxes
from models.swappers.autoencoder_gan.mixup import SHAPE, draw_share, mixed, mixup_critic
from models.swappers.autoencoder_gan.motion_blur import (
    LENGTHS_PX,
    blur,
    line_kernels,
    motion_blurred,
)
from models.swappers.autoencoder_gan.self_attention import BLOCK, SelfAttention, attend


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def picture(seed: int, count: int = 2, size_px: int = 32) -> Tensor:
    return (0.3 * noise(count, 3, size_px, size_px, seed=seed)).clamp(-1, 1)


# Attention


def test_attention_begins_as_identity_and_learns_its_gain() -> None:
    torch.manual_seed(0)
    layer, feature = SelfAttention(16), noise(2, 16, 4, 6)
    assert torch.equal(layer(feature), feature)
    layer(feature).square().sum().backward()
    assert layer.gain.grad is not None
    assert layer.gain.grad.abs() > 0


def test_attention_mixes_values_by_the_likeness_of_query_and_key() -> None:
    torch.manual_seed(0)
    layer, feature = SelfAttention(16), noise(2, 16, 3, 5, seed=1)
    with torch.no_grad():
        layer.gain.fill_(0.7)
        drawn = layer(feature)
    query, key, value = layer.look(feature).split([2, 2, 16], 1)
    for b, row, column in ((0, 0, 0), (1, 2, 3)):
        likeness = torch.einsum("c,chw->hw", query[b, :, row, column], key[b])
        shares = torch.softmax(likeness.flatten(), 0).view(3, 5)
        found = (shares * value[b]).sum((1, 2))
        wanted = feature[b, :, row, column] + 0.7 * found
        assert torch.allclose(drawn[b, :, row, column], wanted, atol=1e-5)


def test_blocks_of_queries_give_what_torchs_own_function_gives() -> None:
    places = 2 * BLOCK + 40
    query, key, value = (
        noise(2, places, 4),
        noise(2, places, 4, seed=1),
        noise(2, places, 9, seed=2),
    )
    known = torch.nn.functional.scaled_dot_product_attention(query, key, value, scale=1.0)
    assert torch.allclose(attend(query, key, value), known, atol=1e-5)
    meta = [each.to("meta") for each in (query, key, value)]
    assert attend(*meta).shape == (2, places, 9)


# Losses


def test_edges_of_equal_pictures_do_not_differ() -> None:
    image = picture(1)
    assert edge_distance(image, image) == 0
    assert edge_distance(image + 0.25, image) < 1e-6  # level is no edge
    assert edge_distance(image, -image) < 1e-6  # nor is its sign
    assert edge_distance(image, torch.zeros_like(image)) > 0.1


def test_edges_are_differences_to_the_pixels_below_and_to_the_right() -> None:
    image = torch.zeros(1, 1, 4, 4)
    image[..., 1, 2] = 1
    down, right = slopes(image)
    assert down.shape == right.shape == (1, 1, 3, 3)
    assert down[0, 0].nonzero().tolist() == [[0, 2], [1, 2]]
    assert right[0, 0].nonzero().tolist() == [[1, 1], [1, 2]]
    assert total_variation(image) == pytest.approx(4 / 9)
    weight = torch.zeros(1, 1, 4, 4)
    weight[..., 1, :] = 1
    assert edge_distance(image, 0 * image, weight) == pytest.approx(3 / 9)
    assert total_variation(torch.full((2, 1, 5, 5), 0.4)) == 0


def test_mixtures_end_at_the_real_and_at_the_drawn_picture() -> None:
    real, drawn = picture(1), picture(2)
    assert torch.equal(mixed(real, drawn, torch.tensor(1.0)), real)
    assert torch.equal(mixed(real, drawn, torch.tensor(0.0)), drawn)
    assert mixup_critic(torch.full((2, 1, 3, 3), 0.3), torch.tensor(0.3)) == 0
    assert mixup_critic(torch.zeros(2, 1, 3, 3), torch.tensor(0.5)) == pytest.approx(0.25)


def test_shares_follow_the_beta_distribution() -> None:
    torch.manual_seed(0)
    shares = torch.stack([draw_share(torch.device("cpu")) for _ in range(4000)])
    known = Beta(SHAPE, SHAPE)
    assert shares.min() >= 0
    assert shares.max() <= 1
    assert shares.mean() == pytest.approx(float(known.mean), abs=0.02)
    assert shares.var() == pytest.approx(float(known.variance), abs=0.01)


def test_features_are_compared_without_level_and_contrast_from_the_coarsest() -> None:
    maps = [noise(2, 4, 16, 16), noise(2, 8, 8, 8, seed=1), noise(2, 8, 4, 4, seed=2)]
    brighter = [3 * feature + 1 for feature in maps]
    assert standardised_squares(brighter, maps, (1.0, 1.0, 1.0)) < 1e-4
    other = [noise(2, 4, 16, 16, seed=5), *maps[1:]]
    assert standardised_squares(other, maps, (1.0, 1.0)) == 0  # the finest has no weight
    apart = standardised_squares(other, maps, (0.0, 0.0, 0.5))
    assert apart == pytest.approx(0.5 * 2, rel=0.15)  # of unrelated maps: twice the variance


# Eyes


@pytest.mark.parametrize("angle", [0.0, 0.3, -0.8])
def test_eye_boxes_lie_along_the_eyes(angle: float) -> None:
    middle, apart = np.array([70.0, 55.0]), 40.0
    unit = np.array([math.cos(angle), math.sin(angle)])
    eyes = np.stack([middle - unit * apart / 2, middle + unit * apart / 2])
    five = torch.tensor(np.concatenate([eyes, np.zeros((3, 2))])[None], dtype=torch.float32)
    boxes = eye_boxes(five, 128)
    wanted = np.zeros((128, 128), np.float32)
    for eye in eyes:
        size = (2 * WIDE * apart, 2 * HIGH * apart)
        corners = cv2.boxPoints((tuple(eye), size, math.degrees(angle)))
        cv2.fillConvexPoly(wanted, (corners * 256).round().astype(np.int32), 1.0, shift=8)
    assert boxes.shape == (1, 1, 128, 128)
    assert (boxes[0, 0] - torch.from_numpy(wanted)).abs().mean() < 0.012
    area = 2 * (2 * WIDE * apart) * (2 * HIGH * apart)
    assert boxes.sum() == pytest.approx(area, rel=0.02)


# Colours and motion


def test_matched_crops_have_the_others_mean_and_deviation() -> None:
    crop, other = picture(1) * 0.5 - 0.2, picture(2) * 0.4 + 0.1
    drawn = match(crop, other).apply(crop)
    for ours, theirs in zip(moments(drawn), moments(other), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-3)
    edge = round(32 * (1 - SEEN) / 2)
    changed = other.clone()
    changed[..., :edge, :] = 1  # what lies outside the middle does not count
    assert torch.allclose(match(crop, changed).factor, match(crop, other).factor)


def test_matched_crops_stay_in_range_and_flat_ones_keep_their_colour() -> None:
    crop, other = picture(1) * 2, 4 * picture(2) + 0.7
    found = match(crop, other)
    raw = crop * found.factor + found.offset
    assert raw.min() >= -1 - 1e-5
    assert raw.max() <= 1 + 1e-5
    flat = torch.full((1, 3, 32, 32), 0.3)
    assert torch.allclose(match(flat, picture(2, 1)).apply(flat), flat, atol=1e-6)


def test_colours_change_by_chance() -> None:
    torch.manual_seed(0)
    crop, others = picture(1, 400, 8), picture(2, 5, 8) + 0.3
    changed = (random_match(crop, others, 0.5).apply(crop) - crop).abs().amax((1, 2, 3)) > 1e-4
    assert changed.float().mean() == pytest.approx(0.5, abs=0.08)
    assert torch.equal(random_match(crop, others, 0.0).apply(crop), crop)


@pytest.mark.parametrize("length", LENGTHS_PX)
def test_a_point_is_blurred_to_a_line_of_its_length(length: int) -> None:
    for angle in (0.0, 0.5, math.pi / 2, 2.4):
        kernel = line_kernels(torch.tensor([float(length)]), torch.tensor([angle]))[0].double()
        offset = torch.arange(11) - 5.0
        x, y = torch.meshgrid(offset, offset, indexing="xy")
        along = x * math.cos(angle) + y * math.sin(angle)
        aside = y * math.cos(angle) - x * math.sin(angle)
        assert kernel.sum() == pytest.approx(1)
        assert (kernel * aside.square()).sum() < 0.35
        spread = float((kernel * along.square()).sum())
        assert spread == pytest.approx((length**2 - 1) / 12, rel=0.15)
    point = torch.zeros(1, 3, 32, 32)
    point[..., 16, 16] = 1
    level = blur(point, line_kernels(torch.tensor([float(length)]), torch.zeros(1)))
    assert (level[0, 0, 16] > 1e-3).sum() == length


def test_a_blurred_row_keeps_its_precision_under_autocast() -> None:
    pictures = torch.rand(3, 3, 24, 24)
    torch.manual_seed(0)
    (plain,) = motion_blurred([pictures], 1.0)
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16):
        (found,) = motion_blurred([pictures], 1.0)
    assert found.dtype == torch.float32
    assert torch.equal(found, plain)


def test_blur_meets_some_rows_and_all_pictures_of_a_row_alike() -> None:
    torch.manual_seed(3)
    first = picture(1, 200, 16)
    seen, wanted = motion_blurred([first, 2 * first], 0.25)
    changed = (seen - first).abs().amax((1, 2, 3)) > 1e-4
    assert changed.float().mean() == pytest.approx(0.25, abs=0.08)
    assert torch.allclose(wanted, 2 * seen, atol=1e-5)
    assert motion_blurred([first], 0.0)[0] is first
