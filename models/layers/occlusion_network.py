"""What covers a face: a small U-Net over the square around it, told where the mesh says what is.

Input is a picture of 192 px; the trunk runs at half of it on four pixels at once (pixel
unshuffle), the answer comes back at full resolution. The form is that of U-Net (Ronneberger et
al. 2015, arXiv 1505.04597) with batch normalisation.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

SIDE_PX = 192
"""Side of the square that the network looks at."""
WIDTHS = (24, 40, 64, 96, 96)
"""Channels from half of the side downwards."""
COARSE = 4
"""Distances to the mesh's outlines are smooth: measured on every fourth px."""
REACH = 12.0
"""Distance in px at which they have nearly levelled off."""
OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
OUTLINES = (
    OVAL,
    (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246),
    (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466),
    (70, 63, 105, 66, 107, 55, 65, 52, 53, 46),
    (300, 293, 334, 296, 336, 285, 295, 282, 283, 276),
    (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185),
    (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191),
)
"""Oval, eyes, brows, lips and the mouth's opening, in vertices of the mesh."""
MARKS = ((0,), (1, 2), (3, 4), (5,), (6,))
"""Outlines that share a channel."""
CHANNELS = 3 * 4 + len(MARKS) + 2


def signed_distance(outline: Tensor, at: Tensor) -> Tensor:
    """Distances (B,H,W) of places to closed outlines, negative inside.

    Args:
        outline: (B,N,2) px.
        at: (H,W,2) px.
    """
    begin, end = outline, outline.roll(-1, 1)
    along = end - begin
    length = along.square().sum(-1).clamp(min=1e-6)
    flat = along[..., 1].abs() < 1e-6
    slope = along[..., 0] / torch.where(flat, torch.ones_like(length), along[..., 1])
    right, down = at.unbind(-1)
    # Coordinates apart from each other: pairs in the last place take twice the time.
    left, top, across, rise, size, tilt = (
        value[..., None, None] for value in (*begin.unbind(-1), *along.unbind(-1), length, slope)
    )
    x, y = right - left, down - top
    share = ((x * across + y * rise) / size).clamp_(0, 1)
    nearest = ((x - share * across).square_() + (y - share * rise).square_()).amin(1).sqrt()
    crossed = (y < 0) != (y < rise)
    inside = (crossed & (x < tilt * y)).sum(1) % 2 == 1
    return torch.where(inside, -nearest, nearest)


def marks(points: Tensor) -> Tensor:
    """Where the mesh says what is: (B,len(MARKS)+2,96,96), levelled distances and place.

    Args:
        points: (B,468,2) px of the square.
    """
    half = SIDE_PX // 2
    line = torch.arange(0, SIDE_PX, COARSE, device=points.device) + (COARSE - 1) / 2
    at = torch.stack(torch.meshgrid(line, line, indexing="xy"), -1)
    found = [signed_distance(points[:, list(o)], at) for o in OUTLINES]
    shared = torch.stack([torch.stack([found[i] for i in m]).amin(0) for m in MARKS], 1)
    levelled = torch.tanh(shared / REACH)
    fine = functional.interpolate(levelled, (half, half), mode="bilinear", align_corners=False)
    places = torch.linspace(-1, 1, half, device=points.device)
    down, right = torch.meshgrid(places, places, indexing="ij")
    place = torch.stack([right, down]).expand(len(points), -1, -1, -1)
    return torch.cat([fine, place], 1)


def _step(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class OcclusionNetwork(nn.Module):
    """Square pictures and meshes to the logit that something stands before the face."""

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        self.stem = _step(CHANNELS, widths[0])
        self.down = nn.ModuleList(
            nn.Sequential(_step(a, b, 2), _step(b, b)) for a, b in pairwise(widths)
        )
        back = widths[::-1]
        self.up = nn.ModuleList(
            nn.Sequential(_step(a + b, b), _step(b, b)) for a, b in pairwise(back)
        )
        self.answer = nn.Conv2d(widths[0], 4, 3, padding=1)

    def forward(self, pictures: Tensor, points: Tensor) -> Tensor:
        """Logits (B,1,192,192) for pictures (B,3,192,192) in [-1,1], meshes (B,468,2) px."""
        seen = torch.cat([functional.pixel_unshuffle(pictures, 2), marks(points)], 1)
        kept = [self.stem(seen.contiguous(memory_format=torch.channels_last))]
        for down in self.down:
            kept.append(down(kept[-1]))
        found = kept.pop()
        for up in self.up:
            wider = functional.interpolate(found, scale_factor=2, mode="nearest")
            found = up(torch.cat([wider, kept.pop()], 1))
        return functional.pixel_shuffle(self.answer(found), 2)


class FrozenOcclusion(OcclusionNetwork):
    """The same inside a family: it has learned, and keeps its statistics while the rest trains."""

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__(widths)
        self.eval().requires_grad_(requires_grad=False)

    def train(self, mode: bool = True) -> FrozenOcclusion:
        """Stay in eval mode."""
        del mode
        super().train(mode=False)
        return self
