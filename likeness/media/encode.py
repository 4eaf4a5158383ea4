"""Video out: H.264 in MP4 with the footage's own times, colour tags and audio packets.

The bytes depend on what is written and on the settings alone (likeness/media/h264.py): no clock, no
machine.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from likeness.contracts.errors import FootageError
from likeness.contracts.vocabulary import SoundCodec
from likeness.media.colour import rgb_to_yuv420
from likeness.media.container import (
    create_container,
    encoder_faults,
    require_room,
)
from likeness.media.frame import Described
from likeness.media.h264 import configure, encoder_options, picture_of
from likeness.media.sound import Soundtrack, sound_bases

U8 = npt.NDArray[np.uint8]
_FULL_RANGE = 2
_MOST_UNITS = 2**31


@dataclass(frozen=True)
class StreamFacts:
    """Stream facts alone, for a video that differs from its footage in size."""

    path: Path
    facts: dict[str, Any]


class VideoWriter:
    """Writes a video that keeps the times, tags, shape and sound of `footage`.

    The picture is written upright, without rotation metadata. Even sizes are 4:2:0; an odd
    width or height needs 4:4:4, since H.264 has no 4:2:0 of odd size and nothing is cropped or
    padded here. Sound that MP4 can hold is copied bit for bit, other sound converted
    (`media.sound`), each packet before the first frame that is shown after it, so memory does
    not grow with the length. Languages and the default track stay.

    Args:
        path: the .mp4 to write; the caller gives a temporary name and renames it.
        footage: what gives size, time base, tags and audio.
        crf: constant rate factor of libx264, 0 (lossless) to 51.
        preset: one of PRESETS.
        audio: False leaves the sound out.
        comment: of the file, for players that show it.
        sound: what sound becomes that MP4 cannot hold.

    Raises:
        FootageError: the footage's sound cannot be read or converted.
    """

    def __init__(
        self,
        path: Path,
        footage: Described,
        crf: float = 18.0,
        preset: str = "medium",
        audio: bool = True,
        *,
        comment: str = "",
        sound: SoundCodec = "aac",
    ) -> None:
        facts = footage.facts
        self.path = path
        self._source_path = footage.path
        self.frames = 0
        self._facts = facts
        base = Fraction(*facts["time_base"])
        # A track of an MP4 counts in 1/n seconds; other bases (AVI: 1001/30000) fit exactly so.
        self._base = Fraction(1, base.denominator)
        self._per_unit = base.numerator
        self._size = facts["width_px"], facts["height_px"]
        self._last_pts: int | None = None
        with_sound = bool(audio and facts["audio_streams"])
        options = {
            "movflags": "+faststart",
            "fflags": "+bitexact",
            "video_track_timescale": str(base.denominator),
            "movie_timescale": str(self._movie_timescale(footage.path if with_sound else None)),
        }
        self._container = create_container(path, options)
        if comment:
            self._container.metadata["comment"] = comment
        self._stream = self._video_stream(crf, preset)
        self._soundtrack: Soundtrack | None = None
        self._sound: Iterator[Any] = iter(())
        self._waiting: Any = None
        if with_sound:
            self._open_sound(footage.path, sound)

    def _movie_timescale(self, sound: Path | None) -> int:
        """Units per second in which a track's start can be stated without rounding."""
        bases = [self._base.denominator, *(sound_bases(sound) if sound else ())]
        common = math.lcm(*bases)
        return common if common < _MOST_UNITS else bases[0]

    def _video_stream(self, crf: float, preset: str) -> Any:
        facts = self._facts
        rate = Fraction(*facts["average_rate"])
        options = encoder_options(crf, preset)
        stream = self._container.add_stream("libx264", rate=rate, options=options)
        context = stream.codec_context
        configure(context, self._size)
        context.time_base = stream.time_base = self._base
        context.sample_aspect_ratio = Fraction(*facts["sample_aspect_ratio"])
        tags = facts["colour_tags"]
        context.colorspace = tags["space"]
        context.color_range = _FULL_RANGE if facts["colour_range"] == "full" else tags["range"]
        context.color_primaries = tags["primaries"]
        context.color_trc = tags["transfer"]
        self._step = max(round(1 / (rate * self._base)), 1)
        return stream

    def _open_sound(self, path: Path, codec: SoundCodec) -> None:
        try:
            self._soundtrack = Soundtrack(path, self._container, codec)
            self._sound = self._soundtrack.packets()
            self._waiting = next(self._sound, None)
        except BaseException:
            self._release()
            raise

    def _mux_audio(self, until_s: Fraction | None) -> None:
        """Copy the audio packets due before `until_s`; None: all that are left."""
        while self._waiting is not None:
            due = self._waiting.dts if self._waiting.dts is not None else 0
            if until_s is not None and due * self._waiting.time_base > until_s:
                return
            with self._faults():
                self._container.mux(self._waiting)
            self._waiting = next(self._sound, None)

    def write(self, y: U8, u: U8, v: U8, pts: int) -> None:
        """Append a frame.

        Args:
            y: (H,W) uint8.
            u: (ceil(H/2), ceil(W/2)) uint8.
            v: the same.
            pts: time in the footage's time base, later than that of the frame before.

        Raises:
            FootageError: times that do not rise, or planes of another size.
        """
        width, height = self._size
        if y.shape != (height, width) or u.shape != ((height + 1) // 2, (width + 1) // 2):
            if self._facts.get("kind") == "stills":
                problem = (
                    f"still {self.frames} is {y.shape[1]}x{y.shape[0]} px, not {width}x{height}"
                )
                raise FootageError(self._source_path, problem, "bring the target's to one size")
            problem = f"was given planes {y.shape} and {u.shape} for {width}x{height} px"
            raise FootageError(self.path, problem, "report this")
        if self._last_pts is not None and pts <= self._last_pts:
            problem = f"frame {self.frames} has pts {pts}, not after {self._last_pts}"
            raise FootageError(self.path, problem, "run `dvc repro` from stage `frames`")
        self._encode(picture_of((y, u, v), self._stream.codec_context), pts)

    def write_rgb(self, rgb: U8, pts: int) -> None:
        """Append a frame given as RGB uint8 (H,W,3); see `write`."""
        facts = self._facts
        self.write(*rgb_to_yuv420(rgb, facts["colour_space"], facts["colour_range"]), pts)

    def _encode(self, frame: Any, pts: int) -> None:
        frame.pts = pts * self._per_unit
        frame.time_base = self._base
        frame.duration = self._step
        tags = self._stream.codec_context
        frame.colorspace, frame.color_range = tags.colorspace, tags.color_range
        frame.color_primaries, frame.color_trc = tags.color_primaries, tags.color_trc
        self._mux_audio(frame.pts * self._base)
        if not self.frames:  # FFmpeg opens the encoder with its first picture
            require_room(*self._size)
        with self._faults():
            self._container.mux(self._stream.encode(frame))
        self._last_pts = pts
        self.frames += 1

    def close(self, *, all_sound: bool = True) -> None:
        """Write what the encoder holds and the rest of the audio.

        Args:
            all_sound: False leaves out what begins after the last picture has ended.
        """
        with self._faults():
            self._container.mux(self._stream.encode(None))
        ended = ((self._last_pts or 0) * self._per_unit + self._step) * self._base
        self._mux_audio(None if all_sound else ended)
        self._release()

    def _faults(self) -> AbstractContextManager[None]:
        return encoder_faults(self.path, "cannot be written as MP4", self._stream.codec_context)

    def _release(self) -> None:
        try:
            with self._faults():
                self._container.close()
        finally:
            if self._soundtrack is not None:
                self._soundtrack.close()

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
            return
        with contextlib.suppress(FootageError, OSError):  # what failed first is what counts
            self._release()
