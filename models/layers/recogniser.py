"""The frozen recogniser inside a family: identities and perceptual features of crops.

MobileFaceNet (Chen et al. 2018) behind ArcFace's input (Deng et al. 2019), with its weights as
buffers: no phase moves them. Crops are warped to the template `arcface_112` by the similarity that
fits their five points best, so that gradients reach every pixel of the crop.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from models.layers.feature_network import FeatureNetwork, exact, freeze, side_by_side
from models.layers.mobilefacenet import ArcFaceInput, MobileFaceNet
from models.layers.similarity_transform import centres, fit_similarity, inverse, multiply, plane

SIDE_PX = 112
TEMPLATE = (
    (38.2946, 51.6963),
    (73.5318, 51.5014),
    (56.0252, 71.7366),
    (41.5493, 92.3655),
    (70.7299, 92.2041),
)
"""`arcface_112` of likeness/vision/templates.py; what training imports stays small."""
TAPS = (4, 11, 14)
"""Blocks after which the map is 28, 14 and 7 px wide; the one of 56 px comes before the first."""
SIDES_PX = (56, 28, 14, 7)


def _fused(first: nn.Module, second: nn.Module) -> nn.Module:
    if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
        return fuse_conv_bn_eval(first, second)
    raise TypeError(f"{type(first).__name__}, {type(second).__name__}")


def fuse(network: MobileFaceNet) -> MobileFaceNet:
    """Put every normalisation into the convolution before it; gives `network`, changed.

    With the channels of a pixel side by side, embeddings then take less than half of the time,
    and differ by their rounding alone.
    """
    for module in network.eval().modules():
        if isinstance(module, nn.Sequential):
            for index in range(len(module) - 1):
                if isinstance(module[index + 1], nn.BatchNorm2d):
                    module[index] = _fused(module[index], module[index + 1])
                    module[index + 1] = nn.Identity()
    pairs = (
        (network.dw_conv, "depthwise", "bn1"),
        (network.dw_conv, "pointwise", "bn2"),
        (network.gdconv, "depthwise", "bn"),
        (network, "conv3", "bn"),
    )
    for module, convolution, norm in pairs:
        joined = _fused(getattr(module, convolution), getattr(module, norm))
        setattr(module, convolution, joined)
        setattr(module, norm, nn.Identity())
    return network


@cache
@torch.inference_mode(mode=False)  # what is kept serves training, too
def _template(device: torch.device) -> Tensor:
    """`TEMPLATE` as shares of half a side, (5,2) from -1 to 1."""
    return (torch.tensor(TEMPLATE, device=device) + 0.5) * (2 / SIDE_PX) - 1


def to_template(landmarks_5: Tensor, side_px: int) -> Tensor:
    """Where each pixel of the 112 px template lies in crops of `side_px`: (B,112,112,2) in [-1,1].

    Of landmarks_5 (B,5,2) in px of the crops, pixel centres at integers.
    """
    points = (landmarks_5.float() + 0.5) * (2 / side_px) - 1
    factor, offset = inverse(*fit_similarity(points, _template(points.device)))
    pixels = plane(centres(SIDE_PX, points.device)).expand(len(points), -1, -1, -1)
    return multiply(factor[:, None], pixels) + offset[:, None]


def warp_to_template(crop: Tensor, landmarks_5: Tensor) -> Tensor:
    """Crops (B,3,S,S) in [-1,1] -> (B,3,112,112), black outside, as the pack's embedder has it."""
    where = to_template(landmarks_5, crop.shape[-1])
    light = functional.grid_sample(crop.float() + 1, where, align_corners=False)
    return light - 1


class Recogniser(FeatureNetwork):
    """Identity and features of crops; always in eval mode, always float32.

    Args:
        saved: whether the weights belong to the model's file. What only losses look at need not.
    """

    def __init__(self, saved: bool = True) -> None:
        super().__init__()
        self.network = ArcFaceInput(fuse(MobileFaceNet()))
        freeze(self.network, saved)
        self.eval()

    @torch.no_grad()
    def load(self, state: dict[str, Tensor]) -> None:
        """Take the pinned weights, by MobileFaceNet's own names.

        Raises:
            RuntimeError: keys or shapes differ from the architecture.
        """
        network = MobileFaceNet()
        network.load_state_dict(state)
        given = dict(ArcFaceInput(fuse(network)).named_parameters())
        for name, buffer in self.network.named_buffers():
            if name in given:
                buffer.copy_(given[name])

    @torch.no_grad()
    def take(self, other: Recogniser) -> None:
        """Copy another recogniser's weights."""
        given = dict(other.named_buffers())
        for name, buffer in self.named_buffers():
            buffer.copy_(given[name])

    def embed(self, crop: Tensor, landmarks_5: Tensor) -> Tensor:
        """Unit embeddings (B,128) of crops (B,3,S,S) in [-1,1] with landmarks_5 (B,5,2) in px."""
        with exact(crop.device):
            found: Tensor = self.network(side_by_side(warp_to_template(crop, landmarks_5)))
            return functional.normalize(found)

    def features(self, crop: Tensor, landmarks_5: Tensor) -> list[Tensor]:
        """Maps (B,C,s,s) for s = 56, 28, 14, 7 (C = 64, 64, 128, 128); arguments as of `embed`."""
        with exact(crop.device):
            outer = self.network
            warped = side_by_side(warp_to_template(crop, landmarks_5))
            image = warped * outer.scale + outer.shift
            body = outer.network
            feature = body.dw_conv(body.conv1(image))
            maps = [feature]
            for index, block in enumerate(body.features):
                feature = block(feature)
                if index in TAPS:
                    maps.append(feature)
            return maps
