"""What the networks of a training begin with: frozen networks to look at, and first weights."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from likeness.contracts.errors import ModelError
from models import tensorfile
from models.swappers import registry
from models.swappers.abilities import Equips, optional_parts
from models.swappers.base import Swapper
from models.training.frozen import FrozenNetworks
from models.training.job import Job


def initialise(swapper: Swapper, job: Job) -> list[dict[str, Any]]:
    """Give a new swapper its frozen networks, and the weights it starts from.

    Returns:
        Name, sha256 and licence of the networks that the family took.

    Raises:
        ModelError: files that are missing, damaged or of another family or size.
    """
    taken: list[dict[str, Any]] = []
    if isinstance(swapper, Equips):
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
    parts = optional_parts(swapper)
    own = swapper.state_dict()
    kept = {name: own[name] for name in own if name.startswith(parts)}
    shared = {n: v for n, v in state.items() if n in own or not n.startswith(parts)}
    return {**kept, **shared}
