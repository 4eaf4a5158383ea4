"""Frozen networks as stage `pack` wrote them; implements `models.swappers.base.Frozen`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from likeness.contracts.errors import ModelError
from models import tensorfile
from models.layers.recogniser import Recogniser

WEIGHTS_FILE, FACTS_FILE = "rec_mobilefacenet.safetensors", "recogniser.json"


@dataclass(frozen=True)
class FrozenNetworks:
    """The networks in a folder.

    Attributes:
        folder: holds WEIGHTS_FILE and FACTS_FILE.
    """

    folder: Path

    def embedder(self) -> Recogniser:
        """The recogniser with its weights.

        Raises:
            ModelError: the file is missing, damaged or of another network.
        """
        recogniser, path = Recogniser(), self.folder / WEIGHTS_FILE
        state = tensorfile.read(path)
        try:
            recogniser.load(state)
        except RuntimeError as error:
            problem = f"does not fit ({' '.join(str(error).split())[:200]})"
            raise ModelError(path, problem, "run `dvc repro pack`") from None
        return recogniser

    def facts(self) -> dict[str, Any]:
        """recogniser.json: name, sha256 and licence of the pinned weights.

        Raises:
            ModelError: the file is missing or damaged.
        """
        path = self.folder / FACTS_FILE
        try:
            content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            problem = f"cannot be read ({error})"
            raise ModelError(path, problem, "run `dvc repro pack`") from None
        return content
