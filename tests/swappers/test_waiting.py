"""A step on a GPU does not wait for the host: counted with torch's meta device.

Such a wait is a copy from the host that is not `non_blocking`, a number or a tensor that the host
asks for, and an operator whose result has a size that the device alone knows. Constants reach a
device once, in the first step, and are not counted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from models.families import META
from models.swappers import registry
from models.swappers.base import Swapper
from models.training import optimisers
from models.training.steps import take_step
from tests.swapper_cases import CASES, Case
from tests.swappers.test_one_device import OneDevice, Single

Make = Callable[..., Case]

LEARNING = [f for f in CASES if registry.load_class(f).phases is not Swapper.phases]


def waits(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether the host and a GPU wait for each other in this operator."""
    first = args[0] if args and isinstance(args[0], Tensor) else None
    if first is None:
        return False
    if name == "_to_copy":
        there = torch.device(kwargs.get("device") or first.device)
        apart, behind = first.device != there, kwargs.get("non_blocking", False)
        return apart and not (there == META and behind)
    if name == "copy_":
        behind = kwargs.get("non_blocking", False) or args[2:] == (True,)
        return first.device != args[1].device and not (first.is_meta and behind)
    if not first.is_meta:
        return False
    if name in {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"}:
        return any(i is not None and (not i.is_meta or i.dtype == torch.bool) for i in args[1])
    return name in {"_local_scalar_dense", "nonzero"} or (
        name == "repeat_interleave" and kwargs.get("output_size") is None
    )


class Spoken(TorchFunctionMode):
    """Names what Python's own numbers are turned into tensors by: on the meta device no copy is."""

    def __init__(self, found: list[str]) -> None:
        super().__init__()
        self.found = found

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is torch.tensor and torch.device(kwargs.get("device") or "cpu") == META:
            self.found.append("tensor")
        if func is Tensor.__getitem__ and args[0].is_meta:
            index = args[1] if isinstance(args[1], tuple) else (args[1],)
            self.found += ["list" for place in index if isinstance(place, list)]
        return func(*args, **kwargs)


class Waits(OneDevice):
    """Names what waits, in `found`."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.spoken = Spoken(self.found)

    def __enter__(self) -> Waits:
        self.spoken.__enter__()
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self.spoken.__exit__(*error)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = func._schema.name.partition("::")[2]
        if waits(name, args, kwargs or {}):
            self.found.append(name)
        if name == "nonzero" and not args[0].is_meta:
            return func(*args)
        return super().__torch_dispatch__(func, types, args, kwargs)


def test_every_wait_is_seen() -> None:
    here, there, which = torch.zeros(3), torch.zeros(3, device=META), torch.tensor([1])
    with Waits() as watch:
        there[torch.zeros(3, dtype=torch.int64, device=META)] + there.sum() * 2
        here.to(META, non_blocking=True)
        there.copy_(here, non_blocking=True)
    assert watch.found == []
    with Waits() as watch:
        here.to(META)
        there.to("cpu")
        there.copy_(here)
        there[which]
        int(there.sum())
        there.nonzero()
        there[there > 0]
        print(len(watch.found))
        torch.tensor([1.0, 2.0], device=META)
    print(watch.found)
    assert len(watch.found) == 8


@pytest.mark.parametrize("family", LEARNING)
def test_a_step_does_not_wait_for_the_host(make_case: Make, family: str) -> None:
    case = make_case(family)
    swapper = case.swapper.train().to(META)
    swapper.plan_images = case.job.plan.images
    context = case.context()
    context = Single(swapper, context.loader.to(META), context.plan, context.group)
    choices, found = context.loader.choose(context.plan, 0), []
    for phase in swapper.phases():
        context.select(phase)
        with OneDevice():
            context.losses(phase, choices)
        with Waits() as watch:
            losses = context.losses(phase, choices)
            torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]  # torch's
        found += watch.found
    assert len(found) <= CASES[family].waits, found


def test_all_numbers_of_a_step_come_at_once(
    make_case: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = make_case("autoencoder", clip_gradient=0.1)
    phase = case.swapper.train().phases()[0]
    context, mover, asked = case.context(), optimisers.make(phase), []
    for name in ("tolist", "__float__", "item", "cpu"):
        real = getattr(Tensor, name)

        def ask(tensor: Tensor, name: str = name, real: Callable[..., Any] = real) -> Any:
            asked.append(name)
            return real(tensor)

        monkeypatch.setattr(Tensor, name, ask)
    values = take_step(context, phase, mover, context.loader.choose(context.plan, 0), 0)
    assert asked == ["tolist"]
    assert all(isinstance(value, float) for value in values.values())
