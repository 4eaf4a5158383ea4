"""Stage `baselines`: what a swap will be compared with, made before there is a swap.

In: the target clip with frames.parquet and aligned.json, and the shards of the source identity.
Out: baselines.parquet, which holds some frames of the target as H.264, encoded as the render will
be: the frames as they are (what encoding alone costs), and with the faces of mesh_transfer laid in
(what is to be had without training). No model is asked: training another one changes nothing here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from likeness.contracts.documents import Document, read_json
from likeness.contracts.params import SwapEntry, load_entry, load_section, swap_overrides
from likeness.contracts.stage import Context, Stage
from likeness.contracts.tables.base import Writer
from likeness.contracts.tables.baselines import BASELINES, REENCODED, TRANSFERRED
from likeness.contracts.tables.frames import FRAMES
from likeness.media.colour import Planes
from likeness.media.footage import Footage, open_footage
from likeness.media.recode import encoded
from likeness.metrics import sampling
from likeness.metrics.clip import Faces, beside, read_faces
from tasks._crops import crops_of
from tasks.blend import BlendParams, checked_footage


class BaselinesParams(Document):
    """`baselines:` of params.yaml."""

    frames: int = Field(default=52, ge=3, le=2000, description="evenly spaced; FID needs 50")
    runs: int = Field(
        default=4, ge=1, le=100, description="of three frames in a row, measured as the swap is"
    )


@dataclass(frozen=True)
class Run:
    """Frames of one face in a row.

    Attributes:
        frames: one or three.
        whole: measured as the swap is, not only recognised.
    """

    frames: tuple[int, ...]
    whole: bool

    @property
    def middle(self) -> int:
        """The frame it is named by."""
        return self.frames[len(self.frames) // 2]


def chosen(faces: Faces, params: BaselinesParams) -> list[Run]:
    """What to make baselines of, in order of frames."""
    singles, middles = beside(faces, params.frames, params.runs)
    runs = [Run((frame,), whole=False) for frame in singles.tolist()]
    for middle in middles.tolist():
        around = tuple(middle + step for step in sampling.RUN)
        runs.append(Run(around if faces.together(around) else (middle,), whole=True))
    return sorted(runs, key=lambda run: run.middle)


def decoded_runs(footage: Footage, runs: Sequence[Run]) -> Iterator[tuple[Run, list[Planes]]]:
    """Runs with the planes of their frames; shortened to their middle where others cannot be read.

    Runs whose middle cannot be read are left out.
    """
    wanted = {frame for run in runs for frame in run.frames}
    waiting, kept = list(runs), dict[int, Planes | None]()
    for frame in footage.frames():
        if frame.frame_index in wanted:
            kept[frame.frame_index] = frame.planes() if frame.decoded else None
        while waiting and frame.frame_index >= waiting[0].frames[-1]:
            run = waiting.pop(0)
            planes = [kept.get(index) for index in run.frames]
            if any(one is None for one in planes):
                run, planes = Run((run.middle,), run.whole), [kept.get(run.middle)]
            known = [one for one in planes if one is not None]
            if known:
                yield run, known
            before = waiting[0].frames[0] if waiting else np.inf
            kept = {index: one for index, one in kept.items() if index >= before}
        if not waiting:
            return


def run(context: Context[BaselinesParams]) -> None:
    """Choose frames, make mesh_transfer's faces, then encode run after run."""
    inputs, swap = context.inputs, context.options["swap"]
    entry = load_entry("swaps", swap, SwapEntry, context.params_file)
    overrides = swap_overrides("blend")(context.options, context.params_file)
    blend = load_section("blend", BlendParams, context.params_file, overrides)
    crops = crops_of(read_json(inputs["aligned"]), inputs["aligned"])
    faces = read_faces(inputs["frames"], crops)
    runs = chosen(faces, context.params)
    facts = context.facts["frames"]
    with Writer(BASELINES, context.outputs["baselines"]) as writer:
        writer.facts.update(swap=swap, source=entry.source, target=entry.target)
        writer.facts.update(footage_sha256=facts["footage_sha256"], undecodable=0)
        writer.facts.update(crf=blend.crf, preset=blend.preset)
        if not runs:
            context.say(f"{swap}: {entry.target} has no face to compare")
            return
        footage = open_footage(checked_footage(inputs["clip"], facts))
        made = _made(context, crops, faces, runs, (footage, blend))
        found = 0
        for cells in made:
            writer.add(cells)
            found += 1
        writer.facts["undecodable"] = len(runs) - found
    if found < len(runs):
        context.say(f"{swap}: {len(runs) - found} frames cannot be decoded and are left out")


def _made(
    context: Context[BaselinesParams],
    crops: Path,
    faces: Faces,
    runs: Sequence[Run],
    onto: tuple[Footage, BlendParams],
) -> Iterator[dict[str, Any]]:
    """Cells of baselines.parquet, run after run."""
    from tasks._transfer import MeshTransfer  # torch takes a second to import

    footage, blend = onto
    space = (footage.facts["colour_space"], footage.facts["colour_range"])
    wanted = {(frame, int(faces.tracks[frame])) for run in runs for frame in run.frames}
    shots = {frame: int(faces.shots[frame]) for frame, _ in wanted}
    with context.progress("faces", len(wanted)) as advance:
        transfer = MeshTransfer(context.inputs["source"], crops, wanted, advance)
    for one, planes in decoded_runs(footage, runs):
        keys = [(frame, int(faces.tracks[frame])) for frame in one.frames]
        shown = {
            TRANSFERRED: transfer.lay(planes, keys, shots, blend, space),
            REENCODED: planes,
        }
        kinds = sorted(shown)
        yield {
            "frame_index": [one.middle] * len(kinds),
            "track_index": [int(faces.tracks[one.middle])] * len(kinds),
            "kind": kinds,
            "frames": [len(one.frames)] * len(kinds),
            "whole": [one.whole] * len(kinds),
            "stream": [encoded(shown[k], footage, blend.crf, blend.preset) for k in kinds],
        }


STAGE = Stage(
    name="baselines",
    params=BaselinesParams,
    inputs={"clip": None, "frames": FRAMES, "aligned": None, "source": None},
    outputs={"baselines": BASELINES},
    options=("swap",),
    run=run,
    description="frames of a swap's baselines: the target encoded anew, and mesh_transfer",
)

if __name__ == "__main__":
    STAGE.main()
