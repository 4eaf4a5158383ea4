"""What every family does outside the stages: as an ONNX graph, or a clear refusal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from apps.live.graphs import TOLERANCE, export
from apps.live.onnx_runner import OnnxRunner
from likeness.contracts.errors import ModelError
from models.swappers import registry
from models.swappers.abilities import source_images
from tests.swapper_cases import Case

Make = Callable[..., Case]


@pytest.mark.parametrize("family", registry.names())
@torch.no_grad()
def test_a_graph_gives_what_torch_gives_or_is_refused(
    make_case: Make, family: str, tmp_path: Path
) -> None:
    case = make_case(family)
    swapper, path = case.swapper, tmp_path / "graph.onnx"
    target, source = case.faces(4)
    given = source if source_images(swapper) else None
    names = {name: id(child) for name, child in swapper.named_children()}
    before = swapper.swap(target, given)
    try:
        found = export(swapper, path, target, given)
    except ModelError as error:
        assert "cannot be exported" in error.problem and "torch" in error.next_step
        assert not path.exists() and not list(tmp_path.glob(".tmp-*"))
        assert not list(swapper.parameters()) or family in REFUSED
    else:
        assert family not in REFUSED and found.difference <= TOLERANCE
        after = OnnxRunner(path, swapper, given)(target)
        for ours, theirs in zip(after, before, strict=True):
            assert (ours - theirs.clamp(-1, 1)).abs().max() <= TOLERANCE
        return
    # A refusal leaves the model as it was.
    assert {name: id(child) for name, child in swapper.named_children()} == names
    again = swapper.swap(target, given)
    assert all(torch.equal(a, b) for a, b in zip(again, before, strict=True))


REFUSED: set[str] = set()
"""Families with weights of which neither swap nor network is a fixed graph."""
