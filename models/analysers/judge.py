"""The networks that a swap is judged by: the pack's mesh, and an embedder that may be another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from likeness.contracts.errors import WeightsError
from models.analysers.embedder import Embedder
from models.analysers.pack import Pack, load_pack
from models.analysers.weights import check, load_catalogue, place


@dataclass(frozen=True)
class Judge:
    """The networks a swap is judged by, and what to say about them."""

    embedder: Embedder
    pack: Pack
    facts: dict[str, Any]

    def embed(self, crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.floating]:
        """Embeddings (N,D) of crops (N,112,112,3)."""
        return self.embedder.embed_crops(crops)

    def mesh(
        self, pictures: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]:
        """Meshes (N,468,3) in px of upright crops (N,S,S,3), and scores (N,)."""
        return self.pack.mesh.run_crops(pictures)


def load_judge(folder: Path, name: Literal["pack", "faceplugin"]) -> Judge:
    """The pack's mesh with the embedder asked for.

    Args:
        folder: the pack.
        name: "pack" for its own embedder, which `filter` has used too; "faceplugin" for one that
            no other stage uses.

    Raises:
        WeightsError: the second embedder is not there, or is another file.
    """
    pack = load_pack(folder)
    if name == "pack":
        embedder, facts = pack.embedder, {"name": f"{pack.name} (pack)", "independent": False}
    else:
        weight = load_catalogue().named("second_embedder")[0]
        path = place(weight)
        if not path.is_file():
            step = "run `python -m models.analysers.fetch --second`, or set evaluate.embedder: pack"
            raise WeightsError(path, "the second embedder is not here", step)
        check(weight, path)
        embedder, facts = Embedder(path, bgr=True), {"name": weight, "independent": True}
    return Judge(embedder, pack, facts | {"dimension": embedder.dimension})
