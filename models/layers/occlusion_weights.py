"""The shipped weights of the network that says what covers a face, and their recipe.

`analysers/shipped/occlusion.safetensors` was taught by `tasks.occlusion` on the demo footage
alone, whose licences allow it; `occlusion.json` beside it is the record of that: the recipe, the
hashes of what was learned from, the overlap on held-back frames. Filters are stored in half
precision and used in full. Families read them as well as analysers, on machines where nothing
reads YAML: hence json and hashlib alone.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

from likeness.contracts.errors import WeightsError
from models import tensorfile
from models.layers.occlusion_network import OcclusionNetwork

FOLDER = Path(__file__).parents[1] / "analysers" / "shipped"
WEIGHTS, RECIPE = "occlusion.safetensors", "occlusion.json"
SHA256 = "a00450f1439615c60ad0eb2237f35da39b4b51f15444c071f1c209524acec60f"
"""Of the weights. It stands in code, so that what depends on this code depends on them."""
MAX_BYTES = 2_000_000
"""What is shipped stays below this."""


def save(network: OcclusionNetwork, path: Path) -> None:
    """Write a network; the same weights give the same bytes."""
    state = {
        name: value.half() if value.ndim == 4 else value.float()
        for name, value in network.state_dict().items()
        if value.is_floating_point()
    }
    tensorfile.write(path, {name: value.contiguous() for name, value in state.items()})


def load(path: Path) -> OcclusionNetwork:
    """A network from a file that `save` wrote, ready to run.

    Raises:
        ModelError: no such file, or no tensors in it.
        WeightsError: the tensors of another network.
    """
    state = {name: value.float() for name, value in tensorfile.read(path).items()}
    network = OcclusionNetwork()
    counters = {n: v for n, v in network.state_dict().items() if not v.is_floating_point()}
    try:
        network.load_state_dict(state | counters)
    except RuntimeError:
        step = f"restore it from version control: `git checkout -- {path.name}`"
        raise WeightsError(path, "holds another network", step) from None
    return network.eval().requires_grad_(requires_grad=False)


def recipe(folder: Path = FOLDER) -> dict[str, Any]:
    """What the shipped weights were made of."""
    found: dict[str, Any] = json.loads((folder / RECIPE).read_text(encoding="utf-8"))
    return found


@cache
def shipped(folder: Path = FOLDER) -> OcclusionNetwork:
    """The network that comes with this repository.

    Raises:
        WeightsError: its file is not the one that this code was written for.
    """
    path = folder / WEIGHTS
    found = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "none"
    if found != SHA256:
        problem = f"sha256 is {found[:12]}, not {SHA256[:12]}"
        step = "restore it from version control, or teach it anew: `make occlusion`"
        raise WeightsError(path, problem, step)
    return load(path)
