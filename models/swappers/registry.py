"""Families by name: every folder of this package with a `swapper.py`, imported on demand.

Nothing here imports a family until it is asked for, so that no family becomes every stage's
dependency.
"""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from pydantic import ValidationError
from torch import Tensor
from torch.overrides import TorchFunctionMode

from likeness.contracts.choices import choices
from likeness.contracts.errors import ModelError, ParamsError
from likeness.contracts.families import family_names
from models import tensorfile
from models.swappers.abilities import MayBeUnfinished
from models.swappers.base import Swapper, SwapperConfig

WEIGHTS, CONFIG = "model.safetensors", "config.json"
_ROOT = Path(__file__).resolve().parents[2]


def names() -> list[str]:
    """Names of all families, sorted; imports none of them."""
    return family_names(_ROOT)


def load_class(family: str) -> type[Swapper]:
    """Import a family and return its class.

    Raises:
        ParamsError: no such family; the known ones are listed.
        ModelError: the module holds no Swapper of that name.
    """
    known = names()
    if family not in known:
        raise ParamsError(f"family `{family}`", "does not exist", choices(family, known))
    module = importlib.import_module(f"models.swappers.{family}.swapper")
    for _, found in inspect.getmembers(module, inspect.isclass):
        if issubclass(found, Swapper) and found.__dict__.get("family") == family:
            return found
    raise ModelError(
        f"models/swappers/{family}/swapper.py",
        "defines no Swapper",
        f'add one with family = "{family}"',
    )


def configure(family: str, settings: Mapping[str, Any]) -> SwapperConfig:
    """Validate a family's settings.

    Raises:
        ParamsError: the first key that is unknown or not allowed, with what is.
    """
    kind = load_class(family).Config
    try:
        return kind.model_validate(dict(settings))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        allowed = ", ".join(sorted(kind.model_fields))
        if first["type"] == "extra_forbidden":
            raise ParamsError(family, f"unknown key `{key}`", f"allowed: {allowed}") from None
        given = first.get("input")
        raise ParamsError(family, f"`{key}: {given}` is not allowed", first["msg"]) from None


def build(family: str, settings: Mapping[str, Any]) -> Swapper:
    """A new, untrained swapper of `family`.

    Raises:
        ParamsError: unknown family, or settings that it does not allow.
    """
    return load_class(family)(configure(family, settings))


def load(folder: Path) -> Swapper:
    """The swapper saved in `folder` (config.json, model.safetensors), in eval mode on the CPU.

    Raises:
        ModelError: files missing or damaged, weights that do not fit the family, or a model that
            is none to swap with.
    """
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        with Unfilled():
            swapper = build(config["family"], config["config"])
    except FileNotFoundError:
        raise ModelError(folder / CONFIG, "does not exist", "run `dvc repro`") from None
    except (ValueError, KeyError) as error:
        raise ModelError(folder / CONFIG, f"is damaged ({error!r})", "run `dvc repro`") from None
    if isinstance(swapper, MayBeUnfinished) and swapper.unfinished:
        raise ModelError(folder, swapper.unfinished, "continue it with an entry under `finetuned:`")
    restore(swapper, tensorfile.read(folder / WEIGHTS), folder / WEIGHTS, assign=True)
    return swapper.eval()


class Unfilled(TorchFunctionMode):
    """Within it, random initial values are not drawn: stored ones are about to replace them.

    Drawing 82 million of them takes over a second.
    """

    RANDOM: ClassVar[tuple[str, ...]] = ("uniform_", "normal_")

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Return the tensor as it is where `func`, by its name, would fill it at random."""
        given = kwargs or {}
        if getattr(func, "__name__", "").endswith(self.RANDOM):
            # torch.nn.init hands everything by name, the tensors' own methods by position.
            return args[0] if args else given["tensor"]
        return func(*args, **given)


def restore(
    swapper: Swapper, state: dict[str, Tensor], subject: object, *, assign: bool = False
) -> None:
    """Load weights and buffers; buffers that hold data (views, means) take the size they had.

    Args:
        assign: take the tensors of `state` themselves instead of copying their values.

    Raises:
        ModelError: names or shapes of parameters that differ.
    """
    for name, _ in list(swapper.named_buffers()):
        stored = state.get(name)
        if stored is not None and stored.shape != swapper.get_buffer(name).shape:
            owner, _, leaf = name.rpartition(".")
            setattr(swapper.get_submodule(owner), leaf, torch.empty_like(stored))
    try:
        swapper.load_state_dict(state, assign=assign)
    except RuntimeError as error:
        problem = " ".join(str(error).split())[:200]
        raise ModelError(subject, f"does not fit ({problem})", "run `dvc repro`") from None
