"""A pack of analysers that belong together, loaded part by part from data/packs/<name>/."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from likeness.contracts.documents import read_json, validate
from likeness.contracts.errors import WeightsError
from models.analysers.interfaces import Networks

if TYPE_CHECKING:
    from models.analysers.detector import Detector
    from models.analysers.embedder import Embedder
    from models.analysers.mesh import FaceMesh
    from models.analysers.segmenter import IrisLandmarks, PersonSegmenter
    from models.analysers.zoo import Stills


class Pack:
    """Detector, embedder, face mesh, person segmenter and iris network, each loaded on first use.

    Stills go through insightface (`stills`), films through a runner that takes many frames at once
    (`detector`, `embedder`).

    Attributes:
        name: "embedded", "buffalo_l", or one of your own.
        embedding_dim: length of its embeddings; those of two packs are never compared.
        threshold: cosine from which two of its embeddings are one person.
        networks: what detector and embedder expect and give.
        facts: content of pack.json (sources, sha256, licences).
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.facts: dict[str, Any] = read_json(folder / "pack.json")
        self.name = str(self.facts["name"])
        self.embedding_dim = int(self.facts["embedding_dim"])
        self.threshold = float(self.facts["threshold"])
        self.networks = validate(Networks, self.facts["networks"], folder / "pack.json")

    def path(self, role: str) -> Path:
        """File of a part.

        Raises:
            WeightsError: the pack has no such part, or the file is gone.
        """
        file = self.facts["files"].get(role)
        if file is None or not (self.folder / file).is_file():
            raise WeightsError(self.folder, f"holds no {role}", "run `dvc repro pack`")
        return self.folder / str(file)

    @functools.cached_property
    def stills(self) -> Stills:
        """insightface's own analysis of single pictures."""
        from models.analysers.zoo import Stills

        return Stills(self.folder)

    @functools.cached_property
    def detector(self) -> Detector:
        """Boxes, scores and five points."""
        return self.new_detector()

    def new_detector(self, threads: int | None = None) -> Detector:
        """A detector whose session has so many threads; None: what the environment allows."""
        from models.analysers.detector import Detector

        return Detector(self.path("detector"), threads, self.networks.detector)

    @functools.cached_property
    def embedder(self) -> Embedder:
        """Identity embeddings."""
        return self.new_embedder()

    def new_embedder(self, threads: int | None = None) -> Embedder:
        """An embedder whose session has so many threads; None: what the environment allows."""
        from models.analysers.embedder import Embedder

        return Embedder(self.path("embedder"), threads, self.networks.embedder)

    @functools.cached_property
    def mesh(self) -> FaceMesh:
        """468 points with depth."""
        return self.new_mesh()

    def new_mesh(self) -> FaceMesh:
        """A face mesh of its own, for a thread of its own."""
        from models.analysers.mesh import FaceMesh

        return FaceMesh(self.path("mesh"))

    @functools.cached_property
    def segmenter(self) -> PersonSegmenter:
        """Probability of a person per pixel."""
        from models.analysers.segmenter import PersonSegmenter

        return PersonSegmenter(self.path("segmenter"))

    @functools.cached_property
    def iris(self) -> IrisLandmarks:
        """Eye contour and iris."""
        from models.analysers.segmenter import IrisLandmarks

        return IrisLandmarks(self.path("iris"))

    def canonical_mesh(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Vertices (468,3) of the canonical face in cm, and its triangles (M,3)."""
        content = read_json(self.path("canonical_mesh"))
        return np.array(content["vertices"], np.float32), np.array(content["triangles"], np.int64)


def load_pack(folder: Path) -> Pack:
    """The pack in `folder` (an output of stage `pack`).

    Raises:
        WeightsError: the folder holds no pack.
    """
    if not (folder / "pack.json").is_file():
        raise WeightsError(folder, "holds no pack.json", "run `dvc repro pack`")
    return Pack(folder)
