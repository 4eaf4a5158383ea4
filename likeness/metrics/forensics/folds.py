"""Training and judging the detector so that it never has seen the clip it is judged on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from likeness.metrics.forensics.detector import Detector, auc, auc_interval, fit

Values = npt.NDArray[np.float64]
ONE_CLIP = "needs swaps of at least two target clips, so that one can be held out"
ONE_KIND = "has no faces that could be measured"
NO_OTHERS = "no other target clip has faces that could be measured"


@dataclass(frozen=True)
class Faces:
    """Measured faces of one swap, real and swapped at the same places.

    Attributes:
        swap, clip: names of the swap and of its target clip.
        features: (N,F).
        swapped: (N,).
        blocks: (N,) second of the clip.
    """

    swap: str
    clip: str
    features: Values
    swapped: npt.NDArray[np.bool_]
    blocks: npt.NDArray[np.int64]

    @property
    def usable(self) -> bool:
        """Whether both kinds are there."""
        return bool(self.swapped.any() and not self.swapped.all())


@dataclass(frozen=True)
class Verdict:
    """How well the swapped faces of one swap are told from real ones.

    Attributes:
        auc, low, high: area under the ROC curve and its 95 % interval; None with a `reason`.
        trained_faces: faces the detector learned from, none of this target clip.
        trained_clips: of so many target clips.
        reason: why there is no figure; "" where there is one.
    """

    auc: float | None
    low: float | None
    high: float | None
    trained_faces: int = 0
    trained_clips: int = 0
    reason: str = ""


def judge(swaps: Sequence[Faces], l2: float) -> tuple[dict[str, Verdict], list[Detector]]:
    """Leave one target clip out: a verdict for each swap, and the detector of each fold.

    A detector is fitted to the swaps of all other target clips and judged on those of the one left
    out. With fewer than two target clips there is no such split, and no other one is made: frames
    of one clip resemble each other too much.

    Args:
        swaps: measured faces, one entry per swap.
        l2: penalty of the detector.
    """
    clips = sorted({s.clip for s in swaps if s.usable})
    found: dict[str, Verdict] = {}
    detectors = []
    for clip in sorted({s.clip for s in swaps}):
        others = [s for s in swaps if s.clip != clip and s.usable]
        held_out = [s for s in swaps if s.clip == clip]
        if others and any(s.usable for s in held_out):
            detectors.append(_fitted(others, l2))
        for swap in held_out:
            if not swap.usable:
                found[swap.swap] = Verdict(None, None, None, reason=ONE_KIND)
            elif not others:
                reason = ONE_CLIP if len({s.clip for s in swaps}) < 2 else NO_OTHERS
                found[swap.swap] = Verdict(None, None, None, reason=reason)
            else:
                found[swap.swap] = _verdict(swap, others, detectors[-1], len(clips) - 1)
    return dict(sorted(found.items())), detectors


def _fitted(swaps: Sequence[Faces], l2: float) -> Detector:
    """A detector to which every swap, and in it both kinds, count alike."""
    weight = [
        np.where(s.swapped, 1 / max(s.swapped.sum(), 1), 1 / max((~s.swapped).sum(), 1))
        for s in swaps
    ]
    features = np.concatenate([s.features for s in swaps])
    return fit(features, np.concatenate([s.swapped for s in swaps]), np.concatenate(weight), l2)


def _verdict(swap: Faces, others: Sequence[Faces], detector: Detector, clips: int) -> Verdict:
    scores = detector.score(swap.features)
    low, high = auc_interval(scores, swap.swapped, swap.blocks)
    return Verdict(
        auc(scores, swap.swapped),
        low if np.isfinite(low) else None,
        high if np.isfinite(high) else None,
        sum(len(s.swapped) for s in others),
        clips,
    )
