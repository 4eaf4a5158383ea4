"""Pictures that arrive by themselves: a camera of this machine, or a video on standard input.

Both look like footage (`Footage.facts`, `Footage.frames`), but can be read once only, and nobody
can say how long they are.
"""

from __future__ import annotations

import os
import select
import stat
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.video.reformatter import VideoReformatter

from likeness.contracts.errors import FootageError
from likeness.media import probe
from likeness.media.colour import Planes, rgb_to_yuv420
from likeness.media.container import CONTAINERS, video_stream
from likeness.media.footage import Footage
from likeness.media.frame import Frame, StoredFrame

U8 = npt.NDArray[np.uint8]
TICKS = 90000
"""Units per second of a camera's times, as in MPEG."""
_GUESSED_RATE = 30
_PAUSE_S = 0.01
"""A read of a pipe that lasts longer had to wait: nothing lay there."""
_LOOK_AROUND_S = 0.1
"""Time after which a read that waits for a pipe looks whether anybody still wants it."""


class Arriving(Footage):
    """Footage that can be read once, and belongs to the thread that reads it.

    A device must not be given back while a read waits in it: who reads gives it back.
    """

    def __init__(self, path: Path, facts: dict[str, Any]) -> None:
        super().__init__(path, facts)
        self._owned = threading.Lock()

    @abstractmethod
    def _arrivals(self) -> Iterator[Frame]:
        """Frames as they come."""

    @abstractmethod
    def _release(self) -> None:
        """Give back what is read from."""

    def interrupt(self) -> None:
        """Let a read that waits end soon, where that is possible; from any thread."""

    def _read(self) -> Iterator[Frame]:
        if not self._owned.acquire(blocking=False):
            return
        try:
            yield from self._arrivals()
        finally:
            self._release()

    def __exit__(self, *_: object) -> None:
        """Give it back, unless a thread has begun to read: that one does, when it ends."""
        self.interrupt()
        if self._owned.acquire(blocking=False):
            self._release()


class _Shot(Frame):
    """A picture of a camera, which hands over BGR."""

    def __init__(self, footage: Footage, frame_index: int, pts: int, bgr: U8) -> None:
        super().__init__(footage, frame_index, pts)
        self.decoded = True
        self._bgr = bgr

    def _load(self) -> Planes:
        facts = self._footage.facts
        return rgb_to_yuv420(self.rgb(), facts["colour_space"], facts["colour_range"])

    def _load_rgb(self) -> U8:
        return np.asarray(cv2.cvtColor(self._bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)

    def region_rgb(self, x0: int, y0: int, x1: int, y1: int) -> U8:
        """RGB of a box (px, end exclusive), clipped to the frame."""
        box = self._bgr[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)]
        return np.ascontiguousarray(box[..., ::-1])


class Camera(Arriving):
    """A camera of this machine, through OpenCV; its times are those at which pictures arrived.

    Args:
        capture: an open `cv2.VideoCapture`.
        name: for messages.
        clock: seconds that only rise.

    Raises:
        FootageError: it gives no picture.
    """

    def __init__(
        self, capture: Any, name: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._capture, self._clock = capture, clock
        read, first = capture.read()
        if not read:
            raise no_camera(name)
        height, width = first.shape[:2]
        rate = round(float(capture.get(cv2.CAP_PROP_FPS)) or _GUESSED_RATE)
        super().__init__(Path(name), camera_facts(width // 2 * 2, height // 2 * 2, rate))

    def _arrivals(self) -> Iterator[Frame]:
        began, index, last = self._clock(), 0, -1
        width, height = self.facts["width_px"], self.facts["height_px"]
        while True:
            read, bgr = self._capture.read()
            if not read:  # unplugged, or a stream that has ended
                return
            last = max(round((self._clock() - began) * TICKS), last + 1)
            yield _Shot(self, index, last, np.ascontiguousarray(bgr[:height, :width]))
            index += 1

    def _release(self) -> None:
        self._capture.release()


def camera_facts(width_px: int, height_px: int, rate: int) -> dict[str, Any]:
    """`Footage.facts` of a camera: BT.601 in limited range, times in 1/90000 s."""
    return {
        "kind": "camera",
        "width_px": width_px,
        "height_px": height_px,
        "rotation_deg": 0,
        "mirrored": False,
        "time_base": [1, TICKS],
        "average_rate": [max(rate, 1), 1],
        "codec": "rawvideo",
        "pixel_format": "bgr24",
        "audio_streams": 0,
        "frames_hint": 0,
        "sample_aspect_ratio": [1, 1],
        # What OpenCV converts fastest; H.273: BT.601 matrix, BT.709 primaries and transfer.
        "colour_space": "bt601",
        "colour_range": "limited",
        "colour_tags": {"space": 6, "range": 1, "primaries": 1, "transfer": 1},
    }


def no_camera(name: str) -> FootageError:
    """The error for a camera that is not there."""
    step = "name another with `--input camera:N`, or give a file"
    return FootageError(name, "gives no picture", step)


def open_camera(number: int = 0) -> Camera:
    """Camera `number` of this machine.

    Raises:
        FootageError: there is none, or somebody else has it.
    """
    name = f"camera:{number}"
    # What OpenCV says of a camera that is not there is long, and not what the reader can do.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    capture = cv2.VideoCapture(number)
    if not capture.isOpened():
        raise no_camera(name)
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # old pictures are of no use
    return Camera(capture, name)


class _Stream:
    """A descriptor as PyAV reads it: unbuffered, and never for long without looking around.

    Args:
        descriptor: readable; closed by `close`.

    Attributes:
        waited: whether a read found nothing and had to wait.
    """

    def __init__(self, descriptor: int) -> None:
        self._file = os.fdopen(descriptor, "rb", buffering=0)
        self._over = threading.Event()
        self.waited = False

    def read(self, size: int) -> bytes:
        """Some bytes, `size` at most; none at the end, or when nobody wants more."""
        timeout_s = _PAUSE_S
        while not self._over.is_set():
            if select.select([self._file], [], [], timeout_s)[0]:
                return self._file.read(size) or b""
            self.waited, timeout_s = True, _LOOK_AROUND_S
        return b""

    def stop(self) -> None:
        """Let reads end; from any thread."""
        self._over.set()

    def close(self) -> None:
        """Close the descriptor."""
        self._file.close()


class Pipe(Arriving):
    """A video that arrives through a pipe, in a container that needs no way back (MPEG-TS, MKV).

    Args:
        descriptor: readable, need not be seekable; closed at the end.
        since_s: time by `clock` since when pictures may have gathered in the pipe. Those that
            lie there when reading begins are left out, but for the last; None keeps all.
        clock: seconds that only rise.

    Raises:
        FootageError: it is no video.
    """

    def __init__(
        self,
        descriptor: int,
        since_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream, self._since_s, self._clock = _Stream(descriptor), since_s, clock
        try:
            options = {"format_whitelist": CONTAINERS, "protocol_whitelist": "none"}
            self._container: Any = av.open(self._stream, options=options)
            video_stream(self._container).thread_type = "AUTO"
            # There is no way back to the pictures that tell what the video is.
            self._first = probe.first_frames(Path("-"), self._container)
            facts, self._orientation = probe.frame_facts(Path("-"), self._container, self._first[0])
        except (av.FFmpegError, FootageError, StopIteration) as error:
            self._stream.close()
            raise _no_pipe(error) from None
        super().__init__(Path("-"), {**facts, "audio_streams": 0})
        self.reformatter = VideoReformatter()

    def interrupt(self) -> None:
        """Let a read that waits end soon; from any thread."""
        self._stream.stop()

    def _arrivals(self) -> Iterator[Frame]:
        last = -1
        for index, picture in enumerate(self._fresh()):
            last = max(picture.pts if picture.pts is not None else 0, last + 1)
            yield StoredFrame(
                self,
                index,
                last,
                picture,
                orientation=self._orientation,
                reformatter=self.reformatter,
            )

    def _fresh(self) -> Iterator[Any]:
        """The pictures without those that had gathered before anybody asked for them."""
        pictures = self._pictures()
        if self._since_s is None:
            yield from pictures
            return
        # A sender that keeps time has sent no more than this. One that hurries is never waited
        # for; this is where its pictures begin to count.
        gathered_s = self._clock() - self._since_s
        began, old = self._first[0].time or 0.0, None
        # What was read to see what the video is may have waited; it has gathered all the same.
        self._stream.waited = False
        for picture in pictures:
            if self._stream.waited or (picture.time or 0.0) - began >= gathered_s:
                yield picture
                break
            old = picture
        else:  # it ended: the last one at least
            yield from [old] if old is not None else []
        yield from pictures

    def _pictures(self) -> Iterator[Any]:
        coming = self._container.decode(video_stream(self._container))
        first, self._first = self._first, []
        try:
            yield from chain(first, coming)
        except av.FFmpegError:  # cut off in the middle: what arrived counts
            return

    def _release(self) -> None:
        self._container.close()
        self._stream.close()


def _no_pipe(error: Exception) -> FootageError:
    """The error for a pipe that cannot be read; what a file could be done about helps nobody."""
    problem = error.problem if isinstance(error, FootageError) else "is no readable video"
    step = "pipe MPEG-TS or Matroska into it, for example `ffmpeg ... -f mpegts -`"
    return FootageError("standard input", problem, step)


def open_pipe(since_s: float | None = None) -> Pipe:
    """The video on standard input.

    Args:
        since_s: see `Pipe`; by `time.monotonic`.

    Raises:
        FootageError: it is no video.
    """
    if stat.S_ISREG(os.fstat(0).st_mode):
        since_s = None  # nobody sends: nothing gathers
    # A descriptor of its own: `sys.stdin.buffer` has a lock, and Python aborts at its end while
    # a thread that still waits in a read holds it.
    return Pipe(os.dup(0), since_s)
