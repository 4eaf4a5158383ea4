"""Patch discriminators, alone and at several scales, which families train against.

The multi-scale critic of pix2pixHD (Wang et al. 2018, arXiv 1711.11585): the same network with
weights of its own looks at the picture and at copies of half and a quarter of its side. Each
verdict is a map; one number of it judges one patch.
"""

from __future__ import annotations

from torch import Tensor, nn

from models.layers.norm import InstanceNorm

SLOPE = 0.2
"""Negative slope of LeakyReLU."""
WIDEST = 8
"""Channels grow up to this many times the first convolution's."""


def _block(
    channels_in: int, channels_out: int, stride: int, padding: int, *, normed: bool
) -> nn.Sequential:
    """Convolution 4x4, instance norm but in the first, LeakyReLU."""
    # A bias that the norm takes out again would only drift.
    convolution = nn.Conv2d(channels_in, channels_out, 4, stride, padding, bias=not normed)
    parts: list[nn.Module] = [convolution]
    if normed:
        parts.append(InstanceNorm())
    return nn.Sequential(*parts, nn.LeakyReLU(SLOPE))


class Patch(nn.Module):
    """(B,C,S,S) -> verdicts (B,1,s,s), s about S / 2**depth.

    Args:
        channels: of the picture.
        width: channels after the first convolution.
        depth: convolutions of stride 2; one of stride 1 and the verdict's follow. At 3 a verdict
            judges 70x70 px.
        padding: of every convolution; 1 in pix2pix and CycleGAN, 2 in pix2pixHD.
    """

    def __init__(self, channels: int, width: int, depth: int, padding: int = 2) -> None:
        super().__init__()
        wide = [min(width * 2**level, width * WIDEST) for level in range(depth + 1)]
        self.layers = nn.ModuleList([_block(channels, wide[0], 2, padding, normed=False)])
        for level in range(1, depth + 1):
            stride = 2 if level < depth else 1
            block = _block(wide[level - 1], wide[level], stride, padding, normed=True)
            self.layers.append(block)
        self.verdict = nn.Conv2d(wide[-1], 1, 4, 1, padding)

    def features(self, image: Tensor) -> list[Tensor]:
        """Output of every layer, the verdicts last."""
        found: list[Tensor] = []
        for layer in self.layers:
            image = layer(image)
            found.append(image)
        found.append(self.verdict(image))
        return found

    def forward(self, image: Tensor) -> Tensor:
        """See the class."""
        return self.features(image)[-1]


class MultiScale(nn.Module):
    """(B,C,S,S) -> one map of verdicts per scale, the finest first.

    pix2pixHD's settings are width 64, depth 3, 3 scales; FaceShifter's implementations take
    depth 6, FSGAN depth 3 and 2 scales.

    Args:
        channels: of the picture.
        width: channels after each critic's first convolution.
        depth: convolutions of stride 2 in each critic.
        scales: critics; the k-th sees the picture at 1 / 2**k of its side.
    """

    def __init__(self, channels: int, width: int = 64, depth: int = 3, scales: int = 3) -> None:
        super().__init__()
        self.critics = nn.ModuleList(Patch(channels, width, depth) for _ in range(scales))
        self.shrink = nn.AvgPool2d(3, 2, 1, count_include_pad=False)

    def features(self, image: Tensor) -> list[list[Tensor]]:
        """Per scale the output of every layer, the verdicts last (for feature matching)."""
        found: list[list[Tensor]] = []
        for index, critic in enumerate(self.critics):
            image = image if index == 0 else self.shrink(image)
            found.append([*critic.features(image)])  # type: ignore[operator]  # torch's Module
        return found

    def forward(self, image: Tensor) -> list[Tensor]:
        """See the class."""
        return [layers[-1] for layers in self.features(image)]
