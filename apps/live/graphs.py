"""A model as an ONNX graph, checked against torch.

A graph holds one call of the family's `swap` for one crop, in float32. Inputs are named as the
columns of `models.batch.Batch`: "crop" (1,3,S,S) in [-1,1] and the family's `needs`; the
source's crops, where a family is given some, are constants inside. Outputs: "image" (1,3,S,S) in
[-1,1] and "replace" (1,1,S,S) in [0,1], the family's mask.

Some families do arithmetic around their network that is no fixed graph (a fit by singular values).
Then the graph holds the network alone: the part of the model with the most weights that takes and
returns tensors, with inputs "input0", "input1", ... and the output "output0"; torch does the rest.

What can be exported is found by trying: a graph counts if it gives what torch gives on crops that
it was not traced with. Arithmetic that follows the values of its inputs fails that.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from apps.live.onnx_runner import OUTPUTS, PART, OnnxRunner
from likeness.contracts.atomic import atomic_path
from likeness.contracts.errors import ModelError
from models.batch import Batch
from models.swappers.base import Swapper

OPSET = 18
TOLERANCE = 0.01
"""Largest difference between graph and torch in float32, of [-1,1]: 1.3 levels of 255."""


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        part: the part of the model that the graph holds; "" for all of it.
        difference: largest one to torch over the crops tried, of [-1,1].
        why: why it is a part only; "" where it is all.
    """

    part: str
    difference: float
    why: str = ""


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
) -> Exported:
    """Write the graph of a model, all of it or its network, and check it.

    Args:
        swapper: in eval mode, float32, on the CPU; left as it was.
        path: the file; it appears whole and checked, or not at all.
        crops: two or more real crops with the columns in `needs`: one to trace, others to check.
        source: crops of the source, for families that are given some.
        about: metadata of the file.

    Raises:
        ModelError: neither the family's swap nor its network is a fixed graph.
    """
    if not any(True for _ in swapper.parameters()):
        why = "it has no network, and where it takes pixels from depends on the picture"
        raise cannot(swapper, why)
    names = ["crop", *(name for name in swapper.needs if name in crops)]
    count = len(crops["crop"])
    rows = [{name: crops[name][row : row + 1] for name in names} for row in range(count)]
    whole = _Flat(swapper, names, source).eval()
    try:
        with atomic_path(path) as temporary:
            _trace(whole, tuple(rows[0].values()), (names, list(OUTPUTS)), temporary)
            _describe(temporary, {**(about or {}), PART: ""})
            return Exported("", _checked(swapper, temporary, rows, source))
    except ModelError as error:
        why = error.problem
    found = _largest_part(swapper, rows[0], source)
    if found is None:
        raise cannot(swapper, why)
    part, given = found
    inputs = [f"input{index}" for index in range(len(given))]
    with atomic_path(path) as temporary:
        _trace(swapper.get_submodule(part), given, (inputs, ["output0"]), temporary)
        _describe(temporary, {**(about or {}), PART: part})
        return Exported(part, _checked(swapper, temporary, rows, source, part), why)


def cannot(swapper: Swapper, why: str) -> ModelError:
    """The error for a family that is no fixed graph."""
    problem = f"cannot be exported to ONNX: {why}"
    step = "run it with `likeness live MODEL --runtime torch`"
    return ModelError(f"family {swapper.family}", problem, step)


def _trace(
    module: nn.Module, given: tuple[Tensor, ...], names: tuple[list[str], list[str]], path: Path
) -> None:
    options: dict[str, Any] = {
        "input_names": names[0],
        "output_names": names[1],
        "opset_version": OPSET,
        # The tracing exporter: the other one needs a package that nothing else here needs.
        "dynamo": False,
    }
    with warnings.catch_warnings(), torch.no_grad(), _quiet():
        # Warnings of the tracer name values that it fixes; the check finds those that matter.
        warnings.simplefilter("ignore")
        try:
            torch.onnx.export(module, given, str(path), **options)
        except Exception as error:
            # The tracer fails with whatever the traced code meets: TypeError, RuntimeError, ...
            # Its own errors name an operator; others, of its insides, are the cause alone.
            problem = "what it computes depends on the values in a picture"
            if type(error).__module__.startswith("torch.onnx"):
                problem = " ".join(str(error).split())[:120]
            raise ModelError(path, problem, "use `--runtime torch`") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Nothing on stdout: the tracer prints whole graphs where it fails, from outside Python."""
    sys.stdout.flush()
    kept = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        ctypes.CDLL(None).fflush(None)
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


def _describe(path: Path, about: Mapping[str, str]) -> None:
    import onnx

    model = onnx.load(str(path))
    for name, value in sorted(about.items()):
        model.metadata_props.add(key=name, value=value)
    onnx.save(model, str(path))


def _largest_part(
    swapper: Swapper, row: Batch, source: Batch | None
) -> tuple[str, tuple[Tensor, ...]] | None:
    """The part with the most weights that takes and returns tensors alone, and what it took."""
    seen: dict[str, tuple[Tensor, ...]] = {}

    def note(name: str, given: tuple[Any, ...], named: Mapping[str, Any], out: Any) -> None:
        tensors = all(isinstance(value, Tensor) for value in (*given, out))
        if tensors and given and not named:
            seen[name] = tuple(value.detach().clone() for value in given)

    hooks = [
        child.register_forward_hook(
            lambda _m, given, named, out, name=name: note(name, given, named, out),
            with_kwargs=True,
        )
        for name, child in swapper.named_modules()
        if name
    ]
    try:
        with torch.no_grad():
            swapper.swap(row, source)
    finally:
        for hook in hooks:
            hook.remove()

    def weights(name: str) -> int:
        return sum(p.numel() for p in swapper.get_submodule(name).parameters())

    best = max(seen, key=weights, default=None)
    return None if best is None or not weights(best) else (best, seen[best])


def _checked(
    swapper: Swapper, path: Path, rows: Sequence[Batch], source: Batch | None, part: str = ""
) -> float:
    """Largest difference of picture and mask to torch over some crops.

    Raises:
        ModelError: larger than `TOLERANCE`, or ONNX Runtime refuses the graph.
    """
    with torch.inference_mode():
        wanted = [swapper.swap(row, source) for row in rows]
    kept = swapper.get_submodule(part) if part else None
    worst = 0.0
    try:
        runner = OnnxRunner(path, swapper, source)
        for row, (image, mask) in zip(rows, wanted, strict=True):
            for ours, theirs in zip((image, mask.clamp(0, 1)), runner(row), strict=True):
                worst = max(worst, float((ours.float() - theirs).abs().max()))
    except Exception as error:
        # A graph of fixed sizes met others; ONNX Runtime raises unrelated classes of its own.
        reason = " ".join(str(error).split())[:120]
        raise ModelError(path, f"does not run ({reason})", "use `--runtime torch`") from None
    finally:
        if kept is not None:
            swapper.set_submodule(part, kept)
    if not worst <= TOLERANCE:
        problem = f"differs by {worst:.3g} on crops that it was not traced with"
        raise ModelError(path, problem, "use `--runtime torch`")
    return worst
