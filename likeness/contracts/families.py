"""Swap families by name: the folders of models/swappers that hold a `swapper.py`."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path("models/swappers")
"""Where the families lie, from the root of the repository."""
MODULE = "swapper.py"
"""The module of a family's folder that defines its class."""


def family_names(root: Path = Path()) -> list[str]:
    """Names of all families below the repository `root`, sorted; imports none of them."""
    return sorted(module.parent.name for module in (root / FOLDER).glob(f"*/{MODULE}"))
