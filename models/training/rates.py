"""Range test of the learning rate: how the loss answers to rates from far too small to far too big.

Smith, "Cyclical Learning Rates for Training Neural Networks" (2017, arXiv 1506.01186, section 3.3),
with the exponential sweep and the bias-corrected smoothing that Gugger described in 2018. It runs
from the first weights on a copy that is thrown away. The rate of one phase sweeps while the others
keep theirs; with adversaries the loss of a phase also says how well the other one does, so that a
curve there is a hint and no more.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from likeness.contracts import environment
from likeness.contracts.progress import Advance
from models.crew import Crew, crew_for
from models.devices import pick_device
from models.training.job import Job
from models.training.loaders import Loader, build_loader
from models.training.loop import train_step
from models.training.non_finite import NotFiniteError
from models.training.process_group import SingleProcess
from models.training.run import Run, build
from models.training.steps import StepContext

LOWEST, HIGHEST = 1e-7, 1.0
STEPS = 100
SMOOTHING = 0.9
"""Share of the past in the smoothed loss."""
DIVERGED = 4.0
"""The sweep ends where the smoothed loss is this many times its lowest."""
LEAST_STEPS = 10

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RateCurve:
    """What the range test of one phase found.

    Attributes:
        phase: its name.
        present: the rate it has now.
        rates: (N,) that were tried, rising.
        losses: (N,) of the phase before each step.
        smoothed: (N,) the same, smoothed.
    """

    phase: str
    present: float
    rates: Values
    losses: Values
    smoothed: Values

    @property
    def _lowest(self) -> int:
        return int(np.argmin(self.smoothed)) if len(self.smoothed) else 0

    @property
    def steepest(self) -> float | None:
        """The rate at which the loss falls fastest per decade; None where it does not fall."""
        end = self._lowest + 1
        if end < LEAST_STEPS:
            return None
        slope = np.gradient(self.smoothed[:end], np.log10(self.rates[:end]))
        # The first few values are hardly smoothed yet.
        place = LEAST_STEPS // 2 + int(np.argmin(slope[LEAST_STEPS // 2 :]))
        return float(self.rates[place]) if slope[place] < 0 else None

    @property
    def tenth(self) -> float | None:
        """A tenth of the rate at which the loss is lowest; None where it does not fall."""
        if self._lowest + 1 < LEAST_STEPS:
            return None
        return float(self.rates[self._lowest]) / 10


def smooth(losses: list[float]) -> Values:
    """Exponential moving average, corrected as Adam's moments are."""
    mean, found = 0.0, []
    for index, loss in enumerate(losses, start=1):
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
        found.append(mean / (1 - SMOOTHING**index))
    return np.array(found)


def _ready(job: Job, index: int, rates: Values, device: torch.device) -> Run:
    """A new run at the beginning of phase `index`, whose rate is that of the steps from then on."""
    run, size = build(job, device), job.plan.step_images
    phase = run.phases[index]
    begin = -(-phase.first_image // size)

    def factor(images: int) -> float:
        return float(rates[images // size - begin]) / phase.learning_rate

    run.phases[index] = dataclasses.replace(phase, rate=factor)
    run.average, run.progress.step, run.progress.images = None, begin, begin * size
    return run


def sweep(
    job: Job, index: int, loader: Loader, device: torch.device, *, advance: Advance, crew: Crew
) -> RateCurve:
    """The range test of one phase."""
    rates = np.geomspace(LOWEST, HIGHEST, STEPS)
    run = _ready(job, index, rates, device)
    phase, losses = run.phases[index], list[float]()
    context = StepContext(run.swapper, loader, job.plan, SingleProcess(), crew)
    for _ in rates:
        try:
            train_step(run, context)
        except NotFiniteError:
            break
        losses.append(run.latest[f"{phase.name}/loss"])
        advance(1, f"loss {losses[-1]:.4f}")
        smoothed = smooth(losses)
        if len(losses) > LEAST_STEPS and smoothed[-1] > DIVERGED * abs(smoothed.min()):
            break
    count = len(losses)
    return RateCurve(
        phase.name, phase.learning_rate, rates[:count], np.array(losses), smooth(losses)
    )


def find_rates(job: Job, advance: Advance) -> list[RateCurve]:
    """The range test of every phase, from the first weights; `advance` counts steps."""
    device = pick_device()
    with crew_for(
        device, environment.threads(), job.plan.micro_batches, split=job.plan.compile
    ) as crew:
        run = build(job, device)
        if not run.phases:
            return []
        loader = build_loader(run.swapper, *run.crops, run.device)
        count = range(len(run.phases))
        return [sweep(job, i, loader, device, advance=advance, crew=crew) for i in count]
