"""A trained model at work: loaded for the machine, fed with crops, its masks met with align's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from likeness.contracts import environment
from likeness.contracts.memory import keep_freed_memory
from models.devices import pick_device

if TYPE_CHECKING:  # torch takes seconds to import; stages check their arguments before
    import torch
    from torch import Tensor

    from models.batch import Batch
    from models.swappers.base import Swapper

Affine = npt.NDArray[np.float64]
MASK_AT_LEAST_PX = 128
"""Side of the masks of families with smaller crops: an edge shows its steps before a cheek does."""


def covered(affines: Affine, aligned_px: int, size_px: int, coverage: float) -> Affine:
    """Affines (N,2,3) frame px -> align's crop px, now -> px of the family's crops.

    A family sees the central `coverage` of align's crop (side `aligned_px`) at `size_px`; pixel
    centres lie at integers, so that the edges of the covered square become the crop's edges.
    """
    scale = size_px / (coverage * aligned_px)
    moved = affines * scale
    moved[..., 2] += 0.5 * scale - 0.5 - (1 - coverage) / 2 * aligned_px * scale
    return moved


def device_of(swapper: Swapper) -> torch.device:
    """Where a model lies; the CPU for one that holds no tensor."""
    import torch

    held = (*swapper.parameters(), *swapper.buffers())
    return held[0].device if held else torch.device("cpu")


def swap_batch(
    swapper: Swapper, batch: Batch, precision: str, source: Batch | None = None
) -> tuple[Tensor, Tensor]:
    """Run the model: image (B,3,S,S) in [-1,1] and mask (B,1,S,S) in [0,1], float32 on the CPU.

    bf16 is for the layers of a network. A family without any computes coordinates, for which
    8 bits of mantissa are too few, and runs in float32. `source` lies on the model's device.
    """
    import torch

    device = device_of(swapper)
    half = precision == "bf16" and any(True for _ in swapper.parameters())
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=half):
        given = {name: value.to(device) for name, value in batch.items()}
        image, mask = swapper.swap(given, source)
    return image.float().cpu(), mask.float().clamp(0, 1).cpu()


def joined_masks(family: Tensor, aligned: Tensor, mode: str) -> npt.NDArray[np.uint8]:
    """Masks uint8 (B,M,M) from the family's (B,1,S,S) and align's (B,1,M,M), both in [0,1].

    What is below two levels of 255 counts as 0: it is no mask but noise.
    """
    import torch
    from torch.nn import functional

    side = aligned.shape[-1]
    own = functional.interpolate(family, size=(side, side), mode="bilinear", antialias=True)
    chosen = {"family": own, "aligned": aligned, "both": torch.minimum(own, aligned)}[mode]
    levels = chosen.clamp(0, 1).mul(255).round().squeeze(1).numpy().astype(np.uint8)
    levels[levels < 2] = 0
    return levels


def out_mask_px(size_px: int) -> int:
    """Side of the masks that go with swapped crops of `size_px`."""
    return max(size_px, MASK_AT_LEAST_PX)


def load_swapper(folder: Path, precision: str, threads: int | None = None) -> Swapper:
    """The model in eval mode, on the device of the environment.

    `threads` share each of torch's operations from then on; None: those of the environment.

    For bf16 the weights of convolutions and linear layers are rounded once, here; autocast would
    round them anew for every batch, a quarter of the time at 82 million, to the same values. Their
    layout is that of training.
    """
    import torch

    from models.crew import take_threads
    from models.layers.memory_format import lay_out
    from models.swappers import registry

    take_threads(threads or environment.threads())
    keep_freed_memory()
    swapper = registry.load(folder).to(pick_device())
    if precision == "bf16":
        exact = [part for part in swapper.modules() if getattr(part, "float32_only", False)]
        kept = {id(layer) for part in exact for layer in part.modules()}
        held = torch.nn.Conv2d | torch.nn.ConvTranspose2d | torch.nn.Linear
        for layer in swapper.modules():
            if isinstance(layer, held) and id(layer) not in kept:
                layer.to(torch.bfloat16)
        lay_out(swapper, swapper.memory_format)
    return swapper
