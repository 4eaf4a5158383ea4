"""Drawings of a face's landmarks: what a generator of re-enactment is given instead of a picture.

Three kinds, all out of the 468-point mesh, as pictures in which each channel has parts of its own:

- `polylines`: the lines that dlib's 68 points are customarily joined by (Sagonas et al. 2013,
  the iBUG 300-W scheme). Red the jaw and the nose, green brows and eyes, blue the lips.
- `mesh`: every edge of the mesh in red, half as wide; eyes and brows in green, lips in blue.
- `parsing`: filled parts, red the face's oval, green brows and eyes, blue the lips; the mouth's
  inside is cut out of the lips, and where they touch a line is left.

A line's value is one minus the distance to it in px, less its half width: lines are smooth at any
place, so that a slow movement of the face moves them without steps. Only pixels beside a line are
looked at: along the longer axis of each segment every column (or row) has a handful.

Mirrored landmarks under their other side's names draw the mirror image; no face depends on its
neighbours in the batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Literal

import torch
from torch import Tensor

from models.layers import mesh_topology
from models.layers.feature_network import exact

Drawing = Literal["polylines", "mesh", "parsing"]

# dlib's points 0-67 as vertices of the mesh; left and right are the picture's.
JAW = (162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389)
BROWS = ((70, 63, 105, 66, 107), (336, 296, 334, 293, 300))
BRIDGE = (168, 197, 5, 4)
NOSTRILS = (75, 97, 2, 326, 305)
EYES = ((33, 160, 158, 133, 153, 144), (362, 385, 387, 263, 373, 380))
LIPS_OUTER = (61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181)
LIPS_INNER = (78, 82, 13, 312, 308, 317, 14, 87)
POINTS_68 = (*JAW, *BROWS[0], *BROWS[1], *BRIDGE, *NOSTRILS, *EYES[0], *EYES[1], *LIPS_OUTER,
             *LIPS_INNER)  # fmt: skip
"""The vertex that stands for each of dlib's 68 points."""

# Outlines of the filled parts, around once; the face's oval is `mesh_topology.outline`.
FULL_BROWS = (
    (70, 63, 105, 66, 107, 55, 65, 52, 53, 46),
    (300, 293, 334, 296, 336, 285, 295, 282, 283, 276),
)
FULL_EYES = (
    (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246),
    (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466),
)
FULL_LIPS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40,
             185)  # fmt: skip
FULL_MOUTH = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80,
              191)  # fmt: skip

RED, GREEN, BLUE = 0, 1, 2
WIDTH = 2 / 256
"""Width of a line, share of the side; never below one pixel."""
BEYOND = 0.5
"""How far outside the picture, in sides, lines are followed."""


@dataclass(frozen=True, eq=False)
class Lines:
    """Segments between vertices: both ends (E,) each, and the channel of each, int64.

    `channels` says how many channels there are, so that no device is asked for the last one.
    """

    channels: int
    begin: Tensor
    end: Tensor
    channel: Tensor

    def __iter__(self) -> Iterator[Tensor]:
        return iter((self.begin, self.end, self.channel))

    def __add__(self, other: Lines) -> Lines:
        both = (torch.cat(columns) for columns in zip(self, other, strict=True))
        return Lines(max(self.channels, other.channels), *both)


def _lines(parts: Sequence[tuple[int, Sequence[int], bool]]) -> Lines:
    """Segments of polylines, given as channel, vertices and whether the last meets the first."""
    found = [
        (a, b, channel)
        for channel, line, closed in parts
        for a, b in zip(line, (*line[1:], line[0]), strict=True)
        if closed or b != line[0]
    ]
    return Lines(max(channel for channel, *_ in parts) + 1, *torch.tensor(found).unbind(1))


@cache
def polylines() -> Lines:
    """Those of dlib's 68 points: 63 segments."""
    return _lines(
        [
            *((RED, line, False) for line in (JAW, BRIDGE, NOSTRILS)),
            *((GREEN, line, False) for line in BROWS),
            *((GREEN, line, True) for line in EYES),
            *((BLUE, line, True) for line in (LIPS_OUTER, LIPS_INNER)),
        ]
    )


@cache
def features() -> Lines:
    """Outlines of brows, eyes and lips, with every vertex of the mesh on them."""
    green = [(GREEN, line, True) for line in (*FULL_BROWS, *FULL_EYES)]
    return _lines([*green, (BLUE, FULL_LIPS, True), (BLUE, FULL_MOUTH, True)])


@cache
def edges() -> Lines:
    """All edges of the mesh, and `features` in channels of their own."""
    corners = mesh_topology.triangles()
    pairs = torch.cat([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [2, 0]]]).sort(1)[0]
    begin, end = torch.unique(pairs, dim=0).unbind(1)
    return Lines(RED + 1, begin, end, torch.full_like(begin, RED)) + features()


@cache
def _oval() -> Lines:
    return _lines([(RED, mesh_topology.outline().tolist(), True)])


@cache
def parts() -> Lines:
    """Outlines of the filled parts."""
    return _oval() + features()


@lru_cache(maxsize=32)
@torch.inference_mode(mode=False)  # what is kept serves training, too
def _on(device: torch.device, lines: Lines) -> Lines:
    """The same lines on a device, copied there once."""
    return Lines(lines.channels, *(index.to(device) for index in lines))


def near(
    ends: tuple[Tensor, Tensor], plane: Tensor, shape: tuple[int, int], reach: float
) -> Tensor:
    """Distance to the nearest of some segments, for each pixel of each plane.

    Args:
        ends: both ends (M,2) of each segment, x and y in px.
        plane: the plane (M,) that each is drawn on, int64.
        shape: planes and side of the square ones, in px.
        reach: distances above this one need not be known, px.

    Returns:
        (P,S,S) in px; `reach` where no segment is nearer.
    """
    planes, side = shape
    # All planes in one row (P*S*S,): one scatter draws every segment of every face.
    flat = torch.full((planes * side * side,), reach, device=plane.device)
    begin, along = ends[0], ends[1] - ends[0]
    # Walk along the axis in which the segment is longer, from end to end and `reach` beyond.
    steep = along[:, 1].abs() > along[:, 0].abs()
    begin = torch.where(steep[:, None], begin.flip(1), begin)
    along = torch.where(steep[:, None], along.flip(1), along)
    # From here on the first coordinate is the one walked along, of each segment (M,): its first
    # whole px, and how many there are.
    low = torch.minimum(begin[:, 0], begin[:, 0] + along[:, 0]) - reach
    first = low.ceil()
    counts = (low + along[:, 0].abs() + 2 * reach - first).floor().long() + 1
    # One entry for each px walked, K of all segments together: its segment, its place along it.
    segment = torch.repeat_interleave(counts)
    place = torch.arange(len(segment), device=plane.device) - (counts.cumsum(0) - counts)[segment]
    begin, along = begin[segment], along[segment]
    major = first[segment] + place
    # A pixel within `reach` lies within its diagonal of the line, measured across the walk.
    wide = int(reach * 2**0.5 + 0.5)
    share = ((major - begin[:, 0]) / _nonzero(along[:, 0])).clamp(0, 1)
    middle = (begin[:, 1] + share * along[:, 1]).round()
    minor = middle[:, None] + torch.arange(-wide, wide + 1, device=plane.device)
    # The distance of p to the segment from b along d is |p - b - t d|, where t, the share of the
    # way at which it comes nearest, is (p - b).d / d.d held between 0 and 1; all (K,W).
    away = torch.stack([(major - begin[:, 0])[:, None].expand_as(minor), minor - begin[:, 1:]], -1)
    square = along.square().sum(1).clamp(min=1e-12)
    share = ((away * along[:, None]).sum(2) / square[:, None]).clamp(0, 1)
    apart = (away - share[..., None] * along[:, None]).norm(dim=2)
    # Back to columns and rows of the picture; each px keeps the least of what falls on it.
    column = torch.where(steep[segment, None], minor, major[:, None])
    row = torch.where(steep[segment, None], major[:, None], minor)
    # What lies too far away is `reach` away; what lies outside, too, from the pixel at the border:
    # neither changes anything, and nobody waits to learn how many there are.
    seen = (apart < reach) & (minor >= 0) & (minor < side)
    seen &= ((major >= 0) & (major < side))[:, None]
    apart = torch.where(seen, apart, reach)
    row, column = row.clamp(0, side - 1).long(), column.clamp(0, side - 1).long()
    index = (plane[segment, None] * side + row) * side + column
    flat.scatter_reduce_(0, index.flatten(), apart.flatten(), "amin")
    return flat.view(planes, side, side)


def _nonzero(value: Tensor) -> Tensor:
    return torch.where(value == 0, 1e-6, value)


def _flat(landmarks: Tensor, size_px: int) -> Tensor:
    """x and y (B,V,2) float32, held near the picture; a mesh that is no number lies outside."""
    points = torch.nan_to_num(landmarks[..., :2].float(), nan=-size_px)
    return points.clamp(-BEYOND * size_px, (1 + BEYOND) * size_px)


def _distances(points: Tensor, lines: Lines, size_px: int, reach: float) -> Tensor:
    """Distances (B,C,S,S) to the lines of each channel, at most `reach`."""
    count, device = len(points), points.device
    begin, end, channel = _on(device, lines)
    channels = lines.channels
    ends = (points[:, begin].flatten(0, 1), points[:, end].flatten(0, 1))
    plane = (torch.arange(count, device=device)[:, None] * channels + channel).flatten()
    found = near(ends, plane, (count * channels, size_px), reach)
    return found.view(count, channels, size_px, size_px)


def stroke(points: Tensor, lines: Lines, size_px: int, width_px: float) -> Tensor:
    """Lines (B,C,S,S) in [0,1] between points (B,V,2) in px."""
    reach = max(width_px, 1.0) / 2 + 0.5
    return (reach - _distances(points, lines, size_px, reach)).clamp(0, 1)


def inside(points: Tensor, outlines: Lines, size_px: int) -> Tensor:
    """Whether each pixel lies inside the closed outlines of each channel: bool (B,C,S,S).

    By the even-odd rule over all outlines of a channel: one within another cuts a hole.
    """
    begin, end, channel = _on(points.device, outlines)
    start, stop = points[:, begin], points[:, end]
    axis = torch.arange(size_px, dtype=torch.float32, device=points.device)
    # Where each edge crosses each row of pixels; right of an odd number of them is inside.
    spans = (start[..., 1:] <= axis) != (stop[..., 1:] <= axis)
    # An edge from (x0, y0) to (x1, y1) meets row y at x0 + (y - y0) / (y1 - y0) (x1 - x0).
    share = (axis - start[..., 1:]) / _nonzero(stop[..., 1:] - start[..., 1:])
    first = (start[..., :1] + share * (stop[..., :1] - start[..., :1])).ceil()
    first = torch.where(spans, first.clamp(0, size_px), size_px).long()
    # A one at the first px right of each crossing; one column more takes the edges that meet no
    # row. Added up along a row, they count the crossings left of a px.
    count, channels = len(points), outlines.channels
    row = channel[:, None] * size_px + axis.long()
    index = row * (size_px + 1) + first
    crossings = torch.zeros(count, channels * size_px * (size_px + 1), device=points.device)
    crossings.scatter_add_(1, index.flatten(1), torch.ones_like(share).flatten(1))
    crossings = crossings.view(count, channels, size_px, size_px + 1)[..., :-1]
    return crossings.cumsum(3) % 2 == 1


def fill(points: Tensor, outlines: Lines, size_px: int) -> Tensor:
    """Inside of closed outlines (B,C,S,S) in [0,1], edges smooth; points (B,V,2) in px."""
    edge = _distances(points, outlines, size_px, 0.5)
    return torch.where(inside(points, outlines, size_px), 0.5 + edge, 0.5 - edge)


@torch.no_grad()
def draw(landmarks: Tensor, size_px: int, kind: Drawing) -> Tensor:
    """Draw faces.

    Args:
        landmarks: (B,468,2 or 3) in px of a square picture of `size_px`, pixel centres at
            integers; any type and device.
        size_px: S, side of the drawing.
        kind: see the module.

    Returns:
        (B,3,S,S) float32 in [-1,1], -1 where nothing is drawn.
    """
    with exact(landmarks.device):
        points, width = _flat(landmarks, size_px), WIDTH * size_px
        if kind == "polylines":
            drawn = stroke(points, polylines(), size_px, width)
        elif kind == "mesh":
            drawn = stroke(points, edges(), size_px, width / 2)
        else:
            drawn = fill(points, parts(), size_px)
        return drawn * 2 - 1


@torch.no_grad()
def oval(landmarks: Tensor, size_px: int) -> Tensor:
    """Inside of the face's oval (B,1,S,S) in [0,1], of landmarks (B,468,2 or 3) in px."""
    with exact(landmarks.device):
        return fill(_flat(landmarks, size_px), _oval(), size_px)
