"""The chain of a live run, overlapped: capture, find the face, run the model; the caller shows.

Each step has a thread of its own and works on another frame; the networks and codecs leave
Python's lock while they work. Between capture and the rest stands a place for the newest frame
only, so that a slow model makes pictures fewer and not later: at most one frame is in each step,
and one waits before it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Protocol

from apps.live.compose import Made
from apps.live.faces import Aligned
from apps.live.meter import Meter
from apps.live.slots import Slot
from likeness.media.camera import Arriving
from likeness.media.footage import Footage
from likeness.media.frame import Frame

KEPT = 0.1
"""Share of the newest in what a step is taken to last."""
LEAD = 1.2
"""How early a face is looked for, in times that it takes."""
PATIENCE_S = 1.0
"""How long the end waits for a camera that may give nothing any more."""


class Clock(Protocol):
    """Time, so that tests may have their own."""

    def now(self) -> float:
        """Seconds that only rise."""

    def wait_until(self, when_s: float) -> None:
        """Return when `now()` has reached `when_s`."""


class WallClock:
    """The machine's time."""

    def now(self) -> float:
        """Seconds that only rise."""
        return time.monotonic()

    def wait_until(self, when_s: float) -> None:
        """Sleep as long as it takes."""
        while (left := when_s - time.monotonic()) > 0:
            time.sleep(left)


@dataclass(frozen=True)
class Taken:
    """A frame and when it was taken, by the run's clock."""

    frame: Frame
    taken_s: float


@dataclass(frozen=True)
class Found:
    """The same with its face, if it has one."""

    taken: Taken
    face: Aligned | None


@dataclass(frozen=True)
class Ready:
    """The same with what the model made of the face."""

    taken: Taken
    made: Made | None


Find = Callable[[Frame], Aligned | None]
Make = Callable[[Aligned], Made]


class _Turn:
    """When to look for the next face: so that it is found just as the model has done the last.

    Sooner, and it would grow old before the model is free; later, and the model would wait.
    """

    def __init__(self) -> None:
        self._find_s = self._make_s = self._began_s = 0.0

    def found(self, seconds: float) -> None:
        """Note how long a face took; the long ones (scans) are remembered."""
        self._find_s = max(seconds, self._find_s + KEPT * (seconds - self._find_s))

    def makes(self) -> None:
        """Note that the model begins."""
        self._began_s = time.monotonic()

    def made(self) -> None:
        """Note that it has done; the short ones are remembered."""
        seconds = time.monotonic() - self._began_s
        known = self._make_s or seconds
        self._make_s = min(seconds, known + KEPT * (seconds - known))

    def left_s(self) -> float:
        """Seconds until it is time, by what both took of late."""
        return self._began_s + self._make_s - LEAD * self._find_s - time.monotonic()


class Pipeline:
    """Three threads and the slots between them.

    Args:
        footage: where frames come from.
        find: aligns the face of a frame; called in order by one thread.
        make: runs the model; called in order by one thread.
        meter: counts.
        every_frame: False drops frames instead of lagging; True shows all, however long it takes.
        paced: True plays a file at its own rate; False takes frames as they come.
        clock: of the run.

    Attributes:
        exhausted: whether the last frame of the footage has been taken.
    """

    def __init__(
        self,
        footage: Footage,
        find: Find,
        make: Make,
        meter: Meter,
        *,
        every_frame: bool = False,
        paced: bool = False,
        clock: Clock | None = None,
    ) -> None:
        self._footage, self._find, self._make, self._meter = footage, find, make, meter
        self._paced = paced and not every_frame
        self._turn = None if every_frame else _Turn()
        self._clock = clock or WallClock()
        self._taken: Slot[Taken] = Slot(newest=not every_frame)
        self._found: Slot[Found] = Slot()
        self._ready: Slot[Ready] = Slot()
        self._stop = threading.Event()
        self._failed: list[BaseException] = []
        self.exhausted = False

    def stop(self) -> None:
        """End the run: no frame is taken any more, those in work are still shown."""
        self._stop.set()
        self._taken.close()

    def __iter__(self) -> Iterator[Ready | None]:
        """Frames in order, ready to be shown; None now and then while there is none.

        Raises:
            LikenessError: what went wrong in one of the steps.
        """
        steps = (self._capture, self._find_faces, self._run_model)
        threads = [
            threading.Thread(target=self._guarded, args=(step,), daemon=True) for step in steps
        ]
        for thread in threads:
            thread.start()
        try:
            while not self._ready.over:
                yield self._ready.take(timeout_s=0.05)
        finally:
            self.stop()
            for slot in (self._found, self._ready):
                slot.close()
            if isinstance(self._footage, Arriving):
                self._footage.interrupt()
            # A thread that hangs in a camera is left behind, and the camera with it.
            threads[0].join(PATIENCE_S)
            for thread in threads[1:]:
                thread.join()
        if self._failed:
            raise self._failed[0]

    def _guarded(self, step: Callable[[], None]) -> None:
        try:
            step()
        except BaseException as error:  # told by the thread that shows, which then ends
            self._failed.append(error)
            self.stop()
            self._found.close()
            self._ready.close()

    def _capture(self) -> None:
        # At its end the generator gives back what it reads from: in this thread, at once.
        with closing(self._frames()) as frames:
            self._take(frames)
        self._taken.close()

    def _frames(self) -> Generator[Frame, None, None]:
        yield from self._footage.frames()

    def _take(self, frames: Iterator[Frame]) -> None:
        began: float | None = None
        for frame in frames:
            if self._stop.is_set():
                break
            if self._paced:
                if began is None:
                    began = self._clock.now() - frame.pts_s
                self._clock.wait_until(began + frame.pts_s)
            self._meter.came()
            taken = Taken(frame, self._clock.now())
            self._meter.went(self._taken.put(taken))
        else:
            self.exhausted = True

    def _find_faces(self) -> None:
        while (taken := self._next_taken()) is not None:
            began = time.monotonic()
            face = self._find(taken.frame) if taken.frame.decoded else None
            if self._turn is not None:
                self._turn.found(time.monotonic() - began)
            self._found.put(Found(taken, face))
        self._found.close()

    def _next_taken(self) -> Taken | None:
        # A frame taken before the model has room would grow old beside it.
        self._found.wait_empty()
        if self._turn is not None:
            self._stop.wait(max(self._turn.left_s(), 0.0))
        return self._taken.take()

    def _run_model(self) -> None:
        while (found := self._found.take()) is not None:
            self._ready.put(Ready(found.taken, self._made(found.face)))
        self._ready.close()

    def _made(self, face: Aligned | None) -> Made | None:
        if face is None:
            return None
        if self._turn is None:
            return self._make(face)
        self._turn.makes()
        made = self._make(face)
        self._turn.made()
        return made
