"""Stage `frames`: footage -> frames.parquet, one row per frame, no pixels.

In: clip.yaml and the footage (a video file or a folder of stills).
Out: exact times, shots, sharpness, perceptual hash and repeats of every frame, in presentation
order; facts of the stream in the metadata. Frames that cannot be decoded are rows too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from likeness.contracts.catalog import load_clip
from likeness.contracts.documents import sha256_of
from likeness.contracts.params.frames import FramesParams
from likeness.contracts.progress import Advance
from likeness.contracts.stage import Context, Stage
from likeness.contracts.tables.base import Writer
from likeness.contracts.tables.frames import FRAMES
from likeness.contracts.tables.sizes import ROWS_PER_GROUP
from likeness.media.container import footage_error
from likeness.media.footage import open_footage
from likeness.media.frame import Frame
from likeness.media.links import require_inside
from likeness.media.remarks import loss_lines, remarks, time_lines
from likeness.media.timeline import timeline
from likeness.vision.quality import (
    Look,
    hash_distance,
    look_at,
    perceptual_hash,
    repeats,
    sharpness,
    shot_change,
)

Row = dict[str, Any]


@dataclass
class Survey:
    """Turns frames into rows, remembering one frame for the shot and one for its repeats."""

    params: FramesParams
    shots: int = 1
    undecodable: int = 0
    damaged: int = 0
    _previous_pts: int | None = None
    _shortest: int | None = None
    _longest: int = 0
    _last: Look | None = None
    _kept: tuple[int, int, Look] | None = None

    def row(self, frame: Frame) -> Row:
        """Row of the next frame."""
        self._time(frame.pts)
        row: Row = {
            "frame_index": frame.frame_index,
            "pts": frame.pts,
            "pts_s": frame.pts_s,
            "decoded": frame.decoded,
            "sharpness": 0.0,
            "perceptual_hash": 0,
            "duplicate_of": None,
        }
        if frame.decoded:
            row |= self._seen(frame)
            self.damaged += frame.damaged
        else:
            self.undecodable += 1
        row["shot_index"] = self.shots - 1
        return row

    def _seen(self, frame: Frame) -> Row:
        look = look_at(*frame.planes())
        bits = perceptual_hash(look.thumbnail)
        # What a decoder makes up for lost data looks like a cut and is none.
        if not frame.damaged:
            if self._last and shot_change(self._last, look) >= self.params.shot_threshold:
                self.shots += 1
                self._kept = None
            self._last = look
        repeated = self._repeated(bits, look)
        if repeated is None:
            self._kept = (frame.frame_index, bits, look)
        return {
            "sharpness": sharpness(frame.luma()),
            "perceptual_hash": bits,
            "duplicate_of": repeated,
        }

    def _repeated(self, bits: int, look: Look) -> int | None:
        if self._kept is None:
            return None
        index, kept_bits, kept = self._kept
        close = hash_distance(bits, kept_bits) <= self.params.duplicate_hash_bits
        return index if close and repeats(kept, look, self.params.duplicate_levels) else None

    def _time(self, pts: int) -> None:
        if self._previous_pts is not None:
            step = pts - self._previous_pts
            self._shortest = step if self._shortest is None else min(step, self._shortest)
            self._longest = max(step, self._longest)
        self._previous_pts = pts

    @property
    def variable_rate(self) -> bool:
        """True if steps differ by more than one unit of the time base, which is rounding."""
        return self._shortest is not None and self._longest - self._shortest > 1


def survey(frames: Iterable[Frame], state: Survey) -> Iterator[list[Row]]:
    """Rows of all frames in groups; `state` holds the totals afterwards."""
    rows: list[Row] = []
    for frame in frames:
        rows.append(state.row(frame))
        if len(rows) == ROWS_PER_GROUP:
            yield rows
            rows = []
    if rows:
        yield rows


def _watched(frames: Iterable[Frame], advance: Advance) -> Iterator[Frame]:
    for frame in frames:
        yield frame
        advance(1)


def run(context: Context[FramesParams]) -> None:
    """Read the footage once and write frames.parquet."""
    clip = load_clip(context.inputs["clip"])
    path = context.inputs["footage"]
    require_inside(path)
    state = Survey(context.params)
    with open_footage(path) as footage, Writer(FRAMES, context.outputs["frames"]) as writer:
        facts = footage.facts
        with context.progress(f"frames of {clip.clip}", facts["frames_hint"]) as advance:
            for rows in survey(_watched(footage.frames(), advance), state):
                writer.add({name: [row[name] for row in rows] for name in FRAMES.schema.names})
        kept = {key: facts[key] for key in FRAMES.facts if key in facts}
        lines = _remarks(path, facts)
        if context.params.damage == "refuse" and state.undecodable:
            problem = f"{state.undecodable} of {writer.rows} frames are missing or damaged"
            raise footage_error(path, problem)
        writer.facts.update(
            kept,
            clip=clip.clip,
            footage=path.name,
            footage_sha256=sha256_of(path),
            frames=writer.rows,
            undecodable_frames=state.undecodable,
            damaged_frames=state.damaged,
            shots=state.shots,
            variable_frame_rate=state.variable_rate,
        )
        if lines:
            writer.facts["remarks"] = lines
    for line in lines:
        context.say(f"{path}: {line}")
    if state.undecodable:
        context.say(f"{path}: {state.undecodable} of {writer.rows} frames cannot be decoded")


def _remarks(path: Path, facts: dict[str, Any]) -> list[str]:
    """What is worth saying of the footage; it stands in the table and in the report."""
    if facts["kind"] == "stills":
        return []
    times = timeline(path)
    return [*remarks(facts), *time_lines(times, facts), *loss_lines(times)]


STAGE = Stage(
    name="frames",
    params=FramesParams,
    inputs={"clip": None, "footage": None},
    outputs={"frames": FRAMES},
    run=run,
    description="One row per frame of a clip: exact times, shots, sharpness, repeats.",
)

if __name__ == "__main__":
    STAGE.main()
