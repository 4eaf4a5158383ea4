"""A live run from a file to a file, with the real analysers and an untrained model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest

from apps.live.record import record_path
from apps.live.request import Request
from apps.live.session import run
from apps.live.tracker import Tracker
from likeness.contracts.documents import sha256_of
from likeness.contracts.errors import ConsentError, LikenessError
from likeness.media.footage import open_footage
from likeness.media.frame import Frame
from models.analysers.observer import Observer
from models.analysers.pack import load_pack
from models.analysers.view import View
from tests.footage import audio_packets, make_audio
from tests.livecase import MODEL, write_clip, write_consent, write_repository

FRAMES, BLANK = 18, range(6, 10)
CLIP, FILM = Path("take.mp4"), Path("out/live.mp4")
PACK = Path("data/packs/embedded")


@pytest.fixture
def times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared: Path, pack_folder: Path
) -> list[int]:
    """A repository with a clip of `FRAMES`, grey in `BLANK`; gives the times of its frames."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIKENESS_STATE", str(tmp_path / "state"))
    write_repository(pack_folder)
    footage = shared / "footage/single_face.mp4"
    return write_clip(CLIP, footage, range(FRAMES), blank=BLANK)


def asked(**changes: object) -> Request:
    settings: dict[str, object] = {
        "taken_from": str(CLIP),
        "output": str(FILM),
        "every_frame": True,
        "runtime": "torch",
    }
    return Request(MODEL, PACK, **{**settings, **changes})  # type: ignore[arg-type]


def frames_of(path: Path) -> list[Frame]:
    return list(open_footage(path).frames())


def test_every_frame_keeps_its_time_and_carries_the_mark(times: list[int]) -> None:
    meter = run(asked(), [], lambda _p: None)
    assert (meter.captured, meter.shown, meter.dropped) == (FRAMES, FRAMES, 0)
    assert meter.faceless == len(BLANK)
    before, after = frames_of(CLIP), frames_of(FILM)
    scale = open_footage(FILM).facts["time_base"][1] / open_footage(CLIP).facts["time_base"][1]
    assert [f.pts - after[0].pts for f in after] == [round((t - times[0]) * scale) for t in times]
    for old, new in zip(before, after, strict=True):
        difference = np.abs(old.luma().astype(int) - new.luma())
        corner = new.luma()[-34:, -160:]
        assert (corner > 150).sum() > 80 and difference[-34:, -160:].mean() > 15
        passed = old.frame_index in BLANK
        middle = difference[60:250, 200:420]
        # An untrained model paints the face; without one the frame passes through the codec only.
        assert (middle.mean() < 2) == passed and difference[:40, :150].mean() < 2
    assert open_footage(FILM).facts["audio_streams"] == 0


def spoken(path: Path, codec: str) -> Path:
    """`CLIP` with two seconds of sound."""
    sound = make_audio(path.with_name("sound.mkv"), 2.0, codec)
    with av.open(str(CLIP)) as video, av.open(str(sound)) as audio, av.open(str(path), "w") as out:
        copies = [out.add_stream_from_template(given.streams[0]) for given in (video, audio)]
        for given, copy in zip((video, audio), copies, strict=True):
            for packet in given.demux():
                if packet.size:
                    packet.stream = copy
                    out.mux(packet)
    return path


def test_the_sound_of_a_file_is_copied_as_far_as_there_are_pictures(
    times: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    clip = spoken(Path("spoken.mp4"), "aac")
    run(asked(taken_from=str(clip)), [], lambda _p: None)
    assert audio_packets(FILM) == audio_packets(clip) and len(audio_packets(clip)) > 60
    run(asked(taken_from=str(clip), seconds=0.2), [], lambda _p: None)
    shown, kept = frames_of(FILM), audio_packets(FILM)
    assert kept == audio_packets(clip)[: len(kept)]
    length = 1024 / 44100
    assert abs(len(kept) * length - (shown[-1].pts_s - shown[0].pts_s)) < 0.1
    assert "no sound" not in capsys.readouterr().err
    run(asked(taken_from=str(spoken(Path("odd.mkv"), "wavpack"))), [], lambda _p: None)
    assert open_footage(FILM).facts["audio_streams"] == 1, "MP4 has no WavPack: it is converted"
    assert "no sound" not in capsys.readouterr().err


def test_a_film_has_a_record_of_what_it_is(times: list[int]) -> None:
    run(asked(seconds=0.2), [], lambda _p: None)
    content = json.loads(record_path(FILM).read_text())
    assert content["outputs"]["film"]["sha256"] == sha256_of(FILM)
    assert {entry["identity"] for entry in content["consents"]} == {"ann", "ben"}
    assert content["visible_mark"]["present"] and content["signed"] is False
    assert content["frames"]["shown"] == len(frames_of(FILM)) == 6
    assert content["model"]["sha256"] == sha256_of(MODEL / "model.safetensors")


def test_a_file_played_in_time_drops_what_it_cannot_show(times: list[int]) -> None:
    meter = run(asked(every_frame=False, view="side-by-side"), [], lambda _p: None)
    assert meter.captured == FRAMES == meter.shown + meter.dropped and meter.shown >= 2
    film = open_footage(FILM)
    assert (film.facts["width_px"], film.facts["height_px"]) == (512, 256)
    assert len(frames_of(FILM)) == meter.shown


def test_consent_comes_before_everything(times: list[int]) -> None:
    write_consent("ann", more="revoked: 2026-01-01\n")
    with pytest.raises(ConsentError, match="revoked"):
        run(asked(), [], lambda _p: None)
    assert not FILM.parent.exists()
    write_consent("ann")
    with pytest.raises(LikenessError, match="input and output"):
        run(asked(output=str(CLIP)), [], lambda _p: None)


def test_the_mesh_follows_what_the_detector_would_find(shared: Path, pack_folder: Path) -> None:
    footage = open_footage(shared / "footage/single_face.mp4")
    space = (footage.facts["colour_space"], footage.facts["colour_range"])
    pack = load_pack(pack_folder)
    tracker, observer = Tracker(pack, scan_every=12), Observer(pack)
    off = []
    for frame in footage.frames(range(0, 48, 2)):
        view = View(frame.planes(), *space)
        seen = tracker(view, frame.pts_s)
        assert seen is not None and seen.track == 1
        if frame.frame_index % 6 == 2:
            face = observer.scan(view)[0]
            eyes = np.linalg.norm(face.landmarks_5[1] - face.landmarks_5[0])
            off.append(np.linalg.norm(seen.landmarks_5 - face.landmarks_5, axis=1).mean() / eyes)
    assert tracker.scans <= 3
    assert np.mean(off) < 0.05
    # Nobody there any more: a few scans later it says so.
    grey = tuple(np.full_like(plane, 128) for plane in frame.planes())
    gone = View((grey[0], grey[1], grey[2]), *space)
    assert tracker(gone, 100.0) is None


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_a_whole_film(
    times: list[int], repository: Path, number: signal.Signals
) -> None:
    arguments = ["--pack", str(PACK), "--input", str(CLIP), "--output", str(FILM)]
    command = [sys.executable, "-m", "apps.live", str(MODEL), *arguments, "--runtime", "torch"]
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    child = subprocess.Popen(
        [*command, "--every-frame"], env=environment, stdout=subprocess.PIPE, text=True
    )
    temporary = FILM.with_name(".tmp-" + FILM.name)
    until = time.monotonic() + 60
    while not temporary.exists() and child.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    child.send_signal(number)
    said, _ = child.communicate(timeout=60)
    assert child.returncode == 0, said
    assert not temporary.exists()
    shown = int(said.split("shown ")[1].split(",")[0])
    assert shown == (len(frames_of(FILM)) if FILM.exists() else 0)
