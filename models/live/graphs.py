"""A model as an ONNX graph, and that graph at work in ONNX Runtime.

A graph holds one call of the family's `swap` for one crop, in float32. Inputs are named as the
columns of `models.swappers.base.Batch`: "crop" (1,3,S,S) in [-1,1] and the family's `needs`; the
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

import numpy as np
import torch
from torch import Tensor, nn

from likeness.contracts import environment
from likeness.contracts.atomic import atomic_path
from likeness.contracts.errors import ModelError
from models.swappers.base import Batch, Swapper

OPSET = 18
TOLERANCE = 0.01
"""Largest difference between graph and torch in float32, of [-1,1]: 1.3 levels of 255."""
OUTPUTS = ("image", "replace")
"""Names of a graph's outputs; "mask" is an input of most."""
PART = "likeness.part"
"""Metadata: which part of the model the graph holds; "" for all of it."""


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


def _session(path: Path) -> Any:
    """Session of a graph; its threads sleep when idle, since others use the same cores.

    Raises:
        ModelError: it cannot be loaded.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = environment.threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        # onnxruntime raises unrelated classes of its own for a missing and for a damaged file.
        reason = str(error).splitlines()[0][:120]
        step = "delete it, or use `--runtime torch`"
        raise ModelError(path, f"cannot be loaded ({reason})", step) from None


class _SessionPart(nn.Module):
    """A part of a model in ONNX Runtime: float32 tensors in, one out, one sample at a time."""

    def __init__(self, session: Any) -> None:
        super().__init__()
        self._session = session
        self._names = [entry.name for entry in session.get_inputs()]

    def forward(self, *inputs: Tensor) -> Tensor:
        named = dict(zip((f"input{index}" for index in range(len(inputs))), inputs, strict=True))
        rows = [
            self._session.run(
                None, {name: named[name][row : row + 1].numpy() for name in self._names}
            )[0]
            for row in range(len(inputs[0]))
        ]
        return torch.from_numpy(np.concatenate(rows))


class OnnxRunner:
    """ONNX Runtime on the CPU, with a file that `export` wrote; a `models.live.runners.Runner`.

    Args:
        path: the file.
        swapper: the same model in float32 on the CPU, which does what the graph leaves over; the
            part that the graph holds is taken out of it.
        source: crops of the source for it.

    Raises:
        ModelError: the file cannot be loaded.
    """

    def __init__(self, path: Path, swapper: Swapper, source: Batch | None = None) -> None:
        self._session = _session(path)
        self._inputs = [entry.name for entry in self._session.get_inputs()]
        part = self._session.get_modelmeta().custom_metadata_map.get(PART, "")
        self._rest = swapper if part else None
        self._source = source
        if part:
            setattr(swapper, part, _SessionPart(self._session))
        self.name = f"onnxruntime float32{f' ({part})' if part else ''}"

    def __call__(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Image (B,3,S,S) in [-1,1] and mask (B,1,S,S) in [0,1], float32."""
        if self._rest is not None:
            with torch.inference_mode():
                image, mask = self._rest.swap(batch, self._source)
            return image, mask.clamp(0, 1)
        rows = [
            self._session.run(
                list(OUTPUTS), {n: batch[n][row : row + 1].numpy() for n in self._inputs}
            )
            for row in range(len(batch["crop"]))
        ]
        image, mask = (torch.from_numpy(np.concatenate(side)) for side in zip(*rows, strict=True))
        return image, mask.clamp(0, 1)


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
        return Exported(part, _checked(swapper, temporary, rows, source), why)


def cannot(swapper: Swapper, why: str) -> ModelError:
    """The error for a family that is no fixed graph."""
    problem = f"cannot be exported to ONNX: {why}"
    return ModelError(f"family {swapper.family}", problem, "run it with `--runtime torch`")


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
            reason = " ".join(str(error).split())[:120]
            problem = f"{type(error).__name__}: {reason}"
            raise ModelError(path, problem, "use `--runtime torch`") from None


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
    """The child with the most weights that takes and returns tensors alone, and what it took."""
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
        for name, child in swapper.named_children()
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


def _checked(swapper: Swapper, path: Path, rows: Sequence[Batch], source: Batch | None) -> float:
    """Largest difference of picture and mask to torch over some crops.

    Raises:
        ModelError: larger than `TOLERANCE`, or ONNX Runtime refuses the graph.
    """
    with torch.inference_mode():
        wanted = [swapper.swap(row, source) for row in rows]
    kept = dict(swapper.named_children())
    worst = 0.0
    try:
        runner = OnnxRunner(path, swapper, source)
        for row, (image, mask) in zip(rows, wanted, strict=True):
            for ours, theirs in zip((image, mask.clamp(0, 1)), runner(row), strict=True):
                worst = max(worst, float((ours.float() - theirs).abs().max()))
    finally:
        for name, child in kept.items():
            setattr(swapper, name, child)
    if not worst <= TOLERANCE:
        problem = f"differs by {worst:.3g} on crops that it was not traced with"
        raise ModelError(path, problem, "use `--runtime torch`")
    return worst
