"""Train a part of a model, or test its learning rates, outside all outputs of the graph.

    python -m tasks._train_command train --minutes 5 <arguments of stage train>
    python -m tasks._train_command finetune --find-rate FOLDER <arguments of stage finetune>

The state of a training is found by a fingerprint of all that its result depends on, and the stage
itself finds it by the same one: what is trained here is not trained again there, and the stage
writes the same bytes as if it had done everything alone. Nothing is written under `--out`.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

from likeness.contracts.commands import ended, positive
from likeness.contracts.errors import LikenessError, ModelError
from likeness.contracts.memory import keep_freed_memory
from likeness.contracts.params.train import Plan
from likeness.contracts.progress import progress
from likeness.contracts.sections import load_section
from likeness.contracts.stage import Context, Stage, keep_arrow_from_pandas
from models.training.job import Job
from tasks import finetune, train
from tasks.train import job_of

STAGES: dict[str, Stage[Plan]] = {"train": train.STAGE, "finetune": finetune.STAGE}


def _minutes(text: str) -> float:
    value = float(text)
    if not value > 0 or math.isinf(value):
        raise argparse.ArgumentTypeError("must be more than 0")
    return value


def job_for(stage: Stage[Plan], arguments: list[str]) -> Job:
    """The very job that the stage would train with these arguments.

    Raises:
        LikenessError: an input that is missing; what `tasks.train.job_of` raises.
    """
    given = vars(stage.parser().parse_args(arguments))
    options = {name: str(given[name]) for name in stage.options}
    inputs = {name: Path(given[name]) for name in stage.inputs}
    for path in inputs.values():
        if not path.exists():
            raise LikenessError(path, f"input of `{stage.name}` is missing", "run `dvc repro`")
    file = given["params"]
    more = stage.overrides(options, file) if stage.overrides else None
    plan = load_section(stage.name, stage.params, file, more)
    out = {name: Path(given[name]) for name in stage.outputs}
    return job_of(Context(plan, inputs, out, options, {}, file, out), inputs.get("init"))


def _here(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def try_training(job: Job, stage: str, minutes: float | None, images: int | None) -> None:
    """Train on for a while, and say where everything lies and what is next.

    Raises:
        KeyboardInterrupt: somebody stopped it; the checkpoint is written.
        ModelError: the family does not train.
    """
    from models.training import checkpoint
    from models.training.trainer import train_partly
    from tasks._train_console import TrainConsole

    console = TrainConsole(minutes, images)
    run = train_partly(job, console)
    if not run.phases:
        raise ModelError(job.model, f"{job.family} learns nothing", "run `dvc repro`")
    print(f"{console.headline(run)}; {console.left(run)}")
    for what, found in (("checkpoint", checkpoint.folders(job.state)[-1:]),
                        ("preview", [run.preview_path] if run.preview_path.is_file() else []),
                        ("snapshots", sorted((job.state / "snapshots").glob("*-*")))):  # fmt: skip
        for path in found:
            print(f"  {what:<12}{_here(path)}")
    if not run.done:
        print(f"  to go on    likeness train {job.model}")
    print(f"  to finish   dvc repro {stage}@{job.model}", flush=True)
    if console.interrupted:
        raise KeyboardInterrupt


def try_rates(job: Job, folder: Path) -> None:
    """Range test of every phase: a table, and a picture in `folder`.

    Raises:
        ModelError: the family does not train.
    """
    from models.training.rates import STEPS, find_rates
    from tasks._rate_picture import draw_rates

    keep_freed_memory()
    with progress(f"{job.model} steps") as advance:
        curves = find_rates(job, advance)
    if not curves:
        raise ModelError(job.model, f"{job.family} learns nothing", "run `dvc repro`")
    print(f"{'phase':<16}{'now':>10}{'steepest':>10}{'lowest/10':>11}  steps")
    for curve in curves:
        cells = ["-" if r is None else f"{r:.1e}" for r in (curve.steepest, curve.tenth)]
        ended_at = "" if len(curve.rates) == STEPS else f" (diverged at {curve.rates[-1]:.0e})"
        row = f"{curve.phase:<16}{curve.present:>10.1e}{cells[0]:>10}{cells[1]:>11}"
        print(f"{row}  {len(curve.rates)}{ended_at}")
    print(f"  picture  {_here(draw_rates(curves, folder))}")


def main() -> None:
    """Parse, work, and exit as stages do."""
    parser = argparse.ArgumentParser(prog="python -m tasks._train_command", description=__doc__)
    parser.add_argument("stage", choices=sorted(STAGES))
    parser.add_argument("--minutes", type=_minutes)
    parser.add_argument("--images", type=positive)
    parser.add_argument("--find-rate", type=Path, metavar="FOLDER")
    given, rest = parser.parse_known_args()
    keep_arrow_from_pandas()

    def work() -> None:
        job = job_for(STAGES[given.stage], rest)
        if given.find_rate is not None:
            try_rates(job, given.find_rate)
        else:
            try_training(job, given.stage, given.minutes, given.images)

    left = "stopped; run the same again to go on from the checkpoint"
    sys.exit(ended(work, "trial", left, "free space or correct permissions"))


if __name__ == "__main__":
    main()
