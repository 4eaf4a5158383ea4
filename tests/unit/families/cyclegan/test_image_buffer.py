"""How full a pool of pictures is: known to the host, true after whatever was loaded."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from models.swappers.cyclegan.image_buffer import ImageBuffer, packed


def filled(count: int, size: int = 3) -> ImageBuffer:
    pool = ImageBuffer(size, 4)
    pool.keep(packed(torch.zeros(count, 3, 4, 4)), torch.full((count,), -1))
    return pool


@pytest.mark.parametrize("count", [0, 2, 3])
def test_a_pool_goes_on_from_what_was_loaded(count: int) -> None:
    pool, other = filled(3), filled(count)
    assert pool.filled == 3
    pool.load_state_dict(other.state_dict())
    assert pool.filled == int(pool.count) == count
    pool.keep(packed(torch.ones(1, 3, 4, 4)), torch.tensor([0]))
    assert pool.filled == int(pool.count) == min(count + 1, 3)
    assert int(pool.pictures[count % 3].float().mean()) == 255


def test_tensors_that_are_taken_as_they_are_count_too() -> None:
    pool = filled(3)
    pool.load_state_dict(filled(1).state_dict(), assign=True)
    assert pool.filled == 1
    twin = copy.deepcopy(pool)
    twin.load_state_dict(filled(2).state_dict())
    assert (pool.filled, twin.filled) == (1, 2)


def test_a_pool_asks_its_device_once(monkeypatch: pytest.MonkeyPatch) -> None:
    real, asked = Tensor.__int__, []

    def ask(tensor: Tensor) -> int:
        asked.append(tensor)
        return real(tensor)

    monkeypatch.setattr(Tensor, "__int__", ask)
    pool = ImageBuffer(3, 4)
    for _ in range(5):
        drawn = torch.zeros(1, 3, 4, 4)
        shown, places = pool.show(drawn)
        pool.keep(packed(shown), places)
    assert len(asked) == 1
    assert pool.filled == 3
