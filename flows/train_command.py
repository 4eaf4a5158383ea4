"""A model's training outside the graph's outputs: its stage's own command line, by another door."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from flows.graph import Graph, from_repo, open_repo
from flows.process import stream
from likeness.contracts.choices import choices
from likeness.contracts.errors import GraphError
from likeness.contracts.pools import model_names

GRACE_S = 60.0
"""Seconds that a training gets to write its checkpoint before it is ended."""
TRIALS = Path(".likeness/trials")
STAGES = ("train", "finetune")


@dataclass(frozen=True)
class Training:
    """The stage that trains a model.

    Attributes:
        address: `train@x` or `finetune@x`.
        command: as dvc.yaml states it, with everything filled in.
        done: its output is there and up to date.
    """

    address: str
    command: str
    done: bool

    @property
    def arguments(self) -> list[str]:
        """Stage name, then the arguments of its command line."""
        words = shlex.split(self.command)
        place = words.index("-m") + 1
        return [words[place].removeprefix("tasks."), *words[place + 1 :]]


def require_inputs(graph: Graph, address: str, root: Path) -> None:
    """Check that what a stage reads of other stages is there.

    Raises:
        GraphError: it is not; the stage that writes it is named.
    """
    for above in graph.upstream[address]:
        for path in graph.nodes[above].outputs:
            if path in graph.nodes[address].dependencies and not (root / path).exists():
                raise GraphError(path, "is not there yet", f"run `dvc repro {above}`")


def find_training(model: str, root: Path) -> Training:
    """The stage of a model, whose inputs are there.

    Raises:
        GraphError: no such model, or data that is missing.
    """
    known = model_names(root / "params.yaml")
    if model not in known:
        step = choices(model, known, none="none; add one under models: in params.yaml")
        raise GraphError(model, "no such model", step)
    with open_repo(root) as repo:
        graph = from_repo(repo)
        address = next(a for a in (f"{stage}@{model}" for stage in STAGES) if a in graph.nodes)
        require_inputs(graph, address, root)
        stage = next(s for s in repo.index.stages if s.addressing == address)
        return Training(address, str(stage.cmd), not repo.status(targets=[address]))


def run_training(training: Training, options: Sequence[str], root: Path) -> int:
    """Train, or test rates, in a process of its own; gives its exit code."""
    stage, *rest = training.arguments
    command = [sys.executable, "-m", "tasks._train_command", stage, *options, *rest]
    said: list[str] = []
    return stream(command, said.append, folder=root, echo=True, grace_s=GRACE_S)
