"""Frozen networks as stages `pack` and `perceptual` wrote them, for families that look at them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from likeness.contracts.errors import ModelError
from models import tensorfile
from models.layers.feature_network import FeatureNetwork
from models.layers.recogniser import Recogniser
from models.layers.vgg import INPUTS, Vgg19, select

WEIGHTS_FILE, FACTS_FILE = "rec_mobilefacenet.safetensors", "recogniser.json"
CHOICE_FILE = "perceptual.json"
NAMED = ("name", "sha256", "licence", "input")
"""What a model's config.json says of a network, where it is known."""


def _facts(path: Path, stage: str) -> dict[str, Any]:
    """Content of a JSON file that a stage wrote."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        step = f"run `dvc repro {stage}`"
        raise ModelError(path, f"cannot be read ({error})", step) from None
    return content


@dataclass(frozen=True)
class FrozenNetworks:
    """The networks in the folders of both stages, and which of them were taken.

    Attributes:
        folder: holds WEIGHTS_FILE and FACTS_FILE.
        choice: holds CHOICE_FILE, and weights where it names any; None chooses the recogniser.
        taken: name, sha256, licence (and input) of each network that was handed out, once.
    """

    folder: Path
    choice: Path | None = None
    taken: list[dict[str, Any]] = field(default_factory=list)

    def _take(self, facts: dict[str, Any]) -> None:
        named = {key: facts[key] for key in NAMED if key in facts}
        if named not in self.taken:
            self.taken.append(named)

    def embedder(self) -> Recogniser:
        """The recogniser with its weights.

        Raises:
            ModelError: a file is missing, damaged or of another network.
        """
        return self._recogniser(saved=True)

    def _recogniser(self, *, saved: bool) -> Recogniser:
        recogniser, path = Recogniser(saved), self.folder / WEIGHTS_FILE
        state = tensorfile.read(path)
        try:
            recogniser.load(state)
        except RuntimeError as error:
            problem = f"does not fit ({' '.join(str(error).split())[:200]})"
            raise ModelError(path, problem, "run `dvc repro pack`") from None
        self._take(_facts(self.folder / FACTS_FILE, "pack"))
        return recogniser

    def perceptual(self) -> FeatureNetwork:
        """The network that params.yaml chose for features; a model's file does not hold it.

        Raises:
            ModelError: a file is missing, damaged or of another network.
        """
        if self.choice is None:
            return self._recogniser(saved=False)
        path = self.choice / CHOICE_FILE
        facts = _facts(path, "perceptual")
        if facts.get("network") == "embedded":
            return self._recogniser(saved=False)
        if facts.get("network") != "vgg19" or facts.get("input") not in INPUTS:
            raise ModelError(path, "names no network", "run `dvc repro perceptual`")
        weights = self.choice / str(facts.get("file"))
        network = self._vgg19(weights, facts["input"])
        self._take(facts)
        return network

    def _vgg19(self, path: Path, given: str) -> Vgg19:
        try:
            state = select(tensorfile.read(path))
        except ValueError as error:
            raise ModelError(
                path, f"does not fit ({error})", "run `dvc repro perceptual`"
            ) from None
        network = Vgg19(given, len(state["features.0.bias"]))
        network.load(state)
        return network
