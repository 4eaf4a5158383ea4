"""Crops out of shards, their coordinates, and augmentation against OpenCV's own warps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some
from torch.utils._python_dispatch import TorchDispatchMode

from likeness.contracts.errors import ModelError
from likeness.contracts.params.train import Augmentation, Plan
from likeness.vision.alignment import umeyama
from models.batch import as_image
from models.layers.similarity_transform import fit_similarity
from models.training.augment import Draw, draw, positions, sample
from models.training.crops import cut, open_crops
from models.training.dataset import load_dataset
from models.training.loaders import choose
from models.training.seeds import generator, seed_of
from tests.synthetic_shards import MASK_PX, SIZE_PX, draw_face, write_shards

META = torch.device("meta")
STILL = Augmentation(rotation_deg=0, zoom=0, shift=0, flip=0, warp=0)


def smooth_picture(side: int) -> np.ndarray:
    """Waves that every resampling must keep: differences come from places, not from kernels."""
    rows, columns = np.mgrid[0:side, 0:side] / side
    waves = [np.sin(9 * rows + k) * np.cos(7 * columns - k) for k in range(3)]
    return ((np.stack(waves, axis=-1) + 1) * 120).astype(np.uint8)


def tensor_of(picture: np.ndarray) -> torch.Tensor:
    return as_image(torch.from_numpy(picture[None]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shards(tmp_path_factory.mktemp("shards"), "ann", 10)


@pytest.mark.parametrize(("coverage", "size_px"), [(0.625, 40), (0.5, 64), (0.7, 48), (1.0, 128)])
def test_cut_maps_the_covered_edges_to_the_crop_edges(coverage: float, size_px: int) -> None:
    picture = smooth_picture(SIZE_PX)
    seen = coverage * SIZE_PX
    scale = size_px / seen
    offset = (0.5 - (SIZE_PX - seen) / 2) * scale - 0.5
    affine = np.array([[scale, 0, offset], [0, scale, offset]])
    wanted = cv2.warpAffine(picture, affine, (size_px, size_px), flags=cv2.INTER_LINEAR)
    ours = (cut(tensor_of(picture), coverage, size_px)[0].permute(1, 2, 0).numpy() + 1) * 127.5
    inner = slice(2, -2)
    assert np.abs(ours - wanted)[inner, inner].max() < 4


def test_whole_crops_stay_as_they_are(folder: Path) -> None:
    crops = open_crops(folder, (), SIZE_PX, 1.0)
    picture = next(crops.batches(4))["crop"]
    drawn = draw_face(-1.0, np.random.default_rng(0).uniform(30, 220, (3, 3)))
    assert picture.shape == (4, 3, SIZE_PX, SIZE_PX)
    assert (picture[:1] - tensor_of(drawn)).abs().mean() < 0.02  # what JPEG took


def test_points_move_with_the_pixels(folder: Path) -> None:
    crops = open_crops(folder, ("landmarks_5", "landmarks_468", "mask"), 40, 0.625)
    batch = next(crops.batches(3))
    whole = next(open_crops(folder, ("landmarks_468",), SIZE_PX, 1.0).batches(3))
    scale = 40 / 80
    ours, aligned = batch["landmarks_468"], whole["landmarks_468"]
    assert torch.allclose(ours[..., :2], (aligned[..., :2] + 0.5 - 24) * scale - 0.5, atol=1e-4)
    assert torch.allclose(ours[..., 2], aligned[..., 2] * scale, atol=1e-5)
    assert batch["mask"].shape == (3, 1, 40, 40)
    assert batch["landmarks_5"].shape == (3, 5, 2)


def test_previews_take_crops_evenly(folder: Path) -> None:
    crops = open_crops(folder, ("pose_deg",), 32, 0.625)
    yaw = crops.some(4)["pose_deg"][:, 0]
    assert torch.allclose(yaw, torch.linspace(-1, 1, 10)[[0, 3, 6, 9]] * 40)
    assert len(crops.some(99)["crop"]) == 10


def test_shards_without_crops_are_named(tmp_path: Path) -> None:
    write_shards(tmp_path / "none", "ann", 0)
    for folder in (tmp_path / "none", tmp_path / "nothing"):
        with pytest.raises(ModelError, match=r"hold no crops.*add footage.*dvc repro") as caught:
            open_crops(folder, (), 64, 1.0)
        assert caught.value.subject == str(folder)


def test_batches_follow_seed_and_step_alone(folder: Path) -> None:
    dataset = load_dataset([open_crops(folder, ("mask",), 32, 0.625)])
    assert dataset.crops.shape[1] == round(1.5 * 32 / 0.625)
    plan = Plan(batch_images=6)
    first = dataset.batch(choose("source", dataset, plan, 3), torch.device("cpu"))
    choose("source", dataset, plan, 4)
    again = dataset.batch(choose("source", dataset, plan, 3), torch.device("cpu"))
    assert all(torch.equal(first[name], again[name]) for name in first)
    later = choose("source", dataset, plan, 4)
    other = choose("source", dataset, Plan(batch_images=6, seed=1), 3)
    assert not torch.equal(choose("source", dataset, plan, 3).numbers.jitter, later.numbers.jitter)
    assert not torch.equal(choose("source", dataset, plan, 3).numbers.jitter, other.numbers.jitter)
    assert first["mask"].shape == (6, 1, 32, 32)
    assert first["warped"].shape == first["crop"].shape == (6, 3, 32, 32)


def test_batches_hold_the_landmarks_that_a_family_needs(folder: Path) -> None:
    dataset = load_dataset([open_crops(folder, ("landmarks_5", "landmarks_468"), 32, 0.625)])
    still = Plan(batch_images=4, augment=STILL)
    choice = choose("source", dataset, still, 0)
    batch = dataset.batch(choice, torch.device("cpu"))
    stored = next(open_crops(folder, ("landmarks_5", "landmarks_468"), 32, 0.625).batches(10))
    for name in ("landmarks_5", "landmarks_468"):
        assert torch.allclose(batch[name], stored[name][choice.index], atol=1e-3)
    mirrored = choose("source", dataset, Plan(batch_images=4, augment=Augmentation(flip=1)), 0)
    turned = dataset.batch(mirrored, torch.device("cpu"))["landmarks_468"]
    assert (turned[:, 33, 0] < turned[:, 263, 0]).all()  # the image-left eye keeps its name
    assert dataset.points["landmarks_5"].shape == (10, 5, 2)


def test_a_part_of_a_batch_is_the_same_alone(folder: Path) -> None:
    dataset = load_dataset([open_crops(folder, (), 32, 0.625)])
    choice = choose("source", dataset, Plan(batch_images=8), 0)
    whole = dataset.batch(choice, torch.device("cpu"))
    part = dataset.batch(choice.part(2, 5), torch.device("cpu"))
    assert torch.equal(whole["warped"][2:5], part["warped"])
    assert torch.equal(whole["crop"][2:5], part["crop"])


def test_weights_decide_how_often_a_crop_is_drawn(folder: Path) -> None:
    dataset = load_dataset([open_crops(folder, (), 32, 1.0)])
    index = choose("source", dataset, Plan(batch_images=20_000), 0).index
    share = torch.bincount(index, minlength=10) / 20_000
    assert torch.allclose(share, dataset.weights / dataset.weights.sum(), atol=0.015)


def test_without_a_warp_the_network_sees_what_it_shall_draw(folder: Path) -> None:
    dataset = load_dataset([open_crops(folder, (), 48, 0.8)])
    choice = choose("source", dataset, Plan(batch_images=6, augment=Augmentation(warp=0)), 0)
    batch = dataset.batch(choice, torch.device("cpu"))
    assert batch["warped"] is batch["crop"]
    seen, wanted = positions(choice.numbers, 0.8, 48)  # the longer way leads to the same place
    assert torch.allclose(seen, wanted, atol=1e-6)


def test_no_augmentation_gives_the_central_cut() -> None:
    picture = tensor_of(smooth_picture(SIZE_PX))
    warped, wanted = positions(draw(1, STILL, generator(0)), 0.625, 40)
    assert torch.allclose(warped, wanted, atol=1e-5)
    assert (sample(picture, warped) - cut(picture, 0.625, 40)).abs().max() < 0.03


def founding_positions(jitter: np.ndarray, size_px: int) -> tuple[np.ndarray, np.ndarray]:
    """The founding construction with OpenCV for coverage 160 of 256: (S,S,2) px each."""
    line = np.linspace(48, 208, 5)
    columns, rows = np.meshgrid(line, line)
    grid = np.stack([columns + jitter[0], rows + jitter[1]], axis=-1)
    side = size_px * 5 // 4
    large = [cv2.resize(grid[..., k].astype(np.float32), (side, side)) for k in range(2)]
    edge = size_px // 8
    warped = np.stack(large, axis=-1)[edge:-edge, edge:-edge]
    nodes = np.stack(np.meshgrid(*[np.linspace(0, size_px, 5)] * 2), axis=-1)
    fit = umeyama(grid.reshape(-1, 2), nodes.reshape(-1, 2))
    back = cv2.invertAffineTransform(fit)
    pixels = np.stack(np.meshgrid(*[np.arange(size_px) + 0.5] * 2), axis=-1)
    return warped, pixels @ back[:, :2].T + back[:, 2]


@given(some.integers(0, 10_000))
def test_warp_and_target_are_the_founding_ones(seed: int) -> None:
    numbers = draw(1, Augmentation(rotation_deg=0, zoom=0, shift=0, flip=0), generator(seed))
    warped, wanted = positions(numbers, 160 / 256, 64)
    theirs = founding_positions(numbers.jitter[0].numpy() * 80, 64)
    for ours, other in zip((warped, wanted), theirs, strict=True):
        assert np.abs((ours[0].numpy() + 1) * 128 - other).max() < 0.02


@given(some.integers(0, 10_000))
def test_similarity_is_umeyamas(seed: int) -> None:
    points = torch.randn((1, 9, 2), generator=generator(seed, "points"))
    wanted = points[0] * 0.7 + torch.randn((9, 2), generator=generator(seed, "noise")) * 0.1
    factor, offset = fit_similarity(points, wanted)
    fit = umeyama(points[0].numpy(), wanted.numpy())
    a, b = factor[0, 0].tolist()
    assert np.allclose(fit[:, :2], [[a, -b], [b, a]], atol=1e-4)
    assert np.allclose(fit[:, 2], offset[0, 0], atol=1e-4)


@pytest.mark.parametrize("mirror", [1.0, -1.0])
def test_affine_map_is_opencvs(mirror: float) -> None:
    picture = smooth_picture(SIZE_PX)
    angle, zoom, shift = 8.0, 1.04, (0.03, -0.02)
    centre = (SIZE_PX / 2 - 0.5, SIZE_PX / 2 - 0.5)
    matrix = cv2.getRotationMatrix2D(centre, -angle, zoom)  # OpenCV counts against the clock
    matrix[:, 2] += np.array(shift) * SIZE_PX
    moved = cv2.warpAffine(picture, matrix, (SIZE_PX, SIZE_PX), borderMode=cv2.BORDER_REPLICATE)
    moved = moved[:, ::-1] if mirror < 0 else moved
    radians = np.deg2rad(angle)
    numbers = Draw(
        torch.tensor([[np.cos(radians), np.sin(radians)]], dtype=torch.float32) / zoom,
        torch.tensor([shift], dtype=torch.float32) * 2,
        torch.tensor([mirror]),
        torch.zeros(1, 2, 5, 5),
    )
    where, _ = positions(numbers, 1.0, SIZE_PX)
    ours = (sample(tensor_of(picture), where)[0].permute(1, 2, 0).numpy() + 1) * 127.5
    assert np.abs(ours - moved)[4:-4, 4:-4].max() < 4


def test_draws_stay_within_their_bounds() -> None:
    numbers = draw(4000, Augmentation(), generator(5))
    zoom = 1 / numbers.turn.norm(dim=1)
    angle = torch.rad2deg(torch.atan2(numbers.turn[:, 1], numbers.turn[:, 0]))
    assert zoom.min() >= 0.95 - 1e-5
    assert zoom.max() <= 1.05 + 1e-5
    assert 9 < angle.abs().max() <= 10.001
    assert 0.09 < numbers.shift.abs().max() <= 0.1
    assert abs((numbers.mirror < 0).float().mean() - 0.4) < 0.03
    assert abs(numbers.jitter.std() * 80 - 5) < 0.1  # N(0,5) px of 160


def test_seeds_differ_by_place() -> None:
    places = [(0, "source", 1), (0, "source", 2), (0, "target", 1), (1, "source", 1)]
    assert len({seed_of(*place) for place in places}) == 4
    assert seed_of(0, "source", 1) == seed_of(0, "source", 1)
    assert MASK_PX != SIZE_PX  # so that the tests above would notice a mask at the crop's size


class Copies(TorchDispatchMode):
    """Copies from the host to torch's meta device: whether it goes on meanwhile, in `behind`."""

    def __init__(self) -> None:
        super().__init__()
        self.behind: list[bool] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        given = {"aten::_to_copy": args[:1], "aten::copy_": args[1:2]}.get(func._schema.name, ())
        if given and made.is_meta and not given[0].is_meta:
            self.behind.append((kwargs or {}).get("non_blocking", False))
        return made


def test_a_batch_needs_two_copies_that_nobody_waits_for(folder: Path) -> None:
    crops = open_crops(folder, ("mask", "landmarks_5", "landmarks_468"), 32, 0.625)
    dataset = load_dataset([crops]).to(META)
    plan = Plan(batch_images=6)
    dataset.batch(choose("source", dataset, plan, 0), META)  # constants go there once
    with Copies() as copies:
        batch = dataset.batch(choose("source", dataset, plan, 1), META)
    assert copies.behind == [True, True]
    assert batch["landmarks_468"].is_meta


def test_numbers_arrive_on_a_device_as_they_were_drawn() -> None:
    numbers = draw(5, Augmentation(), generator(3)).part(1, 4)
    there = numbers.to(torch.device("cpu", 0))  # by its number it counts as another device
    assert there is not numbers
    for name in ("turn", "shift", "mirror", "jitter"):
        assert torch.equal(getattr(there, name), getattr(numbers, name))
    assert numbers.to(torch.device("cpu")) is numbers


def test_crops_that_a_device_holds_are_not_copied_there_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crops = open_crops(folder, ("mask", "landmarks_5"), 32, 0.625)
    device, dataset = torch.device("meta"), load_dataset([crops])
    choice = choose("source", dataset, Plan(batch_images=6), 0)
    there = dataset.to(device)
    real, copied = torch.Tensor.to, []

    def to(self: torch.Tensor, *given: Any, **named: Any) -> torch.Tensor:
        found = real(self, *given, **named)
        if self.device != found.device:
            copied.append(self.numel() * self.element_size())
        return found

    monkeypatch.setattr(torch.Tensor, "to", to)
    batch = there.batch(choice, device)
    assert {column.device.type for column in batch.values()} == {"meta"}
    numbers = choice.numbers
    drawn = [numbers.turn, numbers.shift, numbers.mirror, numbers.jitter]
    assert max(copied) == sum(n.numel() * n.element_size() for n in drawn)
    copied.clear()
    dataset.batch(choice, device)
    assert max(copied) >= 6 * dataset.crops[0].numel()
