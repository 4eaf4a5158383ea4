"""AdaBelief, RMSprop, learning-rate dropout: against their definitions, and resumed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from likeness.contracts.errors import ModelError
from models.crew import Crew
from models.swappers.base import Phase
from models.training import optimisers
from models.training.lr_dropout import BLOCK

RATE = 0.01


def phase(parameters: list[nn.Parameter], name: str, **options: float) -> Phase:
    return Phase("net", parameters, optimiser=name, learning_rate=RATE, options=options)


def gradients(count: int, shape: tuple[int, ...] = (7,)) -> list[torch.Tensor]:
    random = torch.Generator().manual_seed(5)
    return [torch.randn(shape, generator=random) for _ in range(count)]


def walk(name: str, given: list[torch.Tensor], **options: float) -> torch.Tensor:
    parameter = nn.Parameter(torch.zeros(given[0].shape))
    mover = optimisers.make(phase([parameter], name, **options))
    for gradient in given:
        parameter.grad = gradient.clone()
        mover.step()
    return parameter.detach()


@pytest.mark.parametrize("correction", [0.0, 1.0])
def test_adabelief_follows_its_definition(correction: float) -> None:
    mean = belief = place = np.zeros(7)
    for step, gradient in enumerate(gradients(4), start=1):
        g = gradient.double().numpy()
        mean = 0.9 * mean + 0.1 * g
        belief = 0.99 * belief + 0.01 * (g - mean) ** 2
        m = mean / (1 - 0.9**step) if correction else mean
        s = belief / (1 - 0.99**step) if correction else belief
        place = place - RATE * m / (np.sqrt(s) + 1e-4)
    options = {"beta2": 0.99, "eps": 1e-4, "bias_correction": correction}
    assert walk("adabelief", gradients(4), **options).numpy() == pytest.approx(place, rel=1e-4)


def test_rmsprop_follows_its_definition() -> None:
    square = place = np.zeros(7)
    for gradient in gradients(3):
        g = gradient.double().numpy()
        square = 0.8 * square + 0.2 * g**2
        place = place - RATE * g / (np.sqrt(square) + 1e-6)
    assert walk("rmsprop", gradients(3), rho=0.8).numpy() == pytest.approx(place, rel=1e-4)


def test_torch_agrees_on_rmsprop() -> None:
    parameter = nn.Parameter(torch.zeros(7))
    theirs = torch.optim.RMSprop([parameter], RATE, alpha=0.9, eps=1e-6)
    for gradient in gradients(5):
        parameter.grad = gradient.clone()
        theirs.step()
    assert torch.allclose(walk("rmsprop", gradients(5)), parameter.detach(), rtol=1e-5)


@pytest.mark.parametrize("name", ["adabelief", "rmsprop"])
def test_dropout_moves_the_share_it_names_and_those_as_far_as_without(name: str) -> None:
    given = gradients(1, (500, 400))
    free, held = walk(name, given), walk(name, given, lr_dropout=0.3)
    moved = held != 0
    assert moved.float().mean() == pytest.approx(0.3, abs=0.01)
    assert torch.equal(held[moved], free[moved])
    many = walk(name, gradients(9, (500, 400)), lr_dropout=0.3)
    assert (many != 0).float().mean() == pytest.approx(1 - 0.7**9, abs=0.01)  # drawn each time


@pytest.mark.parametrize(("share", "made"), [(1.0, 0), (0.5, 2)])
def test_random_numbers_are_prepared_only_where_some_are_drawn(
    monkeypatch: pytest.MonkeyPatch, share: float, made: int
) -> None:
    real, seen = torch.Generator, []

    def generator(device: torch.device) -> torch.Generator:
        seen.append(device)
        return real(device)

    given = gradients(2)
    monkeypatch.setattr(torch, "Generator", generator)
    walk("rmsprop", given, lr_dropout=share)
    assert len(seen) == made


def test_moments_are_kept_for_what_does_not_move() -> None:
    first, second = gradients(2, (300,))
    both = nn.Parameter(torch.zeros(300)), nn.Parameter(torch.zeros(300))
    movers = [
        optimisers.make(phase([parameter], "rmsprop", lr_dropout=share))
        for parameter, share in zip(both, (1.0, 0.3), strict=True)
    ]
    for gradient in (first, second):
        for parameter, mover in zip(both, movers, strict=True):
            parameter.grad = gradient.clone()
            mover.step()
    squares = [mover.state[p]["square"] for mover, p in zip(movers, both, strict=True)]
    assert torch.equal(squares[0], squares[1])


def test_blocks_change_nothing_but_the_order_of_work() -> None:
    long = gradients(2, (BLOCK + 1000,))
    whole = walk("adabelief", long)
    assert torch.equal(whole[BLOCK:], walk("adabelief", [g[BLOCK:] for g in long]))
    kernel = nn.Parameter(torch.zeros(8, 4, 3, 3).contiguous(memory_format=torch.channels_last))
    plain = gradients(1, (8, 4, 3, 3))
    kernel.grad = plain[0].contiguous(memory_format=torch.channels_last)
    optimisers.make(phase([kernel], "adabelief")).step()
    assert torch.allclose(kernel.detach(), walk("adabelief", plain))


@pytest.mark.parametrize("name", ["adabelief", "rmsprop"])
def test_a_restored_optimiser_draws_what_it_would_have_drawn(name: str) -> None:
    given = gradients(6, (50, 20))
    straight = walk(name, given, lr_dropout=0.5)
    parameter = nn.Parameter(torch.zeros(50, 20))
    saved: dict[str, torch.Tensor] = {}
    for part in (given[:3], given[3:]):
        mover = optimisers.make(phase([parameter], name, lr_dropout=0.5))
        optimisers.restore("net", mover, saved)
        for gradient in part:
            parameter.grad = gradient.clone()
            mover.step()
        saved = {k: v.clone() for k, v in optimisers.state_of("net", mover).items()}
    assert torch.equal(parameter.detach(), straight)


def test_what_moves_depends_on_the_seed() -> None:
    places = []
    for seed in (0, 1):
        parameter = nn.Parameter(torch.zeros(400))
        mover = optimisers.make(phase([parameter], "rmsprop", lr_dropout=0.5), seed)
        parameter.grad = torch.ones(400)
        mover.step()
        places.append(parameter.detach())
    assert not torch.equal(places[0], places[1])


@pytest.mark.parametrize("name", ["adam", "adabelief"])
def test_an_unknown_option_is_refused(name: str) -> None:
    with pytest.raises(ModelError, match=r"phase net: .*unknown beta3"):
        optimisers.make(phase([nn.Parameter(torch.zeros(1))], name, beta3=1.0))


@pytest.mark.parametrize("name", sorted(optimisers.KNOWN))
def test_threads_move_the_same_way(name: str) -> None:
    """Each of them moves some parameters whole, by the numbers that they would draw alone."""
    torch.manual_seed(0)
    shapes, found = [(7, 5), (3,), (4, 2, 3, 3), (11,), ()], []
    options = {"lr_dropout": 0.5} if name in {"adabelief", "rmsprop"} else {}
    drawn = [[torch.randn(shape) for shape in shapes] for _ in range(3)]
    for threads in (1, 2, 4):
        own = [torch.nn.Parameter(torch.ones(shape)) for shape in shapes]
        factors = [1.0, 2.0, 1.0, 2.0, 1.0]
        phase = Phase("p", own, optimiser=name, factors=factors, options=options)
        mover = optimisers.make(phase)
        with Crew(threads) as crew:
            for gradients in drawn:
                for parameter, gradient in zip(own, gradients, strict=True):
                    parameter.grad = gradient.clone()
                optimisers.move(mover, crew)
        state = optimisers.state_of("p", mover)
        found.append([*(p.detach() for p in own), *(state[n].float() for n in sorted(state))])
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))
