"""`likeness train | families`: models while they are made, and what they can be."""

from __future__ import annotations

import math
from typing import Annotated

import typer

from flows.commands.common import ROOT, Json, complete_model, print_json
from flows.commands.runs import end_like_ctrl_c
from flows.families import COLUMNS, SPEEDS, cells, describe
from flows.preflight import check_repository
from flows.removal import say_out_of_date
from flows.report import show_table
from flows.train_command import TRIALS, find_training, run_training
from likeness.contracts.errors import LikenessError

MODEL = typer.Argument(help="Name of the model.", autocompletion=complete_model)


def train(
    model: Annotated[str, MODEL],
    *,
    minutes: Annotated[float | None, typer.Option(help="Stop after this long.")] = None,
    images: Annotated[int | None, typer.Option(min=1, help="Stop after so many images.")] = None,
    find_rate: Annotated[
        bool, typer.Option("--find-rate", help="Test learning rates on a throw-away copy instead.")
    ] = False,
) -> None:
    """Train a model for a while and watch its losses; whatever trains it next goes on from there.

    Writes a checkpoint and a preview below .likeness, nothing under data/models: that is the work
    of `dvc repro`, which continues the checkpoint and writes the same bytes as without this.
    Ctrl-C saves, too.

    [bold]Examples[/bold]

    likeness train woman-man-autoencoder --minutes 5

    likeness train woman-man-autoencoder --find-rate
    """
    end_like_ctrl_c()
    if minutes is not None and not (minutes > 0 and math.isfinite(minutes)):
        raise LikenessError("--minutes", f"{minutes:g} is no time", "give more than 0")
    check_repository(ROOT)
    training = find_training(model, ROOT)
    say_out_of_date(ROOT)
    bounds = {"--minutes": minutes, "--images": images}
    options = [part for name, n in bounds.items() if n is not None for part in (name, str(n))]
    if find_rate:
        options = ["--find-rate", str(TRIALS / model)]
    elif training.done:
        print(f"{model} is trained with these settings: data/models/{model}")
        return
    code = run_training(training, options, ROOT)
    if code != 0:
        raise typer.Exit(code=code if 0 < code < 128 else 130)


def families(as_json: Json = False) -> None:
    """List the swap families: mode, needs, size at default settings, memory of a step, speed.

    Speeds are those that `make bench ONLY=families` measured on this machine, if it has run.

    [bold]Examples[/bold]

    likeness families

    likeness families --json
    """
    rows = describe(ROOT)
    if as_json:
        print_json(rows)
        return
    show_table("Families", COLUMNS, [cells(row) for row in rows])
    print("\nat default settings; step: memory of one training step in float32, with the batch")
    print("of params.yaml; counted by shapes, nothing is computed")
    if all(row[name] is None for row in rows for name in SPEEDS):
        print("speeds: not measured on this machine; run `make bench ONLY=families`")
