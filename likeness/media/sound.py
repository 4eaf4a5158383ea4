"""The sound of a film: what MP4 can hold is copied bit for bit, the rest is converted.

What is held is tried, not looked up: a few packets of each stream go through the muxer in memory.
Uncompressed sound is converted though the muxer takes it, since hardly a player reads PCM in MP4.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av

from likeness.contracts.vocabulary import SoundCodec
from likeness.media.container import named_faults, open_container, packets
from likeness.media.convert_sound import SoundEncoder
from likeness.media.timeline import Timeline, timeline

_TRIED_PACKETS = 8
_UNKNOWN_LANGUAGES = ("", "und")


@dataclass(frozen=True)
class Track:
    """One sound stream of a film.

    Attributes:
        index: of the stream in its file.
        codec: by FFmpeg's name.
        language: as stored (ISO 639), or "".
        default: played where nobody chooses.
        fate: "copied", "converted" or "left out".
        reason: why it is not copied, or "".
    """

    index: int
    codec: str
    language: str
    default: bool
    fate: Literal["copied", "converted", "left out"]
    reason: str = ""

    def described(self, codec: SoundCodec) -> str:
        """A few words for a table, such as "pcm_s16le, converted to AAC (no PCM in MP4)"."""
        marks = [self.language] if self.language else []
        marks += ["default"] if self.default else []
        name = f"{self.codec} ({', '.join(marks)})" if marks else self.codec
        fate = f"converted to {codec.upper()}" if self.fate == "converted" else self.fate
        return f"{name}, {fate}" + (f" ({self.reason})" if self.reason else "")


def judged(path: Path) -> list[Track]:
    """What becomes of each sound stream of a file.

    Raises:
        FootageError: it cannot be opened.
    """
    held = timeline(path).sound_packets
    with open_container(path) as container:
        streams = list(container.streams.audio)
        samples = _samples(container, streams, held)
        return [_track(s, held.get(s.index, 0), samples.get(s.index, [])) for s in streams]


def _samples(container: Any, streams: list[Any], held: dict[int, int]) -> dict[int, list[Any]]:
    """The first packets of each stream."""
    found: dict[int, list[Any]] = {s.index: [] for s in streams}
    if not streams:
        return found
    wanted = sum(min(held.get(index, 0), _TRIED_PACKETS) for index in found)
    for packet in packets(container, *streams):
        if not wanted:
            break
        if len(found[packet.stream_index]) < _TRIED_PACKETS:
            found[packet.stream_index].append(packet)
            wanted -= 1
    return found


def _track(stream: Any, count: int, sample: list[Any]) -> Track:
    language = stream.metadata.get("language", "")
    language = "" if language in _UNKNOWN_LANGUAGES else language
    default = bool(stream.disposition & type(stream.disposition).default)
    codec = stream.codec_context.codec.canonical_name if stream.codec_context else "unknown"
    known = (stream.index, codec, language, default)
    if not count:
        return Track(*known, "left out", "it is empty")
    if stream.codec_context is None:
        return Track(*known, "left out", "it cannot be decoded")
    if codec.startswith("pcm_"):
        return Track(*known, "converted", "players read no PCM in MP4")
    if not _fits(stream, sample):
        return Track(*known, "converted", "MP4 cannot hold it")
    return Track(*known, "copied")


def _fits(stream: Any, sample: list[Any]) -> bool:
    """Whether MP4 takes a stream: a film of its first packets is written to memory."""
    try:
        with av.open(io.BytesIO(), "w", format="mp4") as trial:
            copy = trial.add_stream_from_template(stream)
            for packet in sample:
                packet.stream = copy
                trial.mux(packet)
    except (av.FFmpegError, ValueError):
        return False
    return True


def sound_bases(path: Path) -> list[int]:
    """Units per second of the times of a file's sound streams.

    Raises:
        FootageError: it cannot be opened.
    """
    with open_container(path) as container:
        return [s.time_base.denominator for s in container.streams.audio]


class Soundtrack:
    """Sound of a file on its way into a film, packet by packet in the order of the file.

    Args:
        path: where it comes from.
        film: the MP4 that is being written.
        codec: what is converted becomes this.

    Raises:
        FootageError: the sound cannot be read, or no encoder takes it.
    """

    def __init__(self, path: Path, film: Any, codec: SoundCodec) -> None:
        self._path, self._film, self._codec = path, film, codec
        self._times: Timeline = timeline(path)
        tracks = [t for t in judged(path) if t.fate != "left out"]
        self._source = open_container(path)
        self._copies: dict[int, Any] = {}
        self._encoders: dict[int, SoundEncoder] = {}
        try:
            with named_faults(path, "has sound that cannot be put into MP4"):
                for track in tracks:
                    self._add(self._source.streams[track.index], track)
        except BaseException:
            self.close()
            raise

    def _add(self, stream: Any, track: Track) -> None:
        if track.fate == "copied":
            copy = self._copies[track.index] = self._film.add_stream_from_template(stream)
        else:
            encoder = self._encoders[track.index] = SoundEncoder(self._film, stream, self._codec)
            copy = encoder.stream
        if track.language:
            copy.metadata["language"] = track.language
        copy.disposition = int(stream.disposition)

    def packets(self) -> Iterator[Any]:
        """Packets to write; their times rise in each stream.

        Raises:
            FootageError: the encoder gave up.
        """
        indices = [*self._copies, *self._encoders]
        if not indices:
            return
        numbers = dict.fromkeys(indices, 0)
        last: dict[int, int] = {}
        streams = [self._source.streams[index] for index in indices]
        for packet in packets(self._source, *streams, end=self._times.end):
            index = packet.stream_index
            shift = self._times.sound_shift(index, numbers[index])
            numbers[index] += 1
            if index in self._encoders:
                with named_faults(self._path, "has sound that cannot be converted"):
                    yield from self._encoders[index].convert(packet, shift)
            elif self._copied(packet, shift, last):
                yield packet
        for encoder in self._encoders.values():
            with named_faults(self._path, "has sound that cannot be converted"):
                yield from encoder.finish()

    def _copied(self, packet: Any, shift: Fraction, last: dict[int, int]) -> bool:
        """Give a packet its time and stream; False for one that another already covers."""
        index = packet.stream_index
        moved = round(shift / packet.time_base)
        before = last.get(index)
        packet.stream = self._copies[index]
        coded = packet.dts if packet.dts is not None else packet.pts
        if coded is None:
            coded = (before + max(packet.duration or 0, 1)) if before is not None else 0
        at = coded + moved
        if before is not None and at <= before:
            if shift and at < before + (packet.duration or 0) / 2:
                return False  # the part before a break reaches into the one behind it
            at = before + 1
        if not packet.duration and before is not None:
            # The last sample of a track without a length would lie behind the track's end.
            packet.duration = at - before
        late = at - coded
        packet.pts = at if packet.pts is None else packet.pts + late
        packet.dts = last[index] = at
        return True

    def close(self) -> None:
        """Close the source."""
        self._source.close()
