"""Families for any face: frames per second of each network, images per second of training it.

All at 256 px. `any_face.<network>` and `any_face.<network>_training` have the published widths, one
picture at a time; `any_face.<family>_training` a quarter of them and batches of 4: whole steps,
critics included. Baseline: the same network and weights in eager float32 with torch's plain Adam,
laid out as torch builds it. Ours: as `convert` and the training loop run it (channels of a pixel
side by side, bf16 layers, fused Adam). Both keep freed memory, as the stages do; runs alternate,
and the shortest of each counts. `<network>_apart` is the mean difference of the two pictures
beside the picture's own mean deviation.

    python -m benchmarks.any_face aei_net hear_net    # some alone: each takes up to a minute
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.harness import Result, cost, rate, record, seconds
from likeness.contracts import environment
from likeness.contracts.memory import keep_freed_memory
from models.layers.aei import AEINet, InjectionNet
from models.layers.critics import MultiScale
from models.layers.hearnet import HearNet
from models.layers.heatmaps import COUNT
from models.layers.inpainting import Blending, Inpainting
from models.layers.layout import lay_out
from models.layers.resunet import ResUnet
from models.layers.segmentation_unet import SegmentationUNet
from models.swappers import registry
from models.swappers.base import Batch, Phase, Swapper
from models.training import loop, optimisers

SIDE_PX, QUARTER = 256, 0.25
BATCH, REPEATS = 1, 1
FAMILY_BATCH, FAMILY_REPEATS = 4, 3
IDENTITY = 128
FIVE = ((0.38, 0.45), (0.62, 0.45), (0.5, 0.6), (0.4, 0.72), (0.6, 0.72))
Work = Callable[[], object]


@dataclass(frozen=True)
class Network:
    """A network and what it is called with.

    Attributes:
        build: makes it.
        given: its arguments for a batch of BATCH pictures.
    """

    build: Callable[[], nn.Module]
    given: Callable[[], tuple[Tensor, ...]]


def pictures(channels: int = 3, count: int = BATCH) -> Tensor:
    """(count,channels,S,S) in [-1,1], the same each time."""
    random = torch.Generator().manual_seed(channels)
    return torch.rand((count, channels, SIDE_PX, SIDE_PX), generator=random) * 2 - 1


def identities() -> Tensor:
    """(BATCH,128) unit vectors, the same each time."""
    random = torch.Generator().manual_seed(0)
    return nn.functional.normalize(torch.randn((BATCH, IDENTITY), generator=random))


def holes() -> Tensor:
    """(BATCH,1,S,S) of 0 and 1, the same each time."""
    return (pictures(1) > 0).float()


def landmarks() -> Tensor:
    """(BATCH,98,2) in px, the same each time."""
    random = torch.Generator().manual_seed(0)
    return torch.rand((BATCH, COUNT, 2), generator=random) * SIDE_PX


NETWORKS = {
    "aei_net": Network(lambda: AEINet(SIDE_PX, IDENTITY), lambda: (pictures(), identities())),
    "hear_net": Network(HearNet, lambda: (pictures(), pictures())),
    "simswap": Network(lambda: InjectionNet(IDENTITY), lambda: (pictures(), identities())),
    "critics": Network(lambda: MultiScale(3, 64, 6), lambda: (pictures(),)),
    "fsgan_reenactment": Network(
        lambda: ResUnet(3, (3, 3), 128, landmarks=COUNT),
        lambda: (pictures(), landmarks()),
    ),
    "fsgan_segmentation": Network(lambda: SegmentationUNet(64), lambda: (pictures(),)),
    "fsgan_inpainting": Network(lambda: Inpainting(128), lambda: (pictures(), holes())),
    "fsgan_blending": Network(lambda: Blending(128), lambda: (pictures(), pictures(), holes())),
}
FAMILIES: dict[str, dict[str, Any]] = {
    "faceshifter": {"size_px": SIDE_PX, "width": QUARTER},
    "fsgan": {
        "size_px": SIDE_PX,
        "width": round(128 * QUARTER),
        "segmentation_width": round(64 * QUARTER),
        "critic_width": round(64 * QUARTER),
        "small_share": 0,  # the whole side from the first step
        "perceptual_weight": 0,  # there is no recogniser to give it
    },
}


def rounded(network: nn.Module) -> nn.Module:
    """A copy as `convert` loads it: channels last, weights of heavy layers in bf16."""
    ours = copy.deepcopy(network)
    for layer in ours.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            layer.weight.data = layer.weight.data.contiguous(memory_format=torch.channels_last)
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.to(torch.bfloat16)
    return ours


def fastest(baseline: Work, ours: Work, repeats: int) -> tuple[float, float]:
    """Shortest of several calls of each in seconds, in turns, after one that does not count."""
    times = [(seconds(baseline)[0], seconds(ours)[0]) for _ in range(repeats + 1)][1:]
    return min(a for a, _ in times), min(b for _, b in times)


def picture_of(found: Any) -> Tensor:
    """The first picture that a network returns, float32; of critics the finest verdicts."""
    while not isinstance(found, Tensor):
        found = found[0]
    return found.float()


def inference(name: str, network: Network) -> list[Result]:
    """Frames per second of one network in use, and how far its pictures are from float32's."""
    torch.manual_seed(0)
    plain, given = network.build().eval(), network.given()
    ours = rounded(plain)

    @torch.inference_mode()
    def in_bf16() -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return picture_of(ours(*given))

    @torch.inference_mode()
    def in_float32() -> Tensor:
        return picture_of(plain(*given))

    theirs, own = fastest(in_float32, in_bf16, REPEATS)
    wanted = in_float32()
    apart = float((in_bf16() - wanted).abs().mean())
    spread = float((wanted - wanted.mean()).abs().mean())
    return [
        rate(f"any_face.{name}", BATCH / own, BATCH / theirs, "frames/s"),
        cost(f"any_face.{name}_apart", apart, spread, "mean difference"),
    ]


def lesson(name: str, network: Network) -> Result:
    """Pictures per second of training one network: forward, backward and the optimiser's step."""
    torch.manual_seed(0)
    plain, given = network.build().train(), network.given()
    ours = copy.deepcopy(plain)
    lay_out(ours, torch.channels_last)
    phase = Phase(name, list(ours.parameters()))
    movers = (torch.optim.Adam(plain.parameters(), betas=phase.betas), optimisers.make(phase))

    def taught(network: nn.Module, mover: torch.optim.Optimizer, half: bool) -> Work:
        def work() -> None:
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                drawn = picture_of(network(*given))
            torch.autograd.backward(drawn.square().mean())
            mover.step()
            mover.zero_grad()

        return work

    works = (taught(plain, movers[0], half=False), taught(ours, movers[1], half=True))
    theirs, own = fastest(*works, REPEATS)
    return rate(f"any_face.{name}_training", BATCH / own, BATCH / theirs, "pictures/s")


def pairs(swapper: Swapper) -> Batch:
    """Crops as the sampler gives them: half of the pairs show one identity."""
    side = swapper.size_px
    points = torch.tensor(FIVE).mul(side).expand(FAMILY_BATCH, -1, -1)
    mesh = torch.rand((FAMILY_BATCH, 468, 3), generator=torch.Generator().manual_seed(1)) * side
    numbers = torch.arange(FAMILY_BATCH)
    crop = pictures(count=FAMILY_BATCH)
    return {
        "crop": crop,
        "warped": crop,
        "mask": torch.ones(FAMILY_BATCH, 1, side, side),
        "landmarks_5": points,
        "landmarks_468": mesh,
        "pose_deg": torch.zeros(FAMILY_BATCH, 3),
        "same": (numbers % 2).float(),
        "identity_index": numbers,
    }


def step(swapper: Swapper, phases: list[Phase], *, half: bool, fused: bool) -> Work:
    """One step of all phases that train at first."""
    batch = pairs(swapper)
    movers = [
        optimisers.make(p) if fused else torch.optim.Adam(p.parameters, betas=p.betas)
        for p in phases
    ]

    def work() -> None:
        for phase, mover in zip(phases, movers, strict=True):
            own = {id(p) for p in phase.parameters}
            for parameter in swapper.parameters():
                parameter.requires_grad_(id(parameter) in own)
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                losses = swapper.losses(phase.name, batch, batch)
            torch.autograd.backward(torch.stack(list(losses.values())).sum())
            mover.step()
            mover.zero_grad()

    return work


def training(family: str, settings: dict[str, Any]) -> Result:
    """Images per second of the steps with which a family's training begins, critics included."""
    torch.manual_seed(0)
    plain = registry.build(family, settings).train()
    plain.plan_images = 1_000_000
    ours = copy.deepcopy(plain)
    lay_out(ours, ours.layout)
    works = []
    for swapper, better in ((plain, False), (ours, True)):
        phases = loop.active(swapper.phases(), 0)
        works.append(step(swapper, phases, half=better, fused=better))
    theirs, own = fastest(works[0], works[1], FAMILY_REPEATS)
    images = 2 * FAMILY_BATCH
    return rate(f"any_face.{family}_training", images / own, images / theirs, "images/s")


def run(names: Collection[str] = (*NETWORKS, *FAMILIES)) -> list[Result]:
    """Results of these networks and families; see the module's docstring."""
    torch.set_num_threads(environment.threads())
    keep_freed_memory()
    found: list[Result] = []
    for name, network in NETWORKS.items():
        if name in names:
            found += [*inference(name, network), lesson(name, network)]
    return found + [training(name, FAMILIES[name]) for name in FAMILIES if name in names]


if __name__ == "__main__":
    for chosen in sys.argv[1:] or (*NETWORKS, *FAMILIES):
        record(run([chosen]))
