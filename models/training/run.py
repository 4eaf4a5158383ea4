"""A training in progress: what moves, what it looks at, and where it stands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from likeness.contracts.atomic import write_bytes
from likeness.contracts.errors import ModelError
from likeness.media.images import encode_jpeg
from models import tensorfile
from models.crew import single_threaded
from models.layers.memory_format import lay_out
from models.swappers import registry
from models.swappers.abilities import Prepares, source_images, takes_pools
from models.swappers.base import Phase, Swapper
from models.training import checkpoint, optimisers
from models.training.average import Average
from models.training.checkpoint import Moment, Progress
from models.training.compiled import uncompiled
from models.training.continuation import joined, link_of, say
from models.training.identities import Identities, open_identities
from models.training.initialisation import adapted_state, initialise
from models.training.job import Job
from models.training.previews import Faces, choose_faces, draw_preview
from models.training.process_group import ProcessGroup
from models.training.seeds import seed_of

MOMENTS = "moments.safetensors"
"""The optimisers' state in a model's folder."""


@dataclass
class Run:
    """A training in progress: what moves, what it looks at, and where it stands.

    Attributes:
        average: of the weights, where the plan asks for one.
        latest: "<phase>/<name>" -> value of the last step.
        frozen: networks that the family took.
        prepared: buffers that `prepare` filled from the data.
    """

    job: Job
    swapper: Swapper
    crops: tuple[Identities, Identities]
    faces: Faces
    phases: list[Phase]
    optimisers: dict[str, Optimizer]
    progress: Progress
    device: torch.device
    average: Average | None = None
    latest: dict[str, float] = field(default_factory=dict)
    frozen: list[dict[str, Any]] = field(default_factory=list)
    prepared: frozenset[str] = frozenset()

    @property
    def images(self) -> int:
        """Crops of both identities seen so far."""
        return self.progress.images

    @property
    def done(self) -> bool:
        """Whether the budget is used up."""
        return self.images >= self.job.plan.images

    @property
    def left(self) -> int:
        """Images until then, the last step begun counted."""
        size = self.job.plan.step_images
        return max(0, -(-(self.job.plan.images - self.images) // size) * size)

    def moments(self) -> dict[str, Tensor]:
        """State of all optimisers, "<phase>/<parameter>/<quantity>"."""
        names = {id(p): name for name, p in self.swapper.named_parameters()}
        states = [optimisers.state_of(name, o, names) for name, o in self.optimisers.items()]
        return {key: value for state in states for key, value in state.items()}

    def take_moments(self, moments: dict[str, Tensor]) -> tuple[int, int]:
        """Give the optimisers what fits of `moments`; how many parameters got theirs, of how many.

        A parameter whose optimiser, phase or shape was another one begins without.
        """
        names = {id(p): name for name, p in self.swapper.named_parameters()}
        given = [optimisers.restore(n, o, moments, names) for n, o in self.optimisers.items()]
        return sum(given), sum(len(phase.parameters) for phase in self.phases)

    def moment(self) -> Moment:
        """Everything that a checkpoint holds."""
        tensors = self.moments()
        average = self.average.state() if self.average else {}
        return Moment(dict(self.swapper.state_dict()), tensors, self.progress, average)

    def save(self, *, keep_older: bool = False) -> None:
        """Write a checkpoint of this moment, if all its weights are finite numbers."""
        moment = self.moment()
        tensors = (*self.swapper.parameters(), *moment.optimisers.values())
        if all(bool(t.isfinite().all()) for t in tensors):
            checkpoint.save(self.job.state, moment, keep_older=keep_older)

    def restore(self, moment: Moment) -> None:
        """Go to the moment of a checkpoint of this training, or to what fits of another one's."""
        weights, chain = moment.weights, moment.progress.chain
        link = link_of(self.job, moment.progress.images)
        chain = joined(chain, link)
        if chain != moment.progress.chain:
            own = self.swapper.state_dict()
            weights = adapted_state(self.swapper, weights) | {
                n: own[n] for n in self.prepared if n in own
            }
        registry.restore(self.swapper, weights, self.job.state)
        self.take_moments(moment.optimisers)
        self.progress = replace(moment.progress, chain=chain)
        if self.average:
            self.progress.averaged *= bool(moment.average)
            self.average.restore(moment.average or dict(self.swapper.named_parameters()))
        # As the last step left it: a training that has ended draws its pictures by this.
        self.swapper.images_seen = max(0, self.images - self.job.plan.step_images)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """While it lasts, the networks are what people get: with the average as weights, if any."""
        with uncompiled(self.job.plan):
            if self.average is None:
                yield
                return
            self.average.exchange(self.swapper)
            try:
                yield
            finally:
                self.average.exchange(self.swapper)

    def preview(self) -> None:
        """Add a preview to the state folder."""
        picture = draw_preview(self.swapper, self.faces, self.device)
        write_bytes(self.preview_path, encode_jpeg(picture, 92))

    @property
    def preview_path(self) -> Path:
        """Where the preview of this moment lies, if there is one."""
        return self.job.state / "previews" / f"preview-{self.images:09d}.jpg"

    def passed(self, every_images: int | None) -> bool:
        """Whether the last step reached the next multiple of `every_images`; None: never."""
        if every_images is None:
            return False
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
    crops = (open_identities(job.source, *view), open_identities(job.target, *view))
    if not takes_pools(swapper) and any(people.is_pool for people in crops):
        problem = f"is for two identities, {' and '.join(sorted({p.identity for p in crops}))}"
        step = "name identities in params.yaml, or a family for any face"
        raise ModelError(job.family, f"{problem} given", step)
    frozen = initialise(swapper, job)
    prepared = _prepare(swapper, crops)
    lay_out(swapper.to(device).train(), swapper.memory_format)
    swapper.plan_images = job.plan.steps * job.plan.step_images
    phases = swapper.phases()
    made = {phase.name: optimisers.make(phase, job.plan.seed) for phase in phases}
    faces = choose_faces(*crops, source_images(swapper))
    average = Average(swapper, job.plan.ema) if job.plan.ema and phases else None
    progress = Progress(chain=[link_of(job, 0)] if phases else [])
    run = Run(job, swapper, crops, faces, phases, made, progress, device, average)
    run.frozen, run.prepared = frozen, prepared
    if job.init is not None and phases:
        take_first_moments(run, job.init)
    return run


def _prepare(swapper: Swapper, crops: tuple[Identities, Identities]) -> frozenset[str]:
    """Let the family take what it needs from the data; gives the buffers that it filled."""
    before = {name: buffer.clone() for name, buffer in swapper.named_buffers()}
    if isinstance(swapper, Prepares):
        with single_threaded():
            swapper.prepare(*crops)
    after = dict(swapper.named_buffers())
    return frozenset(n for n, b in after.items() if n not in before or not b.equal(before[n]))


def take_first_moments(run: Run, folder: Path) -> None:
    """Go on with the optimiser's state of the model that a training begins from, where it fits."""
    path = folder / MOMENTS
    if not path.is_file():
        say(run.job, f"{folder.name} keeps no moments (`train.moments`): they begin empty")
        return
    given, count = run.take_moments(tensorfile.read(path))
    say(run.job, f"moments of {given} of {count} parameters are those of {folder.name}")


def resume(run: Run, group: ProcessGroup) -> None:
    """Continue from the newest checkpoint, if there is one.

    Raises:
        ModelError: a damaged checkpoint, or one that not all workers see.
    """
    moment = checkpoint.newest(run.job.state)
    if moment is not None:
        run.restore(moment)
    step = torch.tensor([float(run.progress.step)], device=run.device)
    group.broadcast(step, 0)
    if int(step) != run.progress.step:
        problem = f"this worker sees step {run.progress.step}, the first one {int(step)}"
        raise ModelError(run.job.state, problem, "set LIKENESS_STATE to a folder that all see")
