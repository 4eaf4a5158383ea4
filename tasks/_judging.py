"""Going through target and render together: what stage `evaluate` measures, and what it shows.

Both files are decoded by threads of their own, the film is made by another, and what the page can
say before anything is measured is prepared beside; the scorer's workers are the rest.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from likeness.contracts import environment
from likeness.contracts.catalog import footage_path
from likeness.contracts.errors import FootageError
from likeness.contracts.params.blend import BlendParams
from likeness.contracts.progress import Advance
from likeness.contracts.sections import load_section, swap_overrides
from likeness.contracts.stage import Context
from likeness.evaluation import sampling
from likeness.evaluation.clip import Clip
from likeness.evaluation.face import FaceRow
from likeness.evaluation.report.album import Album
from likeness.evaluation.report.film import Film, Reel, runs_of
from likeness.evaluation.stream import Scorer
from likeness.media.footage import Footage, open_footage
from likeness.media.prefetch import prefetch
from likeness.metrics import spacing
from tasks._whole import Cropped, cropped

EVEN_FACES = 9
"""Evenly spaced faces on the contact sheet."""
FILM_WAITING = 8
"""Frames that may wait for the film."""
FRAMES_TOGETHER = 8
"""Frames of each file that are decoded at a time."""


def album_for(clip: Clip, worst_frames: int, stills: int) -> Album:
    """An empty album that knows which frames to show for their even spacing."""
    whole = clip.measure == sampling.ALL
    measured = np.flatnonzero(whole & (clip.faces > 0))
    shown = measured if len(measured) else np.flatnonzero(whole)
    even = measured[spacing.evenly(len(measured), EVEN_FACES)]
    chosen = shown[spacing.evenly(len(shown), stills)]
    return Album(worst_frames, set(even.tolist()), set(chosen.tolist()))


def videos_of(clip: Path, render: Path) -> tuple[Footage, Footage]:
    """Target (of a clip.yaml) and render, each with half of the threads to decode with."""
    threads = max(environment.threads() // 2, 1)
    return open_footage(footage_path(clip), threads), open_footage(render, threads)


def film_of(context: Context[Any], videos: tuple[Footage, Footage]) -> Cropped | None:
    """The target as the render shows it, where that is a film of whole crops.

    Args:
        context: of stage `evaluate`.
        videos: target and render.

    Raises:
        FootageError: params.yaml says that it is one, and it is not.
    """
    overrides = swap_overrides("blend")(context.options, context.params_file)
    blend = load_section("blend", BlendParams, context.params_file, overrides)
    if blend.mode != "crop":
        return None
    return cropped(videos[0], context.inputs["converted"], videos[1], blend.crop_px)


def score(
    videos: tuple[Footage, Footage],
    rows: Iterable[list[FaceRow]],
    scorer: Scorer,
    film_frames: int,
    advance: Advance,
) -> tuple[int, Reel]:
    """Go through both videos together; returns how many frames cannot be decoded, and the film.

    Raises:
        FootageError: the render has another number of frames than the target.
    """
    (target, render), unread = videos, 0
    film = Film(target, runs_of(scorer.setting.clip.faces, film_frames))
    before, after = (
        chain.from_iterable(prefetch(video.frames(), FRAMES_TOGETHER)) for video in videos
    )
    with ThreadPoolExecutor(1) as projector:
        waiting = _Waiting(projector)
        for one, other, faces in zip_longest(before, after, rows):
            if one is None or other is None or faces is None:
                problem = f"has another number of frames than {target.path}"
                raise FootageError(render.path, problem, "run `dvc repro`")
            if one.decoded and other.decoded:
                if one.frame_index in film.wanted:
                    waiting.submit(film.frame, one, other)
                scorer.frame(one, other, faces)
            else:
                unread += 1
            advance(1)
        waiting.finish()
    scorer.finish()
    return unread, film.finish()


class _Waiting:
    """Work for one thread, in order; no more than `FILM_WAITING` pieces wait."""

    def __init__(self, worker: ThreadPoolExecutor) -> None:
        self._worker = worker
        self._begun: deque[Future[None]] = deque()

    def submit(self, work: Callable[..., None], *arguments: Any) -> None:
        """Begin it, or wait until there is room; raises what earlier work has raised."""
        self._begun.append(self._worker.submit(work, *arguments))
        if len(self._begun) > FILM_WAITING:
            self._begun.popleft().result()

    def finish(self) -> None:
        """Wait for all of it."""
        while self._begun:
            self._begun.popleft().result()
