"""What live runs read: pipes and cameras, which are given back by the thread that reads them."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from apps.live import session
from apps.live.meter import Meter
from apps.live.pipeline import Pipeline
from apps.live.request import Request, open_input, require_film, require_input
from likeness.contracts.errors import FootageError, LikenessError
from likeness.media.camera import Camera, Pipe
from likeness.media.footage import open_footage
from tests.footage import make_clip, make_stills, noise

FRAMES = 40


@contextlib.contextmanager
def piped(data: bytes, *, more: bool = False) -> Iterator[int]:
    """A descriptor that gives `data`; with `more` the sender goes on without sending anything."""
    reads, writes = os.pipe()

    def send() -> None:
        try:
            with os.fdopen(os.dup(writes), "wb", buffering=0) as stream:
                stream.write(data)
        except BrokenPipeError:
            pass
        if not more:
            os.close(writes)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield reads
    finally:
        sender.join()
        if more:
            os.close(writes)


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`FRAMES` frames of MPEG-TS, 25 per second."""
    return make_clip(tmp_path_factory.mktemp("piped") / "clip.ts", FRAMES, (160, 120), rate=25)


@pytest.mark.parametrize("frames", [1, 3, FRAMES])
def test_a_pipe_gives_every_frame_that_a_file_gives(tmp_path: Path, frames: int) -> None:
    path = make_clip(tmp_path / "clip.ts", frames, (160, 120), rate=25)
    wanted = list(open_footage(path).frames())
    with piped(path.read_bytes()) as descriptor, Pipe(descriptor) as pipe:
        found = list(pipe.frames())
    assert [frame.frame_index for frame in found] == list(range(frames))
    assert [frame.pts for frame in found] == [frame.pts for frame in wanted]
    for ours, theirs in zip(found, wanted, strict=True):
        assert np.array_equal(ours.luma(), theirs.luma())


def test_what_gathered_in_a_pipe_before_is_left_out(stream: Path) -> None:
    times = [frame.pts_s for frame in open_footage(stream).frames()]
    # Whoever sends in time has sent one second of it within one second; all else comes fast.
    with (
        piped(stream.read_bytes()) as descriptor,
        Pipe(descriptor, since_s=5.0, clock=lambda: 6.0) as pipe,
    ):
        assert [frame.pts_s for frame in pipe.frames()] == [t for t in times if t - times[0] >= 1]
    with (
        piped(stream.read_bytes()) as descriptor,
        Pipe(descriptor, since_s=5.0, clock=lambda: 60.0) as pipe,
    ):
        assert [frame.pts_s for frame in pipe.frames()] == times[-1:]


def test_a_picture_that_was_waited_for_is_fresh(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whoever opens it reads up to five seconds to see what it is.
    clip = make_clip(tmp_path / "clip.ts", 400, (64, 48), rate=25)
    data, (reads, writes) = clip.read_bytes(), os.pipe()
    half, found_empty = len(data) // 2, threading.Event()

    def send() -> None:
        with os.fdopen(writes, "wb", buffering=0) as sender:
            sender.write(data[:half])
            assert found_empty.wait(20)
            sender.write(data[half:])

    def look(*asked: Any) -> Any:
        found = select.select(*asked)
        if not found[0]:
            found_empty.set()
        return found

    sender = threading.Thread(target=send)
    sender.start()
    with Pipe(reads, since_s=0.0, clock=lambda: 60.0) as pipe:
        monkeypatch.setattr("likeness.media.camera.select", SimpleNamespace(select=look))
        found = [frame.pts for frame in pipe.frames()]
    sender.join()
    every = [frame.pts for frame in open_footage(clip).frames()]
    assert 100 < len(found) < 300 and found == every[-len(found) :]


@pytest.mark.parametrize("kind", ["mp4", "text", "nothing"])
def test_what_cannot_be_piped_is_told_with_what_can(tmp_path: Path, kind: str) -> None:
    # So large that its index, which comes last, is not read with the first bytes.
    clip = make_clip(tmp_path / "clip.mp4", 40, (320, 240), picture=noise).read_bytes()
    data = {"mp4": clip, "text": b"no video at all\n" * 400, "nothing": b""}[kind]
    with piped(data) as descriptor:
        with pytest.raises(FootageError, match="pipe MPEG-TS or Matroska") as caught:
            Pipe(descriptor)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)
    assert caught.value.subject == "standard input" and "remove" not in str(caught.value)


def shown(pipeline: Pipeline, count: int) -> int:
    """Run until `count` frames were shown."""
    found = 0
    for ready in pipeline:
        found += ready is not None
        if found == count:
            pipeline.stop()
    return found


def test_a_run_on_a_pipe_that_stays_open_leaves_no_thread_behind(
    stream: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found_empty = threading.Event()

    def look(*given: Any) -> Any:
        found = select.select(*given)
        if not found[0]:
            found_empty.set()
        return found

    with piped(stream.read_bytes(), more=True) as descriptor:
        before = set(threading.enumerate())
        with Pipe(descriptor) as pipe:
            monkeypatch.setattr("likeness.media.camera.select", SimpleNamespace(select=look))
            run = Pipeline(pipe, lambda _f: None, lambda _a: None, Meter())  # type: ignore[arg-type,return-value]
            for ready in run:
                if ready is not None:
                    assert found_empty.wait(20)  # the reader waits for more, which never comes
                    run.stop()
            assert set(threading.enumerate()) <= before
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)


RUN = """
import time
from likeness.media.camera import open_pipe
from apps.live import session
from apps.live.meter import Meter
from apps.live.pipeline import Pipeline
with open_pipe() as footage:
    pipeline = Pipeline(footage, lambda f: None, lambda a: None, Meter())
    for ready in pipeline:
        if ready is not None:
            time.sleep(1)  # the reader has read all by then, and waits for more
            pipeline.stop()
print("over")
"""


def test_a_run_that_ends_before_its_pipe_ends_cleanly(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.ts", 60, (320, 240), picture=noise)
    child = subprocess.Popen(
        [sys.executable, "-c", RUN],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert child.stdin and child.stdout and child.stderr
    # The pipe stays open until the child has ended, which may be before it has read all.
    with contextlib.suppress(BrokenPipeError):
        child.stdin.write(clip.read_bytes())
        child.stdin.flush()
    try:
        assert child.wait(timeout=60) == 0, child.stderr.read()
        assert (child.stdout.read(), child.stderr.read()) == (b"over\n", b"")
    finally:
        child.kill()
        with contextlib.suppress(BrokenPipeError):
            child.communicate()


class Capture:
    """In the place of `cv2.VideoCapture`; says in which thread it was read and given back.

    Args:
        hangs_after: pictures after which a read waits until `go_on`.
    """

    def __init__(self, hangs_after: int = 10**9) -> None:
        self.left, self.go_on, self.inside = hangs_after, threading.Event(), False
        self.readers: set[int] = set()
        self.released: list[tuple[int, bool]] = []

    def read(self) -> tuple[bool, Any]:
        self.readers.add(threading.get_ident())
        self.left -= 1
        self.inside = True
        if self.left < 0:
            self.go_on.wait(20)
        self.inside = False
        return True, np.zeros((48, 64, 3), np.uint8)

    def get(self, _what: int) -> float:
        return 30.0

    def release(self) -> None:
        self.released.append((threading.get_ident(), self.inside))


def run_on(capture: Capture) -> None:
    with Camera(capture, "camera:0") as camera:
        run = Pipeline(camera, lambda _f: None, lambda _a: None, Meter(), every_frame=True)  # type: ignore[arg-type,return-value]
        assert shown(run, 3) >= 3


def test_a_camera_is_given_back_by_the_thread_that_reads() -> None:
    capture = Capture()
    run_on(capture)
    here = threading.get_ident()
    assert [inside for _, inside in capture.released] == [False]
    assert capture.released[0][0] in capture.readers - {here}


def test_a_camera_that_hangs_is_not_given_back_under_its_reader(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("apps.live.pipeline.PATIENCE_S", 0.01)
    capture = Capture(hangs_after=4)
    run_on(capture)
    assert capture.released == []
    capture.go_on.set()


def test_a_camera_that_nobody_read_is_given_back() -> None:
    capture = Capture()
    with Camera(capture, "camera:0"):
        pass
    assert len(capture.released) == 1


def asked(**given: Any) -> Request:
    return Request(Path("model"), Path("pack"), **given)


@pytest.mark.parametrize("name", ["camera:²", "camera:x", "camera:-1"])
def test_a_camera_needs_a_number(name: str) -> None:
    for function in (require_input, open_input):
        with pytest.raises(LikenessError, match="names no camera"):
            function(asked(taken_from=name))


def test_a_faulty_input_is_not_taken_for_a_clip(tmp_path: Path) -> None:
    missing, text = tmp_path / "none.mp4", tmp_path / "text.mp4"
    text.write_text("no video")
    with pytest.raises(FootageError, match="does not exist; give another file"):
        require_input(asked(taken_from=str(missing)))
    with pytest.raises(FootageError, match=r"is no readable video .*; give another file"):
        open_input(asked(taken_from=str(text)))
    stills = make_stills(tmp_path / "clips/some/stills", 1)
    next(stills.iterdir()).write_text("no picture")
    with pytest.raises(FootageError, match="likeness remove some"):
        open_input(asked(taken_from=str(stills)))


def test_a_film_is_not_written_among_the_clips(tmp_path: Path) -> None:
    clips = tmp_path / "data/clips/some"
    clips.mkdir(parents=True)
    (tmp_path / "link").symlink_to(clips)
    for place in (clips, clips / "deeper", tmp_path / "link"):
        with pytest.raises(LikenessError, match="beside footage; name a file elsewhere"):
            require_film(asked(output=str(place / "footage.mp4"), root=tmp_path))
    require_film(asked(output=str(tmp_path / "data/footage.mp4"), root=tmp_path))
    with pytest.raises(LikenessError, match=r"is no \.mp4"):
        require_film(asked(output=str(tmp_path / "film.mkv"), root=tmp_path))


def test_a_missing_file_is_told_before_torch_is_imported(tmp_path: Path) -> None:
    code = (
        "import sys; from apps.live.__main__ import main\n"
        f"code = main(['m', '--pack', 'p', '--input', {str(tmp_path / 'none.mp4')!r},"
        f" '--output', {str(tmp_path / 'film.mp4')!r}])\n"
        "sys.exit(10 + code if 'torch' in sys.modules else code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "does not exist" in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize(
    ("name", "order"), [("-", ["model", "input"]), ("camera", ["input", "model"])]
)
def test_a_pipe_is_opened_when_the_model_is_ready(
    monkeypatch: pytest.MonkeyPatch, name: str, order: list[str]
) -> None:
    begun: list[str] = []

    def opened(what: str, gives: Any) -> Any:
        return lambda *_: (begun.append(what), gives)[1]

    capture = Capture()
    monkeypatch.setattr(session, "open_model", opened("model", None))
    monkeypatch.setattr(session, "open_input", opened("input", Camera(capture, name)))
    with session.opened_both(asked(taken_from=name), None):  # type: ignore[arg-type]
        assert begun == order and not capture.released
    assert len(capture.released) == 1


def test_what_gathered_in_a_pipe_counts_where_no_frame_may_be_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: list[float | None] = []
    monkeypatch.setattr("apps.live.request.open_pipe", given.append)
    for every_frame in (False, True):
        open_input(asked(taken_from="-", every_frame=every_frame, asked_s=3.0))
    assert given == [3.0, None]
