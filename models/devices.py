"""The device on which networks train and work: a GPU where there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from likeness.contracts import environment
from likeness.contracts.errors import LikenessError

if TYPE_CHECKING:  # torch takes seconds to import; stages check their arguments before
    import torch


def pick_device() -> torch.device:
    """Device of this process: LIKENESS_DEVICE, else a GPU where there is one.

    Raises:
        LikenessError: it names no device, or a GPU that torch cannot use.
    """
    import torch

    name = environment.device()
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        step = "set it to cpu, cuda or auto, or leave it out"
        raise LikenessError("LIKENESS_DEVICE", f"{name} is no device", step) from None
    if device.type == "cuda" and not torch.cuda.is_available():
        step = "install a build of torch for this GPU and its driver, or set it to cpu"
        raise LikenessError("LIKENESS_DEVICE", f"torch sees no GPU for {name}", step)
    return device
