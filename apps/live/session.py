"""One live run: everything opened and checked before the first frame, then shown one by one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from apps.live import shard_crops
from apps.live.compose import Composer, Made
from apps.live.faces import Aligned, Aligner
from apps.live.meter import Meter
from apps.live.opening import Allowed, Opened, allow, open_model
from apps.live.pipeline import Pipeline, WallClock
from apps.live.record import kind_of, write_record
from apps.live.request import PIPE, Request, open_input, require_film, require_input
from apps.live.runners import as_pixels
from apps.live.show import Show, say
from apps.live.sinks import FilmSink, Sink, WindowSink
from apps.live.tracker import Tracker
from likeness.media.footage import Footage
from likeness.media.screen import Window, require_screen
from models.conversion import joined_masks


def aligner_of(request: Request, opened: Opened, footage: Footage) -> Aligner:
    """Detection and alignment as the model's crops had them."""
    align, facts = opened.settings.align, opened.facts
    choose_face = shard_crops.chooser(request.root / "data", facts, opened.pack)
    tracker = Tracker(
        opened.pack, request.scan_every, choose_face, align.smooth_cutoff_hz, align.smooth_beta
    )
    aspect = footage.facts["sample_aspect_ratio"]
    return Aligner(opened.pack, facts, opened.needs, align, tracker, aspect=aspect)


def maker(opened: Opened) -> Callable[[Aligned], Made]:
    """What the model's thread does with a face."""
    mode = opened.settings.convert.mask

    def make(face: Aligned) -> Made:
        image, mask = opened.runner(face.batch)
        levels = joined_masks(mask, face.mask, mode)[0]
        return Made(as_pixels(image[0].numpy()), levels, face.affine, face.track)

    return make


def composer_of(request: Request, opened: Opened, footage: Footage) -> Composer:
    """What is shown: the view asked for, else the one that suits the family."""
    settings = opened.settings
    return Composer(
        footage.facts,
        request.shown(opened.mode),
        opened.facts.size_px,
        settings.blend,
        settings.publish,
        generated=opened.mode == "reenact",
    )


def _open_sink(request: Request, opened: Opened, composer: Composer) -> Sink:
    if request.film is not None:
        # What a camera or a pipe has given cannot be read again.
        sound = None if request.live else Path(request.taken_from)
        comment = kind_of(opened.mode, request.shown(opened.mode)).comment
        film = FilmSink(request.film, composer.facts, sound, comment)
        if film.silent:
            say(f"live: {request.film} has no sound: {film.silent}")
        return film
    return WindowSink(Window(f"likeness live: {request.model.name}"), composer.space)


@contextmanager
def sink_of(
    request: Request, opened: Opened, composer: Composer, pipeline: Pipeline
) -> Iterator[Sink]:
    """The window or film; a film is whole at the end, unless the run failed."""
    sink = _open_sink(request, opened, composer)
    try:
        yield sink
    except BaseException:
        sink.close(whole=False)
        raise
    sink.close(whole=True, early=request.seconds is not None or not pipeline.exhausted)


@contextmanager
def opened_both(request: Request, allowed: Allowed) -> Iterator[tuple[Opened, Footage]]:
    """Model and input: a pipe last, since it fills while the model is loaded.

    Others come first, so that a camera that is not there is told at once.
    """
    if request.taken_from == PIPE:
        opened = open_model(request, allowed)
        with open_input(request) as footage:
            yield opened, footage
        return
    with open_input(request) as footage:
        yield open_model(request, allowed), footage


def run(
    request: Request, quits: list[Callable[[], bool]], on_start: Callable[[Pipeline], None]
) -> Meter:
    """Run from the first frame to the last.

    Args:
        request: what was asked for.
        quits: ways to end it, beside the window's keys.
        on_start: given the pipeline before the first frame, so that a signal can stop it.

    Returns:
        The counts.

    Raises:
        LikenessError: anything that a user can cause or cure.
    """
    if request.film is None:
        require_screen()
    require_film(request)
    require_input(request)
    allowed = allow(request)
    clock, meter, began = WallClock(), Meter(), time.time()
    with opened_both(request, allowed) as (opened, footage):
        composer = composer_of(request, opened, footage)
        aligner = aligner_of(request, opened, footage)
        aligner.warm_up(footage.facts["width_px"], footage.facts["height_px"])
        pipeline = Pipeline(
            footage,
            lambda frame: aligner(frame, composer.space),
            maker(opened),
            meter,
            every_frame=request.every_frame,
            paced=not request.live,
            clock=clock,
        )
        on_start(pipeline)
        with sink_of(request, opened, composer, pipeline) as sink:
            Show(pipeline, composer, sink, meter, clock=clock, quits=quits).run(request.seconds)
    if request.film is not None and meter.shown:
        write_record(request.film, opened, request, meter, began)
    return meter
