"""A family's code reaches `convert` through the model's config.json."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from likeness.contracts import closure
from likeness.contracts.listed_code import parsed
from tasks.train import code_of


def test_the_hash_is_that_of_the_familys_list(repository: Path) -> None:
    text = closure.lists(repository)["families/autoencoder.txt"]
    assert code_of("autoencoder") == hashlib.sha256(text.encode()).hexdigest()
    assert "  models/layers/" in text
    assert code_of("autoencoder") != code_of("fsgan")


def test_the_hash_follows_the_familys_own_modules_and_shared_parts(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every file of the family's closure is hashed, and a change of one shows."""
    before, read = code_of("fsgan"), set[str]()
    own = {p for p in parsed(closure.family_list("fsgan", repository)) if "fsgan" in p}
    assert len(own) > 1
    real = closure.Digests.__missing__

    def noted(digests: closure.Digests, file: str) -> str:
        read.add(file)
        return "changed" if file == max(own) else real(digests, file)

    monkeypatch.setattr(closure.Digests, "__missing__", noted)
    assert code_of("fsgan") != before
    assert own < read
    assert {path for path in read if path.startswith("models/layers/")}
