"""The faces of a clip that belong to its identity.

In: the analyser pack, clip.yaml, the consent record, frames.parquet, detections.parquet. Out: one
row of faces.parquet per kept detection; every other detection is counted under the one reason for
which it was left out.

A face is judged by its track (one person followed through a shot), not alone: a blurred or turned
frame of the right person stays, a lucky frame of a stranger goes. A track belongs to the identity
if the median cosine of its measured embeddings to the gallery reaches the pack's threshold. The
gallery is the reference stills of the consent record, or else samples of the clip's dominant
track; the cosine to several references is the mean of the `best` highest.

A person may be seen twice, beside a mirror or on a screen. `copies: one` keeps one of the two for a
whole shot (at most one face per frame), `copies: all` keeps both.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from likeness.contracts.catalog import Consent, below, load_clip, require_consent
from likeness.contracts.documents import sha256_of
from likeness.contracts.errors import CatalogError
from likeness.contracts.params.filter import FilterParams
from likeness.contracts.stage import Context, Stage
from likeness.contracts.tables.base import Writer, as_numpy
from likeness.contracts.tables.detections import DETECTIONS
from likeness.contracts.tables.faces import FACES
from likeness.contracts.tables.frames import FRAMES
from likeness.media.pictures import read_image
from likeness.vision import gallery as galleries
from likeness.vision.gallery import Detections
from likeness.vision.tracks import link_tracks
from models.analysers.pack import Pack, load_pack

Floats = npt.NDArray[np.float32]

KEPT = "kept"
REASONS = (
    "low_score",
    "small",
    "blurred",
    "mesh_disagrees",
    "other_person",
    "second_in_frame",
)
"""Why a detection is left out; one that fails several tests counts under the first."""


def judge(
    found: Detections, gallery: Floats | None, threshold: float, params: FilterParams
) -> tuple[npt.NDArray[np.str_], Floats]:
    """Verdict (N,) on each detection, `KEPT` or one of `REASONS`, and its similarity (N,).

    Args:
        gallery: (G,D) embeddings of reference stills; None takes the dominant track's.
    """
    tests = {
        "low_score": found.det_score < params.min_det_score,
        "small": found.size_px < params.min_size_px,
        "blurred": found.sharpness < params.min_sharpness,
        "mesh_disagrees": ~found.mesh_agrees,
    }
    usable = ~np.logical_or.reduce(list(tests.values()))
    own = np.full(len(usable), -1, np.int32)
    if gallery is None:
        track = galleries.dominant_track(found, usable)
        rows = np.zeros(0, np.int32)
        if track is not None:
            rows = galleries.sample_track(found, usable, track, params.gallery_size)
        gallery, own[rows] = found.embedding[rows], np.arange(len(rows))
    similarity = galleries.cosines(found.embedding, gallery, params.best, own)
    tests["other_person"] = ~galleries.vote(found, similarity, usable, threshold)
    candidates = ~np.logical_or.reduce(list(tests.values()))
    if params.copies == "one":
        tests["second_in_frame"] = candidates & ~one_copy(found, candidates, similarity, threshold)
    verdict = np.select(list(tests.values()), list(tests), KEPT)
    return verdict, similarity


def one_copy(
    found: Detections, candidates: npt.NDArray[np.bool_], similarity: Floats, threshold: float
) -> npt.NDArray[np.bool_]:
    """Which of the identity's faces (N,) stay: at most one per frame, on one track for a shot."""
    tracks = galleries.steady(found, candidates, similarity - np.float32(threshold))
    return galleries.best_in_frame(found, tracks, similarity)


def reference_gallery(consent: Consent, folder: Path, pack: Pack) -> Floats | None:
    """Embeddings (G,D) of the consent record's stills, or None if it lists none.

    Raises:
        CatalogError: a still is missing, is another file than the record says, or does not show
            exactly one face.
    """
    rows = []
    for reference in consent.references:
        path = below(folder, reference.file)
        if not path.is_file():
            raise CatalogError(path, "reference still is missing", "restore it or edit the record")
        if sha256_of(path) != reference.sha256:
            problem = f"is not the still that consent `{consent.consent}` lists (sha256 differs)"
            raise CatalogError(path, problem, "restore it or have the record renewed")
        faces = pack.stills.faces(read_image(path))
        if len(faces) != 1:
            problem = f"shows {len(faces) or 'no'} face{'s' if len(faces) > 1 else ''}"
            raise CatalogError(path, problem, "list a still that shows the person alone")
        rows.append(faces[0].embedding)
    return np.stack(rows).astype(np.float32) if rows else None


def load_detections(path: Path, frames: Path, embedding_dim: int) -> Detections:
    """Read what judging needs, batch by batch into flat arrays, and link the tracks."""
    count = DETECTIONS.count(path)
    embedding = np.zeros((count, embedding_dim), np.float32)
    flags = ["embedding_interpolated", "mesh_agrees"]
    names = ["frame_index", "bbox", "det_score", "sharpness", *flags]
    parts: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in names}
    row = 0
    for batch in DETECTIONS.batches(path, [*names, "normed_embedding"]):
        for name in names:
            parts[name].append(as_numpy(batch[name]).copy())
        cells = as_numpy(batch["normed_embedding"], (embedding_dim,))
        embedding[row : row + len(cells)] = cells
        row += len(cells)
    empty = np.zeros(0, np.float32)
    arrays = {name: np.concatenate(given) if given else empty for name, given in parts.items()}
    frame_index = arrays["frame_index"].astype(np.int32)
    bbox = arrays["bbox"].reshape(-1, 4)
    shots = as_numpy(FRAMES.read(frames, ["shot_index"])["shot_index"])
    tracks, shot_index = frame_index, frame_index
    if count:
        shot_index = shots[frame_index]
        tracks = link_tracks(frame_index, bbox, embedding, shot_index)
    return Detections(
        frame_index,
        bbox,
        arrays["det_score"],
        arrays["sharpness"],
        embedding,
        ~arrays["embedding_interpolated"].astype(np.bool_),
        np.asarray(tracks, np.int32),
        np.asarray(shot_index, np.int32),
        arrays["mesh_agrees"].astype(np.bool_),
    )


def write_faces(
    detections: Path, writer: Writer, found: Detections, kept: npt.NDArray[np.bool_], sim: Floats
) -> None:
    """Copy the kept rows, with track and similarity, in batches."""
    row = 0
    for batch in DETECTIONS.batches(detections):
        here = slice(row, row + batch.num_rows)
        row += batch.num_rows
        table = pa.Table.from_batches([batch])
        for name, values in (("track_index", found.track_index), ("similarity", sim)):
            table = table.append_column(name, pa.array(values[here]))
        writer.add(table.filter(pa.array(kept[here])))


def run(context: Context[FilterParams]) -> None:
    """Check the consent, judge every detection, write the kept ones."""
    inputs, params = context.inputs, context.params
    clip = load_clip(inputs["clip"])
    consent = require_consent(inputs["consent"], clip.identity, clip.role)
    pack = load_pack(inputs["pack"])
    facts = context.facts["detections"]
    if facts["pack"] != pack.name:
        problem = f"was made with pack `{facts['pack']}`, not `{pack.name}`"
        raise CatalogError(inputs["detections"], problem, "run `dvc repro`")
    found = load_detections(inputs["detections"], inputs["frames"], int(facts["embedding_dim"]))
    gallery = reference_gallery(consent, inputs["consent"].parent, pack)
    threshold = pack.threshold if params.threshold is None else params.threshold
    verdict, similarity = judge(found, gallery, threshold, params)
    kept = verdict == KEPT
    counts = {reason: int((verdict == reason).sum()) for reason in REASONS}
    with Writer(FACES, context.outputs["faces"]) as writer:
        write_faces(inputs["detections"], writer, found, kept, similarity)
        writer.facts.update(
            clip=clip.clip,
            identity=clip.identity,
            pack=pack.name,
            embedding_dim=int(facts["embedding_dim"]),
            gallery="dominant_track" if gallery is None else "references",
            threshold=threshold,
            detections=len(verdict),
            reject_counts=counts,
            tracks=len(np.unique(found.track_index[kept])),
        )
    listed = ", ".join(f"{count} {reason}" for reason, count in counts.items() if count)
    context.say(
        f"filter: {int(kept.sum())} of {len(verdict)} kept" + (f"; {listed}" * bool(listed))
    )


STAGE = Stage(
    name="filter",
    params=FilterParams,
    inputs={
        "pack": None,
        "clip": None,
        "consent": None,
        "frames": FRAMES,
        "detections": DETECTIONS,
    },
    outputs={"faces": FACES},
    run=run,
    description="the faces that belong to the clip's identity",
)

if __name__ == "__main__":
    STAGE.main()
