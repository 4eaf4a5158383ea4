"""One live run: everything opened and checked before the first frame, then shown one by one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from likeness.contracts import environment
from likeness.contracts.errors import LikenessError, ModelError
from likeness.media.camera import open_camera, open_pipe
from likeness.media.footage import Footage, open_footage
from likeness.media.window import Window, require_screen
from models.analysers.pack import Pack, load_pack
from models.conversion import joined_masks, load_swapper, source_crops
from models.live import people
from models.live.compose import VIEWS, Composer, Made, View
from models.live.consent import require_consents, source_of
from models.live.export import cached_runner, sample_crops
from models.live.faces import Aligned, Aligner
from models.live.meter import Meter
from models.live.pipeline import Pipeline, WallClock
from models.live.record import write_record
from models.live.runners import Runner, Runtime, TorchRunner, as_pixels, choose
from models.live.settings import ModelFacts, Settings, load_facts, load_settings
from models.live.show import Show, say
from models.live.sinks import FilmSink, Sink, WindowSink
from models.live.tracker import Tracker
from models.swappers.base import Swapper

CAMERA, PIPE, WINDOW = "camera", "-", "window"


@dataclass(frozen=True)
class Request:
    """What was asked for on the command line; paths are those of the repository in `root`.

    Attributes:
        model: folder of the model.
        pack: folder of the analysers.
        taken_from: camera, camera:N, a file, or "-".
        output: "window" or a file.
        source: whose face, for a model of any face.
        view: None: pasted, or side by side for a family that re-enacts.
        every_frame: drop nothing, however long it takes.
        runtime: of the model.
        scan_every: frames between two scans of the whole picture.
        seconds: end after so much of the footage's time; None: when it ends.
        root: the repository.
    """

    model: Path
    pack: Path
    taken_from: str = CAMERA
    output: str = WINDOW
    source: str | None = None
    view: View | None = None
    every_frame: bool = False
    runtime: Runtime = "auto"
    scan_every: int = 8
    seconds: float | None = None
    root: Path = field(default_factory=Path)

    @property
    def live(self) -> bool:
        """True where pictures arrive by themselves; False for a file."""
        return self.taken_from == PIPE or self.taken_from.split(":")[0] == CAMERA

    @property
    def film(self) -> Path | None:
        """The file to write, if it is one."""
        return None if self.output == WINDOW else Path(self.output)


@dataclass(frozen=True)
class Opened:
    """A model ready to run, and who agreed to it."""

    facts: ModelFacts
    source: str
    consents: list[dict[str, Any]]
    swapper: Swapper
    runner: Runner
    pack: Pack
    settings: Settings


def open_model(request: Request) -> Opened:
    """Check everybody's consent, then load what is needed.

    Raises:
        LikenessError: consent, model, source or pack that is not as it must be.
    """
    facts, settings = load_facts(request.model), load_settings(request.root / "params.yaml")
    source = source_of(facts, request.source)
    consents = require_consents(facts, source, request.root)
    pack = load_pack(request.pack)
    if facts.pack not in (None, pack.name):
        problem = f"learned from crops of pack {facts.pack}, not {pack.name}"
        raise ModelError(request.model, problem, f"set `pack: {{name: {facts.pack}}}`")
    precision = settings.convert.precision
    swapper = load_swapper(request.model, precision)
    data, state = request.root / "data", environment.state_folder()
    given = source_crops(data / "shards" / source, swapper)
    trial = {name: c[:1] for name, c in sample_crops(data, facts, swapper, source).items()}
    runner = choose(
        request.runtime,
        TorchRunner(swapper, precision, given),
        lambda: cached_runner(request.model, state, request.source, request.root),
        trial,
        say,
    )
    return Opened(facts, source, consents, swapper, runner, pack, settings)


def open_input(request: Request) -> Footage:
    """The camera, pipe or file.

    Raises:
        LikenessError: it is not there, or is no video.
    """
    if request.taken_from == PIPE:
        return open_pipe()
    if not request.live:
        path = Path(request.taken_from)
        film = request.film
        if film is not None and film.exists() and path.exists() and film.samefile(path):
            raise LikenessError(path, "is input and output", "name another output")
        return open_footage(path, decode_threads=1)
    number = request.taken_from.partition(":")[2] or "0"
    if not number.isdigit():
        raise LikenessError(request.taken_from, "names no camera", "write camera:0, camera:1, ...")
    return open_camera(int(number))


def aligner_of(request: Request, opened: Opened) -> Aligner:
    """Detection and alignment as the model's crops had them."""
    align, facts = opened.settings.align, opened.facts
    choose_face = people.chooser(request.root / "data", facts, opened.pack)
    tracker = Tracker(
        opened.pack, request.scan_every, choose_face, align.smooth_cutoff_hz, align.smooth_beta
    )
    return Aligner(opened.pack, facts, opened.swapper.needs, align, tracker)


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
    view = request.view or (VIEWS[0] if opened.swapper.mode == "swap" else VIEWS[2])
    settings = opened.settings
    return Composer(footage.facts, view, opened.facts.size_px, settings.lay, settings.mark)


@contextmanager
def sink_of(request: Request, composer: Composer) -> Iterator[Sink]:
    """The window or film; a film is whole at the end, unless the run failed."""
    film, sink = request.film, None
    if film is None:
        sink = WindowSink(Window(f"likeness live: {request.model.name}"), composer.space)
    else:
        sink = FilmSink(film, composer.facts)
    try:
        yield sink
    except BaseException:
        sink.close(whole=False)
        raise
    sink.close(whole=True)


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
    opened = open_model(request)
    clock, meter, began = WallClock(), Meter(), time.time()
    with open_input(request) as footage:
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
        with sink_of(request, composer) as sink:
            Show(pipeline, composer, sink, meter, clock=clock, quits=quits).run(request.seconds)
    if request.film is not None and meter.shown:
        write_record(request.film, opened, request, meter, began)
    return meter
