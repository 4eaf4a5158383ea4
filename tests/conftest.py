"""Fixtures for all tests: real test material where present, a skip with a reason where not."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from likeness.contracts.environment import shared_folder

ROOT = Path(__file__).resolve().parents[1]

if "PYTEST_XDIST_WORKER" in os.environ:
    # Each process of a parallel run keeps to one core; two pools of threads would wait in turns.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# Tests import torch before `models` could say how its threads wait (models/__init__.py).
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
os.environ.setdefault("MKL_DISABLE_FAST_MM", "1")

# A run in the background ignores Ctrl-C, and so would every process that tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root of this repository."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder with footage, photos and golden analysis (LIKENESS_SHARED)."""
    folder = shared_folder()
    folder = folder if folder.is_absolute() else ROOT / folder
    if not (folder / "footage").is_dir():
        pytest.skip(f"no test material at {folder}; set LIKENESS_SHARED")
    return folder


@pytest.fixture(scope="session")
def pack_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded analyser pack: the repository's if stage `pack` has run, else one made here."""
    ready = ROOT / "data/packs/embedded"
    if (ready / "pack.json").is_file():
        return ready
    from models.analysers.export import write_pack
    from models.analysers.fetch import fetch_pack

    folder = tmp_path_factory.mktemp("packs") / "embedded"
    write_pack("embedded", fetch_pack("embedded"), folder)
    return folder


SLOW_S = 5.0
"""What a slow test is taken to last where its mark does not say `seconds`."""


def seconds_of(item: pytest.Item) -> float:
    """What a slow test lasts on a quiet core, as its mark says; 0 for any other."""
    mark = item.get_closest_marker("slow")
    return 0.0 if mark is None else float(mark.kwargs.get("seconds", SLOW_S))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Fast tests first: a mistake shows in seconds. Then the slow files, the longest first.

    A worker of a parallel run takes whole files in this order, so that both end at about the same
    time.
    """
    slow: dict[Path, float] = {}
    for item in items:
        if seconds := seconds_of(item):
            slow[item.path] = slow.get(item.path, 0.0) + seconds
    items.sort(key=lambda item: (seconds_of(item) > 0, -slow.get(item.path, 0.0)))
