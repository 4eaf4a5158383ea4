"""The appearance map of an identity: its views over yaw and pitch, thinned and triangulated.

In: the identity's shards, of which the training half is read. Out: map.json
(`likeness.contracts.appearance`), which a family that mixes views by angle can use, and map.jpg,
the same as a picture. After FSGAN (Nirkin, Keller, Hassner, ICCV 2019): near-duplicates are
merged, the rest is triangulated together with four empty corners; its code merges within 2
degrees and sets the corners at 75. Of near-duplicates the one stays that is surest to be the
person, and sharp.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from likeness.contracts.appearance import AppearanceMap, MapView
from likeness.contracts.documents import read_json, to_json
from likeness.contracts.params.appearance import AppearanceParams
from likeness.contracts.stage import Context, Stage
from likeness.contracts.tables.base import as_numpy
from likeness.contracts.tables.shards import SHARDS
from likeness.media.images import decode_jpeg, encode_jpeg
from likeness.vision import pose_picture, poses

Pixels = npt.NDArray[np.uint8]
COLUMNS = ("clip", "frame_index", "track_index", "pose_deg", "similarity", "sharpness")
SHAPES = {"pose_deg": (3,)}
SHARPER = 0.1
"""What a view gains in cosine by being as sharp as the median; up to half as much again."""
JPEG_QUALITY = 88
GAP_PX = 6


def read_rows(folder: Path) -> dict[str, Any]:
    """Columns of all training crops, without their pixels: name -> list or array."""
    rows: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    for path in sorted(folder.glob("train-*.parquet")):
        for part in SHARDS.batches(path, list(COLUMNS)):
            rows["clip"] += part["clip"].to_pylist()
            for name in COLUMNS[1:]:
                rows[name].append(as_numpy(part[name], SHAPES.get(name, ())))
    columns = {name: np.concatenate([_none(name), *rows[name]]) for name in COLUMNS[1:]}
    return {"clip": rows["clip"], **columns}


def _none(name: str) -> npt.NDArray[np.float64]:
    return np.zeros((0, *SHAPES.get(name, ())))


def build_map(
    identity: str, rows: dict[str, Any], params: AppearanceParams
) -> tuple[AppearanceMap, list[int]]:
    """The map, and which crop each of its views is."""
    angles = poses.rounded(rows["pose_deg"][:, :2])
    within = np.flatnonzero((np.abs(angles) < params.corner_deg).all(axis=1))
    sharpness = np.asarray(rows["sharpness"], np.float64)
    middle = float(np.median(sharpness)) if len(sharpness) else 1.0
    crisp = np.minimum(sharpness / max(middle, 1e-6), 1.5)
    quality = np.asarray(rows["similarity"], np.float64) + SHARPER * crisp
    chosen, counts = poses.merged(angles[within], quality[within], params.radius_deg)
    index = [int(row) for row in within[chosen]]
    triangles = poses.triangulated(angles[index], params.corner_deg)
    views = [
        MapView(
            clip=rows["clip"][row],
            frame_index=int(rows["frame_index"][row]),
            track_index=int(rows["track_index"][row]),
            yaw_deg=float(angles[row, 0]),
            pitch_deg=float(angles[row, 1]),
            crops=int(count),
        )
        for row, count in zip(index, counts, strict=True)
    ]
    found = AppearanceMap(
        identity=identity,
        radius_deg=params.radius_deg,
        corner_deg=params.corner_deg,
        crops=len(angles),
        beyond=len(angles) - len(within),
        views=tuple(views),
        triangles=tuple((int(a), int(b), int(c)) for a, b, c in triangles),
    )
    return found, index


def read_crops(folder: Path, wanted: Collection[int], side_px: int) -> dict[int, Pixels]:
    """Some training crops, by their place in all shards, at `side_px`.

    Only the groups of rows that hold one of them are read.
    """
    found, first, places = {}, 0, np.array(sorted(wanted), np.int64)
    for path in sorted(folder.glob("train-*.parquet")) if wanted else ():
        count = SHARDS.count(path)
        here = places[(places >= first) & (places < first + count)]
        waiting = iter(here.tolist())
        for rows in SHARDS.pick(path, here - first, ["crop"]):
            for cell, place in zip(rows["crop"], waiting, strict=False):
                crop = decode_jpeg(cell.as_py())
                small = cv2.resize(crop, (side_px, side_px), interpolation=cv2.INTER_AREA)
                found[place] = np.asarray(small)
        first += count
    return found


def draw(found: AppearanceMap, index: list[int], folder: Path, side_px: int) -> Pixels:
    """The picture; of views whose thumbnails would overlap, the better one has its own."""
    points = np.array(found.points())
    plane = pose_picture.plane_of(points[:-4], side_px)
    shown = poses.apart(plane.place(points[:-4]), side_px + GAP_PX)
    crops = read_crops(folder, {index[view] for view in shown}, side_px)
    thumbnails = {int(view): crops[index[view]] for view in shown}
    title = f"{found.identity}: {len(index)} views of {found.crops} crops"
    about = f"farther apart than {found.radius_deg:g}°; corners at ±{found.corner_deg:g}°"
    if found.beyond:
        about += f"; {found.beyond} crops turned farther"
    triangles = np.array(found.triangles)
    return pose_picture.draw_map(points, triangles, thumbnails, side_px, (title, about))


def run(context: Context[AppearanceParams]) -> None:
    """Build the map, write it, draw it."""
    folder = context.inputs["shards"]
    identity = str(read_json(folder / "manifest.json")["identity"])
    found, index = build_map(identity, read_rows(folder), context.params)
    content = to_json(found.model_dump(mode="json"))
    context.outputs["map"].write_text(content, encoding="utf-8")
    picture = draw(found, index, folder, context.params.thumbnail_px)
    context.outputs["picture"].write_bytes(encode_jpeg(picture, JPEG_QUALITY))
    context.say(f"appearance: {identity} has {len(index)} views of {found.crops} crops")


STAGE = Stage(
    name="appearance",
    params=AppearanceParams,
    inputs={"shards": None},
    outputs={"map": None, "picture": None},
    run=run,
    description="views of an identity over yaw and pitch, thinned and triangulated",
)

if __name__ == "__main__":
    STAGE.main()
