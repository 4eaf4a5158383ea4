"""Aligned crops of a clip's faces, with mesh, head pose and mask.

In: the analyser pack, the footage, frames.parquet, faces.parquet. Out: one row per face in
data/crops/<identity>/<clip>.parquet, and aligned.json, which states what that file holds, so that
later stages can depend on one clip of an identity. Only frames with faces are decoded, and of
those only the region around the face.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from likeness.contracts.documents import Document, sha256_of, to_json
from likeness.contracts.errors import FootageError
from likeness.contracts.stage import Context, Stage
from likeness.contracts.tables.base import Facts, Writer, as_numpy
from likeness.contracts.tables.crops import CROPS
from likeness.contracts.tables.faces import FACES
from likeness.contracts.tables.frames import FRAMES
from likeness.media.footage import open_footage
from likeness.media.images import encode_jpeg
from likeness.vision import alignment, masks
from likeness.vision.mesh import mesh_error
from likeness.vision.pose import pose_from_mesh
from likeness.vision.smoothing import OneEuro
from likeness.vision.templates import TemplateName, eye_distance_px, template
from models.analysers.pack import Pack, load_pack

BATCH = 16
FIXED_POINT = 32.0
"""Mesh coordinates are rounded to 1/32 px: far below the mesh's own error, and half the bytes."""


class AlignParams(Document):
    """Section `align` of params.yaml."""

    template: TemplateName = Field(default="ffhq_512", description="places of the five points")
    size_px: int = Field(default=256, ge=32, le=2048, description="side of a crop")
    mask_size_px: int = Field(default=128, ge=16, le=2048, description="side of a mask")
    jpeg_quality: int = Field(default=90, ge=50, le=100, description="of the crops, 4:4:4")
    forehead: float = Field(
        default=0.0, ge=0.0, le=0.5, description="mask above the mesh, in face heights"
    )
    person: bool = Field(default=True, description="meet the mask with the person segmenter's")
    smooth: bool = Field(default=False, description="One-Euro filter on landmarks along a track")
    smooth_cutoff_hz: float = Field(default=3.0, gt=0.0, description="its cut-off at rest")
    smooth_beta: float = Field(
        default=20.0, ge=0.0, description="its growth in Hz per face width per second"
    )


@dataclass(frozen=True)
class Face:
    """A face to align, with the region of the frame that holds it.

    Attributes:
        row: columns of faces.parquet, and pts_s and shot_index of the frame.
        rgb: (h,w,3) uint8, the region.
        corner: x, y of the region in the frame, px.
        frame_size: width, height of the frame, px.
        landmarks_5: (5,2) frame px, smoothed if asked for.
        affine_matrix: (2,3) frame px -> crop px.
    """

    row: dict[str, Any]
    rgb: npt.NDArray[np.uint8]
    corner: tuple[int, int]
    frame_size: tuple[int, int]
    landmarks_5: npt.NDArray[np.float64]
    affine_matrix: npt.NDArray[np.float64]


class Steady:
    """One-Euro filters of one kind of points; forgets its tracks when their shot is over."""

    def __init__(self, params: AlignParams) -> None:
        self._params = params
        self._filters: dict[int, OneEuro] = {}
        self._shot = -1

    def __call__(self, row: dict[str, Any], points: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Points in frame px as they are, or steadied, by the face's track and time."""
        given = np.asarray(points, np.float64)
        if not self._params.smooth:
            return given
        if row["shot_index"] != self._shot:
            self._filters, self._shot = {}, row["shot_index"]
        size = float(np.diff(row["bbox"].reshape(2, 2), axis=0).max())
        key = int(row["track_index"])
        if key not in self._filters:
            self._filters[key] = OneEuro(
                self._params.smooth_cutoff_hz, self._params.smooth_beta / size
            )
        return self._filters[key](given, row["pts_s"])


def region_of(
    affine: npt.NDArray[np.float64],
    bbox: npt.NDArray[np.float32],
    size_px: int,
    frame_size: tuple[int, int],
) -> tuple[int, int, int, int]:
    """Box of the frame that crop and mesh read: the crop's footprint and 1.5 boxes turned."""
    width_px, height_px = frame_size
    x0, y0, x1, y1 = alignment.region(affine, size_px, width_px, height_px)
    centre = (bbox[:2] + bbox[2:]) / 2
    reach = float((bbox[2:] - bbox[:2]).max()) * 0.75 * 2**0.5 + 2
    low, high = np.floor(centre - reach).astype(int), np.ceil(centre + reach).astype(int) + 1
    return (
        max(0, min(x0, int(low[0]))),
        max(0, min(y0, int(low[1]))),
        min(width_px, max(x1, int(high[0]))),
        min(height_px, max(y1, int(high[1]))),
    )


def align_faces(
    faces: list[Face], pack: Pack, steady: Steady, params: AlignParams
) -> dict[str, Any]:
    """Columns of the crops table for some faces, in their order."""
    canonical, _ = pack.canonical_mesh()
    eyes_px = eye_distance_px(params.template, params.size_px)
    crops, meshes, poses, errors = [], [], [], []
    for face in faces:
        corner = np.array(face.corner, np.float64)
        five = (face.landmarks_5 - corner).astype(np.float32)[None]
        bbox = face.row["bbox"] - np.tile(corner, 2).astype(np.float32)
        found, _ = pack.mesh.run(face.rgb, five, bbox[None])
        mesh = steady(face.row, found[0] + np.array([*corner, 0.0]))
        affine = face.affine_matrix
        crops.append(
            alignment.warp_crop(face.rgb, alignment.moved(affine, *face.corner), params.size_px)
        )
        poses.append(pose_from_mesh(mesh, face.frame_size, canonical))
        in_crop = alignment.apply_mesh(affine, mesh)
        meshes.append(np.round(in_crop * FIXED_POINT) / FIXED_POINT)
        errors.append(mesh_error(in_crop, alignment.apply(affine, face.landmarks_5), eyes_px))
    return {
        "crop": [encode_jpeg(crop, params.jpeg_quality) for crop in crops],
        "mask": [masks.to_bytes(mask) for mask in _masks(faces, crops, meshes, pack, params)],
        "affine_matrix": np.stack([face.affine_matrix for face in faces]),
        "landmarks_5": np.stack(
            [alignment.apply(f.affine_matrix, f.landmarks_5) for f in faces]
        ).astype(np.float32),
        "landmarks_468": np.stack(meshes).astype(np.float32),
        "pose_deg": np.stack(poses),
        "mesh_error": np.array(errors, np.float32),
        **{
            name: np.array([face.row[name] for face in faces], kind)
            for name, kind in _CARRIED.items()
        },
    }


_CARRIED = {
    "frame_index": np.int32,
    "pts_s": np.float64,
    "shot_index": np.int32,
    "track_index": np.int32,
    "similarity": np.float32,
    "sharpness": np.float32,
}


def _masks(
    faces: list[Face],
    crops: list[npt.NDArray[np.uint8]],
    meshes: list[npt.NDArray[np.float64]],
    pack: Pack,
    params: AlignParams,
) -> Iterator[masks.Mask]:
    """Hull of each mesh within the frame, met with the person."""
    persons = pack.segmenter.run(np.stack(crops)) if params.person else [None] * len(crops)
    for face, mesh, person in zip(faces, meshes, persons, strict=True):
        mask = masks.hull_mask(mesh, params.size_px, params.mask_size_px, params.forehead)
        shown = alignment.inside(face.affine_matrix, params.size_px, *face.frame_size)
        mask = masks.meet(mask, shown.astype(np.float32) / 255.0)
        yield masks.meet(mask, person) if person is not None else mask


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
    steady, fixed = Steady(params), template(params.template, params.size_px)
    waiting = iter(rows)
    row = next(waiting, None)
    with open_footage(footage_path) as footage:
        frame_size = (int(footage.facts["width_px"]), int(footage.facts["height_px"]))
        for frame in footage.frames(wanted):
            while row is not None and row["frame_index"] == frame.frame_index:
                five = steady(row, row["landmarks_5"].reshape(5, 2))
                affine = alignment.umeyama(five, fixed)
                x0, y0, x1, y1 = region_of(affine, row["bbox"], params.size_px, frame_size)
                rgb = frame.region_rgb(x0, y0, x1, y1)
                yield Face(row, rgb, (x0, y0), frame_size, five, affine)
                row = next(waiting, None)
    if row is not None:
        problem = f"frame {row['frame_index']} with a face cannot be decoded"
        raise FootageError(footage_path, problem, "restore the footage or run `dvc repro`")


def summary(facts: Facts, path: str, crops: Path, rows: int, error_sum: float) -> Facts:
    """Content of aligned.json; the same for the same crops."""
    frames, without = int(facts["frames"]), int(facts["frames"]) - int(facts["frames_with_face"])
    return {
        "clip": facts["clip"],
        "identity": facts["identity"],
        "crops": path,
        "rows": rows,
        "sha256": sha256_of(crops),
        "size_px": facts["size_px"],
        "mask_size_px": facts["mask_size_px"],
        "template": facts["template"],
        "pack": facts["pack"],
        "frames": frames,
        "frames_without_face": without,
        "mean_mesh_error": round(error_sum / rows, 6) if rows else None,
    }


def run(context: Context[AlignParams]) -> None:
    """Read faces and footage, write crops and aligned.json."""
    params, inputs, faces_facts = context.params, context.inputs, context.facts["faces"]
    pack = load_pack(inputs["pack"])
    wanted = set(as_numpy(FACES.read(inputs["faces"], ["frame_index"])["frame_index"]).tolist())
    facts = {
        **{key: faces_facts[key] for key in ("clip", "identity", "pack")},
        **params.model_dump(include={"template", "size_px", "mask_size_px", "jpeg_quality"}),
        "colour_order": "RGB",
    }
    rows = face_rows(inputs["faces"], inputs["frames"])
    faces, steady = faces_of(inputs["footage"], rows, wanted, params), Steady(params)
    error_sum = 0.0
    total = FACES.count(inputs["faces"])
    with Writer(CROPS, context.outputs["crops"]) as writer, context.progress("align", total) as on:
        writer.facts.update(facts)
        while batch := list(islice(faces, BATCH)):
            columns = align_faces(batch, pack, steady, params)
            writer.add(columns)
            error_sum += float(columns["mesh_error"].sum())
            on(len(batch))
    frames = context.facts["frames"]["frames"]
    counted = facts | {"frames": frames, "frames_with_face": len(wanted)}
    final = context.final_outputs["crops"].as_posix()
    content = summary(counted, final, context.outputs["crops"], writer.rows, error_sum)
    context.outputs["aligned"].write_text(to_json(content), encoding="utf-8")


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
