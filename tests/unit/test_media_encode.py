"""What is written keeps times, tags and sound, and has the same bytes each time."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likeness.contracts.errors import FootageError
from likeness.media.encode import VideoWriter
from likeness.media.footage import Footage, open_footage
from likeness.media.remarks import remarks
from tests.footage import audio_packets, corners, make_clip, make_stills, noise, packet_times

KEPT = (
    "width_px",
    "height_px",
    "time_base",
    "audio_streams",
    "colour_space",
    "colour_range",
    "sample_aspect_ratio",
)


def rewrite(source: Path, path: Path, crf: float = 18, preset: str = "ultrafast") -> Footage:
    """Write all frames of `source` to `path` and open it."""
    footage = open_footage(source)
    with VideoWriter(path, footage, crf, preset) as writer:
        for frame in footage.frames():
            writer.write(*frame.planes(), frame.pts)
    return open_footage(path)


def audio_times(path: Path) -> list[Fraction]:
    """Seconds of all audio packets."""
    with av.open(str(path)) as container:
        packets = container.demux(container.streams.audio)
        return [p.pts * p.time_base for p in packets if p.size]


@pytest.mark.parametrize("audio", ["aac", "libmp3lame", None])
def test_audio_packets_are_copied_bit_for_bit(tmp_path: Path, audio: str | None) -> None:
    source = make_clip(tmp_path / "clip.mp4", 30, audio=audio)
    written = rewrite(source, tmp_path / "out.mp4")
    packets = audio_packets(source)
    assert bool(packets) == bool(audio)
    assert audio_packets(written.path) == packets
    if audio:
        assert audio_times(written.path) == audio_times(source)


def test_audio_can_be_left_out(tmp_path: Path) -> None:
    footage = open_footage(make_clip(tmp_path / "clip.mp4", 3, audio="aac"))
    with VideoWriter(tmp_path / "out.mp4", footage, audio=False) as writer:
        for frame in footage.frames():
            writer.write(*frame.planes(), frame.pts)
    assert open_footage(tmp_path / "out.mp4").facts["audio_streams"] == 0


@settings(max_examples=12, deadline=None)
@given(
    steps=st.lists(st.integers(1, 300), min_size=0, max_size=14),
    first=st.integers(0, 700),
    base=st.sampled_from([25, 600, 11988, 24000, 90000]),
    audio=st.sampled_from([None, "aac"]),
)
def test_every_time_is_kept(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[int],
    first: int,
    base: int,
    audio: str | None,
) -> None:
    pts = np.cumsum([first, *steps]).tolist()
    folder = tmp_path_factory.mktemp("times")
    source = make_clip(
        folder / "clip.mp4", len(pts), (64, 48), pts=pts, time_base=Fraction(1, base), audio=audio
    )
    written = rewrite(source, folder / "out.mp4")
    assert packet_times(written.path) == pts
    assert [f.pts for f in written.frames()] == pts
    assert written.facts["time_base"] == [1, base]


@pytest.mark.parametrize(
    ("suffix", "settings_"),
    [
        (".mp4", {}),
        (".mp4", {"rotation": 90}),
        (".mp4", {"tags": {"colorspace": 1, "color_range": 1, "color_primaries": 1}}),
        (".mp4", {"tags": {"colorspace": 6, "color_range": 2, "color_trc": 6}}),
        (".mp4", {"pixel_format": "yuv420p10le"}),
        (".mkv", {"rate": Fraction(30000, 1001), "audio": "aac"}),
        (".avi", {"codec": "mpeg4", "rate": Fraction(30000, 1001)}),
        (".mov", {"codec": "mpeg4", "size": (97, 65)}),
        (".mp4", {"pixel_format": "yuvj420p", "codec": "mjpeg"}),
    ],
)
def test_shape_and_tags_are_kept(tmp_path: Path, suffix: str, settings_: dict[str, object]) -> None:
    source = make_clip(tmp_path / f"clip{suffix}", 10, **settings_)  # type: ignore[arg-type]
    before = open_footage(source)
    after = rewrite(source, tmp_path / "out.mp4")
    keys = [k for k in KEPT if not (suffix == ".avi" and k == "time_base")]
    assert {k: after.facts[k] for k in keys} == {k: before.facts[k] for k in keys}
    for tag in ("space", "primaries", "transfer"):
        assert after.facts["colour_tags"][tag] == before.facts["colour_tags"][tag]
    assert after.facts["rotation_deg"] == 0
    frames = list(zip(before.frames(), after.frames(), strict=True))
    assert [b.pts_s for b, _ in frames] == pytest.approx([a.pts_s for _, a in frames], abs=1e-12)
    for old, new in frames:
        assert np.abs(old.rgb().astype(int) - new.rgb()).mean() < 3


def test_odd_sizes_are_whole(tmp_path: Path) -> None:
    footage = open_footage(make_stills(tmp_path / "stills", 3, (97, 65)))
    with VideoWriter(tmp_path / "out.mp4", footage, 10, "ultrafast") as writer:
        for frame in footage.frames():
            writer.write_rgb(frame.rgb(), frame.pts)
    written = open_footage(tmp_path / "out.mp4")
    assert (written.facts["width_px"], written.facts["height_px"]) == (97, 65)
    assert written.facts["pixel_format"] == "yuv444p"
    rgb = list(written.frames())[2].rgb()
    assert np.abs(rgb.astype(int) - corners(2, (97, 65))).mean() < 4


def test_bytes_do_not_depend_on_threads_or_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_clip(tmp_path / "clip.mp4", 40, (160, 96), audio="aac", picture=noise)
    written = set()
    for count in ("1", "2", "7"):
        monkeypatch.setenv("LIKENESS_THREADS", count)
        written.add(rewrite(source, tmp_path / f"{count}.mp4", preset="medium").path.read_bytes())
    assert len(written) == 1
    assert b"Lavf" not in next(iter(written)), "no name or version of a muxer"


def test_index_stands_in_front(tmp_path: Path) -> None:
    data = rewrite(make_clip(tmp_path / "clip.mp4"), tmp_path / "out.mp4").path.read_bytes()
    assert data.find(b"moov") < data.find(b"mdat")


def test_wrong_frames_are_refused(tmp_path: Path) -> None:
    footage = open_footage(make_clip(tmp_path / "clip.mp4", 3))
    planes = next(footage.frames()).planes()
    with VideoWriter(tmp_path / "out.mp4", footage, preset="ultrafast") as writer:
        writer.write(*planes, 5)
        with pytest.raises(FootageError, match="frame 1 has pts 5, not after 5"):
            writer.write(*planes, 5)
        with pytest.raises(FootageError, match="was given planes"):
            writer.write(planes[0][2:], planes[1], planes[2], 6)


def test_real_footage_keeps_its_sound_and_times(shared: Path, tmp_path: Path) -> None:
    for name in ("single_face.mp4", "fr_short_hamilton.mp4"):
        source = shared / "footage" / name
        written = rewrite(source, tmp_path / name)
        assert audio_packets(written.path) == audio_packets(source)
        assert audio_times(written.path) == audio_times(source)
        assert packet_times(written.path) == packet_times(source)
        assert written.facts["colour_tags"] == open_footage(source).facts["colour_tags"]


@pytest.mark.parametrize(("transfer", "curve"), [(16, "PQ"), (18, "HLG")])
def test_high_dynamic_range_is_said_and_the_film_is_what_its_tags_say(
    tmp_path: Path, transfer: int, curve: str
) -> None:
    tags = {"colorspace": 9, "color_range": 1, "color_primaries": 9, "color_trc": transfer}
    source = make_clip(
        tmp_path / "clip.mp4", 6, codec="libx265", pixel_format="yuv420p10le", tags=tags,
        options={"x265-params": "log-level=error:crf=8"},
    )  # fmt: skip
    before = open_footage(source)
    [line] = remarks(before.facts)
    assert line.startswith(f"high dynamic range ({curve}): read and written in 8 bits")
    after = rewrite(source, tmp_path / "out.mp4", crf=8)
    stored = {"space": 9, "range": 1, "primaries": 9, "transfer": transfer}
    assert before.facts["colour_tags"] == after.facts["colour_tags"] == stored
    assert (before.facts["bit_depth"], after.facts["bit_depth"]) == (10, 8)
    # What the tags say is so: samples are those of the source, whose curve was not changed.
    for old, new in zip(before.frames(), after.frames(), strict=True):
        assert np.abs(old.luma().astype(int) - new.luma()).mean() < 1.5


def test_ten_bits_and_fields_are_said(tmp_path: Path) -> None:
    deep = make_clip(tmp_path / "deep.mkv", 2, codec="ffv1", pixel_format="yuv422p10le")
    bits, chroma = remarks(open_footage(deep).facts)
    assert bits == "stored with 10 bits a sample: read and written in 8 bits"
    assert chroma.startswith("stored as yuv422p10le, finer in colour than the films made here: ")
    plain = open_footage(make_clip(tmp_path / "plain.mp4", 2)).facts
    assert remarks(plain) == []
    assert remarks({**plain, "interlaced": True})[0].startswith("interlaced")
    odd = {**plain, "colour_tags": {**plain["colour_tags"], "space": 8}}
    assert "colour matrix 8 (H.273) is not known here" in remarks(odd)[0]


SHORT_OF_MEMORY = """
import resource, sys
from pathlib import Path
from likeness.contracts.commands import ended
from likeness.media import encode
from likeness.media.encode import VideoWriter
from likeness.media.footage import open_footage
footage = open_footage(Path(sys.argv[1]))
planes = next(iter(footage.frames())).planes()
if sys.argv[4] == "begin":
    encode.require_room = lambda *_: None
def work():
    with VideoWriter(Path(sys.argv[2]), footage) as writer:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + int(sys.argv[3]) * 2**20,) * 2)
        for pts in range(60):
            writer.write(*planes, pts)
sys.exit(ended(work, "blend", ""))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not hold to RLIMIT_AS")
@pytest.mark.parametrize("room_mib", [0, 16, 48])
@pytest.mark.parametrize("how", ["ask", "begin"])
def test_an_encoder_without_memory_says_so(tmp_path: Path, room_mib: int, how: str) -> None:
    """Refused before it opens; once begun, libx264 fails for no stated reason, but ends nothing."""
    source = make_clip(tmp_path / "a.mp4", frames=2, size=(640, 480))
    done = subprocess.run(
        [sys.executable, "-c", SHORT_OF_MEMORY, source, tmp_path / "b.mp4", str(room_mib), how],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "error: blend: there is not enough memory; close other programs" in done.stderr
    assert "report this" not in done.stderr and "Traceback" not in done.stderr
