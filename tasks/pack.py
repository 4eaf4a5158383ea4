"""Stage `pack`: the analysers of one pack, fetched, checked and exported.

In: models/analysers/weights.toml (packages, members, sha256). Out: data/packs/<name>/ with the
detector and embedder as ONNX files that insightface loads, face mesh, iris and person segmenter as
TFLite, canonical_mesh.json and pack.json (hashes, sources, licences, cosine threshold). Beside it
data/packs/recogniser/: the embedded pack's recogniser as tensors, which some families' losses use.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from likeness.contracts.documents import Document
from likeness.contracts.stage import Context, Stage


class PackParams(Document):
    """Section `pack` of params.yaml."""

    name: Literal["embedded", "buffalo_l"] = Field(
        default="embedded", description="key under [packs] in models/analysers/weights.toml"
    )


def run(context: Context[PackParams]) -> None:
    """Fetch what is missing, then write both folders."""
    from models.analysers.export import RECOGNISER, write_pack, write_recogniser
    from models.analysers.fetch import fetch, fetch_pack

    name = context.params.name
    paths = fetch_pack(name)
    weights = fetch([RECOGNISER])[RECOGNISER]
    context.say(f"pack: writing {name}")
    write_pack(name, paths, context.outputs["out"])
    write_recogniser(weights, context.outputs["recogniser"])


STAGE = Stage(
    name="pack",
    params=PackParams,
    inputs={},
    outputs={"out": None, "recogniser": None},
    run=run,
    description="fetch, check and export the analysers",
)

if __name__ == "__main__":
    STAGE.main()
