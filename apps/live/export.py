"""`python -m apps.live.export MODEL OUT.onnx`: a model as an ONNX graph, checked against torch.

`likeness export` calls it. `apps.live.graphs` says what the graph holds; its metadata say whose
face it shows, who agreed, and how crops must be aligned.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from apps.live.consent import require_consents, source_of
from apps.live.graphs import OPSET, Exported, export
from apps.live.onnx_runner import OnnxRunner
from apps.live.request import require_writable
from apps.live.settings import ModelFacts, load_facts
from apps.live.shard_crops import source_crops
from likeness.contracts.commands import ended
from likeness.contracts.documents import sha256_of, to_json
from models.batch import Batch
from models.swappers import registry
from models.swappers.base import Swapper
from models.training.crops import open_crops

CHECKED = 4
"""Crops that a graph is tried on; the first is the one that it is traced with."""


def sample_crops(data: Path, facts: ModelFacts, swapper: Swapper, source: str) -> Batch:
    """Some real crops to trace and check with: the target's, or where that is a pool the source's.

    Raises:
        ModelError: their shards are not there.
    """
    identity = source if "target" in facts.pools else facts.target
    folder = data / "shards" / identity
    crops = open_crops(folder, swapper.needs, swapper.size_px, float(swapper.coverage))
    return crops.some(CHECKED)


def about(facts: ModelFacts, source: str, consents: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Metadata of an exported file: what it is, whose face it shows, who agreed."""
    return {
        "likeness.model": facts.model,
        "likeness.family": facts.family,
        "likeness.source": source,
        "likeness.target": facts.target,
        "likeness.template": facts.template,
        "likeness.crop_size_px": str(facts.crop_size_px),
        "likeness.coverage": f"{facts.coverage:g}",
        "likeness.consents": to_json(list(consents)),
        "likeness.statement": "Makes pictures in which a face is replaced by software.",
    }


def export_model(folder: Path, path: Path, named: str | None, root: Path) -> Exported:
    """Export the model in `folder`.

    Raises:
        LikenessError: `path` is no .onnx or lies among the clips; no model, no consent, no crops,
            or a family that is no fixed graph.
    """
    require_writable(path, ".onnx", root)
    facts = load_facts(folder)
    source = source_of(facts, named)
    # A graph of a family that re-enacts gives the source's crops and nothing of the driver.
    driver = registry.load_class(facts.family).mode == "reenact"
    consents = require_consents(facts, source, root, driver=driver)
    swapper = registry.load(folder)
    given = source_crops(root / "data", source, swapper)
    crops = sample_crops(root / "data", facts, swapper, source)
    return export(swapper, path, crops, given, about(facts, source, consents))


def cached_runner(folder: Path, state: Path, named: str | None, root: Path) -> OnnxRunner:
    """The model in ONNX Runtime; its graph is kept in `state` for the next time.

    Raises:
        LikenessError: as `export_model`.
    """
    source = source_of(load_facts(folder), named)
    weights, settings = (sha256_of(folder / n)[:8] for n in (registry.WEIGHTS, registry.CONFIG))
    path = state / "live" / f"{folder.name}-{source}-{weights}{settings}.onnx"
    if not path.is_file():
        export_model(folder, path, named, root)
    swapper = registry.load(folder)
    return OnnxRunner(path, swapper, source_crops(root / "data", source, swapper))


def parser() -> argparse.ArgumentParser:
    """Parser of this command's arguments."""
    made = argparse.ArgumentParser(
        prog="python -m apps.live.export", description="A trained model as an ONNX graph."
    )
    made.add_argument("model", type=Path, help="folder of the model, data/models/<model>")
    made.add_argument("out", type=Path, help="file to write, .onnx")
    made.add_argument("--source", help="whose face, for a model of any face")
    return made


def main(arguments: list[str] | None = None) -> int:
    """Run; returns 0, 2 with one line on a fault, 130 on Ctrl-C."""
    given = parser().parse_args(arguments)

    def work() -> None:
        made = export_model(given.model, given.out, given.source, Path())
        if made.part:
            print(f"the whole swap is no fixed graph ({made.why});")
            print(f"the file holds its network `{made.part}`, the rest stays in torch")
        mega = given.out.stat().st_size / 1e6
        print(f"wrote {given.out} ({mega:.1f} MB, opset {OPSET}); on {CHECKED} crops it differs")
        print(f"from torch by at most {made.difference:.2g} of [-1,1]")

    return ended(work, given.out, "interrupted; nothing was written")


if __name__ == "__main__":
    sys.exit(main())
