"""Aligned crops of a clip's faces, with mesh, head pose and mask.

In: the analyser pack, the footage, frames.parquet, faces.parquet. Out: one row per face in
data/crops/<identity>/<clip>.parquet, and aligned.json, which states what that file holds, so that
later stages can depend on one clip of an identity. Only frames with faces are decoded, and of
those only the region around the face is converted.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from likeness.contracts import environment
from likeness.contracts.documents import sha256_of, to_json
from likeness.contracts.errors import FootageError
from likeness.contracts.params.align import AlignParams
from likeness.contracts.stage import Context, Stage
from likeness.contracts.tables.base import Facts, Writer, as_numpy
from likeness.contracts.tables.crops import CROPS
from likeness.contracts.tables.faces import FACES
from likeness.contracts.tables.frames import FRAMES
from likeness.media.footage import open_footage
from likeness.media.frame import Frame
from likeness.media.images import encode_jpeg
from likeness.media.prefetch import prefetch
from likeness.vision import alignment, masks
from likeness.vision.mesh import mesh_error
from likeness.vision.pose import pose_from_mesh
from likeness.vision.smoothing import TrackFilter
from likeness.vision.squares import Squares
from likeness.vision.templates import eye_distance_px, template
from models.analysers.mesh import ENLARGE
from models.analysers.pack import Pack, load_pack
from models.analysers.segmenter import PersonSegmenter

Points = npt.NDArray[np.float64]

BATCH = 16
FIXED_POINT = 32.0
"""Mesh coordinates are rounded to 1/32 px: far below the mesh's own error, and half the bytes."""


@dataclass(frozen=True)
class Face:
    """A face to align, with the region of the frame that holds it.

    Attributes:
        row: columns of faces.parquet, and pts_s and shot_index of the frame.
        rgb: (h,w,3) uint8, the region, as stored.
        corner: (2,) x, y of the region in the frame, px.
        squares: from the frame's px to square ones.
        landmarks_5: (5,2) square px, smoothed if asked for.
        to_crop: (2,3) square px -> crop px.
    """

    row: dict[str, Any]
    rgb: npt.NDArray[np.uint8]
    corner: Points
    squares: Squares
    landmarks_5: Points
    to_crop: Points

    @property
    def affine_matrix(self) -> Points:
        """(2,3) frame px -> crop px."""
        if self.squares.square:
            return self.to_crop
        return alignment.compose(self.to_crop, self.squares.matrix)

    @property
    def start(self) -> Points:
        """(2,) what lies between square px of the region alone and those of the frame."""
        return self.corner * self.squares.along


class Networks(threading.local):
    """Mesh and segmenter of one thread: their interpreters cannot be shared."""

    def __init__(self, pack: Pack) -> None:
        self.mesh = pack.new_mesh()
        self.segmenter = PersonSegmenter(pack.path("segmenter"))


class Aligner:
    """Turns faces into rows of the crops table, several at a time.

    What a row holds does not depend on the number of threads.

    Attributes:
        left_out: faces so far whose mesh and five points disagree.
    """

    def __init__(self, pack: Pack, params: AlignParams) -> None:
        self._params = params
        self._canonical, _ = pack.canonical_mesh()
        self._eyes_px = eye_distance_px(params.template, params.size_px)
        self._networks = Networks(pack)
        self._steady = steady(params)
        self._pool = ThreadPoolExecutor(environment.threads())
        self.left_out = 0

    def __call__(self, faces: list[Face]) -> dict[str, Any]:
        """Columns for those faces that can be trusted, in their order.

        Tracks go on from call to call.
        """
        found = list(self._pool.map(self._mesh, faces))
        # A filter follows time, so that this step is not shared out.
        meshes = [smoothed(self._steady, f.row, m) for f, m in zip(faces, found, strict=True)]
        made = self._pool.map(self._row, faces, meshes)
        rows = [row for row in made if self._trusted(row)]
        self.left_out += len(faces) - len(rows)
        return {name: [row[name] for row in rows] for name in CROPS.schema.names}

    def _trusted(self, row: dict[str, Any]) -> bool:
        """Whether mesh and five points show one face: what cannot be placed is never swapped."""
        most = self._params.max_mesh_error
        return most is None or row["mesh_error"] <= most

    def _mesh(self, face: Face) -> Points:
        """Mesh (468,3), square px."""
        squares, start = face.squares, face.start
        box = face.row["bbox"]
        if not squares.square:
            box = squares.drawn(box.reshape(2, 2)).reshape(4)
        five = (face.landmarks_5 - start).astype(np.float32)
        bbox = (box - np.tile(start, 2)).astype(np.float32)
        drawn = None if squares.square else squares.matrix
        found, _ = self._networks.mesh.run(face.rgb, five[None], bbox[None], drawn)
        return np.asarray(found[0] + np.append(start, 0.0), np.float64)

    def _row(self, face: Face, mesh: Points) -> dict[str, Any]:
        """One row of the crops table."""
        params, affine, to_crop = self._params, face.affine_matrix, face.to_crop
        local = alignment.moved(affine, *face.corner)
        crop = alignment.warp_crop(face.rgb, local, params.size_px)
        landmarks = np.round(alignment.apply_mesh(to_crop, mesh) * FIXED_POINT) / FIXED_POINT
        five = alignment.apply(to_crop, face.landmarks_5)
        return {
            **{name: face.row[name] for name in CARRIED},
            "crop": encode_jpeg(crop, params.jpeg_quality),
            "mask": masks.to_bytes(self._mask(face, crop, landmarks)),
            "affine_matrix": affine,
            "landmarks_5": five.astype(np.float32),
            "landmarks_468": landmarks.astype(np.float32),
            "pose_deg": pose_from_mesh(mesh, face.squares.size, self._canonical),
            "mesh_error": mesh_error(landmarks, five, self._eyes_px),
        }

    def _mask(self, face: Face, crop: npt.NDArray[np.uint8], landmarks: Points) -> masks.Mask:
        """Hull of the mesh, where the crop shows the frame, met with the person."""
        size_px, mask_size_px = self._params.size_px, self._params.mask_size_px
        mask = masks.hull_mask(landmarks, size_px, mask_size_px, self._params.forehead)
        frame_px = face.squares.width_px, face.squares.height_px
        shown = alignment.inside(face.affine_matrix, size_px, *frame_px)
        mask = masks.meet(mask, shown.astype(np.float32) / 255.0)
        if not self._params.person:
            return mask
        return masks.meet(mask, self._networks.segmenter.run(crop[None])[0])


CARRIED = ("frame_index", "pts_s", "shot_index", "track_index", "similarity", "sharpness")
"""Columns that a crop takes over from its face and frame."""


def steady(params: AlignParams) -> TrackFilter | None:
    """A filter for one kind of points, or None if landmarks stay as measured."""
    if not params.smooth:
        return None
    return TrackFilter(params.smooth_cutoff_hz, params.smooth_beta)


def smoothed(track_filter: TrackFilter | None, row: dict[str, Any], points: Points) -> Points:
    """Points of a face in square px after the filter, if there is one."""
    if track_filter is None:
        return points
    track = (int(row["shot_index"]), int(row["track_index"]))
    return track_filter(points, row["pts_s"], track, row["width_px"])


def face_rows(path: Path, frames: Path) -> Iterator[dict[str, Any]]:
    """Rows of faces.parquet with the time and shot of their frame, in order of frames."""
    times = FRAMES.read(frames, ["frame_index", "pts_s", "shot_index"])
    place = {int(index): row for row, index in enumerate(as_numpy(times["frame_index"]))}
    pts_s, shots = as_numpy(times["pts_s"]), as_numpy(times["shot_index"])
    columns = ["frame_index", "track_index", "bbox", "landmarks_5", "similarity", "sharpness"]
    for batch in FACES.batches(path, columns):
        arrays = {name: as_numpy(batch[name]) for name in columns}
        for row in range(batch.num_rows):
            values: dict[str, Any] = {name: array[row] for name, array in arrays.items()}
            frame = place[int(values["frame_index"])]
            yield values | {"pts_s": float(pts_s[frame]), "shot_index": int(shots[frame])}


def faces_of(
    footage_path: Path, rows: Iterable[dict[str, Any]], wanted: set[int], params: AlignParams
) -> Iterator[Face]:
    """Faces with their pixels; a frame is decoded once, and only its faces' regions converted.

    Raises:
        FootageError: a frame with faces is not there, or not readable any more.
    """
    track_filter = steady(params)
    waiting = iter(rows)
    row = next(waiting, None)
    with open_footage(footage_path) as footage:
        aspect = footage.facts["sample_aspect_ratio"]
        for frame in footage.frames(wanted):
            squares = Squares.shaped(*frame.size, aspect)
            while row is not None and row["frame_index"] == frame.frame_index:
                yield _cut(frame, row, squares, track_filter, params)
                row = next(waiting, None)
    if row is not None:
        problem = f"frame {row['frame_index']} with a face cannot be decoded"
        raise FootageError(footage_path, problem, "restore the footage or run `dvc repro`")


def _cut(
    frame: Frame,
    row: dict[str, Any],
    squares: Squares,
    track_filter: TrackFilter | None,
    params: AlignParams,
) -> Face:
    """A face with the region of its frame that crop and mesh read."""
    five = row["landmarks_5"].reshape(5, 2).astype(np.float64)
    if not squares.square:
        five = squares.drawn(five)
    row["width_px"] = float(row["bbox"][2] - row["bbox"][0]) * squares.along[0]
    five = smoothed(track_filter, row, five)
    to_crop = alignment.umeyama(five, template(params.template, params.size_px))
    face = Face(row, np.zeros((0, 0, 3), np.uint8), np.zeros(2), squares, five, to_crop)
    frame_px = squares.width_px, squares.height_px
    box = alignment.region(face.affine_matrix, params.size_px, *frame_px)
    # In stored px the network's region is at most so much longer than the box says.
    reach = ENLARGE * max(squares.along)
    box = alignment.joined(box, row["bbox"], reach, *frame_px)
    corner = np.array(box[:2], np.float64)
    return replace(face, rgb=frame.region_rgb(*box), corner=corner)


def run(context: Context[AlignParams]) -> None:
    """Read faces and footage, write crops and aligned.json."""
    params, inputs, outputs = context.params, context.inputs, context.outputs
    of_clip = {key: context.facts["faces"][key] for key in ("clip", "identity", "pack")}
    form = params.model_dump(include={"template", "size_px", "mask_size_px"})
    wanted = set(as_numpy(FACES.read(inputs["faces"], ["frame_index"])["frame_index"]).tolist())
    rows = face_rows(inputs["faces"], inputs["frames"])
    faces = faces_of(inputs["footage"], rows, wanted, params)
    aligner, error_sum = Aligner(load_pack(inputs["pack"]), params), 0.0
    shown = set[int]()
    with (
        Writer(CROPS, outputs["crops"]) as writer,
        context.progress("align", FACES.count(inputs["faces"])) as advance,
    ):
        writer.facts.update(of_clip, **form, colour_order="RGB", jpeg_quality=params.jpeg_quality)
        writer.facts.update(footage_sha256=context.facts["frames"]["footage_sha256"])
        for batch in prefetch(faces, BATCH):
            columns = aligner(batch)
            if columns["crop"]:
                writer.add(columns)
            error_sum += sum(columns["mesh_error"])
            shown.update(columns["frame_index"])
            advance(len(batch))
    frames = int(context.facts["frames"]["frames"])
    content: Facts = {
        **of_clip,
        **form,
        "crops": context.final_outputs["crops"].as_posix(),
        "rows": writer.rows,
        "sha256": sha256_of(outputs["crops"]),
        "frames": frames,
        "frames_without_face": frames - len(shown),
        "left_out": {"mesh_disagrees": aligner.left_out},
        "mean_mesh_error": round(error_sum / writer.rows, 6) if writer.rows else None,
    }
    outputs["aligned"].write_text(to_json(content), encoding="utf-8")
    if aligner.left_out:
        context.say(f"align: {aligner.left_out} left out: mesh and five points disagree")


STAGE = Stage(
    name="align",
    params=AlignParams,
    inputs={"pack": None, "footage": None, "frames": FRAMES, "faces": FACES},
    outputs={"crops": CROPS, "aligned": None},
    run=run,
    description="aligned crops with mesh, head pose and mask",
)

if __name__ == "__main__":
    STAGE.main()
