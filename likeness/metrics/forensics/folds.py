"""Training and judging the detector so that it never has seen the clip it is judged on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from likeness.metrics.forensics.detector import Detector, Pairs, auc_of, fit

ONE_CLIP = "needs swaps of at least two target clips, so that one can be held out"
NO_FACES = "has no faces that could be measured"
NO_OTHERS = "no other target clip has faces that could be measured"


@dataclass(frozen=True)
class Faces:
    """What is known of one swap: its name, that of its target clip, and its faces."""

    swap: str
    clip: str
    pairs: Pairs

    @property
    def count(self) -> int:
        """Number of pairs."""
        return len(self.pairs.seconds)


@dataclass(frozen=True)
class Verdict:
    """How well the swapped faces of one swap are told from real ones.

    Attributes:
        auc, low, high: area under the ROC curve and its 95 % interval; None with a `reason`.
        trained_pairs: pairs the detector learned from, none of this target clip.
        trained_clips: of so many target clips.
        reason: why there is no figure; "" where there is one.
    """

    auc: float | None = None
    low: float | None = None
    high: float | None = None
    trained_pairs: int = 0
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
    found: dict[str, Verdict] = {}
    detectors = []
    for clip in sorted({s.clip for s in swaps}):
        others = [s for s in swaps if s.clip != clip and s.count]
        held_out = [s for s in swaps if s.clip == clip]
        reason = NO_OTHERS if len({s.clip for s in swaps}) > 1 else ONE_CLIP
        if others and any(s.count for s in held_out):
            detectors.append(fit([s.pairs for s in others], l2))
        for swap in held_out:
            if not swap.count or not others:
                found[swap.swap] = Verdict(reason=reason if swap.count else NO_FACES)
            else:
                found[swap.swap] = _verdict(swap, others, detectors[-1])
    return dict(sorted(found.items())), detectors


def _verdict(swap: Faces, others: Sequence[Faces], detector: Detector) -> Verdict:
    figure, low, high = auc_of(detector, swap.pairs)
    return Verdict(
        figure,
        low if np.isfinite(low) else None,
        high if np.isfinite(high) else None,
        sum(s.count for s in others),
        len({s.clip for s in others}),
    )
