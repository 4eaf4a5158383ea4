"""The networks that a swap is judged by: the pack's, and a second embedder of another make."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from likeness.contracts.documents import sha256_of
from likeness.contracts.errors import WeightsError
from models.analysers.circular import read_judge, refuse_circular
from models.analysers.embedder import Embedder
from models.analysers.features import TappedEmbedder
from models.analysers.interfaces import EmbedderFacts
from models.analysers.pack import Pack, load_pack

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.floating]


class Second(Protocol):
    """What the second embedder has to be."""

    dimension: int

    def embed_crops(self, crops: Pixels) -> Floats:
        """Embeddings (N,E) of aligned crops (N,112,112,3) uint8 RGB; by several threads."""


class Judge:
    """The networks a swap is judged by; every method may be called by several threads.

    Attributes:
        pack: the analyser pack.
        facts: of the pack's embedder, whose cosine is circular: `filter` chose faces by it.
        second_facts: of the second embedder, or the reason why there is none.
        has_second: whether there is one.
    """

    def __init__(self, pack: Pack, second: Second | None, second_facts: dict[str, Any]) -> None:
        self.pack = pack
        self._tapped = TappedEmbedder(pack.path("embedder"), pack.networks.embedder)
        self._second = second
        self._own = threading.local()
        self.has_second = second is not None
        self.second_facts = second_facts
        self.facts: dict[str, Any] = {
            "name": f"{pack.name} (pack)",
            "dimension": self._tapped.dimension,
            "independent": False,
            "circular": True,
        }

    def embed(self, crops: Pixels) -> tuple[Floats, list[Floats]]:
        """Embeddings (N,D) and feature maps (N,C,S,S) of crops (N,112,112,3), N at least 1."""
        return self._tapped.run(crops)

    def second(self, crops: Pixels) -> Floats:
        """Embeddings (N,E) of crops (N,112,112,3) by the second embedder.

        Raises:
            WeightsError: there is none; see `has_second`.
        """
        if self._second is None:
            raise WeightsError("judge", "has no second embedder", "ask `has_second` before")
        return self._second.embed_crops(crops)

    def mesh(self, pictures: Pixels) -> tuple[Floats, Floats]:
        """Meshes (N,468,3) in px of upright crops (N,S,S,3), and scores (N,)."""
        if not hasattr(self._own, "mesh"):
            self._own.mesh = self.pack.new_mesh()
        found: tuple[Floats, Floats] = self._own.mesh.run_crops(pictures)
        return found

    def eyes(self, crops: Pixels) -> tuple[Floats, Floats]:
        """Contours (N,71,3) and irises (N,5,3), the centre first, in px of eye crops (N,64,64,3).

        Right eyes come mirrored.
        """
        if not hasattr(self._own, "iris"):
            from models.analysers.segmenter import IrisLandmarks

            self._own.iris = IrisLandmarks(self.pack.path("iris"))
        found: tuple[Floats, Floats] = self._own.iris.run(crops)
        return found


def _second(path: Path, facts: dict[str, Any]) -> Second:
    """The second embedder that judge.json describes."""
    if facts.get("runtime", "onnx") == "dlib":
        from models.analysers.dlibface import DlibEmbedder

        return DlibEmbedder(path)
    return Embedder(path, 1, EmbedderFacts(bgr=facts["colour_order"] == "BGR"))


def load_judge(pack_folder: Path, judge_folder: Path, trained_with: tuple[str, ...] = ()) -> Judge:
    """The pack's networks, and the second embedder if stage `judge` could get one.

    Args:
        pack_folder: output of stage `pack`.
        judge_folder: output of stage `judge`.
        trained_with: sha256 of networks that the model's losses look at.

    Raises:
        WeightsError: the judge's file is gone or is another one, or the pack uses it too.
    """
    pack = load_pack(pack_folder)
    facts = read_judge(judge_folder)
    if facts["name"] is None:
        return Judge(pack, None, facts)
    refuse_circular(facts["name"], facts["sha256"], pack.facts, trained_with)
    path = judge_folder / facts["file"]
    if not path.is_file() or sha256_of(path) != facts["sha256"]:
        raise WeightsError(path, "is not what judge.json describes", "run `dvc repro judge`")
    second = _second(path, facts)
    shown = {key: facts[key] for key in ("name", "sha256", "licence")}
    more = {"dimension": second.dimension, "independent": True, "circular": False}
    return Judge(pack, second, shown | more)
