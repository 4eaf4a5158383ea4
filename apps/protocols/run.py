"""The FaceForensics++ protocol over a data set: every video looked at once, then all compared."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from apps.protocols.cache import FaceCache
from apps.protocols.dataset_folder import DataSet, Swapped
from apps.protocols.faces import Analyst, Found, frame_count
from likeness.contracts import environment
from likeness.contracts.errors import LikenessError
from likeness.contracts.progress import Advance
from likeness.metrics.faceforensics import Measured
from likeness.metrics.landmarks import expression_error
from likeness.metrics.pose import pose_error
from likeness.metrics.retrieval import Search, even_frames

Floats = npt.NDArray[np.float32]
Frames = npt.NDArray[np.int64]
A = TypeVar("A")
B = TypeVar("B")
UNNAMED = "its name is not <target>_<source>"


@dataclass(frozen=True)
class Protocol:
    """How the protocol is run.

    Attributes:
        analyst: the networks.
        cache: of what they found.
        frames: of each manipulated video.
        gallery_frames: of each original; 0: all, as the papers do.
    """

    analyst: Analyst
    cache: FaceCache
    frames: int
    gallery_frames: int


@dataclass(frozen=True)
class Looked:
    """A manipulated video, or why there is nothing of it.

    Attributes:
        video: which one.
        frames: frames looked at.
        embeddings: (K,D) of the faces found.
        pose_errors_deg, expression_errors: where the target shows a face in the same frame.
        reason: "" where there is a face.
    """

    video: Swapped
    frames: int = 0
    embeddings: Floats | None = None
    pose_errors_deg: tuple[float, ...] = ()
    expression_errors: tuple[float, ...] = ()
    reason: str = ""


def run(
    data: DataSet, protocol: Protocol, advance: Advance
) -> tuple[list[Measured], dict[str, str]]:
    """Measure all videos; `advance` is called once for each original and manipulated one.

    Returns:
        One entry per manipulated video, those left out included, in the order of `data`; and the
        originals that give no face to the gallery, with the reason.
    """
    looked = list(_parallel(lambda v: look(v, data, protocol), data.swapped, advance))
    faces = [one.embeddings for one in looked if one.embeddings is not None]
    search = Search(np.concatenate(faces) if faces else np.zeros((0, 1)))
    lacking: dict[str, str] = {}
    gallery = _parallel(lambda name: _gallery(name, data, protocol), data.originals, advance)
    for name, found, reason in gallery:
        if found is None:
            lacking[name] = reason
        elif faces:
            search.add(name, found)
    return list(_measured(looked, search, data, lacking)), lacking


def _parallel(work: Callable[[A], B], items: Iterable[A], advance: Advance) -> Iterator[B]:
    """Results in the order of `items`; what waits is dropped when the caller is interrupted."""
    executor = ThreadPoolExecutor(environment.threads())
    try:
        for result in executor.map(work, items):
            advance(1)
            yield result
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def look(video: Swapped, data: DataSet, protocol: Protocol) -> Looked:
    """Faces of a manipulated video, in the places where its target shows one."""
    if not video.target:
        return Looked(video, reason=UNNAMED)
    try:
        frames = even_frames(frame_count(video.path), protocol.frames)
        target = _target(video, data, protocol, frames)
        near = None if target is None else target.bbox
        found = protocol.cache.found(
            video.path,
            f"compared {frames.tolist()} {None if near is None else near.tolist()}",
            lambda: protocol.analyst.compared(video.path, frames, near),
        )
    except LikenessError as error:
        return Looked(video, reason=error.problem)
    if found.seen.any():
        compared = errors(found, target) if target is not None else ((), ())
        return Looked(video, len(frames), found.embeddings[found.seen], *compared)
    lost = f", {found.lost} of them cannot be decoded" if found.lost else ""
    return Looked(video, reason=f"no face in {len(frames)} frames{lost}")


def _target(video: Swapped, data: DataSet, protocol: Protocol, frames: Frames) -> Found | None:
    """The target's faces in the same frames; None where it is missing or cannot be read."""
    path = data.originals.get(video.target)
    if path is None:
        return None
    try:
        return protocol.cache.found(
            path,
            f"compared {frames.tolist()} None",
            lambda: protocol.analyst.compared(path, frames, None),
        )
    except LikenessError:
        return None  # told among the originals, which are read as a gallery, too


def _gallery(name: str, data: DataSet, protocol: Protocol) -> tuple[str, Floats | None, str]:
    """Name, embeddings (N,D) or None, and why there are none."""
    path = data.originals[name]
    try:
        found = protocol.cache.found(
            path,
            f"gallery {protocol.gallery_frames}",
            lambda: protocol.analyst.gallery(path, protocol.gallery_frames),
        )
    except LikenessError as error:
        return name, None, error.problem
    if not found.seen.any():
        return name, None, f"no face in {len(found.frames)} frames"
    return name, found.embeddings[found.seen], ""


def _measured(
    looked: Iterable[Looked], search: Search, data: DataSet, lacking: dict[str, str]
) -> Iterator[Measured]:
    first = 0
    for one in looked:
        video = one.video
        names = (video.method, video.path.stem, video.target, video.source)
        if one.embeddings is None:
            yield Measured(*names, reason=one.reason)
            continue
        rows = slice(first, first + len(one.embeddings))
        first = rows.stop
        reason = _no_source(video.source, data, lacking)
        if reason:
            yield Measured(*names, reason=reason)
            continue
        yield Measured(
            *names,
            frames=one.frames,
            found=tuple(search.owners[rows]),
            cosines=tuple(search.cosines[rows].tolist()),
            pose_errors_deg=one.pose_errors_deg,
            expression_errors=one.expression_errors,
        )


def _no_source(source: str, data: DataSet, lacking: dict[str, str]) -> str:
    """Why nothing can be retrieved as `source`; "" if it can."""
    if source not in data.originals:
        return f"its source {source} is not among the originals"
    return f"its source {source}: {lacking[source]}" if source in lacking else ""


def errors(found: Found, target: Found) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Pose error in degrees and expression error of the frames where both show a face."""
    both = np.flatnonzero(found.seen & target.seen)
    poses = pose_error(found.pose_deg[both], target.pose_deg[both])
    meshes = zip(found.landmarks_468[both], target.landmarks_468[both], strict=True)
    return tuple(poses.tolist()), tuple(expression_error(a, b) for a, b in meshes)
