"""A graph that `apps.live.graphs` wrote, at work in ONNX Runtime on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from likeness.contracts.errors import ModelError, WeightsError
from models.analysers.sessions import onnx_session
from models.batch import Batch
from models.swappers.base import Swapper

OUTPUTS = ("image", "replace")
"""Names of a graph's outputs; "mask" is an input of most."""
PART = "likeness.part"
"""Metadata: which part of the model the graph holds; "" for all of it."""


def _session(path: Path) -> Any:
    """Session of a graph.

    Raises:
        ModelError: it cannot be loaded.
    """
    try:
        return onnx_session(path)
    except WeightsError as error:
        step = "delete it, or use `--runtime torch`"
        raise ModelError(path, error.problem, step) from None


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
    """ONNX Runtime on the CPU, with a file that `export` wrote; a `apps.live.runners.Runner`.

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
            swapper.set_submodule(part, _SessionPart(self._session))
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
