"""A family's code reaches `convert` through the model's config.json."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.closure import closure
from tasks.train import code_of


def test_the_hash_follows_the_family_and_its_parts(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every layer and loss that a family imports is hashed, and a change of one shows."""
    before = code_of("autoencoder")
    assert before == code_of("autoencoder")
    parts = closure(repository / "models/swappers/autoencoder/swapper.py", repository)
    read: list[str] = []

    def noted(path: Path) -> str:
        read.append(path.relative_to(repository).as_posix())
        return "changed" if path.name == "scaling.py" else "same"

    monkeypatch.setattr("tasks.train.sha256_of", noted)
    assert code_of("autoencoder") != before
    rooms = ("models/layers", "models/losses", "models/swappers/autoencoder/")
    assert {part for part in parts if part.startswith(rooms)} == set(read)


def test_the_hash_follows_a_familys_private_modules(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    monkeypatch.setattr("tasks.train.sha256_of", lambda path: read.append(path.name) or "")
    code_of("fsgan")
    private = {path.name for path in (repository / "models/swappers/fsgan").glob("*.py")}
    assert len(private) > 2
    # Tests alone read `tiny.py`.
    assert private - {"__init__.py", "tiny.py"} <= set(read)
    assert "tiny.py" not in read
