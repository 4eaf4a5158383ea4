"""Sound decoded and encoded anew as AAC or ALAC, without a gap and in step."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from likeness.media.container import decode

_AAC_RATES = (7350, 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200)
_AAC_HIGHEST = 96000
_AAC_BITS_PER_CHANNEL = 128_000
_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
_STEREO = 2
_IN_STEP_S = 0.04
"""Difference between a frame's time and the sound so far from which silence or a cut mends it."""
_BLOCK_S = 1
_DEEP = ("s32", "s32p", "flt", "fltp", "dbl", "dblp", "s64", "s64p")
"""Sample formats of more than 16 bits."""


class SoundEncoder:
    """Converts one sound stream.

    Args:
        film: the container that is being written.
        source: the stream, decodable.
        codec: "aac" or "alac".

    Attributes:
        stream: of the film.
    """

    def __init__(self, film: Any, source: Any, codec: str) -> None:
        self._decoder = source.codec_context
        self._rate = int(source.codec_context.sample_rate)
        self._layout = _layout(source.codec_context)
        rate = _aac_rate(self._rate) if codec == "aac" else self._rate
        self.stream = film.add_stream(codec, rate=rate)
        self.stream.layout = self._layout
        if codec == "aac":
            channels = self.stream.codec_context.channels
            self.stream.codec_context.bit_rate = _AAC_BITS_PER_CHANNEL * channels
        else:
            deep = str(source.codec_context.format.name) in _DEEP
            self.stream.codec_context.format = "s32p" if deep else "s16p"
        self._resampler: Any = None
        self._start: int | None = None
        self._written = 0

    def convert(self, packet: Any, shift: Fraction) -> Iterator[Any]:
        """Packets that a packet of the source completes.

        Args:
            packet: of the source.
            shift: seconds to add to its time.
        """
        for frame in decode(self._decoder, packet):
            yield from self._take(frame, shift)

    def finish(self) -> Iterator[Any]:
        """What the decoder and the encoder still hold."""
        for frame in decode(self._decoder, None):
            yield from self._take(frame, Fraction(0))
        if self._resampler is not None:
            for out in self._resampler.resample(None):
                yield from self._encode(_values(out))
        yield from self.stream.encode(None)

    def _take(self, frame: Any, shift: Fraction) -> Iterator[Any]:
        if self._resampler is None:
            self._resampler = av.AudioResampler(
                format="fltp" if self.stream.codec_context.name == "aac" else self._format(),
                layout=self._layout,
                rate=self.stream.codec_context.sample_rate,
            )
        begins = _seconds(frame, shift)
        frame.pts = None
        values = [_values(out) for out in self._resampler.resample(frame)]
        if values:
            yield from self._in_step(np.concatenate(values, axis=1), begins)

    def _format(self) -> str:
        return str(self.stream.codec_context.format.name)

    def _in_step(self, values: npt.NDArray[Any], begins: Fraction | None) -> Iterator[Any]:
        """Encode samples, behind silence or without their beginning where times leave a gap."""
        rate = self.stream.codec_context.sample_rate
        at = None if begins is None else round(begins * rate)
        if self._start is None:
            self._start = at or 0
        ahead = 0 if at is None else at - self._start - self._written
        if ahead > _IN_STEP_S * rate:
            block = round(_BLOCK_S * rate)
            for done in range(0, ahead, block):
                silence = np.zeros((len(values), min(block, ahead - done)), values.dtype)
                yield from self._encode(silence)
        elif ahead < -_IN_STEP_S * rate:
            values = values[:, -ahead:]
        if values.shape[1]:
            yield from self._encode(np.ascontiguousarray(values))

    def _encode(self, values: npt.NDArray[Any]) -> Iterator[Any]:
        name = "fltp" if self.stream.codec_context.name == "aac" else self._format()
        frame = av.AudioFrame.from_ndarray(values, format=name, layout=self._layout)
        rate = self.stream.codec_context.sample_rate
        frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
        frame.pts = (self._start or 0) + self._written
        self._written += values.shape[1]
        yield from self.stream.encode(frame)


def _values(frame: Any) -> npt.NDArray[Any]:
    values: npt.NDArray[Any] = frame.to_ndarray()
    return values


def _seconds(frame: Any, shift: Fraction) -> Fraction | None:
    return None if frame.pts is None else frame.pts * frame.time_base + shift


def _layout(context: Any) -> str:
    """The name of the stream's layout; by the number of channels where it states none."""
    known = str(context.layout.name)
    count = int(context.channels)
    return known if known in _LAYOUTS.values() else _LAYOUTS.get(count, _LAYOUTS[_STEREO])


def _aac_rate(rate: int) -> int:
    return next((r for r in _AAC_RATES if r >= rate), _AAC_HIGHEST)
