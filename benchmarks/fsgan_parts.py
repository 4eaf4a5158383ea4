"""FSGAN's parts beside its networks: pictures per second at 256 px, each beside a baseline.

- Poisson blending for a batch in torch, beside cv2.seamlessClone one by one;
- soft erosion, beside OpenCV's blur with the same kernel;
- labels from mesh and colours, beside OpenCV's GrabCut, five rounds of which tell a face from
  what is around it (two classes of our three).

The networks Gs, Gc and Gb are in `networks`, for a benchmark of all families.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.harness import Result, best, rate
from models.batch import Batch, as_pixels
from models.layers.mesh_topology import canonical_vertices
from models.swappers.fsgan.face_parts import hull, pseudo_labels
from models.swappers.fsgan.inpainting import Blending, Inpainting
from models.swappers.fsgan.poisson import poisson
from models.swappers.fsgan.segmentation_unet import SegmentationUNet
from models.swappers.fsgan.soft_erosion import SoftErosion

Pixels = npt.NDArray[np.uint8]
SIZE_PX, BATCH = 256, 8


def networks(width: int) -> dict[str, tuple[nn.Module, tuple[int, ...]]]:
    """Gs, Gc and Gb with the channels of each of their inputs; the paper's `width` is 128.

    Gs has half of it, as in the paper.
    """
    return {
        "segmentation": (SegmentationUNet(max(width // 2, 1)), (3,)),
        "inpainting": (Inpainting(width), (3, 1)),
        "blending": (Blending(width), (3, 3, 1)),
    }


def drawn_batch() -> tuple[Batch, Tensor]:
    """Smooth pictures with a face's mesh and its hull as mask, and as many others."""
    random = torch.Generator().manual_seed(0)
    coarse = 0.5 * torch.randn(2 * BATCH, 3, 12, 12, generator=random)
    pictures = functional.interpolate(coarse, (SIZE_PX, SIZE_PX), mode="bicubic").clamp(-0.9, 0.9)
    mesh = canonical_vertices() * (0.27 * SIZE_PX / 8) + SIZE_PX / 2
    meshes = mesh.expand(BATCH, -1, -1).contiguous()
    mask = hull(meshes, SIZE_PX).float()
    # The face differs from what is around it, as GrabCut needs it.
    crops = (pictures[:BATCH] * 0.4 + 0.5 * mask - 0.25).clamp(-1, 1)
    return {"crop": crops, "mask": mask, "landmarks_468": meshes}, pictures[BATCH:]


def cloned(swapped: Pixels, target: Pixels, mask: Pixels) -> None:
    """cv2.seamlessClone over a batch."""
    for above, below, stencil in zip(swapped, target, mask, strict=True):
        x, y, width, height = cv2.boundingRect(stencil)
        centre = (x + width // 2, y + height // 2)
        cv2.seamlessClone(above, below, stencil, centre, cv2.NORMAL_CLONE)


def grab_cut(pictures: Pixels, mask: Pixels) -> None:
    """Five rounds of GrabCut over a batch, the hull as probable face."""
    for picture, stencil in zip(pictures, mask, strict=True):
        label = np.where(stencil > 0, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
        cv2.grabCut(picture, label, None, np.zeros((1, 65)), np.zeros((1, 65)), 5,
                    cv2.GC_INIT_WITH_MASK)  # fmt: skip


def run() -> list[Result]:
    """Pictures per second of each part."""
    batch, target = drawn_batch()
    crop, mask = batch["crop"], batch["mask"]
    pixels, below = as_pixels(crop).numpy(), as_pixels(target).numpy()
    stencils = (mask[:, 0].numpy() * 255).astype(np.uint8)
    erosion = SoftErosion()
    kernel = erosion.weight[0, 0].numpy()
    shares = mask[:, 0].numpy()
    pairs: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
        "poisson": (lambda: poisson(crop, target, mask), lambda: cloned(pixels, below, stencils)),
        "soft_erosion": (
            lambda: erosion(mask),
            lambda: [cv2.filter2D(share, -1, kernel) for share in shares],
        ),
        "labels": (lambda: pseudo_labels(batch), lambda: grab_cut(pixels, stencils)),
    }
    found = []
    for name, (ours, theirs) in pairs.items():
        ours()
        speeds = [BATCH / best(work, 5) for work in (ours, theirs)]
        found.append(rate(f"fsgan.{name}", speeds[0], speeds[1], "pictures/s"))
    return found
