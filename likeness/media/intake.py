"""What footage is, judged before it is taken in; every command that adds footage asks here.

The file is looked at in a process of its own. A decoder that dies of what it is given ends that
process alone, and the command line loads neither FFmpeg nor OpenCV.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from likeness.contracts.errors import FootageError

Damage = Literal["continue", "refuse"]


@dataclass(frozen=True)
class Intake:
    """Footage that can be taken in.

    Attributes:
        source: the file or folder.
        facts: of the stream, as `Footage.facts`.
        names: of the stills that are used, in order; () for a file.
        sound: one line for each sound stream: what becomes of it in a film.
        warnings: what the person should know, one line each.
    """

    source: Path
    facts: dict[str, Any]
    names: tuple[str, ...]
    sound: tuple[str, ...]
    warnings: tuple[str, ...]


def take_in(
    source: Path, role: str, *, damage: Damage = "continue", sound_codec: str = "aac"
) -> Intake:
    """Look at footage; copies and writes nothing.

    Args:
        source: a video, a still, or a folder of stills.
        role: source, target or driver; a target becomes a film, so its stills are of one size.
        damage: "refuse": frames that are missing from the file are an error, not a warning.
        sound_codec: what sound becomes that MP4 cannot hold (`blend.sound`), to say it.

    Raises:
        FootageError: it cannot be used, and why.
    """
    command = [sys.executable, "-m", "likeness.media.inspect", os.fspath(source)]
    done = subprocess.run(
        [*command, role, damage, sound_codec],
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        problem = f"ended the decoder that looked at it ({name})"
        raise FootageError(source, problem, "convert it to another format, or give another file")
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        problem = f"could not be looked at ({said[-1] if said else 'no reason given'})"
        raise FootageError(source, problem, "report this")
    found = json.loads(done.stdout)
    if "refused" in found:
        raise FootageError(*found["refused"])
    return Intake(
        source,
        found["facts"],
        tuple(found["names"]),
        tuple(found["sound"]),
        tuple(found["warnings"]),
    )
