"""A small repository in a folder of its own: one target clip with crops, ready for `convert`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from likeness.contracts.documents import sha256_of
from likeness.contracts.tables.base import Writer
from likeness.contracts.tables.crops import CROPS
from likeness.contracts.tables.frames import FRAMES
from likeness.media.footage import open_footage
from likeness.media.images import encode_jpeg
from likeness.vision import alignment
from models.batch import Batch
from models.swappers.base import Swapper, SwapperConfig
from tests.footage import Size, make_clip

SWAP, CLIP, SIZE_PX, MASK_PX = "ann-on-ben", "ben-walks", 96, 64
FRAME_PX = (192, 144)
TIME_BASE = Fraction(1, 1000)
PTS = [0, 40, 80, 200, 213, 280, 320, 360, 440, 441]  # no two steps alike for long
PARAMS = """\
models:
  ann-ben: {family: drawn, source: ann, target: ben}
swaps:
  ann-on-ben: {source: ann, target: ben-walks, model: ann-ben}
"""
Affine = npt.NDArray[np.float64]


def scene(index: int, size: Size) -> npt.NDArray[np.uint8]:
    """Smooth colours that drift slowly: what a codec keeps nearly as it was."""
    width, height = size
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    waves = [
        120 + 60 * np.sin((columns * a + rows * b + 2 * index) / 23.0 + phase)
        for a, b, phase in ((1, 0.6, 0), (0.4, -1, 1), (-0.7, 0.8, 2))
    ]
    return np.stack(waves, axis=-1).round().astype(np.uint8)


def face_affine(frame_index: int, track_index: int = 0) -> Affine:
    """Frame px -> crop px: a face of 80 px that wanders and turns; track 1 in another place."""
    turn = np.deg2rad(5 + 2 * frame_index)
    scale = SIZE_PX / 80
    linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    place = (60 + 2 * frame_index, 70) if track_index == 0 else (150, 60 + frame_index)
    return np.column_stack([linear, np.full(2, (SIZE_PX - 1) / 2) - linear @ place])


class Drawn(Swapper):
    """A family without weights: returns the target's crop, or a colour over all of it.

    `seen` keeps the batches that it was given; `blank` lets its mask be 0 everywhere.
    """

    family: ClassVar[str] = "drawn"
    Config: ClassVar[type[SwapperConfig]] = SwapperConfig
    needs: ClassVar[tuple[str, ...]] = ("mask", "landmarks_468", "pose_deg")

    def __init__(
        self,
        colour: tuple[float, float, float] | None = None,
        size_px: int = SIZE_PX,
        coverage: float = 1.0,
    ) -> None:
        super().__init__(SwapperConfig(size_px=size_px))
        self.colour, self._coverage = colour, coverage
        self.seen: list[Batch] = []
        self.blank = False

    @property
    def coverage(self) -> float:
        return self._coverage

    def swap(self, target: Batch, source: Batch | None = None) -> tuple[Tensor, Tensor]:
        self.seen.append(target)
        picture = target["crop"]
        if self.colour is not None:
            colour = torch.tensor(self.colour).view(1, 3, 1, 1)
            picture = colour.expand_as(picture)
        return picture, target["mask"] * (not self.blank)


@dataclass(frozen=True)
class Case:
    """Paths of the case, relative to its root, which is the working directory of the test."""

    root: Path
    frames: int

    clip: ClassVar[Path] = Path("data/clips") / CLIP
    swap: ClassVar[Path] = Path("data/swaps") / SWAP
    crops: ClassVar[Path] = Path("data/crops/ben") / f"{CLIP}.parquet"
    model: ClassVar[Path] = Path("data/models/ann-ben")
    appearance: ClassVar[Path] = Path("data/appearance/ann/map.json")

    @property
    def footage(self) -> Path:
        return self.clip / "footage.mp4"

    def convert_arguments(self) -> list[str]:
        return [
            *("--swap", SWAP, "--model", str(self.model), "--source", "data/shards/ann"),
            *("--appearance", str(self.appearance)),
            *("--aligned", str(self.clip / "aligned.json")),
            *("--converted", str(self.swap / "converted.parquet")),
        ]

    def blend_arguments(self) -> list[str]:
        return [
            *("--swap", SWAP, "--clip", str(self.clip / "clip.yaml")),
            *("--frames", str(self.clip / "frames.parquet")),
            *("--converted", str(self.swap / "converted.parquet")),
            *("--render", str(self.swap / "render.mp4")),
        ]

    def publish_arguments(self) -> list[str]:
        return [
            *("--swap", SWAP, "--render", str(self.swap / "render.mp4")),
            *("--metrics", str(self.swap / "report/metrics.json")),
            *("--published", str(self.swap / "published.mp4")),
            *("--provenance", str(self.swap / "provenance.json")),
        ]


def write_consent(name: str, identity: str, **keys: object) -> Path:
    """Write data/consents/<name>.yaml; `keys` replace or add lines."""
    content: dict[str, object] = {"consent": name, "identity": identity}
    content |= {"roles": ["source", "target"], "basis": "a test", "use": "a test"}
    content |= {"training": True, **keys}
    path = Path("data/consents") / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def write_identity(name: str, consent: str) -> Path:
    """Write data/identities/<name>/identity.yaml."""
    path = Path("data/identities") / name / "identity.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"identity: {name}\nconsent: {consent}\n")
    return path


def make_case(
    root: Path, tracks: tuple[int, ...] = (0,), gaps: tuple[int, ...] = (), **clip: Any
) -> Case:
    """Write footage, tables, records and params.yaml below `root`, the working directory.

    Args:
        root: an empty folder.
        tracks: faces in every frame; none for a clip without faces.
        gaps: frames without faces.
        clip: settings of tests.footage.make_clip.
    """
    settings: dict[str, Any] = {"frames": len(PTS), "pts": PTS, "time_base": TIME_BASE}
    settings |= {"size": FRAME_PX, "audio": "aac", "picture": scene, **clip}
    if settings["pts"] is None:
        settings["time_base"] = None
    case = Case(root, settings["frames"])
    Path("params.yaml").write_text(PARAMS)
    for path in (case.clip, case.crops.parent, case.model, Path("data/shards/ann")):
        path.mkdir(parents=True, exist_ok=True)
    case.appearance.parent.mkdir(parents=True, exist_ok=True)
    case.appearance.write_text("{}")  # there, and read only for families that want its views
    make_clip(case.footage, **settings)
    (case.clip / "clip.yaml").write_text(
        f"clip: {CLIP}\nidentity: ben\nrole: target\nconsent: ben-test\nlicence: none\n"
    )
    write_consent("ann-test", "ann")
    write_consent("ben-test", "ben")
    write_identity("ann", "ann-test")
    (case.model / "config.json").write_text(
        json.dumps({"family": "drawn", "config": {}, "source": "ann", "target": "ben"})
    )
    write_frames(case)
    write_crops(case, tracks, gaps)
    return case


def write_frames(case: Case) -> None:
    """frames.parquet of the footage as it is now."""
    footage = open_footage(case.footage)
    frames = list(footage.frames())
    facts = {name: footage.facts.get(name) for name in FRAMES.facts}
    facts |= {"clip": CLIP, "footage": case.footage.name, "frames": len(frames)}
    facts |= {"footage_sha256": sha256_of(case.footage), "shots": 1}
    count = len(frames)
    with Writer(FRAMES, case.clip / "frames.parquet") as writer:
        writer.add(
            {
                "frame_index": np.arange(count),
                "pts": [frame.pts for frame in frames],
                "pts_s": [frame.pts_s for frame in frames],
                "shot_index": np.zeros(count),
                "sharpness": np.ones(count),
                "perceptual_hash": np.zeros(count),
                "duplicate_of": [None] * count,
                "decoded": [frame.decoded for frame in frames],
            }
        )
        writer.facts.update(facts)


def write_crops(case: Case, tracks: tuple[int, ...], gaps: tuple[int, ...] = ()) -> None:
    """Align's crops and aligned.json: the face of every track in every frame but `gaps`."""
    mask = np.zeros((MASK_PX, MASK_PX), np.uint8)
    cv2.circle(mask, (MASK_PX // 2, MASK_PX // 2), int(0.4 * MASK_PX), 255, -1)
    with Writer(CROPS, case.crops) as writer:
        for frame in open_footage(case.footage).frames():
            if frame.frame_index in gaps or not frame.decoded:
                continue
            for track in tracks:
                affine = face_affine(frame.frame_index, track)
                crop = alignment.warp_crop(frame.rgb(), affine, SIZE_PX)
                writer.add(_crop_row(frame.frame_index, track, encode_jpeg(crop, 98), mask, affine))
        writer.facts.update(clip=CLIP, identity="ben", template="ffhq_512", size_px=SIZE_PX)
        writer.facts.update(mask_size_px=MASK_PX, colour_order="RGB", jpeg_quality=98, pack="none")
        rows = writer.rows
    content = {"clip": CLIP, "identity": "ben", "crops": str(case.crops), "rows": rows}
    content["sha256"] = sha256_of(case.crops)
    (case.clip / "aligned.json").write_text(json.dumps(content))


def _crop_row(
    frame: int, track: int, crop: bytes, mask: npt.NDArray[np.uint8], affine: Affine
) -> dict[str, Any]:
    points = np.linspace(20, 70, 1404, dtype=np.float32)
    return {
        "frame_index": [frame],
        "pts_s": [frame / 25],
        "shot_index": [0],
        "track_index": [track],
        "crop": [crop],
        "mask": [mask.tobytes()],
        "affine_matrix": affine.reshape(1, 6),
        "landmarks_5": points[:10].reshape(1, 10),
        "landmarks_468": points.reshape(1, 1404),
        "pose_deg": np.array([[frame, 0, 0]], np.float32),
        "similarity": [0.8],
        "sharpness": [50.0],
        "mesh_error": [0.02],
    }
