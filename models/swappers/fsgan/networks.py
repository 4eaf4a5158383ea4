"""The four networks of FSGAN and what they draw together, in training and in a swap."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.batch import Batch
from models.layers.mask_border import soft_border
from models.swappers.fsgan.config import FsganConfig
from models.swappers.fsgan.face_parts import SKIN
from models.swappers.fsgan.heatmaps import COUNT, landmarks, resized
from models.swappers.fsgan.inpainting import Blending, Inpainting
from models.swappers.fsgan.poisson import poisson
from models.swappers.fsgan.resunet import ResUnet
from models.swappers.fsgan.segmentation_unet import SegmentationUNet
from models.swappers.fsgan.soft_erosion import SoftErosion, kernel_at

BLACK = -1.0
"""Value of a picture where nothing of the face is seen."""
BORDER = 0.05
"""The mask fades towards the crop's edge over this share of the side."""
RIM = 0.04
"""Width of a face's rim that blending leaves to the target, share of the side."""
TOGETHER = 16
"""Views drawn at a time in a swap: three of each target would need three times the memory."""


class Chain(NamedTuple):
    """What the networks of a swap draw one after the other; pictures (B,3,S,S) in [-1,1].

    Attributes:
        drawn: the source's views, redrawn and mixed (Gr).
        cut: their face, where the target's is to be covered (Gs).
        painted: with what was missing (Gc).
        blended: set into the target (Gb).
        mask: (B,1,S,S) in [0,1], the soft face of the target.
    """

    drawn: Tensor
    cut: Tensor
    painted: Tensor
    blended: Tensor
    mask: Tensor


def halved(batch: Batch) -> Batch:
    """The same batch at half the side, for bases that draw alone."""
    size_px = batch["crop"].shape[-1]
    pictures = {n: functional.avg_pool2d(batch[n], 2) for n in ("crop", "mask")}
    points = {n: resized(batch[n], size_px, size_px // 2) for n in ("landmarks_468", "landmarks_5")}
    return batch | pictures | points


def inner(face: Tensor) -> Tensor:
    """A face (B,1,S,S), bool, without its rim: float32 of 0 and 1.

    Poisson's equation takes colours from where the mask ends. On the very edge of a face they are
    those of hair and background, with which the whole face would then be stained.
    """
    reach = max(1, round(RIM * face.shape[-1]))
    return 1 - functional.max_pool2d((~face).float(), 2 * reach + 1, 1, reach)


class Networks(nn.Module):
    """Gr, Gs, Gc and Gb.

    Args:
        config: their sizes.
    """

    def __init__(self, config: FsganConfig) -> None:
        super().__init__()
        shape = (config.width, (config.blocks,) * config.depth)
        sigma = config.heatmap_sigma
        self.reenactment = ResUnet(3, (3, 3), *shape, landmarks=COUNT, sigma=sigma)
        self.segmentation = SegmentationUNet(config.segmentation_width)
        self.inpainting = Inpainting(*shape)
        self.blending = Blending(*shape)
        self.soften = SoftErosion(kernel_at(config.size_px))
        self.aligned = config.target_mask == "aligned"
        self.solves = config.blend == "poisson"

    def generator(self, stage: str) -> ResUnet:
        """The U-Net that draws in a stage of the training."""
        painters = {"inpainting": self.inpainting, "blending": self.blending}
        return painters[stage].network if stage in painters else self.reenactment

    def redraw(
        self, image: Tensor, meshes: Tensor, *, small: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Gr: faces (B,3,S,S) in the pose and expression of meshes (B,468,2 or 3), in px of S.

        Returns:
            Picture (B,3,S,S) in [-1,1] and scores of its segmentation (B,3,S,S).
        """
        picture, scores = self.reenactment(image, landmarks(meshes), small=small)
        return torch.tanh(picture.float()), scores.float()

    def face(self, image: Tensor) -> Tensor:
        """Gs: where a picture (B,3,S,S) shows skin of the face, bool (B,1,S,S)."""
        scores: Tensor = self.segmentation(image)
        return scores.argmax(1, keepdim=True) == SKIN

    def face_of(self, target: Batch) -> Tensor:
        """The target's face, by Gs or by the mask of `align`, bool (B,1,S,S)."""
        return target["mask"] > 0.5 if self.aligned else self.face(target["crop"])

    def mixed(self, target: Batch, source: Batch, shares: Tensor, *, small: bool = False) -> Tensor:
        """Views of the source redrawn to the target's landmarks and mixed: (B,3,S,S).

        Args:
            target: B crops.
            source: V crops.
            shares: of each view in each target's picture, (B,V); where it is 0 none is drawn.
            small: by Gr's base alone, all being of its side.
        """
        crops, meshes = target["crop"], target["landmarks_468"]
        total = torch.zeros_like(crops, dtype=torch.float32)
        found = shares.nonzero()
        for begin in range(0, len(found), TOGETHER):
            rows, views = found[begin : begin + TOGETHER].unbind(1)
            drawn, _ = self.redraw(source["crop"][views], meshes[rows], small=small)
            total.index_add_(0, rows, drawn * shares[rows, views, None, None, None])
        return total

    def shown(self, target: Batch, source: Batch, shares: Tensor, *, small: bool) -> Tensor:
        """What Gr draws by now, for previews while nothing else has learned: (B,3,S,S)."""
        if not small:
            return self.mixed(target, source, shares)
        drawn = self.mixed(halved(target), halved(source), shares, small=True)
        return functional.interpolate(drawn, scale_factor=2.0, mode="bilinear")

    def swap(self, target: Batch, source: Batch, shares: Tensor) -> Chain:
        """A swap: redraw, mix, cut out, paint, blend; arguments as of `mixed`."""
        crops = target["crop"]
        drawn = self.mixed(target, source, shares)
        mask, inside = self.soften(self.face_of(target).float())
        seen = self.face(drawn) & inside
        cut = torch.where(seen, drawn, BLACK)
        painted = self.inpainting(cut, (inside & ~seen).float()).float()
        blend = poisson if self.solves else self.blending
        blended: Tensor = blend(painted, crops, inner(inside)).float()
        mask = mask * soft_border(crops.shape[-1], BORDER).to(mask.device)
        return Chain(drawn, cut, painted, blended, mask)
