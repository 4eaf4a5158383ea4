"""Tensors in the safetensors format, without a further package and with content-only bytes.

The format (an 8-byte length, a JSON header, the raw little-endian data) is that of the
safetensors project, whose library reads these files and whose files are read here; training
carries its own writer so that a GPU machine needs nothing beyond torch for it.
"""

from __future__ import annotations

import json
import math
import mmap
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from likeness.contracts.errors import ModelError

KINDS = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
_NAMES = {kind: name for name, kind in KINDS.items()}


def _raw(tensor: Tensor) -> memoryview:
    flat = tensor.detach().to("cpu").contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data


def write(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write `tensors` by name; the bytes depend on names, types, shapes and values alone."""
    order = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name in order:
        tensor = tensors[name]
        begin, end = end, end + tensor.numel() * tensor.element_size()
        header[name] = {
            "dtype": _NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [begin, end],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in order:
            file.write(_raw(tensors[name]))


def _read(path: Path) -> dict[str, Tensor]:
    with path.open("rb") as file:
        length = path.stat().st_size
        size = struct.unpack("<Q", file.read(8))[0]
        if size > length:
            raise ValueError("header longer than the file")
        header = json.loads(file.read(size))
        # Private pages: tensors may be written to, the file never changes. What is converted at
        # once (82 million weights to bf16) is read in a twentieth of the time of a copy.
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    header.pop("__metadata__", None)
    return {name: _tensor(mapped, 8 + size, length, entry) for name, entry in header.items()}


def _tensor(mapped: mmap.mmap, start: int, length: int, entry: dict[str, Any]) -> Tensor:
    """A view of the mapped file; it keeps the mapping alive."""
    kind, shape = KINDS[entry["dtype"]], entry["shape"]
    begin, end = (start + int(offset) for offset in entry["data_offsets"])
    count = math.prod(shape)
    if not start <= begin <= end <= length or end - begin != count * kind.itemsize:
        raise ValueError("truncated")
    if not count:
        return torch.empty(shape, dtype=kind)
    if begin % kind.itemsize:
        raw = bytearray(mapped[begin:end])
        return torch.frombuffer(raw, dtype=kind).reshape(shape)
    return torch.frombuffer(mapped, dtype=kind, count=count, offset=begin).reshape(shape)


def read(path: Path) -> dict[str, Tensor]:
    """Read all tensors of a file, to the CPU.

    Raises:
        ModelError: missing, truncated or not in this format.
    """
    try:
        return _read(path)
    except FileNotFoundError:
        raise ModelError(path, "does not exist", "run `dvc repro`") from None
    except (ValueError, KeyError, TypeError, struct.error) as error:
        raise ModelError(path, f"is no safetensors file ({error})", "run `dvc repro`") from None
