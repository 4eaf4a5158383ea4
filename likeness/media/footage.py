"""Footage as a stream of frames: a video file or a folder of stills.

Every frame is counted, in presentation order; one that cannot be decoded comes with
`decoded=False`. The same file gives the same bytes each time, whatever the number of threads.
Nothing is converted until it is asked for, and nothing is kept.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from av.video.reformatter import VideoReformatter

from likeness.contracts import environment
from likeness.contracts.errors import FootageError
from likeness.media import probe
from likeness.media.container import open_container, video_stream
from likeness.media.decode import pictures
from likeness.media.frame import Frame, StillFrame, StoredFrame
from likeness.media.pictures import read_image
from likeness.media.stills import is_still, list_stills

U8 = npt.NDArray[np.uint8]


class Footage(ABC):
    """A video file or a folder of stills; see `open_footage`.

    Attributes:
        path: the file or folder.
        facts: kind ("video" or "stills"), width_px and height_px (upright), rotation_deg
            (clockwise turn applied), mirrored, time_base and average_rate as [n, d], codec,
            pixel_format (as stored), audio_streams, frames_hint (an estimate),
            sample_aspect_ratio, colour_space (a name of media.colour), colour_range ("limited",
            "full"), colour_tags (H.273 numbers as stored).
    """

    def __init__(self, path: Path, facts: dict[str, Any]) -> None:
        self.path = path
        self.facts = facts

    @abstractmethod
    def _read(self) -> Iterator[Frame]:
        """All frames in presentation order."""

    def frames(self, wanted: Collection[int] | None = None) -> Iterator[Frame]:
        """Frames in presentation order; may be called again, and starts anew then.

        Args:
            wanted: indices to yield; None for all. Reading ends behind the last of them.

        Raises:
            FootageError: the footage changes its size midway.
        """
        if wanted is None:
            yield from self._read()
            return
        chosen = frozenset(wanted)
        last = max(chosen, default=-1)
        if last < 0:
            return
        for frame in self._read():
            if frame.frame_index in chosen:
                yield frame
            if frame.frame_index >= last:
                return

    def __enter__(self) -> Footage:
        return self

    def __exit__(self, *_: object) -> None:  # noqa: B027  # no kind has anything to close
        """Nothing stays open between reads."""


class _Video(Footage):
    def __init__(self, path: Path, decode_threads: int, draft: bool) -> None:
        with open_container(path) as container:
            facts, self.orientation = probe.video_facts(path, container)
            depth = video_stream(container).codec_context.reorder_depth
        super().__init__(path, facts)
        self.reformatter = VideoReformatter()
        self._reorder_depth = int(depth)
        self._threads, self._draft = decode_threads, draft

    def _read(self) -> Iterator[Frame]:
        read = pictures(self.path, self._reorder_depth, self._threads, draft=self._draft)
        for index, picture in enumerate(read):
            frame = StoredFrame(
                self,
                index,
                picture.pts,
                picture.frame,
                orientation=self.orientation,
                reformatter=self.reformatter,
            )
            frame.damaged = picture.damaged
            yield frame


class _Stills(Footage):
    def __init__(self, path: Path) -> None:
        super().__init__(path, probe.stills_facts(path))

    def _read(self) -> Iterator[Frame]:
        for index, still in enumerate(list_stills(self.path)):
            try:
                rgb: U8 | None = read_image(still)
            except FootageError:
                rgb = None  # a counted frame with decoded=False
            yield StillFrame(self, index, rgb)


def open_footage(path: Path, decode_threads: int | None = None, *, draft: bool = False) -> Footage:
    """Open a video file, a still, or a folder of stills (`media.stills`), which may differ in size.

    Args:
        decode_threads: None: what the environment allows. Who keeps the cores busy beside takes
            fewer: each thread more costs a tenth of the decoder's time. Frames are the same.
        draft: leave the edges of blocks in frames that no other refers to, which nobody will
            look at; a tenth of the decoder's time. The same frames each time.

    Raises:
        FootageError: missing, empty, no video, sound only, or no frame that can be decoded.
    """
    if path.is_dir() or is_still(path):
        return _Stills(path)
    threads = environment.threads() if decode_threads is None else decode_threads
    return _Video(path, threads, draft)
