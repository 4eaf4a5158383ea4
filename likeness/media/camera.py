"""Pictures that arrive by themselves: a camera of this machine, or a video on standard input.

Both look like footage (`Footage.facts`, `Footage.frames`), but can be read once only, and nobody
can say how long they are.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.video.reformatter import VideoReformatter

from likeness.contracts.errors import FootageError
from likeness.media import probe
from likeness.media.colour import Planes, rgb_to_yuv420
from likeness.media.container import video_stream
from likeness.media.footage import Footage, Frame
from likeness.media.planes import stored_planes, upright

U8 = npt.NDArray[np.uint8]
TICKS = 90000
"""Units per second of a camera's times, as in MPEG."""
_GUESSED_RATE = 30


class _Shot(Frame):
    """A picture of a camera, which hands over BGR."""

    def __init__(self, footage: Footage, frame_index: int, pts: int, bgr: U8) -> None:
        super().__init__(footage, frame_index, pts)
        self.decoded = True
        self._bgr = bgr

    def _load(self) -> Planes:
        facts = self._footage.facts
        rgb = np.asarray(cv2.cvtColor(self._bgr, cv2.COLOR_BGR2RGB))
        return rgb_to_yuv420(rgb, facts["colour_space"], facts["colour_range"])


class Camera(Footage):
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

    def _read(self) -> Iterator[Frame]:
        began, index, last = self._clock(), 0, -1
        width, height = self.facts["width_px"], self.facts["height_px"]
        while True:
            read, bgr = self._capture.read()
            if not read:  # unplugged, or a stream that has ended
                return
            last = max(round((self._clock() - began) * TICKS), last + 1)
            yield _Shot(self, index, last, np.ascontiguousarray(bgr[:height, :width]))
            index += 1

    def __exit__(self, *_: object) -> None:
        """Give the camera back."""
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


class Pipe(Footage):
    """A video that arrives through a pipe, in a container that needs no way back (MPEG-TS, MKV).

    Args:
        stream: readable, need not be seekable.

    Raises:
        FootageError: it is no video.
    """

    def __init__(self, stream: BinaryIO) -> None:
        name = Path("-")
        try:
            self._container: Any = av.open(stream)
            video_stream(self._container).thread_type = "AUTO"
            facts, self._orientation = probe.video_facts(name, self._container)
        except (av.FFmpegError, StopIteration):
            step = "pipe MPEG-TS or Matroska into it, for example `ffmpeg ... -f mpegts -`"
            raise FootageError("standard input", "is no readable video", step) from None
        super().__init__(name, {**facts, "audio_streams": 0})
        self.reformatter = VideoReformatter()

    def _read(self) -> Iterator[Frame]:
        index, last = 0, -1
        try:
            for picture in self._container.decode(video_stream(self._container)):
                last = max(picture.pts if picture.pts is not None else 0, last + 1)
                yield _Piped(self, index, last, picture, self._orientation)
                index += 1
        except av.FFmpegError:  # cut off in the middle: what arrived counts
            return

    def __exit__(self, *_: object) -> None:
        """Close the stream."""
        self._container.close()


class _Piped(Frame):
    def __init__(
        self,
        pipe: Pipe,
        frame_index: int,
        pts: int,
        picture: Any,
        orientation: probe.Orientation,
    ) -> None:
        super().__init__(pipe, frame_index, pts)
        self.decoded = True
        self._pipe, self._picture, self._orientation = pipe, picture, orientation

    def _load(self) -> Planes:
        planes = stored_planes(self._picture, self._pipe.facts, self._pipe.reformatter)
        self._picture = None
        return upright(planes, self._orientation)


def open_pipe() -> Pipe:
    """The video on standard input.

    Raises:
        FootageError: it is no video.
    """
    return Pipe(sys.stdin.buffer)
