"""Pictures kept while a swap is scored: the worst frames by reason, and evenly spaced ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from likeness.evaluation.scores import Scores
from likeness.evaluation.views import View
from likeness.media.frame import Frame
from likeness.media.images import encode_jpeg
from likeness.metrics.catalogue import METRICS
from likeness.vision.squares import Squares

Pixels = npt.NDArray[np.uint8]
STRETCH_FRAMES = 5
"""Of so many frames in a row only the worst is shown."""
STILL_QUALITY = 82


@dataclass(frozen=True)
class Reason:
    """A way in which a frame can be bad.

    Attributes:
        name: short key.
        title: heading.
        badness: from the scores of a frame; higher is worse, nan is no candidate.
        text: what to write below the frame, with the value that a person knows.
    """

    name: str
    title: str
    badness: Callable[[Scores], float]
    text: Callable[[Scores], str]


REASONS = tuple(
    Reason(worst.key, worst.title, row.badness, worst.written)
    for worst, row in sorted(
        ((row.worst, row) for row in METRICS if row.worst), key=lambda pair: pair[0].at
    )
)
"""Of the catalogue, in the order in which they are shown."""


@dataclass(frozen=True)
class Shown:
    """One face as it is shown: (S,S,3) uint8 each, and what to say.

    `source` is the source's face of the nearest pose, as large; None where nobody gave one.
    """

    frame_index: int
    badness: float
    text: str
    target: Pixels
    render: Pixels
    source: Pixels | None = None


@dataclass(frozen=True)
class Still:
    """One whole frame of target and render as JPEG, for looking from one to the other."""

    frame_index: int
    pts_s: float
    target: bytes
    render: bytes


class Album:
    """Keeps a bounded number of pictures, whatever the length of the clip.

    Args:
        per_reason: worst frames kept for each reason.
        even_frames: frames whose faces are shown for their even spacing.
        still_frames: frames that are shown whole.
        still_px: width that whole frames are brought down to.
    """

    def __init__(
        self, per_reason: int, even_frames: set[int], still_frames: set[int], still_px: int = 720
    ) -> None:
        self.worst: dict[str, list[Shown]] = {reason.name: [] for reason in REASONS}
        self.even: list[Shown] = []
        self.stills: list[Still] = []
        self._per_reason = per_reason
        self._even_frames = even_frames
        self._still_frames = still_frames
        self._still_px = still_px
        self.aspect: tuple[int, int] | list[int] = (1, 1)
        """Width and height of a stored pixel; stills show square ones."""

    def face(self, view: View, scores: Scores, source: Pixels | None = None) -> None:
        """Consider a measured face, and the source's beside it."""
        pictures = (view.target, view.render, source)
        if view.frame_index in self._even_frames:
            text = f"cosine {scores['identity_source']:.2f} to the source"
            self.even.append(Shown(view.frame_index, 0.0, text, *pictures))
        for reason in REASONS:
            badness = reason.badness(scores)
            if np.isnan(badness):
                continue
            shown = Shown(view.frame_index, badness, reason.text(scores), *pictures)
            self.worst[reason.name] = _kept(self.worst[reason.name], shown, self._per_reason)

    def frame(self, target: Frame, render: Frame) -> None:
        """Consider a whole frame."""
        if target.frame_index in self._still_frames:
            pair = [self._jpeg(picture.rgb()) for picture in (target, render)]
            self.stills.append(Still(target.frame_index, target.pts_s, pair[0], pair[1]))

    def _jpeg(self, rgb: Pixels) -> bytes:
        stored = rgb.shape[1], rgb.shape[0]
        width, height = Squares.shaped(*stored, self.aspect).size
        scale = min(1.0, self._still_px / max(width, height))
        if scale < 1.0 or (width, height) != stored:
            size = (max(1, round(width * scale)), max(1, round(height * scale)))
            rgb = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
        return encode_jpeg(rgb, STILL_QUALITY, "420")


def _kept(worst: list[Shown], shown: Shown, most: int) -> list[Shown]:
    """`worst` with `shown` in its place: at most `most`, one for each stretch of the clip."""
    stretch = shown.frame_index // STRETCH_FRAMES
    rival = next((s for s in worst if s.frame_index // STRETCH_FRAMES == stretch), None)
    if rival is not None and rival.badness >= shown.badness:
        return worst
    rest = [s for s in worst if s is not rival]
    return sorted([*rest, shown], key=lambda s: (-s.badness, s.frame_index))[:most]
