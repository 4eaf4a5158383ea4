"""Things in front of faces, drawn by code, for the refinement stage to put back.

FaceShifter pastes hands and everyday objects of three data sets over its targets (Li et al. 2019,
arXiv 1912.13457, section 3.2). Here an ellipse, a bar and a hand of a palm, four fingers and a
thumb stand for them, filled with patterns of random colours; no picture of anything is needed.
All numbers come from torch's global generator, which the training loop seeds for each part, on the
CPU; what they stand for is painted on the device of the crops.
Coordinates are shares of half a side: the crop reaches from -1 to 1.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from models.layers import random_numbers
from models.layers.similarity_transform import centres

FINGERS = 5
CPU = torch.device("cpu")


class Plane(NamedTuple):
    """Positions x, y of all pixels in the occluder's own axes, (B,S,S) each."""

    x: Tensor
    y: Tensor


def _sent(numbers: Tensor, device: torch.device) -> Tensor:
    """Numbers drawn on the CPU, on the device; nobody waits until they are there."""
    return numbers.to(device, non_blocking=True)


def _uniform(count: int, low: float, high: float, device: torch.device) -> Tensor:
    """(count,1,1) numbers."""
    return _sent(random_numbers.uniform(low, high, count, 1, 1), device)


def axes(count: int, size_px: int, device: torch.device = CPU, reach: float = 0.8) -> Plane:
    """Axes at random places within `reach` of the middle, turned at random."""
    line = centres(size_px, device)
    rows, columns = torch.meshgrid(line, line, indexing="ij")
    across = columns - _uniform(count, -reach, reach, device)
    down = rows - _uniform(count, -reach, reach, device)
    angle = _uniform(count, -torch.pi, torch.pi, device)
    cosine, sine = torch.cos(angle), torch.sin(angle)
    return Plane(cosine * across + sine * down, cosine * down - sine * across)


def ellipse(plane: Plane, half_width: Tensor, half_height: Tensor) -> Tensor:
    """Signed distance (B,S,S), below 0 inside; exact on the outline only."""
    round_ = torch.sqrt((plane.x / half_width) ** 2 + (plane.y / half_height) ** 2 + 1e-12)
    return (round_ - 1) * torch.minimum(half_width, half_height)


def bar(plane: Plane, half_width: Tensor) -> Tensor:
    """Signed distance (B,S,S) to a bar across the whole crop."""
    return plane.x.abs() - half_width


def capsule(plane: Plane, begin: tuple[Tensor, Tensor], end: tuple[Tensor, Tensor]) -> Tensor:
    """Distance (B,S,S) to the line from `begin` to `end`; less a radius it is a finger."""
    along = (end[0] - begin[0], end[1] - begin[1])
    away = (plane.x - begin[0], plane.y - begin[1])
    length = (along[0] ** 2 + along[1] ** 2).clamp(min=1e-6)
    share = ((away[0] * along[0] + away[1] * along[1]) / length).clamp(0, 1)
    return torch.hypot(away[0] - share * along[0], away[1] - share * along[1])


def hand(plane: Plane) -> Tensor:
    """Signed distance (B,S,S) to a palm with four fingers upwards and a thumb aside."""
    count, device = len(plane.x), plane.x.device
    palm = _uniform(count, 0.22, 0.4, device)
    found = ellipse(plane, palm, 1.15 * palm)
    for finger in range(FINGERS):
        thumb = finger == FINGERS - 1
        place = 1.0 if thumb else -0.72 + 0.48 * finger
        root = (place * palm * (0.8 if thumb else 1), (0.2 if thumb else -0.8) * palm)
        spread = place * 0.25 + _uniform(count, -0.1, 0.1, device) + (0.5 if thumb else 0)
        length = palm * _uniform(count, *((0.7, 1.2) if thumb else (1.2, 2.0)), device)
        tip = (root[0] + length * torch.sin(spread), root[1] - length * torch.cos(spread))
        found = torch.minimum(found, capsule(plane, root, tip) - 0.22 * palm)
    return found


def outlines(count: int, size_px: int, device: torch.device = CPU) -> Tensor:
    """(count,1,S,S) in [0,1]: one occluder each, its edge one to three pixels wide."""
    plane = axes(count, size_px, device)
    radii = (_uniform(count, 0.15, 0.5, device), _uniform(count, 0.15, 0.5, device))
    half_width = _uniform(count, 0.06, 0.25, device)
    shapes = torch.stack([ellipse(plane, *radii), bar(plane, half_width), hand(plane)])
    kind = _sent(random_numbers.randint(len(shapes), (count,)), device)
    distance = shapes[kind, torch.arange(count, device=device)]
    soft = _uniform(count, 1, 3, device) * 2 / size_px
    return (0.5 - distance / soft).clamp(0, 1)[:, None]


def textures(count: int, size_px: int, device: torch.device = CPU) -> Tensor:
    """(count,3,S,S) in [-1,1]: a colour, mottled coarsely and finely, some of them striped."""
    base = _sent(random_numbers.uniform(-0.8, 0.8, count, 3, 1, 1), device)
    total = base.expand(-1, -1, size_px, size_px)
    for cells, strength in ((4, 0.3), (16, 0.12)):
        noise = random_numbers.randn(count, 3, cells, cells) * strength
        noise = noise * random_numbers.rand(count, 1, 1, 1)
        noise = _sent(noise, device)
        total = total + functional.interpolate(noise, (size_px, size_px), mode="bicubic")
    plane = axes(count, size_px, device)
    waves = torch.sin(plane.x * _uniform(count, 5, 40, device))[:, None]
    striped = _sent((random_numbers.rand(count, 1, 1, 1) < 0.3) * 0.3, device)
    return (total + striped * waves).clamp(-1, 1)


def occlude(image: Tensor, chance: float = 1.0) -> tuple[Tensor, Tensor]:
    """Pictures (B,3,S,S) in [-1,1] with something in front of them, and where it is.

    Args:
        image: any crops.
        chance: of each picture to be covered.

    Returns:
        The pictures and (B,1,S,S) in [0,1], 1 where the occluder hides all; zeros where there
        is none.
    """
    count, side, device = len(image), image.shape[-1], image.device
    present = _sent(random_numbers.rand(count, 1, 1, 1) < chance, device)
    cover = outlines(count, side, device) * present
    return torch.lerp(image, textures(count, side, device).to(image), cover), cover
