"""Where the pictures of a live run go: a window, or a film."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from likeness.contracts.atomic import commit, prepare
from likeness.contracts.errors import FootageError
from likeness.media.colour import Planes
from likeness.media.encode import StreamFacts, VideoWriter
from likeness.media.screen import Window

CRF, PRESET = 18.0, "superfast"
"""Of a live film: this preset costs a third of the usual one and a quarter more bytes."""


class Sink(Protocol):
    """Takes pictures in order."""

    def show(self, planes: Planes, pts: int, lines: list[str]) -> None:
        """Take a picture, its time in the footage's time base, and lines for the screen."""

    def wants_to_quit(self) -> bool:
        """Whether the person at the keys has had enough."""

    def close(self, *, whole: bool, early: bool = False) -> None:
        """End; `whole` is False where the run failed, `early` True where footage was left."""


class WindowSink:
    """A window; `q`, Esc or closing it ends the run."""

    def __init__(self, window: Window, space: tuple[str, str]) -> None:
        self._window, self._space = window, space

    def show(self, planes: Planes, pts: int, lines: list[str]) -> None:
        """Show a picture with rate and latency over it."""
        del pts
        self._window.show(planes, self._space, lines)

    def wants_to_quit(self) -> bool:
        """Whether `q` or Esc was pressed or the window closed."""
        return self._window.wants_to_quit()

    def close(self, *, whole: bool, early: bool = False) -> None:
        """Close the window."""
        del whole, early
        self._window.__exit__(None, None, None)


class FilmSink:
    """An MP4 with the times of capture; it appears whole or not at all.

    Args:
        path: the film.
        facts: size, time base, rate, tags and sound (`Composer.facts`).
        sound: the file whose sound is copied; None where there is none to go back to.
        comment: of the file, for players that show it.

    Attributes:
        silent: None, or why there is no sound.
    """

    def __init__(self, path: Path, facts: dict[str, Any], sound: Path | None, comment: str) -> None:
        self._path, self._comment = path, comment
        self._temporary = prepare(path)
        self.silent: str | None = None
        if sound is None or not facts["audio_streams"]:
            self.silent = "the input gives none to copy"
        else:
            try:
                self._writer = self._open(StreamFacts(sound, facts), audio=True)
            except FootageError as error:
                self.silent = f"the input {error.problem}"
        if self.silent:
            self._writer = self._open(StreamFacts(path, facts), audio=False)

    def _open(self, model: StreamFacts, *, audio: bool) -> VideoWriter:
        return VideoWriter(self._temporary, model, CRF, PRESET, audio=audio, comment=self._comment)

    def show(self, planes: Planes, pts: int, lines: list[str]) -> None:
        """Append a picture."""
        del lines
        self._writer.write(*planes, pts)

    def wants_to_quit(self) -> bool:
        """Nobody can press a key on a file."""
        return False

    def close(self, *, whole: bool, early: bool = False) -> None:
        """Finish the file; one that failed or shows nothing is removed.

        Of footage that was left early, the sound ends with the last picture.
        """
        if whole and self._writer.frames:
            self._writer.close(all_sound=not early)
            commit(self._temporary, self._path)
        else:
            self._writer.__exit__(RuntimeError, None, None)
            self._temporary.unlink(missing_ok=True)

    @property
    def frames(self) -> int:
        """Pictures so far."""
        return self._writer.frames
