"""A small target clip, a source and swaps between them, for stage `evaluate`."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from likeness.contracts.documents import sha256_of
from likeness.contracts.tables.base import Writer, as_numpy
from likeness.contracts.tables.converted import CONVERTED
from likeness.contracts.tables.crops import CROPS
from likeness.contracts.tables.frames import FRAMES
from likeness.contracts.tables.shards import SHARDS
from likeness.media.encode import VideoWriter
from likeness.media.footage import open_footage
from likeness.media.images import decode_jpeg, encode_jpeg
from likeness.vision import alignment
from likeness.vision.box import Box
from likeness.vision.masks import hull_mask, to_bytes
from likeness.vision.placing import warp_to_box
from likeness.vision.pose import pose_from_mesh
from likeness.vision.templates import template
from models.analysers.features import with_outputs
from models.analysers.pack import Pack, load_pack
from tasks import baselines
from tasks.evaluate import STAGE

SIZE_PX, MASK_PX = 192, 96
TARGET_FRAMES, SOURCE_FRAMES = range(4, 14), range(0, 60, 5)
PARAMS = """\
swaps:
  ann-on-ben: {source: ann, target: ben-talks, model: ann-ben}
"""
OUTPUTS = ("metrics.json", "per_frame.parquet", "curves.csv", "contact_sheet.jpg", "report.html")


@dataclass(frozen=True)
class Case:
    """A target clip and a source's shards; `root` is the working directory."""

    root: Path
    pack: Path

    @property
    def clip(self) -> Path:
        return self.root / "data/clips/ben-talks"

    @property
    def crops(self) -> Path:
        return self.root / "data/crops/ben/ben-talks.parquet"

    @property
    def shards(self) -> Path:
        return self.root / "data/shards/ann"

    def compare_with(self, path: Path, **replaced: Path) -> None:
        """Write baselines.parquet."""
        given: dict[str, Any] = {
            "pack": self.pack,
            "clip": self.clip / "clip.yaml",
            "frames": self.clip / "frames.parquet",
            "aligned": self.clip / "aligned.json",
            "source": self.shards,
            "baselines": path,
            **replaced,
        }
        pairs = [[f"--{key}", str(value)] for key, value in given.items()]
        baselines.STAGE.execute(["--swap", "ann-on-ben", *(p for pair in pairs for p in pair)])

    def run(self, swap: Path, **replaced: Path) -> Any:
        """Evaluate `swap` (a folder with converted.parquet, render.mp4); gives metrics.json."""
        (self.root / "data/models/ann-ben").mkdir(parents=True, exist_ok=True)
        given: dict[str, Any] = {
            "pack": self.pack,
            "judge": self.root / "data/packs/judge",
            "clip": self.clip / "clip.yaml",
            "frames": self.clip / "frames.parquet",
            "aligned": self.clip / "aligned.json",
            "source": self.shards,
            "model": self.root / "data/models/ann-ben",
            "baselines": self.root / "data/baselines.parquet",
            "converted": swap / "converted.parquet",
            "render": swap / "render.mp4",
            **replaced,
        }
        names = ("metrics", "per-frame", "curves", "contact-sheet", "html")
        given |= dict(zip(names, (swap / "report" / name for name in OUTPUTS), strict=True))
        pairs = [[f"--{key}", str(value)] for key, value in given.items()]
        STAGE.execute(["--swap", "ann-on-ben", *(part for pair in pairs for part in pair)])
        return json.loads((swap / "report/metrics.json").read_text())


def write_judge(case: Case) -> None:
    """A second embedder: the pack's own, but fed with BGR, so that it is not the same file."""
    folder = case.root / "data/packs/judge"
    folder.mkdir(parents=True)
    own = load_pack(case.pack).path("embedder").read_bytes()
    (folder / "other.onnx").write_bytes(with_outputs(own, ("/network/conv3/Conv_output_0",)))
    content = {
        "name": "other",
        "file": "other.onnx",
        "sha256": sha256_of(folder / "other.onnx"),
        "licence": "test",
        "colour_order": "BGR",
    }
    (folder / "judge.json").write_text(json.dumps(content))


def crop_rows(footage: Path, wanted: range, pack: Pack) -> dict[str, Any]:
    """Columns of align's crops for the largest face of some frames."""
    canonical, _ = pack.canonical_mesh()
    cells: dict[str, list[Any]] = {name: [] for name in CROPS.schema.names}
    for frame in open_footage(footage).frames(set(wanted)):
        rgb = frame.rgb()
        bbox, _, five = pack.detector.detect(rgb)
        mesh, _ = pack.mesh.run(rgb, five[:1], bbox[:1])
        affine = alignment.umeyama(five[0], template("ffhq_512", SIZE_PX))
        in_crop = alignment.apply_mesh(affine, mesh[0])
        values = {
            "frame_index": frame.frame_index,
            "pts_s": frame.pts_s,
            "shot_index": 0,
            "track_index": 0,
            "crop": encode_jpeg(alignment.warp_crop(rgb, affine, SIZE_PX), 95),
            "mask": to_bytes(hull_mask(in_crop, SIZE_PX, MASK_PX)),
            "affine_matrix": affine.reshape(-1),
            "landmarks_5": alignment.apply(affine, five[0]).reshape(-1),
            "landmarks_468": in_crop.reshape(-1),
            "pose_deg": pose_from_mesh(mesh[0], (rgb.shape[1], rgb.shape[0]), canonical),
            "similarity": 0.8,
            "sharpness": 50.0,
            "mesh_error": 0.03,
        }
        for name, value in values.items():
            cells[name].append(value)
    return {
        name: np.stack(column) if isinstance(column[0], np.ndarray) else column
        for name, column in cells.items()
    }


def write_target(case: Case, footage: Path, pack: Pack) -> None:
    """Footage, clip.yaml, frames.parquet, crops and aligned.json."""
    case.clip.mkdir(parents=True)
    case.crops.parent.mkdir(parents=True)
    shutil.copy(footage, case.clip / "footage.mp4")
    (case.clip / "clip.yaml").write_text(
        "clip: ben-talks\nidentity: ben\nrole: target\nconsent: ben\nlicence: test\n"
    )
    frames = list(open_footage(footage).frames())
    with Writer(FRAMES, case.clip / "frames.parquet") as writer:
        writer.add(
            {
                "frame_index": np.arange(len(frames)),
                "pts": [f.pts for f in frames],
                "pts_s": [f.pts_s for f in frames],
                "shot_index": np.zeros(len(frames)),
                "sharpness": np.ones(len(frames)),
                "perceptual_hash": np.zeros(len(frames)),
                "duplicate_of": [None] * len(frames),
                "decoded": [f.decoded for f in frames],
            }
        )
        writer.facts.update(dict.fromkeys(FRAMES.facts))
        writer.facts.update(footage_sha256=sha256_of(case.clip / "footage.mp4"))
    with Writer(CROPS, case.crops) as writer:
        writer.add(crop_rows(footage, TARGET_FRAMES, pack))
        writer.facts.update(dict.fromkeys(CROPS.facts))
        writer.facts.update(size_px=SIZE_PX, mask_size_px=MASK_PX)
    content = {"crops": "data/crops/ben/ben-talks.parquet", "sha256": sha256_of(case.crops)}
    (case.clip / "aligned.json").write_text(json.dumps(content | {"identity": "ben"}))


def write_source(case: Case, footage: Path, pack: Pack) -> None:
    """One shard of the source's faces."""
    case.shards.mkdir(parents=True)
    rows = crop_rows(footage, SOURCE_FRAMES, pack)
    rows |= {"clip": ["ann-film"] * len(rows["crop"])}
    rows |= {"sample_weight": np.ones(len(rows["crop"]))}
    with Writer(SHARDS, case.shards / "train-00000.parquet") as writer:
        writer.add(rows)
        writer.facts.update(dict.fromkeys(SHARDS.facts))
        writer.facts.update(identity="ann", size_px=SIZE_PX, mask_size_px=MASK_PX)


def write_swap(case: Case, name: str, picture: Any, rows: int | None = None) -> Path:
    """A swap whose crops are `picture(crop)`, laid in by the mask and encoded; gives its folder."""
    folder = case.root / "data/swaps" / name
    (folder / "report").mkdir(parents=True)
    table = CROPS.read(case.crops).slice(0, rows)
    crops = [np.asarray(picture(decode_jpeg(cell.as_py()))) for cell in table["crop"]]
    with Writer(CONVERTED, folder / "converted.parquet") as writer:
        writer.facts.update(dict.fromkeys(CONVERTED.facts, "test"))
        writer.facts.update(size_px=SIZE_PX, mask_size_px=MASK_PX)
        if crops:
            kept = table.select(["frame_index", "track_index", "mask", "affine_matrix"])
            columns = {key: kept[key] for key in kept.column_names}
            writer.add({**columns, "crop": [encode_jpeg(crop, 95) for crop in crops]})
    lay = dict(zip(table["frame_index"].to_pylist(), range(len(crops)), strict=True))
    affines = as_numpy(table["affine_matrix"], (2, 3))
    footage = open_footage(case.clip / "footage.mp4")
    with VideoWriter(folder / "render.mp4", footage, crf=12, preset="ultrafast") as video:
        for frame in footage.frames():
            rgb, row = frame.rgb(), lay.get(frame.frame_index)
            if row is not None:
                mask = np.frombuffer(table["mask"][row].as_py(), np.uint8)
                rgb = laid(rgb, crops[row], mask.reshape(MASK_PX, MASK_PX), affines[row])
            video.write_rgb(rgb, frame.pts)
    return folder


def laid(rgb: Any, crop: Any, mask: Any, affine: Any) -> Any:
    """The frame with a crop laid in by its mask."""
    box = Box(0, 0, rgb.shape[1], rgb.shape[0])
    above = warp_to_box(crop, affine, box).astype(np.float32)
    alpha = warp_to_box(cv2.resize(mask, (SIZE_PX, SIZE_PX)), affine, box)[..., None] / 255.0
    return np.round(rgb * (1 - alpha) + above * alpha).astype(np.uint8)
