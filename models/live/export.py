"""`python -m models.live.export MODEL OUT.onnx`: a model as an ONNX graph, checked against torch.

The graph holds one call of the family's `swap` for one crop, in float32. Inputs are named as the
columns of `models.swappers.base.Batch`: "crop" (1,3,S,S) in [-1,1] and the family's `needs`; the
source's crops, where a family is given some, are constants inside. Outputs: "image" (1,3,S,S) in
[-1,1] and "replace" (1,1,S,S) in [0,1], the family's mask. The file's metadata say what the model
is.

Whether a family can be exported is found by trying: the graph must give what torch gives on crops
that it was not traced with. Arithmetic that follows the values of its inputs fails that.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from likeness.contracts.atomic import atomic_path
from likeness.contracts.commands import ended
from likeness.contracts.documents import sha256_of, to_json
from likeness.contracts.errors import ModelError
from models.conversion import source_crops
from models.live.consent import require_consents, source_of
from models.live.runners import OUTPUTS, OnnxRunner
from models.live.settings import ModelFacts, load_facts
from models.swappers import registry
from models.swappers.base import Batch, Swapper
from models.training.crops import open_crops

OPSET = 18
TOLERANCE = 0.01
"""Largest difference between the graph and torch in float32, of [-1,1]: 1.3 levels of 255."""
CHECKED = 4
"""Crops that the graph is tried on; the first is the one that it is traced with."""


class _Flat(nn.Module):
    """A family's `swap` as a function of tensors in a fixed order."""

    def __init__(self, swapper: Swapper, names: Sequence[str], source: Batch | None) -> None:
        super().__init__()
        self.swapper, self.names, self.source = swapper, list(names), source

    def forward(self, *columns: Tensor) -> tuple[Tensor, Tensor]:
        image, mask = self.swapper.swap(dict(zip(self.names, columns, strict=True)), self.source)
        return image.float(), mask.float().clamp(0, 1)


def export(
    swapper: Swapper,
    path: Path,
    crops: Batch,
    source: Batch | None = None,
    about: Mapping[str, str] | None = None,
) -> float:
    """Write the graph of a model and check it.

    Args:
        swapper: in eval mode, float32, on the CPU.
        path: the file; it appears whole and checked, or not at all.
        crops: two or more real crops with the columns in `needs`: one to trace, others to check.
        source: crops of the source, for families that are given some.
        about: metadata of the file.

    Returns:
        The largest difference between the graph's picture and torch's, of [-1,1].

    Raises:
        ModelError: the family's arithmetic is no fixed graph.
    """
    names = ["crop", *(name for name in swapper.needs if name in crops)]
    rows = [
        {name: crops[name][row : row + 1] for name in names} for row in range(len(crops["crop"]))
    ]
    with atomic_path(path) as temporary:
        _trace(_Flat(swapper, names, source).eval(), rows[0], names, temporary)
        _describe(temporary, about or {})
        try:
            difference = _difference(swapper, OnnxRunner(temporary), rows, source)
        except ModelError as error:
            raise cannot(swapper, error.problem) from None
        if not difference <= TOLERANCE:
            problem = f"differs by {difference:.3g} on crops that it was not traced with"
            raise cannot(swapper, problem)
    return difference


def cannot(swapper: Swapper, why: str) -> ModelError:
    """The error for a family that is no fixed graph."""
    problem = f"cannot be exported to ONNX: {why}"
    return ModelError(f"family {swapper.family}", problem, "run it with `--runtime torch`")


def _trace(flat: _Flat, row: Batch, names: list[str], path: Path) -> None:
    columns = tuple(row[name] for name in names)
    options: dict[str, Any] = {
        "input_names": names,
        "output_names": list(OUTPUTS),
        "opset_version": OPSET,
        # The tracing exporter: the other one needs a package that nothing else here needs.
        "dynamo": False,
    }
    with warnings.catch_warnings(), torch.no_grad():
        # Warnings of the tracer name values that it fixes; the check below finds those that matter.
        warnings.simplefilter("ignore")
        try:
            torch.onnx.export(flat, columns, str(path), **options)
        except Exception as error:
            # The tracer fails with whatever the traced code meets: TypeError, RuntimeError, ...
            reason = " ".join(str(error).split())[:160]
            raise cannot(flat.swapper, f"{type(error).__name__}: {reason}") from None


def _describe(path: Path, about: Mapping[str, str]) -> None:
    import onnx

    model = onnx.load(str(path))
    for name, value in sorted(about.items()):
        model.metadata_props.add(key=name, value=value)
    onnx.save(model, str(path))


def _difference(
    swapper: Swapper, runner: OnnxRunner, rows: Sequence[Batch], source: Batch | None
) -> float:
    """Largest difference of picture and mask over some crops."""
    worst = 0.0
    for row in rows:
        with torch.inference_mode():
            image, mask = swapper.swap(row, source)
        got = runner(row)
        for ours, theirs in zip((image, mask.clamp(0, 1)), got, strict=True):
            worst = max(worst, float((ours.float() - theirs).abs().max()))
    return worst


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


def export_model(folder: Path, path: Path, named: str | None, root: Path) -> float:
    """Export the model in `folder`; returns the largest difference to torch.

    Raises:
        LikenessError: no model, no consent, no crops, or a family that is no fixed graph.
    """
    facts = load_facts(folder)
    source = source_of(facts, named)
    consents = require_consents(facts, source, root)
    swapper = registry.load(folder)
    given = source_crops(root / "data/shards" / source, swapper)
    crops = sample_crops(root / "data", facts, swapper, source)
    return export(swapper, path, crops, given, about(facts, source, consents))


def cached(folder: Path, state: Path, source: str, root: Path) -> Path:
    """The model's graph in `state`, made where it is not there yet.

    Raises:
        ModelError: a family that is no fixed graph.
    """
    weights, settings = (sha256_of(folder / n)[:8] for n in (registry.WEIGHTS, registry.CONFIG))
    path = state / "live" / f"{folder.name}-{source}-{weights}{settings}.onnx"
    if not path.is_file():
        export_model(folder, path, source if "source" in load_facts(folder).pools else None, root)
    return path


def parser() -> argparse.ArgumentParser:
    """Parser of this command's arguments."""
    made = argparse.ArgumentParser(
        prog="python -m models.live.export", description="A trained model as an ONNX graph."
    )
    made.add_argument("model", type=Path, help="folder of the model, data/models/<model>")
    made.add_argument("out", type=Path, help="file to write, .onnx")
    made.add_argument("--source", help="whose face, for a model of any face")
    return made


def main(arguments: list[str] | None = None) -> int:
    """Run; returns 0, 2 with one line on a fault, 130 on Ctrl-C."""
    given = parser().parse_args(arguments)

    def work() -> None:
        difference = export_model(given.model, given.out, given.source, Path())
        mega = given.out.stat().st_size / 1e6
        print(f"wrote {given.out} ({mega:.1f} MB, opset {OPSET}); differs from torch by at most")
        print(f"{difference:.2g} of [-1,1] on {CHECKED} crops")

    return ended(work, given.out, "interrupted; nothing was written")


if __name__ == "__main__":
    sys.exit(main())
