"""The process group: what workers tell each other during a step; alone, nothing."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class ProcessGroup(Protocol):
    """A group of workers that train one model together."""

    rank: int
    size: int

    def broadcast(self, tensor: Tensor, owner: int) -> None:
        """Overwrite `tensor` on every worker with the one of worker `owner`."""

    def leaving(self) -> bool:
        """Whether a machine of the group is about to be taken away; asked after each step."""


class SingleProcess:
    """One process."""

    rank = 0
    size = 1

    def broadcast(self, tensor: Tensor, owner: int) -> None:
        """Nobody to share with."""

    def leaving(self) -> bool:
        """Nobody says so."""
        return False


class DistributedGroup:
    """The workers of torch.distributed's default group.

    Args:
        device: on which they share.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.rank = torch.distributed.get_rank()
        self.size = torch.distributed.get_world_size()

    def broadcast(self, tensor: Tensor, owner: int) -> None:
        """Broadcast from `owner`."""
        torch.distributed.broadcast(tensor, src=owner)

    def leaving(self) -> bool:
        """Nobody says so."""
        return False
