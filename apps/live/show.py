"""The thread that shows: takes ready frames, makes their pictures, hands them on, counts."""

from __future__ import annotations

import sys
from collections.abc import Callable

from apps.live.compose import Composer, Made
from apps.live.meter import Meter
from apps.live.pipeline import Clock, Pipeline
from apps.live.sinks import Sink
from likeness.media.colour import Planes
from likeness.media.frame import Frame

LOG_EVERY_S = 2.0


def say(line: str) -> None:
    """Tell a person; results go to stdout, this does not."""
    print(line, file=sys.stderr, flush=True)


class Show:
    """Shows ready frames until they end or somebody has had enough.

    Args:
        pipeline: gives them.
        composer: makes the pictures.
        sink: takes them.
        meter: counts.
        clock: of the run.
        quits: asked after each picture; any True ends the run.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        composer: Composer,
        sink: Sink,
        meter: Meter,
        *,
        clock: Clock,
        quits: list[Callable[[], bool]],
    ) -> None:
        self._pipeline, self._composer, self._sink = pipeline, composer, sink
        self._meter, self._clock, self._quits = meter, clock, quits
        self._shown: Planes | None = None
        self._told_s = clock.now()

    def run(self, seconds: float | None) -> None:
        """Show everything; `seconds` of the footage's own time at most."""
        first_s: float | None = None
        for ready in self._pipeline:
            if any(wants() for wants in (self._sink.wants_to_quit, *self._quits)):
                self._pipeline.stop()
            if ready is None:
                continue
            frame, taken_s = ready.taken.frame, ready.taken.taken_s
            first_s = frame.pts_s if first_s is None else first_s
            if seconds is not None and frame.pts_s - first_s >= seconds:
                self._pipeline.stop()
                self._meter.went()
                continue
            self._one(frame, ready.made, taken_s)

    def _one(self, frame: Frame, made: Made | None, taken_s: float) -> None:
        if frame.decoded:
            self._shown = self._composer(frame, made)
        if self._shown is None:  # nothing to show again: the first frames are damaged
            self._meter.went()
            return
        self._sink.show(self._shown, frame.pts, [self._meter.now()])
        now = self._clock.now()
        self._meter.showed(taken_s, now, face=made is not None, readable=frame.decoded)
        if now - self._told_s >= LOG_EVERY_S:
            self._told_s = now
            say(f"live: {self._meter.shown} shown, {self._meter.now()}")
