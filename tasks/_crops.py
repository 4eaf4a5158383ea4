"""The target's crops, as stages `convert`, `probes` and `evaluate` find them."""

from __future__ import annotations

from pathlib import Path

from likeness.contracts.catalog import DATA, below
from likeness.contracts.documents import sha256_of
from likeness.contracts.errors import CatalogError, TableError
from likeness.contracts.tables.base import Facts


def crops_of(aligned: Facts, subject: Path) -> Path:
    """The crops that an aligned.json names, checked against its hash.

    Args:
        aligned: its content.
        subject: its path, for what is said of it.

    Raises:
        CatalogError: the path leaves data/.
        TableError: the file is missing or is another one.
    """
    named = Path(aligned["crops"])
    if named.parts[:1] != DATA.parts:
        raise CatalogError(subject, f"names crops outside {DATA}/ ({named})", "run `dvc repro`")
    path = below(DATA, str(named.relative_to(DATA)))
    if not path.is_file():
        raise TableError(path, "does not exist", "run `dvc repro`")
    if sha256_of(path) != aligned["sha256"]:
        raise TableError(path, f"is not the file that {subject} describes", "run `dvc repro`")
    return path
