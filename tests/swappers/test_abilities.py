"""What a family can do beside `Swapper` it names among its bases; the rest has defaults."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch
from torch import Tensor

from models.batch import Batch
from models.swappers import abilities, registry
from models.swappers.abilities import (
    GivenSource,
    Sampling,
    optional_parts,
    sampling_of,
    source_images,
    takes_pools,
    wants_map,
)
from models.swappers.base import Swapper, SwapperConfig

GIVEN_TO_FAMILIES = {"Frozen"}
"""Protocols of the module that families do not fulfil."""
ABILITIES = {
    name: kind
    for name, kind in vars(abilities).items()
    if getattr(kind, "_is_protocol", False)
    and kind.__module__ == abilities.__name__
    and name not in GIVEN_TO_FAMILIES
}


def members(ability: type) -> set[str]:
    """What the protocol asks for."""
    own = {*vars(ability), *ability.__annotations__}
    return {name for name in own if not name.startswith("_")}


def test_the_protocols_are_found() -> None:
    assert len(ABILITIES) == 12
    assert members(ABILITIES["Remembers"]) == {"made", "keep"}
    assert members(ABILITIES["GivenSource"]) == {"source_images"}


@pytest.mark.parametrize("ability", ABILITIES)
@pytest.mark.parametrize("family", registry.names())
def test_families_name_what_they_fulfil(family: str, ability: str) -> None:
    """A method of such a name would be called whether or not it is meant to be one."""
    kind = registry.load_class(family)
    has = {name for name in members(ABILITIES[ability]) if hasattr(kind, name)}
    assert (ABILITIES[ability] in kind.__mro__) == bool(has)


@pytest.mark.parametrize("ability", ABILITIES)
def test_every_ability_serves_a_family(ability: str) -> None:
    assert any(ABILITIES[ability] in registry.load_class(f).__mro__ for f in registry.names())


class Plain(Swapper):
    """A family that can do nothing beside."""

    family: ClassVar[str] = "plain"
    Config: ClassVar[type[SwapperConfig]] = SwapperConfig

    def swap(self, target: Batch, source: Batch | None = None) -> tuple[Tensor, Tensor]:
        return target["crop"], torch.ones(1)


class Pairing(Plain):
    """It fulfils two protocols without naming them."""

    source_images: ClassVar[int] = 4
    optional: ClassVar[tuple[str, ...]] = ("critic",)

    def sampling_of(self) -> Sampling:
        return Sampling(same=0.25)


def test_defaults_hold_for_whoever_fulfils_nothing() -> None:
    plain = Plain(SwapperConfig(size_px=8))
    assert not any(isinstance(plain, kind) for kind in ABILITIES.values())
    assert sampling_of(plain) is None
    assert not takes_pools(plain) and not wants_map(plain)
    assert source_images(plain) == 0
    assert optional_parts(plain) == ()


def test_helpers_ask_by_what_is_there() -> None:
    pairing = Pairing(SwapperConfig(size_px=8))
    assert isinstance(pairing, GivenSource)
    assert sampling_of(pairing) == Sampling(same=0.25)
    assert takes_pools(pairing) and not wants_map(pairing)
    assert source_images(pairing) == 4
    assert optional_parts(pairing) == ("critic.",)
