"""Weights of a perceptual network from an address that params.yaml names: fetched and checked.

Nothing here knows an address. A file is taken only if its sha256 is the given one; it then waits
among the downloads under that name, so that a second run needs no network.
"""

from __future__ import annotations

import hashlib
import pickle
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from likeness.contracts.atomic import atomic_path
from likeness.contracts.documents import sha256_of
from likeness.contracts.environment import state_folder
from likeness.contracts.errors import ModelError, WeightsError

if TYPE_CHECKING:
    from torch import Tensor

SCHEMES = ("https", "http", "file")
MAX_BYTES = 1 << 30
"""VGG-19 with its classifier takes 575 MB; an address that sends more sends something else."""
CHUNK_BYTES = 1 << 20
TIMEOUT_S = 60.0
"""Without a byte."""


def shown(url: str) -> str:
    """An address without user, password and query, for messages."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "perceptual.url"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _receive(url: str, path: Path) -> str:
    """Write what `url` sends to `path`; gives its sha256."""
    digest, size = hashlib.sha256(), 0
    # The scheme is checked by `fetch_url`, the content by its sha256.
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as reply, path.open("wb") as file:  # noqa: S310
        while part := reply.read(CHUNK_BYTES):
            size += len(part)
            if size > MAX_BYTES:
                problem = f"sends more than {MAX_BYTES >> 20} MiB"
                step = "name the file of the weights in `perceptual.url`"
                raise WeightsError(shown(url), problem, step)
            digest.update(part)
            file.write(part)
    return digest.hexdigest()


def fetch_url(url: str, sha256: str) -> Path:
    """The file with this sha256 (lower case), downloaded from `url` where it is not here yet.

    Raises:
        WeightsError: another scheme than SCHEMES, unreachable, too large or of another sha256.
    """
    place = state_folder() / "downloads" / "perceptual" / sha256
    if place.is_file() and sha256_of(place) == sha256:
        return place
    if url.partition("://")[0].lower() not in SCHEMES:
        step = f"begin `perceptual.url` with one of {', '.join(f'{s}://' for s in SCHEMES)}"
        raise WeightsError(shown(url), "is no address that can be fetched", step)
    try:
        with atomic_path(place) as path:
            found = _receive(url, path)
            if found != sha256:
                problem = f"sha256 is {found[:12]}..., not {sha256[:12]}..."
                step = "do not use this copy, or correct `perceptual.sha256` from a trusted one"
                raise WeightsError(shown(url), problem, step)
    except (OSError, HTTPException, ValueError) as error:
        step = "run where it can be reached, or set `perceptual: {network: embedded}`"
        reason = getattr(error, "reason", error)
        problem = f"cannot be downloaded ({' '.join(str(reason).split())[:160]})"
        raise WeightsError(shown(url), problem, step) from None
    return place


def _is_safetensors(path: Path) -> bool:
    """Whether a JSON header follows the length; the other format begins as a zip or a pickle."""
    with path.open("rb") as file:
        return file.read(9)[8:] == b"{"


def read_state(path: Path, subject: str) -> Mapping[str, object]:
    """A safetensors file, or a state dict as torch saves it; nothing in it is executed.

    Raises:
        WeightsError: neither of both; names `subject`.
    """
    step = "name a state dict of torchvision's `vgg19` (.pth or .safetensors) in `perceptual.url`"
    try:
        if _is_safetensors(path):
            from models import tensorfile

            return tensorfile.read(path)
        import torch

        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, ModelError, RuntimeError, EOFError, ValueError, LookupError):
        raise WeightsError(subject, "holds no tensors that can be read", step) from None
    if not isinstance(content, Mapping):
        raise WeightsError(subject, f"holds a {type(content).__name__}, no state dict", step)
    return content


def vgg19_weights(path: Path, subject: str) -> dict[str, Tensor]:
    """The layers of VGG-19 that losses look at, from a downloaded file.

    Raises:
        WeightsError: no file of tensors, or another layout; the first wrong weight is named.
    """
    from models.layers.vgg import select

    try:
        return select(read_state(path, subject))
    except ValueError as error:
        step = "name weights in the layout of torchvision's `vgg19`, without batch normalisation"
        raise WeightsError(subject, f"is no VGG-19: {error}", step) from None
