"""On a GPU no operation may meet tensors of two devices: tried with torch's meta device.

Tensors there have shapes and no content, on any machine. What a family makes of the numbers
themselves is that of zeros (`AsOfZeros`); what is looked at is where every tensor lies.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from models.batch import Batch
from models.families import CPU, META, AsOfZeros
from models.swappers import registry
from models.swappers.abilities import ShowsMore, SwapsBack
from models.swappers.base import Phase, Swapper
from models.training.loaders import Choices
from models.training.steps import StepContext
from tests.swapper_cases import CASES, TINY, Case

Make = Callable[..., Case]

BRANCHES = [(name, number) for name, tiny in CASES.items() for number in range(len(tiny.branches))]
"""Families with the number of one of their branches."""
APART = {
    "_index_put_impl_",
    "_local_scalar_dense",
    "_to_copy",
    "_unsafe_index",
    "_unsafe_index_put",
    "copy_",
    "index",
    "index_put",
    "index_put_",
}
"""Operators that take tensors of two devices on a GPU, too."""


COUNTING: dict[str, Callable[[Tensor], Tensor]] = {
    "nonzero": lambda mask: torch.ones(mask.shape).nonzero()[::2],
    "repeat_interleave": lambda counts: torch.arange(len(counts)).repeat_interleave(2),
}
"""Operators whose numbers say how much there is: of zeros there would be nothing to go on with."""


class OneDevice(AsOfZeros):  # type: ignore[no-untyped-call]  # torch's
    """Fails where an operator is given tensors of two devices; single numbers may lie anywhere."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        name = func._schema.name.partition("::")[2]
        places = {tensor.device.type for tensor in tensors if tensor.ndim}
        places |= {"meta" for tensor in tensors if tensor.is_meta}
        assert len(places) < 2 or name in APART, f"{name} is given tensors of {sorted(places)}"
        if name == "_local_scalar_dense":
            return 2  # as good a number as any
        if name in COUNTING:
            return COUNTING[name](args[0]).to(META)
        if name == "_to_copy" and (kwargs or {}).get("device") == CPU:
            # The family asks for the numbers themselves: such that no two rows are alike.
            return torch.arange(args[0].numel()).sin().reshape(args[0].shape).to(args[0].dtype)
        return super().__torch_dispatch__(func, types, args, kwargs)


class Single(StepContext):
    """Losses of crops on the meta device, which knows no autocast."""

    def losses(self, phase: Phase, choices: Choices) -> dict[str, Tensor]:
        return self.swapper.losses(phase.name, *self.loader.batches(choices, META))


def moved(batch: Batch) -> Batch:
    return {name: column.to(META) for name, column in batch.items()}


@pytest.fixture
def case(make_case: Make, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Case:
    family, number = request.param
    monkeypatch.setitem(TINY, family, {**TINY[family], **CASES[family].branches[number]})
    return make_case(family)


def test_a_tensor_on_another_device_is_found() -> None:
    here, there = torch.zeros(3), torch.zeros(3, device=META)
    with pytest.raises(AssertionError, match="is given tensors of"), OneDevice():
        there + here
    with OneDevice():
        assert (there + torch.tensor(1.0)).is_meta
        assert there[torch.tensor([0, 1])].is_meta


LEARNING = [c for c in BRANCHES if registry.load_class(c[0]).phases is not Swapper.phases]


@pytest.mark.parametrize("case", LEARNING, indirect=True, ids=str)
def test_a_step_stays_on_its_device(case: Case) -> None:
    swapper = case.swapper.train().to(META)
    swapper.plan_images = case.job.plan.images
    context = case.context()
    context = Single(swapper, context.loader.to(META), context.plan, context.group)
    for phase in swapper.phases():
        context.select(phase)
        with OneDevice():
            losses = context.losses(phase, context.loader.choose(context.plan, 0))
            torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]  # torch's
        given = [p.grad for p in phase.parameters if p.grad is not None]
        assert given and all(gradient.is_meta for gradient in given)


@pytest.mark.parametrize("case", BRANCHES, indirect=True, ids=str)
def test_a_swap_stays_on_its_device(case: Case) -> None:
    target, source = (moved(batch) for batch in case.faces(3))
    swapper = case.swapper.to(META)
    with OneDevice(), torch.no_grad():
        made = [*swapper.swap(target, source)]
        if isinstance(swapper, ShowsMore):
            made += swapper.pictures(target, source).values()
        if isinstance(swapper, SwapsBack):
            made += swapper.swap_back(source)
    assert all(tensor.is_meta for tensor in made)
