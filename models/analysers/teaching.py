"""Teaches the network that says what covers a face, on lessons drawn onto bare crops.

One process draws, one thread learns: the order of lessons and of sums is the same on every
machine, so that the same kind of processor gives the same bytes.
"""

from __future__ import annotations

import math
import multiprocessing
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from likeness.vision.occluders.bare import Bare
from likeness.vision.occluders.lesson import Lesson, lesson
from models.layers.memory_format import lay_out
from models.layers.occlusion_network import SIDE_PX, OcclusionNetwork

Batch: TypeAlias = tuple[Tensor, Tensor, Tensor, Tensor]
AHEAD = 6
"""Batches drawn before they are needed."""
LATER = 32
"""Batches between a lesson and its mirror image."""
WEIGHT_DECAY = 1e-3
WARM_UP = 0.05
"""Share of the steps in which the rate rises."""
FREE, HIDDEN = 0.25, 0.75
"""Cover below and above which a px is judged."""
HELD_BACK = 1 << 32
"""Lessons that test have numbers from here on: none of them is ever learned from."""


@dataclass(frozen=True)
class Plan:
    """How long and how fast.

    Attributes:
        seed: of weights and lessons.
        steps: batches learned from; each is drawn once and met twice, mirrored the second time.
        batch_images: lessons per step.
        rate: largest learning rate.
        average: decay per step of the averaged weights, which are the result.
        bf16: layers in bfloat16.
    """

    seed: int = 0
    steps: int = 1200
    batch_images: int = 16
    rate: float = 3e-3
    average: float = 0.99
    bf16: bool = True


_crops: Sequence[Bare] = ()


def _start(crops: Sequence[Bare]) -> None:
    global _crops  # noqa: PLW0603  # once per process that draws: crops are not sent with each task
    _crops = crops
    cv2.setNumThreads(1)


def _batch(task: tuple[int, int, int]) -> list[Lesson]:
    seed, first, count = task
    return [lesson(_crops, seed, first + index, SIDE_PX) for index in range(count)]


def mirrored(batch: Batch) -> Batch:
    """The same lessons seen in a mirror.

    Outlines of both sides share their channels: the vertices of the mesh keep their places.
    """
    pictures, points, covers, counts = batch
    turned = torch.stack([SIDE_PX - 1 - points[..., 0], points[..., 1]], -1)
    return pictures.flip(-1), turned, covers.flip(-1), counts.flip(-1)


def batches(crops: Sequence[Bare], plan: Plan, workers: int) -> Iterator[list[Lesson]]:
    """Batches of lessons in their order, drawn ahead by `workers` processes (0: by this one)."""
    tasks = (
        (plan.seed, step * plan.batch_images, plan.batch_images)
        for step in range(math.ceil(plan.steps / 2))
    )
    if not workers:
        _start(crops)
        yield from map(_batch, tasks)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _start, (crops,)) as pool:
        waiting = [pool.submit(_batch, task) for task in islice(tasks, AHEAD)]
        while waiting:
            yield waiting.pop(0).result()
            waiting.extend(pool.submit(_batch, task) for task in islice(tasks, 1))


def tensors(lessons: Sequence[Lesson]) -> Batch:
    """Pictures (B,3,S,S) in [-1,1], meshes (B,468,2), covers and counts (B,1,S,S) in [0,1]."""
    rgb = torch.from_numpy(np.stack([one.rgb for one in lessons])).permute(0, 3, 1, 2)
    points = torch.from_numpy(np.stack([one.points for one in lessons]))
    covers, counts = (
        torch.from_numpy(np.stack(part))[:, None].float() / 255
        for part in ([one.covers for one in lessons], [one.counts for one in lessons])
    )
    return rgb.float() / 127.5 - 1, points, covers, counts


def loss_of(logits: Tensor, covers: Tensor, counts: Tensor) -> Tensor:
    """Cross entropy, and one minus the soft intersection over union of the batch."""
    entropy = functional.binary_cross_entropy_with_logits(logits, covers, counts, reduction="sum")
    found = torch.sigmoid(logits) * counts
    wanted = covers * counts
    both = (found * wanted).sum()
    either = (found + wanted).sum() - both
    return entropy / counts.sum().clamp(min=1) + (1 - both / either.clamp(min=1))


def rate_at(plan: Plan, step: int) -> float:
    """Learning rate: a rise, then half a cosine."""
    warm = max(1, round(WARM_UP * plan.steps))
    if step < warm:
        return plan.rate * (step + 1) / warm
    return plan.rate * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, plan.steps - warm)))


def _twice(drawn: Iterator[list[Lesson]]) -> Iterator[Batch]:
    """Each batch, and its mirror image some batches later: drawing takes as long as learning."""
    waiting: deque[Batch] = deque()
    for lessons in drawn:
        batch = tensors(lessons)
        yield batch
        waiting.append(mirrored(batch))
        if len(waiting) > LATER:
            yield waiting.popleft()
    yield from waiting


def taught(
    crops: Sequence[Bare], plan: Plan, workers: int, told: Callable[[float], object]
) -> OcclusionNetwork:
    """The averaged network after all steps; `told` hears the loss of each."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        torch.manual_seed(plan.seed)
        network, average = OcclusionNetwork(), OcclusionNetwork()
        average.load_state_dict(network.state_dict())
        for each in (network, average):
            lay_out(each, torch.channels_last)
        optimiser = torch.optim.AdamW(network.parameters(), plan.rate, weight_decay=WEIGHT_DECAY)
        for step, batch in enumerate(islice(_twice(batches(crops, plan, workers)), plan.steps)):
            for group in optimiser.param_groups:
                group["lr"] = rate_at(plan, step)
            told(_learn(network, optimiser, batch, plan))
            _follow(average, network, min(plan.average, (step + 1) / (step + 10)))
        return average
    finally:
        torch.set_num_threads(threads)


def _learn(
    network: OcclusionNetwork,
    optimiser: torch.optim.Optimizer,
    batch: Batch,
    plan: Plan,
) -> float:
    pictures, points, covers, counts = batch
    network.train()
    with torch.autocast("cpu", torch.bfloat16, enabled=plan.bf16):
        logits = network(pictures, points)
    loss = loss_of(logits.float(), covers, counts)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]  # torch's
    nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimiser.step()
    return float(loss.detach())


@torch.no_grad()
def _follow(average: OcclusionNetwork, network: OcclusionNetwork, decay: float) -> None:
    for ours, theirs in zip(average.parameters(), network.parameters(), strict=True):
        ours.lerp_(theirs, 1 - decay)
    for kept, now in zip(average.buffers(), network.buffers(), strict=True):
        if kept.is_floating_point():
            kept.lerp_(now, 1 - decay)
        else:
            kept.copy_(now)


@torch.no_grad()
def overlap(network: OcclusionNetwork, lessons: Sequence[Lesson]) -> float:
    """Intersection over union of what is covered, over all counted px of the lessons.

    Px that an edge or a strand covers by about half belong to neither side and are not judged.
    """
    network.eval()
    both = either = 0.0
    for first in range(0, len(lessons), 16):
        pictures, points, covers, counts = tensors(lessons[first : first + 16])
        judged = (counts > 0) & ((covers < FREE) | (covers > HIDDEN))
        found = (network(pictures, points) > 0) & judged
        wanted = (covers > HIDDEN) & judged
        both += float((found & wanted).sum())
        either += float((found | wanted).sum())
    return both / max(either, 1.0)
