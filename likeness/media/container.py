"""A video file as packets: opened, checked, and fed to its decoder. Imports PyAV alone.

A file is opened through a handle, so its name means nothing to FFmpeg: no protocol, no pattern.
Only formats that hold their own data are read; a playlist would fetch other files.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import mmap
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av

from likeness.contracts.errors import FootageError
from likeness.media.boxes import picture_kind

CONTAINERS = (
    "mov,matroska,avi,mpegts,mpeg,mpegvideo,m4v,mxf,gxf,flv,live_flv,kux,asf,asf_o,ogg,nut,rm,dv,"
    "wtv,ivf,nsv,nuv,lxf,mlv,cine,ser,h261,h263,h264,hevc,vvc,evc,av1,obu,apv,avs2,avs3,cavsvideo,"
    "dirac,dnxhd,vc1,vc1test,mjpeg,mjpeg_2000,gif,apng,yuv4mpegpipe,jpegxl_anim,pva,ty,xmv,"
    "wav,w64,mp3,aac,flac,ac3,eac3,aiff,caf"
)
"""Demuxers of FFmpeg whose files refer to no other file. The last few hold sound: named as such."""
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EACCES, errno.EROFS)
_ENCODER_BYTES = 2 * 2**30
"""Ample: libx264 takes 260 MB for 1920x1080 px, 660 MB for 3840x2160 px (preset medium, 4 threads),
and frees them when it fails."""
_LEAST_BYTES, _LEAST_PER_PX = 2**25, 64
"""Without so many an encoder is not even opened: one that fails in the middle may crash.

Less than it takes: 64 MiB for 640x480 px, more for the sizes above.
"""
_MOST_ERRORS = 64
"""Reads in a row that may fail before a damaged file counts as ended."""


def _next_step(path: Path) -> str:
    for clip in path.parents:
        if clip.parent.name == "clips":
            return f"replace the file or run `likeness remove {clip.name}`"
    return "give another file"  # no clip's footage: `likeness` knows nothing to remove


def footage_error(path: Path, problem: str) -> FootageError:
    """A FootageError for `path` with the usual next step."""
    return FootageError(path, problem, _next_step(path))


@contextlib.contextmanager
def named_faults(path: Path, problem: str, step: str = "") -> Iterator[None]:
    """Turn what FFmpeg raises into a line about `path`; faults of the disk stay such.

    Args:
        path: the file that is worked on.
        problem: what fails, in a few words; FFmpeg's own reason is added.
        step: what to do; "" is the usual.

    Raises:
        FootageError: FFmpeg gave up.
        OSError: for want of space or permission.
    """
    try:
        yield
    except av.FFmpegError as error:
        if isinstance(error, MemoryError):
            raise
        reason = error.strerror or type(error).__name__
        if isinstance(error, OSError) and error.errno in _DISK:
            raise OSError(error.errno, reason, str(path)) from None
        raise FootageError(path, f"{problem} ({reason})", step or _next_step(path)) from None


@contextlib.contextmanager
def encoder_faults(path: Path, problem: str, encoder: Any = None) -> Iterator[None]:
    """As `named_faults`, for libx264: it says no more than that it failed where memory is short.

    `encoder` is never freed then: libx264 may crash of it, even after the line is printed. The
    process is about to end.

    Raises:
        FootageError: the encoder gave up, which is a defect.
        MemoryError: it did, and there is no room for what an encoder takes.
        OSError: for want of space or permission.
    """
    with named_faults(path, problem, "report this"):
        try:
            yield
        except (av.ExternalError, MemoryError) as error:
            if not isinstance(error, MemoryError) and _has_room(_ENCODER_BYTES):
                raise
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(encoder))
            raise MemoryError(problem) from None


def require_room(width_px: int, height_px: int) -> None:
    """Refuse to open libx264 where there is no room for a picture of this size.

    Raises:
        MemoryError: there is none.
    """
    if not _has_room(_LEAST_BYTES + _LEAST_PER_PX * width_px * height_px):
        raise MemoryError("no room for an encoder")


def _has_room(count: int) -> bool:
    """Whether so many bytes can be mapped; none of them is touched."""
    try:
        mmap.mmap(-1, count, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
    except (OSError, MemoryError):
        return False
    return True


def open_container(path: Path) -> Any:
    """Open a video file for reading.

    Raises:
        FootageError: it is missing, empty, no file, of a format that reads other files, or holds
            no video.
    """
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise footage_error(path, "does not exist") from None
    if not stat.S_ISREG(found.st_mode):
        raise footage_error(path, "is no file")
    if found.st_size == 0:
        raise footage_error(path, "is empty (0 bytes)")
    if kind := picture_kind(path):
        raise FootageError(path, f"is {kind}, which is not read", "convert it to PNG or a video")
    container = _opened(path)
    problem = _unfit(container)
    if problem:
        container.close()
        raise footage_error(path, problem)
    return container


def _opened(path: Path) -> Any:
    handle = os.open(path, os.O_RDONLY)
    options = {"fd": str(handle), "protocol_whitelist": "fd", "format_whitelist": CONTAINERS}
    try:  # FFmpeg works on a copy of the handle
        return av.open("fd:", options=options, metadata_errors="replace")
    except av.ArgumentError:
        problem = "is no readable video of a kind that opens no other file (as playlists do)"
        raise footage_error(path, problem) from None
    except av.FFmpegError as error:
        if isinstance(error, MemoryError):
            raise
        damaged = isinstance(error, av.InvalidDataError)
        reason = "damaged, cut off, or something else" if damaged else error.strerror
        raise footage_error(path, f"is no readable video ({reason})") from None
    finally:
        os.close(handle)


def create_container(path: Path, options: dict[str, str]) -> Any:
    """An MP4 to write; the name means a file, whatever stands in it.

    Raises:
        FootageError, OSError: it cannot be made.
    """
    with named_faults(path, "cannot be written"):
        return av.open(f"file:{path}", "w", format="mp4", options=options)


def _unfit(container: Any) -> str:
    """What keeps a container from being footage; "" if nothing does."""
    pictures = [s for s in container.streams.video if not is_cover(s)]
    if not pictures:
        return "holds sound only, no video" if container.streams.audio else "has no video stream"
    if pictures[0].codec_context is None:
        return "is coded in a way that cannot be decoded here"
    return ""


def is_cover(stream: Any) -> bool:
    """True for the picture that stands for an audio file (album art)."""
    return bool(stream.disposition & type(stream.disposition).attached_pic)


def video_stream(container: Any) -> Any:
    """The first video stream that is no cover picture; of an animated AVIF, the animation.

    Such a file begins with a still that stands for it, as a cover does (AV1 Image File Format, 3).
    """
    films = [s for s in container.streams.video if not is_cover(s)]
    if container.metadata.get("major_brand") == "avis":
        return max(films, key=lambda s: s.frames)
    return films[0]


def packets(container: Any, *streams: Any, end: int | None = None) -> Iterator[Any]:
    """Packets of `streams`, all if none is named; what lies behind damaged data is looked for.

    Args:
        container: open.
        streams: of it.
        end: place in the file behind which there are none, whatever is found there.
    """
    source, failed = container.demux(*streams), 0
    while failed < _MOST_ERRORS:
        try:
            packet = next(source, None)
        except av.FFmpegError as error:
            if isinstance(error, MemoryError):
                raise
            # The generator has ended with its error; a new one goes on where the file stands.
            source, failed = container.demux(*streams), failed + 1
            continue
        if packet is None:
            return
        if packet.size and (end is None or packet.pos is None or packet.pos < end):
            failed = 0
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
