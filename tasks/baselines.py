"""Stage `baselines`: what a swap will be compared with, made before there is a swap.

In: the analyser pack, the target clip with frames.parquet and aligned.json, and the shards of the
source identity. Out: baselines.parquet, for some frames of the target, encoded as the render will
be: the frames as they are (what encoding alone costs), and with the faces of mesh_transfer laid in
(what is to be had without training). Most are only recognised, here; a few runs are kept as H.264,
to be measured at the swap's own mask. No model is asked: training another one changes nothing here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from likeness.contracts.documents import read_json
from likeness.contracts.params.baselines import BaselinesParams
from likeness.contracts.params.blend import BlendParams
from likeness.contracts.sections import SwapEntry, load_entry, load_section, swap_overrides
from likeness.contracts.stage import Context, Stage
from likeness.contracts.tables.base import Writer
from likeness.contracts.tables.baselines import BASELINES, REENCODED, TRANSFERRED
from likeness.contracts.tables.crops import CROPS
from likeness.contracts.tables.frames import FRAMES
from likeness.evaluation import sampling
from likeness.evaluation.clip import BATCH, KEYS, POINTS, Faces, beside, by_key, read_faces
from likeness.evaluation.face import seen
from likeness.evaluation.views import Place, embedder_crop, locate
from likeness.media.codec_roundtrip import PlanesFrame, decoded, encoded
from likeness.media.colour import Planes
from likeness.media.footage import Footage, open_footage
from likeness.metrics import perceptual
from models.analysers.features import TappedEmbedder
from models.analysers.pack import Pack, load_pack
from tasks._crops import crops_of
from tasks.blend import checked_footage

Floats = npt.NDArray[np.float32]
NO_MASK, AS_IT_IS = np.zeros((1, 1), np.uint8), np.eye(2, 3)


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
    pack = load_pack(inputs["pack"])
    crops = crops_of(read_json(inputs["aligned"]), inputs["aligned"])
    faces = read_faces(inputs["frames"], crops)
    runs = chosen(faces, context.params)
    facts = context.facts["frames"]
    with Writer(BASELINES, context.outputs["baselines"]) as writer:
        writer.facts.update(swap=swap, source=entry.source, target=entry.target)
        writer.facts.update(footage_sha256=facts["footage_sha256"], undecodable=0)
        writer.facts.update(crf=blend.crf, preset=blend.preset, embedder=pack.name)
        if not runs:
            context.say(f"{swap}: {entry.target} has no face to compare")
            return
        footage = open_footage(checked_footage(inputs["clip"], facts))
        maker = Maker(pack, crops, faces, (footage, blend))
        found = 0
        for one, shown in _made(context, crops, faces, runs, (footage, blend)):
            writer.add(maker.cells(one, shown))
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
) -> Iterator[tuple[Run, dict[str, list[Planes]]]]:
    """Run after run, its frames as each kind of baseline shows them before they are encoded."""
    from tasks._transfer import TransferredFaces  # torch takes a second to import

    footage, blend = onto
    space = (footage.facts["colour_space"], footage.facts["colour_range"])
    wanted = {(frame, int(faces.tracks[frame])) for run in runs for frame in run.frames}
    shots = {frame: int(faces.shots[frame]) for frame, _ in wanted}
    with context.progress("faces", len(wanted)) as advance:
        transfer = TransferredFaces(context.inputs["source"], crops, wanted, advance)
    for one, planes in decoded_runs(footage, runs):
        keys = [(frame, int(faces.tracks[frame])) for frame in one.frames]
        laid = transfer.lay(planes, keys, shots, blend, space)
        yield one, {TRANSFERRED: laid, REENCODED: planes}


class Maker:
    """Encodes runs, and recognises the faces of those that are not to be measured whole.

    Args:
        pack: whose embedder recognises.
        crops: align's crops of the target.
        faces: of the target.
        onto: the target, and how the swap is blended and encoded.
    """

    def __init__(
        self, pack: Pack, crops: Path, faces: Faces, onto: tuple[Footage, BlendParams]
    ) -> None:
        self._footage, self._blend = onto
        tapped = TappedEmbedder(pack.path("embedder"), pack.networks.embedder)
        self._embedder, self._faces = tapped, faces
        self._places: dict[int, Place] = {}
        for (frame, track), row in by_key(CROPS.batches(crops, [*KEYS, *POINTS], BATCH), POINTS):
            if track == faces.tracks[frame]:
                points = (row["landmarks_5"], row["landmarks_468"])
                # What a mask would add to the place is not asked for here.
                self._places[frame] = locate(row["affine_matrix"], *points, NO_MASK, AS_IT_IS)

    def cells(self, run: Run, shown: dict[str, list[Planes]]) -> dict[str, Any]:
        """Rows of baselines.parquet for a run, one for each kind."""
        settings = (self._footage, self._blend.crf, self._blend.preset)
        kinds = sorted(shown)
        streams: list[bytes | None] = [encoded(shown[kind], *settings) for kind in kinds]
        vectors: list[tuple[Floats | None, Floats | None]] = [(None, None)] * len(kinds)
        if not run.whole:
            vectors = [self._recognised(run.middle, stream) for stream in streams if stream]
            streams = [None] * len(kinds)
        embeddings, features = zip(*vectors, strict=True)
        return {
            "frame_index": [run.middle] * len(kinds),
            "track_index": [int(self._faces.tracks[run.middle])] * len(kinds),
            "kind": kinds,
            "frames": [len(run.frames)] * len(kinds),
            "stream": streams,
            "embedding": list(embeddings),
            "features": list(features),
        }

    def _recognised(self, index: int, stream: bytes) -> tuple[Floats, Floats]:
        """Embedding (D,) and features (C,) of the face in a stream of one frame."""
        facts, place = self._footage.facts, self._places[index]
        frame = PlanesFrame(self._footage, index, 0, decoded(stream, 1)[0])
        picture = seen(frame, place, (facts["width_px"], facts["height_px"]))
        embeddings, layers = self._embedder.run(embedder_crop(picture, place)[None])
        pooled = perceptual.pooled([layer[0] for layer in layers])
        return np.asarray(embeddings[0], np.float32), pooled.astype(np.float32)


STAGE = Stage(
    name="baselines",
    params=BaselinesParams,
    inputs={"pack": None, "clip": None, "frames": FRAMES, "aligned": None, "source": None},
    outputs={"baselines": BASELINES},
    options=("swap",),
    run=run,
    description="frames of a swap's baselines: the target encoded anew, and mesh_transfer",
)

if __name__ == "__main__":
    STAGE.main()
