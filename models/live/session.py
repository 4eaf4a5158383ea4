"""One live run: everything opened and checked before the first frame, then shown one by one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from likeness.media.footage import Footage
from likeness.media.window import Window, require_screen
from models.conversion import joined_masks
from models.live import people
from models.live.compose import VIEWS, Composer, Made
from models.live.faces import Aligned, Aligner
from models.live.meter import Meter
from models.live.opening import Opened, allow, open_model
from models.live.pipeline import Pipeline, WallClock
from models.live.record import write_record
from models.live.request import Request, open_input, require_film
from models.live.runners import as_pixels
from models.live.show import Show, say
from models.live.sinks import FilmSink, Sink, WindowSink
from models.live.tracker import Tracker


def aligner_of(request: Request, opened: Opened) -> Aligner:
    """Detection and alignment as the model's crops had them."""
    align, facts = opened.settings.align, opened.facts
    choose_face = people.chooser(request.root / "data", facts, opened.pack)
    tracker = Tracker(
        opened.pack, request.scan_every, choose_face, align.smooth_cutoff_hz, align.smooth_beta
    )
    return Aligner(opened.pack, facts, opened.needs, align, tracker)


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
    view = request.view or (VIEWS[0] if opened.mode == "swap" else VIEWS[2])
    settings = opened.settings
    return Composer(footage.facts, view, opened.facts.size_px, settings.lay, settings.mark)


def _open_sink(request: Request, composer: Composer) -> Sink:
    if request.film is not None:
        # What a camera or a pipe has given cannot be read again.
        sound = None if request.live else Path(request.taken_from)
        film = FilmSink(request.film, composer.facts, sound)
        if film.silent:
            say(f"live: {request.film} has no sound: {film.silent}")
        return film
    return WindowSink(Window(f"likeness live: {request.model.name}"), composer.space)


@contextmanager
def sink_of(request: Request, composer: Composer, pipeline: Pipeline) -> Iterator[Sink]:
    """The window or film; a film is whole at the end, unless the run failed."""
    sink = _open_sink(request, composer)
    try:
        yield sink
    except BaseException:
        sink.close(whole=False)
        raise
    sink.close(whole=True, early=request.seconds is not None or not pipeline.exhausted)


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
    allowed = allow(request)
    clock, meter, began = WallClock(), Meter(), time.time()
    with open_input(request) as footage:
        opened = open_model(request, allowed)
        composer = composer_of(request, opened, footage)
        aligner = aligner_of(request, opened)
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
        with sink_of(request, composer, pipeline) as sink:
            Show(pipeline, composer, sink, meter, clock=clock, quits=quits).run(request.seconds)
    if request.film is not None and meter.shown:
        write_record(request.film, opened, request, meter, began)
    return meter
