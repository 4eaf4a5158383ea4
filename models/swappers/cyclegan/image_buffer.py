"""A buffer of earlier drawn pictures, against which critics are trained.

Shrivastava et al., "Learning from Simulated and Unsupervised Images through Adversarial Training"
(CVPR 2017, arXiv 1612.07828, section 2.3), as CycleGAN takes it (Zhu et al. 2017, section 4): a
critic that judges the newest pictures alone forgets what earlier generators did, and the two go
round in circles. Of the pictures shown to it, half are the newest and half come out of a pool, in
which the newest take the places of those that were shown.

The pool is a saved buffer, so that an interrupted training resumes with it. `show` only reads;
`keep` writes, once the step is over: within a step all parts of a batch see the pool as the step
before left it, whichever worker computes them. At batch size 1 that is the original's rule to the
letter. Pictures are kept in 8 bits, as files hold them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.layers import random_numbers

NEWEST = 0.5
"""Chance that a full pool lets the newest picture through."""


class ImageBuffer(nn.Module):
    """At most `size` pictures (3,S,S).

    Args:
        size: places; 0 keeps nothing and always shows the newest.
        size_px: S.
    """

    pictures: Tensor
    count: Tensor

    def __init__(self, size: int, size_px: int) -> None:
        super().__init__()
        self.register_buffer("pictures", torch.zeros(size, 3, size_px, size_px, dtype=torch.uint8))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))
        self._filled: int | None = None
        self.register_load_state_dict_post_hook(_forget)  # type: ignore[no-untyped-call]  # torch's

    @property
    def filled(self) -> int:
        """`count`, of which a device is asked once: to ask it is to wait for it."""
        if self._filled is None:
            self._filled = int(self.count)
        return self._filled

    def _is_full(self) -> bool:
        return self.filled == len(self.pictures)

    def show(self, drawn: Tensor) -> tuple[Tensor, Tensor]:
        """Replace some of the newest pictures by older ones.

        While the pool fills, everything passes. Afterwards each passes with chance `NEWEST`; the
        others change places with as many older ones, no two with the same.

        Args:
            drawn: (B,3,S,S) in [-1,1].

        Returns:
            Pictures (B,3,S,S) for the critic, and for each the place (B,) int64 of the older
            one that it is, -1 for the newest.
        """
        count, size = len(drawn), len(self.pictures)
        if not size or not self._is_full():
            return drawn, torch.full((count,), -1, device=drawn.device)
        places = torch.full((count,), -1)
        places[:size] = random_numbers.randperm(size)[:count]
        places[random_numbers.rand(count) < NEWEST] = -1
        places = places.to(drawn.device, non_blocking=True)
        older = self.pictures[places.clamp(min=0)].to(drawn.dtype).div(127.5).sub(1)
        return torch.where(places[:, None, None, None] >= 0, older, drawn), places

    @torch.no_grad()
    def keep(self, pixels: Tensor, places: Tensor) -> None:
        """Take pictures in: behind the others while there is room, then at their places.

        Args:
            pixels: uint8 (B,3,S,S) as `packed` gives them.
            places: (B,) as `show` gave them; -1 leaves a picture out of a full pool.
        """
        if not self._is_full():
            begin = self.filled
            taken = pixels[: len(self.pictures) - begin]
            self.pictures[begin : begin + len(taken)] = taken
            self.count += len(taken)
            self._filled = begin + len(taken)
            return
        chosen = (places >= 0).nonzero()[:, 0]
        self.pictures[places[chosen]] = pixels[chosen]


def _forget(pool: ImageBuffer, _: object) -> None:
    """Other pictures were loaded, and as many as were saved."""
    pool._filled = None


def packed(drawn: Tensor) -> Tensor:
    """float (B,3,S,S) in [-1,1] -> uint8 (B,3,S,S), rounded."""
    scaled = drawn.detach().float().clamp(-1, 1).add(1).mul(127.5)
    return scaled.round().to(torch.uint8).contiguous()
