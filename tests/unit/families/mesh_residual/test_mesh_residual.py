"""Parts of mesh_residual: windows, light, lessons, the network's shape."""

from __future__ import annotations

import torch

from models.layers.random_numbers import seeded
from models.swappers.mesh_residual import lessons, shading
from models.swappers.mesh_residual.crispness import crispness
from models.swappers.mesh_residual.network import ResidualUNet
from models.swappers.mesh_residual.scene import cut, paste


def face(side: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
    """A flat face (1,3,S,S) in Oklab, lighter to the right, and where it is seen."""
    light = torch.linspace(0.4, 0.8, side).expand(1, 1, side, side)
    return torch.cat([light, 0.1 * light, 0.05 * light], 1), torch.ones(1, 1, side, side)


def test_a_window_is_put_back_where_it_was_cut() -> None:
    pictures = torch.rand(2, 3, 16, 16)
    corner = torch.tensor([[3, 0], [5, 4]])
    windows = cut(pictures, corner, 8)
    assert torch.equal(windows[1], pictures[1, :, 4:12, 5:13])
    assert torch.equal(paste(pictures, windows, corner), pictures)
    changed = paste(pictures, windows + 1, corner)
    assert torch.equal(changed[0, :, 0:8, 3:11], pictures[0, :, 0:8, 3:11] + 1)
    assert torch.equal(changed[0, :, 8:], pictures[0, :, 8:])


def test_unseen_places_get_the_light_of_what_is_seen_and_are_not_dark() -> None:
    picture, mask = face()
    mask[..., :20] = 0
    found = shading.coarse(picture * mask, mask, torch.ones_like(mask), 3.0)
    assert found[:, 0].min() > 0.55
    assert (found[:, 0] - picture[:, 0])[..., 26:].abs().max() < 0.05


def test_light_is_taken_off_and_put_on_and_black_stays_without_colour() -> None:
    picture, mask = face()
    spotted = picture.clone()
    spotted[:, :, 10:12, 10:12] = 0.0  # an eyebrow
    inner = torch.ones_like(mask)
    warm = picture * 0.8 + torch.tensor([0.0, 0.03, 0.05])[:, None, None] * picture[:, :1]
    both = shading.Shading(
        shading.coarse(picture, mask, inner, 2.0), shading.coarse(warm, mask, inner, 2.0)
    )
    found = shading.relit(spotted, both, torch.zeros_like(mask))
    assert (found - warm)[..., 16:, 4:28].abs().max() < 0.01
    assert found[:, :, 10:12, 10:12].abs().max() < 1e-6


def test_other_light_differs_between_pictures_and_is_never_brighter_than_white() -> None:
    picture, _ = face()
    with seeded(3):
        found = shading.other_light(picture.expand(8, -1, -1, -1), 1.0)
    assert found[:, 0].max() <= 1.05
    assert found.flatten(1).std(0).mean() > 0.01
    with seeded(3):
        assert torch.equal(found, shading.other_light(picture.expand(8, -1, -1, -1), 1.0))


def test_without_strength_the_light_stays() -> None:
    picture, _ = face()
    assert torch.equal(shading.other_light(picture, 0.0), picture)


def test_a_lesson_never_sees_its_own_crop_or_its_twins() -> None:
    distance = torch.tensor([0.0, 0.1, 0.2, 2.0, 3.0, 4.0]).expand(1, 2, 6)
    with seeded(0):
        weights = lessons.others(distance, torch.tensor([[0.5, 0.5]]), blend=2)
    assert weights[..., :3].max() < 1e-6
    assert torch.allclose(weights.sum(2), torch.ones(1, 2))


def test_where_nearly_all_views_are_twins_the_farthest_are_used() -> None:
    distance = torch.tensor([0.0, 0.1, 0.2, 0.3]).expand(1, 2, 4)
    with seeded(0):
        weights = lessons.others(distance, torch.tensor([[9.0, 9.0]]), blend=2)
    assert weights.isfinite().all() and weights[..., 0].max() < 1e-6


def test_crops_that_are_not_clean_do_not_teach_but_mirror_images_do() -> None:
    clean = torch.tensor([[1.0, 2, 3, 4, 5, 6, 7, 8]])
    mirrored = torch.tensor([[-1.0, 2, 4, 3, 5, 6, 7, 8]])
    other = torch.full((1, 8), 20.0)
    found, share = lessons.taught(torch.cat([other, mirrored, clean]), clean)
    assert found.tolist() == [1, 2] and abs(share - 2 / 3) < 1e-6
    found, share = lessons.taught(other, clean)
    assert found.tolist() == [0] and share == 0


def test_the_network_begins_with_no_change_and_takes_odd_sides() -> None:
    network = ResidualUNet(fine=2, half=1, low=1, out=3, width=6)
    given = (torch.rand(1, 2, 56, 56), torch.rand(1, 1, 28, 28), torch.rand(1, 1, 14, 14))
    assert torch.equal(network(*given), torch.zeros(1, 3, 56, 56))


def test_crispness_falls_with_blur_and_does_not_ask_where_detail_lies() -> None:
    noise = torch.rand(1, 1, 48, 48)
    soft = torch.nn.functional.avg_pool2d(noise, 3, 1, 1)
    strong, weak = crispness(noise), crispness(soft)
    assert strong.shape == (1, 1, 24, 24)
    assert weak[..., 3:-3, 3:-3].mean() < 0.6 * strong[..., 3:-3, 3:-3].mean()
    moved = crispness(noise.roll(1, 3))
    assert abs(float(moved.mean() / strong.mean()) - 1) < 0.05


def test_the_pace_rises_and_comes_to_rest() -> None:
    paces = [lessons.pace(seen, 1000) for seen in (0, 40, 500, 1000)]
    assert paces[0] < 0.1 < paces[2] < paces[1] <= 1 and paces[3] < 0.03
