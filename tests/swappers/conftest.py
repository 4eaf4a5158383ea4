"""Fixtures of the suite over all families."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from likeness.contracts.params.train import Plan
from models.swappers import registry
from models.swappers.abilities import Equips, Prepares, takes_pools
from models.training.frozen import FrozenNetworks
from models.training.identities import open_identities
from models.training.job import Job
from tests.swapper_cases import TINY, Case
from tests.synthetic_shards import write_pool, write_recogniser, write_shards


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("shards")
    source = write_shards(folder / "source", "ann", 12, seed=1)
    return source, write_shards(folder / "target", "ben", 9, seed=2)


@pytest.fixture(scope="session")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pool(tmp_path_factory.mktemp("pool"), "drawn", {"ann": 9, "ben": 8, "cid": 7})


@pytest.fixture(scope="session")
def recogniser(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recogniser(tmp_path_factory.mktemp("recogniser"))


@pytest.fixture
def make_case(
    shards: tuple[Path, Path], pool: Path, recogniser: Path, tmp_path: Path
) -> Callable[..., Case]:
    def make(family: str, **plan: Any) -> Case:
        torch.set_num_threads(1)
        torch.manual_seed(0)
        swapper = registry.build(family, TINY[family])
        folders = (pool, pool) if takes_pools(swapper) else shards
        view = (swapper.needs, swapper.size_px, swapper.coverage)
        source, target = (open_identities(folder, *view) for folder in folders)
        if isinstance(swapper, Equips):
            swapper.equip(FrozenNetworks(recogniser))
        if isinstance(swapper, Prepares):
            swapper.prepare(source, target)
        out = tmp_path / "out"
        out.mkdir()
        given = Plan(**{"images": 64, "batch_images": 4, "precision": "float32", **plan})
        state = tmp_path / "state"
        job = Job("tiny", family, TINY[family], given, *folders, out, state, recogniser=recogniser)
        return Case(swapper.eval(), source, target, job)

    return make
