"""What a live run counts: frames, their rate, and how old a picture is when it is shown."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field

import numpy as np

STEP = 1.05
"""Ratio of neighbouring steps of latency: a percentile is right within 2.5 per cent."""
SMALLEST_S, STEPS = 1e-4, 260
WINDOW_FRAMES = 30
"""Frames over which the rate of the moment is measured."""


@dataclass
class Meter:
    """Counts of a run; bounded in memory whatever its length.

    Attributes:
        captured: frames that the camera gave.
        shown: frames that were shown or written.
        dropped: frames that newer ones replaced, or that waited when the run was ended.
        faceless: frames shown without a face in them.
        unreadable: frames that could not be decoded; the one before is shown again.
        most_waiting: most frames that were captured and neither shown nor dropped at one time.
    """

    captured: int = 0
    shown: int = 0
    dropped: int = 0
    faceless: int = 0
    unreadable: int = 0
    most_waiting: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _bins: list[int] = field(default_factory=lambda: [0] * STEPS, repr=False)
    _recent: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW_FRAMES), repr=False)
    _first_s: float | None = field(default=None, repr=False)
    _last_latency_s: float = field(default=0.0, repr=False)

    def came(self) -> None:
        """A frame was captured."""
        with self._lock:
            self.captured += 1
            waiting = self.captured - self.shown - self.dropped
            self.most_waiting = max(self.most_waiting, waiting)

    def went(self, count: int = 1) -> None:
        """Frames were dropped."""
        with self._lock:
            self.dropped += count

    def showed(self, taken_s: float, now_s: float, *, face: bool, readable: bool = True) -> None:
        """A frame was shown at `now_s` that was taken at `taken_s`."""
        latency_s = max(now_s - taken_s, 0.0)
        place = int(np.log(max(latency_s, SMALLEST_S) / SMALLEST_S) / np.log(STEP))
        with self._lock:
            self.shown += 1
            self.faceless += not face
            self.unreadable += not readable
            self._bins[min(place, STEPS - 1)] += 1
            self._recent.append(now_s)
            self._first_s = now_s if self._first_s is None else self._first_s
            self._last_latency_s = latency_s

    def percentile_s(self, share: float) -> float:
        """Latency in seconds that `share` (0-1) of the shown frames did not exceed."""
        reached = np.cumsum(self._bins)
        if not reached[-1]:
            return 0.0
        place = int(np.searchsorted(reached, share * reached[-1]))
        return float(SMALLEST_S * STEP ** (place + 0.5))

    @property
    def rate(self) -> float:
        """Frames per second shown, of late."""
        seen = list(self._recent)
        return (len(seen) - 1) / (seen[-1] - seen[0]) if len(seen) > 1 and seen[-1] > seen[0] else 0

    @property
    def mean_rate(self) -> float:
        """Frames per second shown, from the first to the last."""
        if self._first_s is None or not self._recent or self._recent[-1] <= self._first_s:
            return 0.0
        return (self.shown - 1) / (self._recent[-1] - self._first_s)

    def now(self) -> str:
        """Rate and latency of the moment, for the window and the log."""
        return f"{self.rate:.1f} frames/s, {1000 * self._last_latency_s:.0f} ms"

    def summary(self) -> str:
        """The line at the end."""
        ends = [f"{1000 * self.percentile_s(share):.0f}" for share in (0.5, 0.95)]
        parts = [f"frames in {self.captured}, shown {self.shown}, dropped {self.dropped}"]
        if self.faceless:
            parts[0] += f", without a face {self.faceless}"
        if self.unreadable:
            parts[0] += f", not readable {self.unreadable}"
        parts.append(f"{self.mean_rate:.1f} frames/s")
        parts.append(f"latency p50 {ends[0]} ms, p95 {ends[1]} ms")
        return "; ".join(parts)
