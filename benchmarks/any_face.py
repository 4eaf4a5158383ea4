"""Networks of families for any face: frames per second in use, pictures per second in training.

All at 256 px, `any_face.<network>` and `any_face.<network>_training`, in the published widths, one
picture at a time; whole steps of the families are in benchmarks/families.py. Baseline: the same
network and weights in eager float32 with torch's plain Adam,
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
from models.layers.memory_format import lay_out
from models.layers.patch_critics import MultiScale
from models.swappers.base import Phase
from models.swappers.faceshifter.aei import AEINet, InjectionNet
from models.swappers.faceshifter.hearnet import HearNet
from models.swappers.fsgan.heatmaps import COUNT
from models.swappers.fsgan.inpainting import Blending, Inpainting
from models.swappers.fsgan.resunet import ResUnet
from models.swappers.fsgan.segmentation_unet import SegmentationUNet
from models.training import optimisers

SIDE_PX = 256
BATCH, REPEATS = 1, 1
IDENTITY = 128
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


def run(names: Collection[str] = tuple(NETWORKS)) -> list[Result]:
    """Results of these networks; see the module's docstring."""
    torch.set_num_threads(environment.threads())
    keep_freed_memory()
    found: list[Result] = []
    for name, network in NETWORKS.items():
        if name in names:
            found += [*inference(name, network), lesson(name, network)]
    return found


if __name__ == "__main__":
    for chosen in sys.argv[1:] or tuple(NETWORKS):
        record(run([chosen]))
