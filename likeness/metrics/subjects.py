"""What a measure looks at: a face alone, a face against the target's, whole frames, motion.

Each holds arrays alone. What several measures need is worked out once, when the first asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from likeness.metrics import fidelity, landmarks, light, seams, temporal

Pixels = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float64]
Floats = npt.NDArray[np.floating]
Points = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Look:
    """One picture of a face, measured on its own.

    Attributes:
        picture: (S,S,3) uint8 RGB, a view.
        mesh: (468,3) view px.
        placed: (468,3) square px of the frame.
        pose_deg: (3,) yaw, pitch, roll.
        units: (6,) distances of metrics.expression.UNITS.
        gaze: (2,2) directions of metrics.gaze.
        lids: (2,) openings of metrics.gaze.
        lab: (S,S,3) float32.
        colours: (2,3) mean and deviation of Lab inside the mask.
        shading: low-passed lightness of metrics.light.
        embedding, layers: of the pack's embedder: (D,), maps (C,h,w).
        second: (E,) of the second embedder; None where it did not look.
    """

    picture: Pixels
    mesh: Values
    placed: Values
    pose_deg: Values
    units: Values
    gaze: Values
    lids: Values
    lab: npt.NDArray[np.float32]
    colours: Values
    shading: npt.NDArray[np.float32]
    embedding: Values
    layers: Sequence[Floats]
    second: Values | None


@dataclass(frozen=True)
class Replaced:
    """What is replaced of a view: its mask (S,S) uint8, 255 = replaced."""

    mask: Pixels

    @cached_property
    def around(self) -> seams.Rings:
        """Rings around its outline."""
        return seams.rings(self.mask)


@dataclass(frozen=True)
class Pair:
    """A picture of a face against the target's own, both over one place of one frame.

    Attributes:
        given: the render's, or a baseline's.
        wanted: the target's.
        replaced: what is replaced.
    """

    given: Look
    wanted: Look
    replaced: Replaced

    @cached_property
    def eye_distance_px(self) -> float:
        """Of the target's mesh."""
        return landmarks.eye_distance(self.wanted.mesh)

    @cached_property
    def lab_errors(self) -> tuple[float, float]:
        """Lengths of the differences of mean and deviation of Lab."""
        return light.differences(self.given.colours, self.wanted.colours)


@dataclass(frozen=True)
class Frames:
    """Whole frames: luma (H,W) of target and render, and (H,W) what the mask may have touched."""

    target: Pixels
    render: Pixels
    touched: Pixels

    @cached_property
    def outside(self) -> tuple[float, int]:
        """Mean squared and largest difference where nothing was touched."""
        return fidelity.difference_outside(self.target, self.render, self.touched)


@dataclass(frozen=True)
class Motion:
    """Two frames in a row, in one box of both.

    Attributes:
        now, before: luma (h,w) of render and target.
        mask: (h,w) uint8, what is replaced.
    """

    now: tuple[Pixels, Pixels]
    before: tuple[Pixels, Pixels]
    mask: Pixels

    @cached_property
    def flow(self) -> temporal.Flow:
        """The target's."""
        return temporal.optical_flow(self.now[1], self.before[1])

    @cached_property
    def counted(self) -> npt.NDArray[np.bool_]:
        """Where the mask replaces what is not occluded."""
        back = temporal.optical_flow(self.before[1], self.now[1])
        return np.asarray(temporal.visible(self.flow, back) & (self.mask >= 128))


@dataclass(frozen=True)
class Run:
    """Meshes (468,3) over three frames in a row, square px, of render and target."""

    render: Sequence[Points]
    target: Sequence[Points]

    @cached_property
    def eye_distance_px(self) -> float:
        """Of the target's mesh in the middle."""
        return landmarks.eye_distance(self.target[1])
