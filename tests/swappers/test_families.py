"""What every family in the registry must do (docs/how-to/add-a-family.md)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from likeness.contracts.tables.history import HISTORY
from models import tensorfile
from models.batch import Batch
from models.crew import Crew, single_threaded
from models.layers.memory_format import lay_out
from models.swappers import registry
from models.swappers.base import Swapper
from models.training import optimisers
from models.training.loop import train
from models.training.results import write_results
from models.training.steps import gradients, take_step
from tests.swapper_cases import CASES, STILL, Case

Make = Callable[..., Case]
FAMILIES = registry.names()
LEARNING = [f for f in FAMILIES if registry.load_class(f).phases is not Swapper.phases]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("count", [1, 3, 5])
@torch.no_grad()
def test_swap_keeps_shapes_and_ranges(make_case: Make, family: str, count: int) -> None:
    case = make_case(family)
    target, source = case.faces(count)
    image, mask = case.swapper.swap(target, source)
    side = case.swapper.size_px
    assert image.shape == (count, 3, side, side)
    assert mask.shape == (count, 1, side, side)
    assert image.dtype == mask.dtype == torch.float32
    assert image.isfinite().all()
    assert image.abs().max() <= 1
    assert 0 <= mask.min() < mask.max() <= 1


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_swap_is_deterministic_and_leaves_its_input_alone(make_case: Make, family: str) -> None:
    case = make_case(family)
    target, source = case.faces(3)
    before = {name: column.clone() for name, column in target.items()}
    first = case.swapper.swap(target, source)
    torch.manual_seed(99)
    second = case.swapper.swap(target, source)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert all(torch.equal(before[name], target[name]) for name in before)


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_a_face_does_not_depend_on_its_neighbours(make_case: Make, family: str) -> None:
    case = make_case(family)
    target, source = case.faces(3)
    together, _ = case.swapper.swap(target, source)
    one = {name: column[1:2] for name, column in target.items()}
    alone, _ = case.swapper.swap(one, source)
    assert torch.allclose(together[1:2], alone, atol=2e-3)


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_save_and_load_give_the_same_swapper(make_case: Make, family: str) -> None:
    case = make_case(family, images=0)
    run = train(case.job, device=torch.device("cpu"))
    write_results(run)
    loaded = registry.load(case.job.out)
    assert not loaded.training
    assert type(loaded) is type(run.swapper)
    assert loaded.config == run.swapper.config
    target, source = case.faces(2)
    # Training lays weights out in another order than files, and `convert` does so again.
    lay_out(loaded, loaded.memory_format)
    before, after = run.swapper.eval().swap(target, source), loaded.swap(target, source)
    # Sums may round otherwise all the same.
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(before, after, strict=True))
    stored = loaded.state_dict()
    assert all(torch.equal(v, stored[name]) for name, v in run.swapper.state_dict().items())
    again = case.job.out.parent / "again.safetensors"
    tensorfile.write(again, loaded.state_dict())
    assert again.read_bytes() == (case.job.out / registry.WEIGHTS).read_bytes()


@pytest.mark.parametrize("family", LEARNING)
def test_losses_are_named_finite_and_leave_buffers_alone(make_case: Make, family: str) -> None:
    case = make_case(family)
    work = case.context()
    buffers = {name: b.clone() for name, b in case.swapper.named_buffers()}
    case.swapper.train()
    for phase in case.swapper.phases():
        losses = work.losses(phase, work.loader.choose(case.job.plan, 0))
        assert losses
        assert all(value.ndim == 0 and value.isfinite() for value in losses.values())
    # A running mean would depend on which worker saw which part of a batch.
    assert all(torch.equal(b, buffers[name]) for name, b in case.swapper.named_buffers())


@pytest.mark.parametrize("family", LEARNING)
def test_each_phase_moves_its_own_parameters_alone(make_case: Make, family: str) -> None:
    case = make_case(family)
    work = case.context()
    phases = case.swapper.phases()
    assert {id(p) for phase in phases for p in phase.parameters} == {
        id(p) for p in case.swapper.parameters()
    }
    for step, phase in enumerate(phases):
        before = {name: p.detach().clone() for name, p in case.swapper.named_parameters()}
        choices = work.loader.choose(case.job.plan, step)
        mover = optimisers.make(phase)
        for _ in range(2):  # behind a gain that begins at 0 nothing moves in the first step
            take_step(work, phase, mover, choices, step)
        own = {id(p) for p in phase.parameters}
        moved = {n for n, p in case.swapper.named_parameters() if not torch.equal(p, before[n])}
        assert moved == {n for n, p in case.swapper.named_parameters() if id(p) in own}


def step_of(case: Case, threads: int) -> list[torch.Tensor]:
    """All that a step gives, before anything moves: losses, gradients, what later steps get."""
    found: list[torch.Tensor] = []
    with single_threaded(), Crew(threads) as crew:
        work = replace(case.context(), crew=crew)
        for phase in case.swapper.phases():
            work.select(phase)
            made: dict[int, Batch] = {}
            for parameter in phase.parameters:
                parameter.grad = None
            means = gradients(work, phase, work.loader.choose(case.job.plan, 0), 0, made)
            none = torch.zeros(())
            given = [none if p.grad is None else p.grad.clone() for p in phase.parameters]
            found += [*means.values(), *given]
            found += [made[part][name] for part in sorted(made) for name in sorted(made[part])]
    return found


@pytest.mark.parametrize("family", LEARNING)
def test_threads_change_no_bit_of_a_step(make_case: Make, family: str) -> None:
    case = make_case(family, batch_images=8, micro_batches=4, precision="bf16")
    case.swapper.train()
    alone = step_of(case, 1)
    assert any(bool(t.any()) for t in alone)
    for threads in (2, 4):
        beside = step_of(case, threads)
        assert len(alone) == len(beside)
        # Who gets no gradient alone (none at all) gets zeros beside others.
        assert all(torch.equal(a.expand(b.shape), b) for a, b in zip(alone, beside, strict=True))


@pytest.mark.parametrize("family", LEARNING)
def test_overfits_four_crops(make_case: Make, family: str) -> None:
    falling, share = CASES[family].falling, CASES[family].falls_to
    case = make_case(family, images=CASES[family].overfit_images, augment=STILL.model_dump())
    plan = case.job.plan
    work = case.context()
    four = work.loader.choose(plan, 0)
    phases = case.swapper.train().phases()
    movers = [optimisers.make(phase) for phase in phases]
    sums = []
    for step in range(plan.steps):
        values = [
            take_step(work, phase, mover, four, step)
            for phase, mover in zip(phases, movers, strict=True)
        ]
        sums.append(sum(v for each in values for name, v in each.items() if falling in {name, ""}))
    assert sum(sums[-5:]) < share * sum(sums[:5])


@pytest.mark.parametrize("family", FAMILIES)
def test_trains_on_a_cpu_in_seconds_and_writes_its_files(make_case: Make, family: str) -> None:
    case = make_case(family, precision="bf16", log_every_images=16)
    write_results(train(case.job, device=torch.device("cpu")))
    files = {path.name for path in Path(case.job.out).iterdir()}
    expected = {"config.json", "history.parquet", "model.safetensors", "preview.jpg"}
    assert expected <= files
    assert ("moments.safetensors" in files) == (family in LEARNING)
    others = files - expected - {"moments.safetensors"}
    assert all(name.endswith(".jpg") for name in others)  # a family's own pictures
    history = HISTORY.read(case.job.out / "history.parquet")
    names = set(history["name"].to_pylist())
    assert ("loss" in names) == (family in LEARNING)
    assert HISTORY.check(case.job.out / "history.parquet")["family"] == family
