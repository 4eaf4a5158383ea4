"""The training loop: load, build, resume, train, log, snapshot; from top to bottom.

The budget counts images. A family may have several phases, which follow each other within a
step; no family is named here. The result depends on the job alone: on a CPU it is the same to
the last bit however often the run was interrupted, and for any number of workers with the same
number of threads each (models/training/steps.py says why).
"""

from __future__ import annotations

import sys
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.optim import Optimizer

from likeness.contracts import environment
from likeness.contracts.atomic import write_bytes
from likeness.contracts.errors import ModelError
from likeness.contracts.progress import progress as show
from likeness.media.images import encode_jpeg
from models.layers.norm import layers_of
from models.swappers import registry
from models.swappers.base import Phase, Swapper
from models.training import checkpoint, optimisers
from models.training.checkpoint import Moment, Progress
from models.training.exchange import Alone, Exchange
from models.training.footprint import measure
from models.training.people import People, open_people
from models.training.plan import Job
from models.training.previews import Faces, choose_faces, draw_preview
from models.training.seeds import seed_of
from models.training.setting import furnish, gather, lay_out, pick_device
from models.training.settle import settle
from models.training.steps import Bench, take_step

SAVING_SHARE = 10
"""Saving takes at most about one part in this many of the time."""


@dataclass
class Run:
    """A training in progress: what moves, what it looks at, and where it stands."""

    job: Job
    swapper: Swapper
    crops: tuple[People, People]
    faces: Faces
    phases: list[Phase]
    optimisers: dict[str, Optimizer]
    progress: Progress
    device: torch.device
    frozen: list[dict[str, Any]] = field(default_factory=list)

    @property
    def images(self) -> int:
        """Crops of both identities seen so far."""
        return self.progress.step * self.job.plan.step_images

    def save(self) -> None:
        """Write a checkpoint of this moment."""
        states = [optimisers.state_of(name, o) for name, o in self.optimisers.items()]
        tensors = {key: value for state in states for key, value in state.items()}
        moment = Moment(dict(self.swapper.state_dict()), tensors, self.progress)
        checkpoint.save(self.job.state, moment)

    def restore(self, moment: Moment) -> None:
        """Go to the moment of a checkpoint."""
        registry.restore(self.swapper, moment.weights, self.job.state)
        for name, optimiser in self.optimisers.items():
            optimisers.restore(name, optimiser, moment.optimisers)
        self.progress = moment.progress

    def preview(self) -> None:
        """Add a preview to the state folder."""
        picture = draw_preview(self.swapper, self.faces, self.device)
        name = f"preview-{self.images:09d}.jpg"
        write_bytes(self.job.state / "previews" / name, encode_jpeg(picture, 92))

    def passed(self, every_images: int) -> bool:
        """Whether the last step reached the next multiple of `every_images`."""
        before = self.images - self.job.plan.step_images
        return self.images // every_images > before // every_images


def active(phases: list[Phase], images: int) -> list[Phase]:
    """Phases that train once `images` have been seen."""
    return [p for p in phases if p.first_image <= images < (p.last_image or images + 1)]


def build(job: Job, device: torch.device) -> Run:
    """Open the data and build the networks; nothing is trained yet.

    Raises:
        ModelError: shards without crops.
        ParamsError: settings that the family does not allow.
    """
    torch.manual_seed(seed_of(job.plan.seed, "weights"))
    swapper = registry.build(job.family, job.settings)
    view = (swapper.needs, swapper.size_px, swapper.coverage)
    crops = (open_people(job.source, *view), open_people(job.target, *view))
    if not swapper.takes_pools and any(people.is_pool for people in crops):
        problem = f"is for two identities, {' and '.join(sorted({p.identity for p in crops}))}"
        step = "name identities in params.yaml, or a family for any face"
        raise ModelError(job.family, f"{problem} given", step)
    frozen = furnish(swapper, job)
    swapper.prepare(*crops)
    lay_out(swapper.to(device).train())
    swapper.plan_images = job.plan.steps * job.plan.step_images
    phases = swapper.phases()
    movers = {phase.name: optimisers.make(phase, job.plan.seed) for phase in phases}
    faces = choose_faces(*crops, swapper.source_images)
    return Run(job, swapper, crops, faces, phases, movers, Progress(), device, frozen)


def resume(run: Run, exchange: Exchange) -> None:
    """Continue from the newest checkpoint, if there is one.

    Raises:
        ModelError: a damaged checkpoint, or one that not all workers see.
    """
    moment = checkpoint.newest(run.job.state)
    if moment is not None:
        run.restore(moment)
    step = torch.tensor([float(run.progress.step)], device=run.device)
    exchange.share(step, 0)
    if int(step) != run.progress.step:
        problem = f"this worker sees step {run.progress.step}, the first one {int(step)}"
        raise ModelError(run.job.state, problem, "set LIKENESS_STATE to a folder that all see")


def train_step(run: Run, bench: Bench) -> float:
    """One step of every phase that is active; gives the sum of their losses."""
    plan, step = run.job.plan, run.progress.step
    total, run.swapper.images_seen = 0.0, run.images
    for phase in active(run.phases, run.images):
        # Each phase sees crops of its own, as each step does.
        place = step * len(run.phases) + run.phases.index(phase)
        choices = bench.sides.choose(plan, place)
        values = take_step(bench, phase, run.optimisers[phase.name], choices, step)
        values["loss"] = sum(values.values())
        run.progress.add(phase.name, values)
        total += values["loss"]
    run.progress.step += 1
    return total


def quiet(count: int, note: str = "") -> None:
    """Progress of a worker beside the first one, which speaks for all."""


def say(message: str) -> None:
    """One line for the person who watches."""
    print(message, file=sys.stderr, flush=True)


def train(job: Job, exchange: Exchange | None = None, device: torch.device | None = None) -> Run:
    """Train a model to the end of its budget.

    Args:
        job: what to train, and on what.
        exchange: the group of workers this process belongs to; None trains alone.
        device: where to compute; None asks the environment.

    Raises:
        ModelError: shards without crops, a loss that is not finite, a damaged checkpoint.
        ParamsError: settings that the family does not allow.
    """
    # ---- load and build --------------------------------------------------------------------
    exchange, plan = exchange or Alone(), job.plan
    run = build(job, device or pick_device())
    if not run.phases:
        return run

    # ---- resume ----------------------------------------------------------------------------
    resume(run, exchange)
    if run.progress.step >= plan.steps and not layers_of(run.swapper):
        return run
    bench = Bench(run.swapper, gather(run.swapper, *run.crops), plan, exchange)
    first = exchange.rank == 0
    if first and run.progress.step < plan.steps:
        say(f"{job.model}: {measure(bench, run.phases)}; {bench.sides.bytes / 2**20:.0f} MiB crops")

    # ---- train -----------------------------------------------------------------------------
    every_s, cost_s, saved = environment.checkpoint_s(), 0.0, time.monotonic()
    left = plan.steps * plan.step_images - run.images
    with show(f"{job.model} images", left) if first else nullcontext(quiet) as advance:
        while run.progress.step < plan.steps:
            loss = train_step(run, bench)

            # ---- log -----------------------------------------------------------------------
            if run.passed(plan.log_every_images) or run.progress.step == plan.steps:
                run.progress.log(run.images)
            advance(plan.step_images, f"loss {loss:.4f}")
            if first and run.passed(plan.preview_every_images):
                settle(bench, run.phases)
                run.preview()

            # ---- snapshot ------------------------------------------------------------------
            began = time.monotonic()
            if first and began - saved >= max(every_s, SAVING_SHARE * cost_s if every_s else 0):
                run.save()
                saved = time.monotonic()
                cost_s = saved - began

    # ---- settle ----------------------------------------------------------------------------
    settle(bench, run.phases)
    return run
