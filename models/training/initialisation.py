"""What a training begins with: a device, networks laid out in memory, weights and crops."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from likeness.contracts.errors import ModelError
from models import tensorfile
from models.swappers import registry
from models.swappers.base import Swapper
from models.training.dataset import load_pair_loader
from models.training.frozen import FrozenNetworks
from models.training.identities import Identities
from models.training.loaders import IndependentLoader, Loader, load_pool
from models.training.plan import Job


def looks_at_recogniser(swapper: Swapper) -> bool:
    """Whether the family takes frozen networks."""
    return type(swapper).equip is not Swapper.equip


def initialise(swapper: Swapper, job: Job) -> list[dict[str, Any]]:
    """Give a new swapper its frozen networks, and the weights it starts from.

    Returns:
        Name, sha256 and licence of the networks that the family took.

    Raises:
        ModelError: files that are missing, damaged or of another family or size.
    """
    taken: list[dict[str, Any]] = []
    if looks_at_recogniser(swapper):
        if job.recogniser is None:
            problem = "looks at a recogniser, and none was given"
            raise ModelError(job.family, problem, "run `dvc repro`, or set Job.recogniser")
        swapper.equip(FrozenNetworks(job.recogniser, job.perceptual, taken))
    if job.init is not None:
        path = job.init / registry.WEIGHTS
        registry.restore(swapper, adapted_state(swapper, tensorfile.read(path)), path)
    return taken


def adapted_state(swapper: Swapper, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state of another model where the families' optional parts are those of `swapper`.

    Parts that `state` does not have stay as they are; those that `swapper` does not have go.
    """
    parts = tuple(f"{name}." for name in swapper.optional)
    own = swapper.state_dict()
    kept = {name: own[name] for name in own if name.startswith(parts)}
    shared = {n: v for n, v in state.items() if n in own or not n.startswith(parts)}
    return {**kept, **shared}


def room_for(loader: Loader, device: torch.device) -> bool:
    """Whether a GPU has memory for all crops beside the training: half of what is free."""
    return device.type == "cuda" and loader.bytes <= torch.cuda.mem_get_info(device)[0] // 2


def build_loader(
    swapper: Swapper, source: Identities, target: Identities, device: torch.device | None = None
) -> Loader:
    """The crops of both sides in memory: in pairs, or apart; on the GPU where it has room.

    There a step then copies nothing but the numbers of its rows and of their augmentation.
    """
    sampling = swapper.sampling_of()
    if sampling is not None:
        loader: Loader = load_pair_loader(source, target, sampling)
    else:
        loader = IndependentLoader(load_pool("source", source), load_pool("target", target))
    return loader.to(device) if device is not None and room_for(loader, device) else loader
