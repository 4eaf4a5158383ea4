"""Small DVC repositories, made once and copied."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.flows.stub import dvc, make_stub

MakeStub = Callable[[], Path]


@pytest.fixture(scope="session")
def fresh_stub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small repository before its first run; copy it before changing it."""
    return make_stub(tmp_path_factory.mktemp("fresh") / "repo")


@pytest.fixture(scope="session")
def built_stub(fresh_stub: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small repository after `dvc repro`; copy it before changing it."""
    root = tmp_path_factory.mktemp("built") / "repo"
    shutil.copytree(fresh_stub, root)
    dvc(root, "repro")
    return root


@pytest.fixture
def stub(fresh_stub: Path, tmp_path: Path) -> Path:
    """A small repository of one's own, not run yet."""
    return Path(shutil.copytree(fresh_stub, tmp_path / "repo"))


@pytest.fixture
def built(built_stub: Path, tmp_path: Path) -> Path:
    """A small repository of one's own, up to date."""
    return Path(shutil.copytree(built_stub, tmp_path / "repo"))
