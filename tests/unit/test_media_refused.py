"""Footage opens no other file: playlists, lists, patterns and links that lead out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from likeness.contracts.errors import FootageError
from likeness.media.encode import VideoWriter
from likeness.media.footage import open_footage
from likeness.media.intake import take_in
from likeness.media.links import require_inside
from tests.footage import make_clip


def lists(folder: Path, film: Path) -> dict[str, Path]:
    texts = {
        "list.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{film}\n#EXT-X-ENDLIST\n",
        "list.ffconcat": f"ffconcat version 1.0\nfile '{film}'\n",
        "list.mpd": f'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011">{film}</MPD>',
        "list.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
        disguised = folder / f"{Path(name).suffix[1:]}.mp4"
        disguised.write_text(text)
    return {path.name: path for path in folder.iterdir() if path != film}


def test_lists_of_files_are_no_footage(tmp_path: Path) -> None:
    film = make_clip(tmp_path / "film.ts")
    found = lists(tmp_path, film)
    assert len(found) == 8
    for path in found.values():
        with pytest.raises(FootageError, match="is no readable video"):
            open_footage(path)


def test_devices_and_pipes_are_no_footage(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    for path in (tmp_path / "pipe.mp4", Path("/dev/zero")):
        with pytest.raises(FootageError, match="is no file"):
            open_footage(path)


@pytest.mark.parametrize(
    "name", ["take 3: the end.mp4", "http:film.mp4", "a%03d.mp4", "映画.mp4", "-i.mp4", "a?b*.mp4"]
)
def test_names_mean_nothing_to_ffmpeg(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_clip(tmp_path / "plain.mp4", 3).rename(name)
    footage = open_footage(Path(name))
    assert len(list(footage.frames())) == 3
    written = Path(f"out {name}")
    with VideoWriter(written, footage, preset="ultrafast") as writer:
        for frame in footage.frames():
            writer.write(*frame.planes(), frame.pts)
    assert len(list(open_footage(written).frames())) == 3


def test_links_that_lead_out_are_refused(tmp_path: Path) -> None:
    film = make_clip(tmp_path / "film.mp4", 2)
    folder = tmp_path / "clip"
    folder.mkdir()
    (folder / "footage.mp4").symlink_to(film)
    with pytest.raises(FootageError, match="is a link that leads to"):
        require_inside(folder / "footage.mp4")
    (tmp_path / "near.mp4").symlink_to("film.mp4")
    require_inside(tmp_path / "near.mp4")


def test_a_decoder_that_dies_ends_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = make_clip(tmp_path / "film.mp4", 2)
    killed = tmp_path / "site"
    killed.mkdir()
    (killed / "sitecustomize.py").write_text("import os, signal; os.kill(os.getpid(), 11)\n")
    monkeypatch.syspath_prepend(str(killed))
    with pytest.raises(FootageError, match=r"film\.mp4: ended the decoder .*\(SIGSEGV\)"):
        take_in(film, "source")
