"""CycleGAN's parts against their definitions: sizes, receptive field, pool, step size, losses."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from likeness.contracts.errors import ParamsError
from likeness.contracts.params.train import Plan
from models import tensorfile
from models.batch import Batch
from models.layers.norm import InstanceNorm, ScaledInstanceNorm, instance_norm
from models.layers.patch_critics import Patch
from models.layers.reflect_padded_convolution import Reflected
from models.swappers import registry
from models.swappers.cyclegan.image_buffer import ImageBuffer, packed
from models.swappers.cyclegan.resnet_generator import ResnetGenerator
from models.swappers.cyclegan.swapper import CycleGan, linear_decay
from models.training import loop
from models.training.job import Job
from tests.swapper_cases import TINY
from tests.synthetic_shards import write_shards

CPU = torch.device("cpu")
LAYOUTS = (torch.contiguous_format, torch.channels_last)


def small(**settings: object) -> CycleGan:
    """A tiny family of fixed weights, larger than training begins with: what it draws differs."""
    torch.manual_seed(0)
    built = registry.build("cyclegan", {**TINY["cyclegan"], **settings})
    assert isinstance(built, CycleGan)
    for parameter in built.parameters():
        parameter.data.mul_(5)
    return built


def crops(count: int, seed: int) -> Batch:
    random = torch.Generator().manual_seed(seed)
    return {"crop": torch.rand((count, 3, 32, 32), generator=random) * 2 - 1}


def flat(value: float, count: int = 1) -> Tensor:
    return torch.full((count, 3, 4, 4), value)


# ---- networks -------------------------------------------------------------------------------


@pytest.mark.parametrize(("size_px", "parameters"), [(256, 11_378_179), (128, 7_837_699)])
def test_generators_have_the_published_size(size_px: int, parameters: int) -> None:
    with torch.device("meta"), registry.Unfilled():
        family = registry.build("cyclegan", {"size_px": size_px})
    blocks = 9 if size_px == 256 else 6
    # The published count holds biases that instance norm takes out again.
    idle = 64 + 128 + 256 + 2 * blocks * 256 + 128 + 64
    assert isinstance(family, CycleGan)
    for generator in (family.to_source, family.to_target):
        assert sum(p.numel() for p in generator.parameters()) == parameters - idle
    for critic in (family.source_critic, family.target_critic):
        assert sum(p.numel() for p in critic.parameters()) == 2_764_737 - (128 + 256 + 512)


@pytest.mark.parametrize(("depth", "field_px"), [(1, 16), (2, 34), (3, 70)])
def test_a_verdict_judges_a_patch_of_the_published_side(depth: int, field_px: int) -> None:
    critic = Patch(3, 2, depth, padding=1)
    for module in critic.modules():  # what spreads over the whole picture is left out
        if isinstance(module, nn.Sequential):
            module[-2 if len(module) == 3 else -1] = nn.Identity()
    image = torch.randn(1, 3, 128, 128, requires_grad=True)
    verdicts = critic(image)
    middle = verdicts.shape[-1] // 2
    torch.autograd.backward(verdicts[0, 0, middle, middle])
    assert image.grad is not None
    seen = image.grad.abs().sum(dim=(0, 1)).nonzero()
    assert (seen.amax(0) - seen.amin(0) + 1).tolist() == [field_px, field_px]


def test_a_critic_of_256_px_gives_30x30_verdicts() -> None:
    verdicts = Patch(3, 2, 3, padding=1)(torch.zeros(1, 3, 256, 256))
    assert verdicts.shape == (1, 1, 30, 30)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_instance_norm_keeps_type_and_layout(kind: torch.dtype) -> None:
    torch.manual_seed(0)
    feature = (torch.randn(2, 5, 8, 8) * 3 + 7).to(kind)
    feature = feature.contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        normed = InstanceNorm()(feature)
    assert normed.dtype == kind
    assert normed.is_contiguous(memory_format=torch.channels_last)
    exact = feature.double()
    exact = (exact - exact.mean((2, 3), keepdim=True)) / exact.std((2, 3), correction=0)[
        ..., None, None
    ]
    assert torch.allclose(normed.double(), exact, atol=3e-2 if kind is torch.bfloat16 else 1e-4)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("back", LAYOUTS)
@pytest.mark.parametrize("norm", [InstanceNorm(), ScaledInstanceNorm(5), instance_norm])
def test_instance_norm_has_the_gradient_of_its_definition(
    norm: Callable[[Tensor], Tensor],
    count: int,
    layout: torch.memory_format,
    back: torch.memory_format,
) -> None:
    # torch's own is wrong for one picture whose gradient arrives as channels_last.
    torch.manual_seed(0)
    feature, pull = torch.randn(2, count, 5, 8, 8).unbind(0)
    exact = feature.double().requires_grad_()
    away = exact - exact.mean((2, 3), keepdim=True)
    normed = away / (away.square().mean((2, 3), keepdim=True) + 1e-5).sqrt()
    torch.autograd.backward(normed, pull.double())
    ours = feature.contiguous(memory_format=layout).requires_grad_()
    torch.autograd.backward(norm(ours), pull.contiguous(memory_format=back))
    assert ours.grad is not None
    assert exact.grad is not None
    assert torch.allclose(ours.grad.double(), exact.grad, atol=1e-5)


def test_reflected_edges_are_those_of_torch() -> None:
    torch.manual_seed(0)
    ours = Reflected(3, 4, 7)
    theirs = nn.Conv2d(3, 4, 7, padding=3, padding_mode="reflect")
    theirs.load_state_dict(ours.state_dict())
    image = torch.randn(2, 3, 9, 12)
    assert torch.equal(ours(image), theirs(image))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.allclose(ours(image), theirs(image), atol=1e-2)


def test_a_generator_looks_at_one_picture_and_keeps_its_side() -> None:
    torch.manual_seed(0)
    generator = ResnetGenerator(4, 2)
    images = torch.randn(3, 3, 48, 48)
    drawn = generator(images)
    assert drawn.shape == images.shape
    assert torch.allclose(drawn[1:2], generator(images[1:2]), atol=1e-5)
    assert drawn.abs().max() <= 1


def test_critics_too_deep_for_the_crop_are_refused() -> None:
    with pytest.raises(ParamsError, match="too deep for 32 px"):
        registry.build("cyclegan", {"size_px": 32, "critic_depth": 4})


# ---- the pool -------------------------------------------------------------------------------


def test_a_pool_fills_before_it_gives() -> None:
    pool = ImageBuffer(3, 4)
    for value in (0.1, 0.2, 0.3):
        shown, places = pool.show(flat(value))
        assert torch.equal(shown, flat(value))
        assert places.tolist() == [-1]
        pool.keep(packed(shown), places)
    assert int(pool.count) == 3
    kept = pool.pictures[:, 0, 0, 0].tolist()
    assert kept == [round((value + 1) * 127.5) for value in (0.1, 0.2, 0.3)]


def test_half_of_what_a_full_pool_shows_is_old_and_gives_its_place_to_the_new() -> None:
    torch.manual_seed(1)
    pool, size = ImageBuffer(50, 4), 50
    for number in range(size):
        pool.keep(packed(flat(number / 127.5 - 1)), torch.tensor([-1]))
    old = 0
    for number in range(size, 200):
        before = pool.pictures[:, 0, 0, 0].tolist()
        drawn = flat(number / 127.5 - 1)
        shown, places = pool.show(drawn)
        pool.keep(packed(drawn), places)
        after = pool.pictures[:, 0, 0, 0].tolist()
        place = int(places)
        if place < 0:
            assert torch.equal(shown, drawn)
            assert after == before
            continue
        old += 1
        assert torch.equal(packed(shown)[0, 0, 0, 0].int(), torch.tensor(before[place]).int())
        assert after == [number if k == place else value for k, value in enumerate(before)]
    assert 55 <= old <= 95  # of 150, two and a half deviations about the half


def test_no_two_pictures_of_a_batch_share_a_place() -> None:
    torch.manual_seed(0)
    pool = ImageBuffer(6, 4)
    pool.keep(packed(torch.zeros(6, 3, 4, 4)), torch.full((6,), -1))
    for _ in range(20):
        _, places = pool.show(torch.zeros(9, 3, 4, 4))
        taken = places[places >= 0].tolist()
        assert len(set(taken)) == len(taken) <= 6
        assert set(taken) <= set(range(6))


def test_a_pool_of_no_places_always_shows_the_newest() -> None:
    pool = ImageBuffer(0, 4)
    drawn = torch.rand(2, 3, 4, 4)
    shown, places = pool.show(drawn)
    assert torch.equal(shown, drawn)
    pool.keep(packed(drawn), places)
    assert int(pool.count) == 0


def test_losses_read_the_pools_and_only_keep_writes_them() -> None:
    family = small(pool=2)
    source, target = crops(2, 1), crops(2, 2)
    family.losses("critic", source, target)
    made = family.made()
    assert int(family.source_pool.count) == 0
    family.keep("critic", made)
    with torch.no_grad():
        drawn = packed(family.to_source(target["crop"]))
    assert torch.equal(family.source_pool.pictures, drawn)
    assert torch.equal(made["source.places"], torch.tensor([-1, -1]))
    assert family.made() == {}
    family.losses("critic", source, target)  # as where memory is measured: nobody asks what it made
    family.losses("generator", source, target)
    assert family.made() == {}


# ---- losses and step size --------------------------------------------------------------------


def test_losses_are_those_of_the_paper() -> None:
    family = small(cycle=7.0, identity=0.3)
    source, target = crops(2, 1), crops(2, 2)
    found = family.losses("generator", source, target)
    s, t = source["crop"], target["crop"]
    wanted = {
        "source.adversarial": (family.source_critic(family.to_source(t)) - 1).square().mean(),
        "target.adversarial": (family.target_critic(family.to_target(s)) - 1).square().mean(),
        "source.cycle": 7 * (family.to_source(family.to_target(s)) - s).abs().mean(),
        "target.cycle": 7 * (family.to_target(family.to_source(t)) - t).abs().mean(),
        "source.identity": 7 * 0.3 * (family.to_source(s) - s).abs().mean(),
        "target.identity": 7 * 0.3 * (family.to_target(t) - t).abs().mean(),
    }
    assert list(found) == list(wanted)
    for name, value in wanted.items():
        assert found[name].item() == pytest.approx(value.item(), rel=1e-4), name
    squares = family.losses("critic", source, target)
    real, drawn = family.target_critic(t), family.target_critic(family.to_target(s))
    half = ((real - 1).square().mean() + drawn.square().mean()) / 2
    assert squares["target.squares"].item() == pytest.approx(half.item(), rel=1e-4)
    del found["source.identity"], found["target.identity"]
    without = small(cycle=7.0, identity=0).losses("generator", source, target)
    assert list(without) == list(found)
    assert all(without[n].item() == pytest.approx(found[n].item(), rel=1e-4) for n in found)


@torch.no_grad()
def test_a_swap_is_one_pass_each_way() -> None:
    family = small()
    crop = crops(2, 1)["crop"]
    given = {"crop": crop, "mask": torch.ones(2, 1, 32, 32)}
    for drawn, generator in (
        (family.swap(given), family.to_source),
        (family.swap_back(given), family.to_target),
    ):
        assert torch.equal(drawn[0], generator(crop))
        assert drawn[1][0, 0, 16, 16] == 1
        assert drawn[1][0, 0, 0, 16] < 0.2


def test_critics_do_not_pull_at_generators() -> None:
    family = small()
    losses = family.losses("critic", crops(1, 1), crops(1, 2))
    torch.autograd.backward(torch.stack(list(losses.values())).sum())
    assert all(p.grad is None for p in family.to_source.parameters())
    assert all(p.grad is not None for p in family.source_critic.parameters())


def test_the_step_size_is_constant_then_falls_to_nothing() -> None:
    assert [linear_decay(images, 200, 0.5) for images in (0, 99, 100)] == [1, 1, 1]
    assert linear_decay(150, 200, 0.5) == pytest.approx(0.5)
    assert linear_decay(199, 200, 0.5) == pytest.approx(0.01)
    assert linear_decay(200, 200, 0.5) == 0
    assert linear_decay(200, 200, 1.0) == 1
    family = small(constant_share=0.5)
    assert all(phase.rate is None for phase in family.phases())
    family.plan_images = 64
    for phase in family.phases():
        assert phase.rate is not None
        assert (phase.rate(16), phase.rate(48)) == (1, 0.5)


# ---- workers ---------------------------------------------------------------------------------

WORKER = """
import sys
from pathlib import Path
import torch
from models import tensorfile
from models.training import loop
from models.training.process_group import DistributedGroup
from tests.unit.families.cyclegan.test_cyclegan import CPU, job_of

rank, folder = int(sys.argv[1]), Path(sys.argv[2])
torch.set_num_threads(1)
store = f"file://{folder / 'store'}"
torch.distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=2)
run = loop.train(job_of(folder, f"state{rank}"), DistributedGroup(CPU), CPU)
tensorfile.write(folder / f"worker{rank}.safetensors", run.swapper.state_dict())
torch.distributed.destroy_process_group()
"""


def job_of(folder: Path, state: str) -> Job:
    """A short training whose pools fill and change."""
    plan = Plan(images=24, batch_images=4, precision="float32")
    settings = {**TINY["cyclegan"], "pool": 4}
    return Job("m", "cyclegan", settings, plan, folder / "ann", folder / "ben", folder,
               folder / state)  # fmt: skip


@pytest.fixture
def people(tmp_path: Path) -> Path:
    write_shards(tmp_path / "ann", "ann", 8, seed=1)
    write_shards(tmp_path / "ben", "ben", 6, seed=2)
    return tmp_path


def test_an_interrupted_training_goes_on_with_its_pools(
    people: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = loop.train(job_of(people, "whole"), device=CPU).swapper.state_dict()
    monkeypatch.setenv("LIKENESS_CHECKPOINT_S", "0")
    real, calls = CycleGan.keep, 0

    def sometimes(*given: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 5:  # the first part of the third step, of two parts each
            raise KeyboardInterrupt
        real(*given)

    monkeypatch.setattr(CycleGan, "keep", sometimes)
    with pytest.raises(KeyboardInterrupt):
        loop.train(job_of(people, "broken"), device=CPU)
    resumed = loop.train(job_of(people, "broken"), device=CPU).swapper.state_dict()
    assert calls == 7
    assert all(torch.equal(resumed[name], value) for name, value in whole.items())


@pytest.mark.slow
def test_pools_are_the_same_for_any_number_of_workers(people: Path, repository: Path) -> None:
    torch.set_num_threads(1)
    alone = loop.train(job_of(people, "alone"), device=CPU).swapper.state_dict()
    assert int(alone["source_pool.count"]) == 4
    command = [sys.executable, "-c", WORKER]
    workers = [
        subprocess.Popen([*command, str(rank), str(people)], cwd=repository) for rank in (0, 1)
    ]
    assert [worker.wait(120) for worker in workers] == [0, 0]
    for rank in (0, 1):
        told = tensorfile.read(people / f"worker{rank}.safetensors")
        assert all(torch.equal(told[name], value) for name, value in alone.items())
