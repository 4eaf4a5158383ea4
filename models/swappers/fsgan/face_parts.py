"""Labels of face and hair without an annotated picture, from the mesh and the colours of a crop.

What FSGAN's segmentation network learns from thousands of drawn label maps is approximated here:

- skin: the hull of the mesh where the person is seen (the crop's mask), and what has its colour
  between the hull and the hair (the forehead above the mesh; an ear at times);
- hair: what lies around the upper face and beside it and is nearer in colour to the ring above
  the forehead than to the face or to the crop's upper corners;
- background: all else, the neck and the clothes too.

The colours are a mixture of four Gaussians per picture in Oklab, fitted by a few steps of
expectation-maximisation from where each part usually is (Dempster, Laird, Rubin, 1977). It is an
approximation: a hat is hair, a hand on the face is skin, and long hair ends
near the chin, and hair of the background's colour where hair usually ends.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from models.batch import Batch
from models.layers import mesh_topology
from models.layers.feature_network import exact
from models.layers.gaussian_blur import blur
from models.layers.oklab import to_oklab

BACKGROUND, SKIN, HAIR = 0, 1, 2
GRID = 64
"""Side of the small picture whose colours are told apart."""
STEPS = 4
SPREAD = 0.02
"""Least deviation of a part's colours, Oklab."""
FRINGE = 0.8
"""Share from which a place inside the mesh's hull is hair that hangs into the face."""
NECK = -0.4
"""Below this height in the face's measure there is no skin of the face beside its hull."""
CLOTHES = -0.85
"""Below this one nothing counts as hair: clothes are too like it."""
LEAST_SEEN = 0.1
"""Share of the hull in which a person must be seen for a picture to have any labels."""
TOP, CHIN = 10, 152
"""Vertices of the mesh: where it ends on the forehead, and the chin."""


class Frame(NamedTuple):
    """Places in a face's own measure, (B,S,S) each.

    Attributes:
        across: -1 and 1 at the cheekbones.
        up: -1 at the chin, 1 where the mesh ends on the forehead.
    """

    across: Tensor
    up: Tensor


def frame(landmarks: Tensor, size_px: int) -> Frame:
    """The face's measure at each pixel of its crop; landmarks (B,468,2 or 3) in px."""
    points = landmarks[..., :2].float()
    top, chin = points[:, TOP], points[:, CHIN]
    up = top - chin
    height = up.norm(dim=1, keepdim=True).clamp(min=1.0)
    up = up / height
    right = torch.stack([-up[:, 1], up[:, 0]], 1)
    sides = (points * right[:, None]).sum(2)
    low, high = sides.amin(1), sides.amax(1)
    axis = torch.arange(size_px, dtype=torch.float32, device=points.device)
    rows, columns = torch.meshgrid(axis, axis, indexing="ij")
    place = torch.stack([columns, rows], -1)
    along = (place * right[:, None, None]).sum(3) - ((low + high) / 2)[:, None, None]
    above = ((place - ((top + chin) / 2)[:, None, None]) * up[:, None, None]).sum(3)
    half = ((high - low) / 2).clamp(min=1.0)[:, None, None]
    return Frame(along / half, above / (height[:, :, None] / 2))


def hull(landmarks: Tensor, size_px: int) -> Tensor:
    """Inside of the face oval (B,1,S,S), bool: even-odd rule over its 36 edges."""
    oval = landmarks[:, mesh_topology.outline().to(landmarks.device), :2].float()
    ends = oval.roll(-1, 1)
    axis = torch.arange(size_px, dtype=torch.float32, device=oval.device)
    # Where each edge crosses each row of pixels; right of an odd number of them is inside.
    spans = (oval[..., 1:] <= axis) != (ends[..., 1:] <= axis)
    rise = ends[..., 1:] - oval[..., 1:]
    share = (axis - oval[..., 1:]) / torch.where(rise == 0, 1.0, rise)
    first = (oval[..., :1] + share * (ends[..., :1] - oval[..., :1])).ceil().clamp(0, size_px)
    first = torch.where(spans, first, size_px).long()
    crossings = torch.zeros(len(oval), size_px, size_px + 1, device=oval.device)
    crossings.scatter_add_(2, first.transpose(1, 2), torch.ones_like(share).transpose(1, 2))
    return (crossings[..., :-1].cumsum(2) % 2 == 1)[:, None]


def _priors(place: Frame, face: Tensor) -> Tensor:
    """How usual left and right background, hair and skin are at each place: (B,4,S,S), sum 1."""
    across, up = place
    wide = across.abs()
    reach = ((across / 1.45).square() + ((up - 0.25) / 1.75).clamp(min=0.0).square()).sqrt()
    cap = torch.sigmoid((1.0 - reach) * 7)
    # Below the eyes only what hangs beside the face can be hair, and clothes follow soon.
    beside = torch.sigmoid((wide - 0.95) * 8) * torch.sigmoid((up + 1.3) * 8)
    hair = cap * torch.where(up > 0, 1.0, torch.maximum(beside, torch.sigmoid((up + 0.5) * 6)))
    near = torch.sigmoid((1.12 - torch.maximum(wide, (up - 0.1) / 1.25)) * 9)
    skin = near * torch.sigmoid((up + 0.75) * 8)
    side = torch.sigmoid(across * 3)
    back = 1 - 0.85 * cap
    parts = torch.stack([back * (1 - side), back * side, 0.9 * hair, 0.7 * skin], 1) + 0.01
    inside = torch.tensor([0.01, 0.01, 0.08, 0.9], device=face.device)[:, None, None]
    parts = torch.where(face, inside, parts)
    return parts / parts.sum(1, keepdim=True)


def _terms(colour: Tensor) -> Tensor:
    """Constant, linear and quadratic terms of colours (B,P,3): (B,P,13)."""
    square = (colour[..., :, None] * colour[..., None, :]).flatten(2)
    return torch.cat([torch.ones_like(colour[..., :1]), colour, square], 2)


def _likelihood(terms: Tensor, shares: Tensor) -> Tensor:
    """Log density of colours under one Gaussian per part, fitted to what `shares` gives it.

    Args:
        terms: `_terms` of the colours, (B,P,13).
        shares: (B,P,K).

    Returns:
        (B,P,K).
    """
    moments = shares.transpose(1, 2) @ terms
    moments = moments[..., 1:] / moments[..., :1].clamp(min=1e-3)
    mean, square = moments[..., :3], moments[..., 3:].reshape(*moments.shape[:2], 3, 3)
    spread = square - mean[..., :, None] * mean[..., None, :]
    spread = spread + SPREAD**2 * torch.eye(3, device=terms.device)
    inverse = torch.linalg.inv(spread)
    # -0.5 (x - m)' S (x - m) as one product with the terms of x.
    linear = (inverse @ mean[..., None])[..., 0]
    fixed = -0.5 * ((linear * mean).sum(2) + torch.logdet(spread))
    factors = torch.cat([fixed[..., None], linear, -0.5 * inverse.flatten(2)], 2)
    return terms @ factors.transpose(1, 2)


def part_shares(crop: Tensor, landmarks: Tensor) -> Tensor:
    """How likely each pixel is background, skin and hair, (B,3,G,G) at `GRID` px.

    Args:
        crop: (B,3,S,S) in [-1,1].
        landmarks: (B,468,2 or 3) in px of the crop.
    """
    scale = GRID / crop.shape[-1]
    points = (landmarks[..., :2].float() + 0.5) * scale - 0.5
    small = functional.interpolate(crop.float(), size=(GRID, GRID), mode="bilinear", antialias=True)
    colour = to_oklab(small).flatten(2).transpose(1, 2)
    terms = _terms(colour - colour.mean(1, keepdim=True))
    prior = _priors(frame(points, GRID), hull(points, GRID)).flatten(2).transpose(1, 2)
    # Each part's colours begin where it is most certain.
    shares = prior.pow(4)
    for _ in range(STEPS):
        shares = (_likelihood(terms, shares) + prior.log()).softmax(2)
    found = shares.transpose(1, 2).reshape(len(crop), 4, GRID, GRID)
    found = torch.stack([found[:, 0] + found[:, 1], found[:, 3], found[:, 2]], 1)
    return blur(found, 1.0)


@torch.no_grad()
def pseudo_labels(batch: Batch) -> Tensor:
    """Labels (B,S,S) int64: 0 background, 1 skin of the face, 2 hair.

    What they are worth is said above.

    Args:
        batch: "crop", "mask" and "landmarks_468".
    """
    crop, mask, landmarks = batch["crop"], batch["mask"], batch["landmarks_468"]
    side = crop.shape[-1]
    with exact(crop.device):
        shares = part_shares(crop, landmarks)
        shares = functional.interpolate(shares, size=(side, side), mode="bilinear")
        back, skin, hair = shares.unbind(1)
        face = hull(landmarks, side)[:, 0]
        # The neck has the face's colour, but is none of it.
        place = frame(landmarks, side)
        labels = torch.where((skin > back) & (place.up > NECK), SKIN, BACKGROUND)
        hangs = (hair > torch.maximum(back, skin)) & (place.up > CLOTHES)
        labels = torch.where(hangs, HAIR, labels)
        labels = torch.where(face, torch.where(hair > FRINGE, HAIR, SKIN), labels)
        seen = functional.interpolate(mask.float(), size=(side, side), mode="bilinear")[:, 0] > 0.5
        labels = torch.where(face & ~seen, BACKGROUND, labels)
        shown = (face & seen).sum((1, 2)) > LEAST_SEEN * face.sum((1, 2))
        return labels * shown[:, None, None]
