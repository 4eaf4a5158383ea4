"""A video file as packets: opened, checked, and fed to its decoder. Imports PyAV alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av

from likeness.contracts.errors import FootageError


def _next_step(path: Path) -> str:
    for clip in path.parents:
        if clip.parent.name == "clips":
            return f"replace the file or run `likeness remove {clip.name}`"
    return "give another file"  # no clip's footage: `likeness` knows nothing to remove


def footage_error(path: Path, problem: str) -> FootageError:
    """A FootageError for `path` with the usual next step."""
    return FootageError(path, problem, _next_step(path))


def open_container(path: Path) -> Any:
    """Open a video file for reading.

    Raises:
        FootageError: it is missing, empty, or holds no video.
    """
    if not path.exists():
        raise footage_error(path, "does not exist")
    if path.stat().st_size == 0:
        raise footage_error(path, "is empty (0 bytes)")
    try:
        container = av.open(str(path))
    except av.FFmpegError as error:
        damaged = isinstance(error, av.InvalidDataError)
        reason = "damaged, cut off, or something else" if damaged else error.strerror
        raise footage_error(path, f"is no readable video ({reason})") from None
    problem = _unfit(container)
    if problem:
        container.close()
        raise footage_error(path, problem)
    return container


def _unfit(container: Any) -> str:
    """What keeps a container from being footage; "" if nothing does."""
    pictures = [s for s in container.streams.video if not _is_cover(s)]
    if not pictures:
        return "holds sound only, no video" if container.streams.audio else "has no video stream"
    if pictures[0].codec_context is None:
        return "is coded in a way that cannot be decoded here"
    return ""


def _is_cover(stream: Any) -> bool:
    """True for the picture that stands for an audio file (album art)."""
    return bool(stream.disposition & type(stream.disposition).attached_pic)


def video_stream(container: Any) -> Any:
    """The first video stream that is no cover picture."""
    return next(s for s in container.streams.video if not _is_cover(s))


def packets(container: Any, stream: Any) -> Iterator[Any]:
    """Packets of `stream`; damaged data ends them, since nothing behind it can be found."""
    source = container.demux(stream)
    while True:
        try:
            packet = next(source, None)
        except av.InvalidDataError:
            return
        if packet is None:
            return
        if packet.size:
            yield packet


def decode(context: Any, packet: Any | None) -> list[Any]:
    """Frames that `packet` completes (None: all that wait); data that cannot be decoded give none.

    The caller notices what is missing by its time.
    """
    try:
        return list(context.decode(packet))
    except av.FFmpegError as error:
        if isinstance(error, MemoryError):
            raise
        return []
