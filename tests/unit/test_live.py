"""The live chain without networks: threads, dropping, counts, consent, window, graphs."""

from __future__ import annotations

import datetime as dt
import os
import re
import select
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from apps.live.compose import VIEWS, Composer, Made
from apps.live.consent import require_consents, source_of
from apps.live.export import export_model
from apps.live.graphs import export
from apps.live.keys import TerminalKeys
from apps.live.meter import Meter
from apps.live.onnx_runner import OnnxRunner
from apps.live.opening import Allowed, Opened, allow
from apps.live.pipeline import Pipeline
from apps.live.record import kind_of, record_path, write_record
from apps.live.request import Request
from apps.live.runners import TorchRunner, choose
from apps.live.settings import load_facts, load_settings
from apps.live.show import Show
from apps.live.tracker import largest, nearest_to
from likeness.contracts.documents import read_json
from likeness.contracts.errors import ConsentError, LikenessError, ModelError
from likeness.contracts.params.blend import BlendParams
from likeness.contracts.params.publish import PublishParams
from likeness.media.camera import Camera
from likeness.media.frame import Frame
from likeness.media.screen import Window, require_screen
from models.batch import Batch
from models.swappers import registry
from models.training.crops import open_crops
from tests.livecase import MODEL, Stills, write_consent, write_model, write_repository

AFFINE = np.array([[0.5, 0.0, -20.0], [0.0, 0.5, -20.0]])


def made() -> Made:
    """A red crop with a full mask in the middle of a 320 x 240 frame."""
    crop = np.zeros((64, 64, 3), np.uint8)
    crop[..., 0] = 220
    return Made(crop, np.full((64, 64), 255, np.uint8), AFFINE, 1)


class Played:
    """A clock that nobody waits for; time is what was waited for."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def wait_until(self, when_s: float) -> None:
        self.time = max(self.time, when_s)


class Metered(Stills):
    """A camera whose next pictures come when a model allows them."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.change, self.allowed, self.asked = threading.Condition(), 1, 0

    def _read(self) -> Any:
        for frame in super()._read():
            with self.change:
                assert self.change.wait_for(lambda: self.asked < self.allowed, timeout=20)
            yield frame
            with self.change:  # the picture was handed on
                self.asked += 1
                self.change.notify_all()

    def give(self, more: int) -> None:
        """Let `more` pictures come, and wait until they have."""
        with self.change:
            self.allowed = min(self.allowed + more, self.count)
            self.change.notify_all()
            assert self.change.wait_for(lambda: self.asked >= self.allowed, timeout=20)


def run_slowly(frames: int, meanwhile: int, **options: Any) -> tuple[list[int], Meter]:
    """A model that works while the camera takes `meanwhile` pictures."""
    footage, meter, shown = Metered(frames), Meter(), []

    def make(_face: Any) -> Made:
        footage.give(meanwhile)
        return made()

    pipeline = Pipeline(footage, lambda _f: object(), make, meter, **options)  # type: ignore[arg-type,return-value]
    for ready in pipeline:
        if ready is not None:
            shown.append(ready.taken.frame.frame_index)
            meter.showed(ready.taken.taken_s, ready.taken.taken_s, face=True)
    return shown, meter


def test_a_slow_model_drops_frames_and_lags_by_a_bounded_number() -> None:
    shown, meter = run_slowly(200, 10)
    assert meter.captured == 200 and meter.shown == len(shown)
    assert meter.shown + meter.dropped == 200
    assert 20 <= meter.shown <= 24
    assert shown == sorted(shown) and shown[-1] == 199
    # One frame in each of three steps, and one before each.
    assert meter.most_waiting <= 6


def test_every_frame_is_shown_in_order_where_nothing_may_be_dropped() -> None:
    meter = Meter()
    pipeline = Pipeline(Stills(60), lambda _f: None, lambda _a: made(), meter, every_frame=True)
    shown = []
    for ready in pipeline:
        if ready is not None:
            shown.append(ready.taken.frame.frame_index)
            meter.showed(0.0, 0.0, face=False)
    assert shown == list(range(60)) and meter.dropped == 0
    assert meter.most_waiting <= 6


def test_a_file_is_played_at_its_own_rate() -> None:
    clock, taken = Played(), []
    pipeline = Pipeline(
        Stills(5, apart=9000), lambda _f: None, lambda _a: made(), Meter(), paced=True, clock=clock
    )
    for ready in pipeline:
        taken += [] if ready is None else [ready.taken.taken_s]
    # A frame is not taken before its time; what waits may be replaced meanwhile.
    assert clock.time == pytest.approx(0.4) and taken[-1] == pytest.approx(0.4)
    assert set(np.round(taken, 6)) <= {0.0, 0.1, 0.2, 0.3, 0.4}


def test_a_fault_in_a_step_ends_the_run_and_is_told() -> None:
    def broken(_frame: Frame) -> None:
        raise ModelError("model", "broke", "mend it")

    with pytest.raises(ModelError, match="broke"):
        list(Pipeline(Stills(50), broken, lambda _a: made(), Meter(), every_frame=True))
    assert threading.active_count() < 8


class Kept:
    """A sink that keeps everything."""

    def __init__(self, quit_after: int = 10**9) -> None:
        self.shown: list[tuple[Any, int, list[str]]] = []
        self.quit_after = quit_after

    def show(self, planes: Any, pts: int, lines: list[str]) -> None:
        self.shown.append((planes, pts, lines))

    def wants_to_quit(self) -> bool:
        return len(self.shown) >= self.quit_after

    def close(self, *, whole: bool) -> None:
        """Nothing to close."""


def show(
    sink: Kept, keys: list[Any], frames: int, seconds: float | None = None
) -> tuple[Meter, Stills]:
    footage, meter = Stills(frames), Meter()
    pipeline = Pipeline(footage, lambda _f: None, lambda _a: made(), meter, every_frame=True)
    composer = Composer(footage.facts, "paste", 64, BlendParams(), PublishParams())
    Show(pipeline, composer, sink, meter, clock=Played(), quits=keys).run(seconds)
    return meter, footage


def test_q_ends_a_run_and_shows_what_is_in_work() -> None:
    sink = Kept()
    meter, footage = show(sink, [lambda: len(sink.shown) >= 3], 10_000)
    assert 3 <= meter.shown <= 12 and footage.given < 20
    assert meter.captured == meter.shown + meter.dropped
    assert [pts for _, pts, _ in sink.shown] == [3600 * i for i in range(meter.shown)]
    other = Kept(quit_after=2)
    assert show(other, [], 10_000)[0].shown <= 12


def test_seconds_are_those_of_the_footage() -> None:
    sink = Kept()
    show(sink, [], 1000, seconds=0.4)
    assert [pts for _, pts, _ in sink.shown] == [3600 * i for i in range(10)]


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_carries_the_mark_with_and_without_a_face(view: Any) -> None:
    footage = Stills(1)
    composer = Composer(footage.facts, view, 64, BlendParams(colour="none"), PublishParams())
    frame = next(footage.frames())
    width, height = composer.facts["width_px"], composer.facts["height_px"]
    assert (width, height) == {
        "paste": (320, 240),
        "crop": (256, 256),
        "side-by-side": (512, 256),
    }[view]
    for face in (made(), None):
        y, u, v = composer(frame, face)
        assert y.shape == (height, width) and u.shape == v.shape == (height // 2, width // 2)
        corner = y[-40:, -130:].astype(int)
        # White letters on a dark plate, where the frame is grey and the crop one colour.
        assert (corner > 180).sum() > 60 and (corner < 60).sum() > 300
        reddish = (v > 150).mean()
        assert (reddish > 0.05) == (face is not None)


def test_a_frame_without_a_face_passes_but_for_the_mark() -> None:
    footage = Stills(1)
    composer = Composer(footage.facts, "paste", 64, BlendParams(), PublishParams())
    frame = next(footage.frames())
    y = composer(frame, None)[0]
    changed = np.argwhere(y != frame.planes()[0])
    assert changed.size and changed.min(axis=0)[0] > 200 and changed.min(axis=0)[1] > 150


def test_the_mark_cannot_be_switched_off(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text('publish: {visible_mark: false, text: "  ", corner: top-left}\n')
    mark = load_settings(path).publish
    assert mark.text.strip() and mark.corner == "top-left" and mark.opacity >= 0.4
    path.write_text("publish: {opacity: 0.01}\n")
    with pytest.raises(LikenessError, match="opacity"):
        load_settings(path)


def test_percentiles_and_rates_of_a_long_run() -> None:
    meter = Meter()
    for index in range(5000):
        meter.came()
        now = index / 20
        meter.showed(now - (0.05 if index % 10 else 0.4), now, face=index % 2 == 0)
    assert meter.percentile_s(0.5) == pytest.approx(0.05, rel=0.05)
    assert meter.percentile_s(0.95) == pytest.approx(0.4, rel=0.05)
    assert meter.rate == pytest.approx(20) and meter.mean_rate == pytest.approx(20)
    assert "frames in 5000, shown 5000, dropped 0, without a face 2500" in meter.summary()


def face(bbox: list[float], embedding: list[float]) -> Any:
    from models.analysers.faces import Face

    vector = np.array(embedding, np.float32)
    five = np.zeros((5, 2), np.float32)
    return Face(np.array(bbox, np.float32), 0.9, five, vector / np.linalg.norm(vector), 1.0)


def test_of_several_faces_the_nearest_to_the_gallery_or_the_largest() -> None:
    small, large = face([0, 0, 40, 40], [1, 0.2]), face([100, 0, 180, 90], [0.1, 1])
    assert largest([small, large], None) is large
    near = nearest_to(np.array([[1, 0]], np.float32))
    assert near([small, large], None) is small
    # The followed face stays while the other is hardly larger, or hardly nearer.
    other = face([100, 0, 143, 43], [1, 0.15])
    assert largest([small, other], None) is other
    assert largest([small, other], small.bbox) is small
    assert near([small, other], None) is other and near([small, other], small.bbox) is small


class FakeScreen:
    """In the place of OpenCV's window."""

    def __init__(self, keys: list[int]) -> None:
        self.keys, self.pictures = keys, []
        self.open = True

    def namedWindow(self, *_: Any) -> None: ...  # noqa: N802  # OpenCV's name
    def resizeWindow(self, *_: Any) -> None: ...  # noqa: N802  # OpenCV's name
    def destroyWindow(self, *_: Any) -> None:  # noqa: N802  # OpenCV's name
        self.open = False

    def imshow(self, _title: str, bgr: Any) -> None:
        self.pictures.append(bgr)

    def waitKey(self, _ms: int) -> int:  # noqa: N802  # OpenCV's name
        return self.keys.pop(0) if self.keys else -1

    def getWindowProperty(self, *_: Any) -> float:  # noqa: N802  # OpenCV's name
        return 1.0 if self.open else 0.0


def test_a_window_shows_bgr_with_its_lines_and_hears_q_and_escape() -> None:
    screen = FakeScreen([-1, ord("x"), ord("q"), 27])
    half = np.full((60, 80), 90, np.uint8), np.full((60, 80), 240, np.uint8)
    with Window("live", screen) as window:
        window.show((np.full((120, 160), 81, np.uint8), *half), ("bt601", "limited"), ["10 f/s"])
        assert [window.wants_to_quit() for _ in range(4)] == [False, False, True, True]
        picture = screen.pictures[0]
        blue, _, red = picture[-1, -1]
        assert red > 200 and blue < 60
        assert (picture[:30, :80] == 255).all(axis=2).any()  # white letters
        assert not window.wants_to_quit()
        screen.open = False
        assert window.wants_to_quit()


def test_without_a_screen_the_error_names_the_way_out() -> None:
    with pytest.raises(LikenessError, match="--output FILE"):
        require_screen({})


def test_a_screen_that_is_gone_is_told_and_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QT_QPA_PLATFORM", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", ":7777")
    with pytest.raises(LikenessError, match="--output FILE"):
        require_screen()


@pytest.mark.parametrize(
    ("pressed", "quits"),
    [
        (b"q", True),
        (b"Q", True),
        (b"\x1b", True),
        (b"\x1b\x1b", True),
        (b"\x1b[Aq", True),
        (b"x", False),
        (b"\x1b[A", False),
        (b"\x1b[A\x1b[B", False),
        (b"\x1bOP", False),
        (b"\x1b[15~", False),
        (b"\x1b[1;5C", False),
    ],
)
def test_q_and_escape_alone_quit_at_the_terminal(
    monkeypatch: pytest.MonkeyPatch, pressed: bytes, quits: bool
) -> None:
    here, there = os.openpty()
    with os.fdopen(there) as terminal, os.fdopen(here, "wb", buffering=0) as keyboard:
        monkeypatch.setattr("sys.stdin", terminal)
        with TerminalKeys() as keys:
            assert not keys.wants_to_quit()
            keyboard.write(pressed)
            assert select.select([terminal], [], [], 20)[0]
            # All of it is heard at once: the rest of a key is no key of its own.
            assert [keys.wants_to_quit(), keys.wants_to_quit()] == [quits, False]


class FakeCapture:
    """Three BGR pictures of odd width."""

    left = 3

    def read(self) -> tuple[bool, Any]:
        self.left -= 1
        return self.left >= 0, np.dstack([np.full((48, 65), v, np.uint8) for v in (200, 30, 40)])

    def get(self, _what: int) -> float:
        return 30.0

    def release(self) -> None:
        self.left = -10


def test_a_camera_gives_rgb_in_time() -> None:
    times = iter([5.0, 5.1, 5.1])
    camera = Camera(FakeCapture(), "camera:0", lambda: next(times))
    frames = list(camera.frames())
    assert (camera.facts["width_px"], camera.facts["height_px"]) == (64, 48)
    assert [frame.pts for frame in frames] == [9000, 9001]
    red, _, blue = frames[0].rgb()[20, 20]
    assert blue > 180 and red < 80


def crop_of(y: Any) -> Any:
    """Luma without the corner of the mark."""
    return y[:200].astype(int)


def test_a_generated_film_never_shows_the_driver() -> None:
    footage = Stills(1)
    frame = next(footage.frames())
    for view, left in (("crop", 0), ("side-by-side", 256)):
        settings = (BlendParams(colour="none"), PublishParams())
        composer = Composer(footage.facts, view, 64, *settings, generated=True)  # type: ignore[arg-type]
        empty, red, kept = (crop_of(composer(frame, m)[0]) for m in (None, made(), None))
        assert empty[:, left:].max() <= 17  # black before the first face
        assert red[:, left:].min() > 60 and np.array_equal(kept[:, left:], red[:, left:])
        # Beside it stands the driver as filmed.
        assert left == 0 or (abs(empty[:, :left] - 90).max() <= 2 and kept[:, :left].max() <= 92)
    # A swap's crop passes the frame, as the pasted picture does.
    composer = Composer(footage.facts, "crop", 64, *settings)
    assert abs(crop_of(composer(frame, None)[0]) - 90).max() <= 2


@pytest.mark.parametrize(
    ("mode", "view", "source_type"),
    [
        ("swap", "paste", "compositeWithTrainedAlgorithmicMedia"),
        ("swap", "crop", "compositeWithTrainedAlgorithmicMedia"),
        ("reenact", "paste", "compositeWithTrainedAlgorithmicMedia"),
        ("reenact", "side-by-side", "compositeWithTrainedAlgorithmicMedia"),
        ("reenact", "crop", "trainedAlgorithmicMedia"),
    ],
)
def test_a_film_says_whether_it_was_generated(mode: str, view: Any, source_type: str) -> None:
    kind = kind_of(mode, view)
    assert kind.source_type == source_type
    replaced = mode == "swap" or view == "paste"
    assert ("replaced" in kind.statement) == ("replaced" in kind.comment) == replaced
    assert ("generated" in kind.statement) == ("generated" in kind.comment) == (not replaced)


def test_the_record_of_a_crop_film_names_the_faceless_frames(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = Path("film.mp4")
    film.write_bytes(b"film")
    request = Request(MODEL, Path("pack"), output=str(film), view="crop")
    allowed = Allowed(load_facts(MODEL), "ann", [])
    runner, pack = SimpleNamespace(name="torch"), SimpleNamespace(facts={})
    opened: Any = Opened(allowed, (), "reenact", runner, pack, load_settings())  # type: ignore[arg-type]
    meter = Meter()
    for seen in (True, False, False):
        meter.came()
        meter.showed(0.0, 0.1, face=seen)
    write_record(film, opened, request, meter, 0.0)
    content = read_json(record_path(film))
    assert content["digital_source_type"].endswith("/trainedAlgorithmicMedia")
    assert "replaced" not in content["statement"]
    assert (content["frames"]["shown"], content["frames"]["without_face"]) == (3, 2)


def test_a_runtime_is_named_by_what_it_computes_in() -> None:
    network: Any = Around()
    assert TorchRunner(network, "bf16").name == "torch bf16 on cpu"
    assert TorchRunner(torch.nn.Identity(), "bf16").name == "torch float32 on cpu"  # type: ignore[arg-type]


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIKENESS_STATE", str(tmp_path / "state"))
    write_repository()
    return tmp_path


def test_consents_are_asked_for_on_the_day(repository: Path) -> None:
    facts, root = load_facts(MODEL), Path()
    today = dt.date(2026, 5, 1)
    assert {c["identity"] for c in require_consents(facts, "ann", root, today)} == {"ann", "ben"}
    for name, roles, more in (
        ("ann", "source, target", "revoked: 2026-04-01\n"),
        ("ben", "source, target", "expires: 2026-04-30\n"),
        ("ben", "source", ""),
        ("ann", "target", ""),
    ):
        write_consent(name, roles, more)
        with pytest.raises(ConsentError):
            require_consents(facts, "ann", root, today)
        write_consent(name)
    Path("data/consents/ben-2024.yaml").unlink()
    with pytest.raises(ConsentError, match="no consent record"):
        require_consents(facts, "ann", root, today)


def test_a_model_of_a_pool_needs_a_source_and_everybodys_consent(repository: Path) -> None:
    facts = load_facts(write_model(Path("data/models/any"), pools={"source": ["ann", "ben"]}))
    with pytest.raises(ModelError, match="--source IDENTITY"):
        source_of(facts, None)
    assert source_of(facts, "ann") == "ann"
    write_consent("ben", more="revoked: 2026-01-01\n")
    with pytest.raises(ConsentError, match="revoked"):
        require_consents(facts, "ann", Path())
    with pytest.raises(ModelError, match="shows `ann`"):
        source_of(load_facts(MODEL), "ben")


def test_who_only_drives_is_asked_as_driver(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def allowed(view: Any) -> dict[str, list[str]]:
        found = allow(Request(MODEL, Path("pack"), view=view)).consents
        return {entry["identity"]: entry["used_as"] for entry in found}

    write_consent("ben", roles="driver")
    # A swap shows the target's own footage in every view.
    for view in (None, "paste", "crop"):
        with pytest.raises(ConsentError, match="not `target`"):
            allowed(view)
    monkeypatch.setattr(registry.load_class("autoencoder"), "mode", "reenact")
    assert allowed("crop") == {"ann": ["source"], "ben": ["driver"]}
    export_model(MODEL, Path("graph.onnx"), None, Path())
    # Beside the crop stands the driver's own face; so it does by default.
    for view in (None, "side-by-side", "paste"):
        with pytest.raises(ConsentError, match="not `target`"):
            allowed(view)
    write_consent("ben", roles="source")
    with pytest.raises(ConsentError, match="not `driver`"):
        allowed("crop")
    with pytest.raises(ConsentError, match="not `driver`"):
        export_model(MODEL, Path("graph.onnx"), None, Path())


def test_a_graph_is_written_as_onnx_and_not_among_the_clips(repository: Path) -> None:
    clip = Path("data/clips/some/footage.onnx")
    clip.parent.mkdir(parents=True)
    for path, problem in ((Path("params.yaml"), "is no .onnx"), (clip, "beside footage")):
        before = path.read_bytes() if path.exists() else None
        with pytest.raises(LikenessError, match=problem):
            export_model(MODEL, path, None, Path())
        assert (path.read_bytes() if path.exists() else None) == before


def crops(swapper: registry.Swapper) -> Batch:
    return open_crops(Path("data/shards/ben"), swapper.needs, 32, swapper.coverage).some(4)


def test_the_graph_gives_what_torch_gives_and_says_whose_it_is(repository: Path) -> None:
    path = Path("ann-ben.onnx")
    made_graph = export_model(MODEL, path, None, Path())
    assert made_graph.part == "" and made_graph.difference < 1e-4
    swapper = registry.load(MODEL)
    batch, runner = crops(swapper), OnnxRunner(path, swapper)
    theirs = TorchRunner(swapper, "float32")(batch)
    for ours, wanted in zip(runner(batch), theirs, strict=True):
        assert ours.shape == wanted.shape and (ours - wanted).abs().max() < 1e-4
    import onnx

    about = {entry.key: entry.value for entry in onnx.load(str(path)).metadata_props}
    assert about["likeness.source"] == "ann" and "ann-2024" in about["likeness.consents"]
    write_consent("ann", more="revoked: 2026-01-01\n")
    with pytest.raises(ConsentError):
        export_model(MODEL, Path("late.onnx"), None, Path())
    assert not Path("late.onnx").exists()


class Around(torch.nn.Module):
    """A network between arithmetic that is no fixed graph."""

    needs = ("landmarks_468",)
    family = "around"
    fixed = False

    def __init__(self, *, follows_values: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.small = torch.nn.Conv2d(3, 3, 1)
        self.network = torch.nn.Conv2d(3, 3, 5, padding=2)
        self.follows_values = follows_values

    def swap(self, target: Batch, source: Any = None) -> tuple[torch.Tensor, torch.Tensor]:
        if self.follows_values:
            times = int(target["landmarks_468"].mean().item() * 7) % 5 + 1
            return target["crop"] / times, torch.ones_like(target["crop"][:, :1])
        spread = torch.linalg.svdvals(target["landmarks_468"]).amax(-1)[:, None, None, None]
        return self.network(self.small(target["crop"]) / spread), target["crop"][:, :1].abs()


def drawn_batch() -> Batch:
    generator = torch.Generator().manual_seed(1)
    points = torch.rand(4, 468, 3, generator=generator) * torch.arange(1, 5)[:, None, None]
    return {"crop": torch.rand(4, 3, 32, 32, generator=generator) * 2 - 1, "landmarks_468": points}


def test_a_network_inside_other_arithmetic_is_exported_alone(tmp_path: Path) -> None:
    swapper: Any = Around().eval()
    kept, batch = swapper.network, drawn_batch()
    found = export(swapper, tmp_path / "part.onnx", batch)
    assert found.part == "network" and found.difference < 1e-4 and "svd" in found.why
    assert swapper.network is kept
    with torch.inference_mode():
        wanted = swapper.swap(batch)
    runner = OnnxRunner(tmp_path / "part.onnx", swapper)
    for ours, theirs in zip(runner(batch), wanted, strict=True):
        assert (ours - theirs).abs().max() < 1e-4


def test_what_follows_its_inputs_values_is_refused(tmp_path: Path) -> None:
    swapper: Any = Around(follows_values=True).eval()
    with pytest.raises(ModelError, match="cannot be exported") as caught:
        export(swapper, tmp_path / "no.onnx", drawn_batch())
    assert "--runtime torch" in str(caught.value) and not list(tmp_path.iterdir())
    said: list[str] = []

    def never() -> Any:
        raise caught.value

    ours = TorchRunner(swapper, "float32")
    row = {name: column[:1] for name, column in drawn_batch().items()}
    assert choose("auto", ours, never, row, said.append) is ours
    # On every run of such a family: the rate alone, no fault.
    assert len(said) == 1 and re.fullmatch(r"torch float32 on cpu: \d+ ms per crop", said[0])
    with pytest.raises(ModelError):
        choose("onnx", ours, never, row, said.append)
