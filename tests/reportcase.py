"""A repository with evaluated swaps, made without any network: drawn footage, chosen numbers."""

from __future__ import annotations

import copy
import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from likeness.contracts.documents import to_json
from likeness.contracts.tables.base import Writer
from likeness.contracts.tables.crops import CROPS
from likeness.contracts.tables.history import HISTORY
from likeness.contracts.tables.shards import SHARDS
from likeness.evaluation.per_frame import PER_FRAME, SCORES
from likeness.evaluation.report.album import REASONS, Album, Shown
from likeness.evaluation.report.film import Film
from likeness.evaluation.report.page import Report, write_report
from likeness.evaluation.report.sheet import contact_sheet
from likeness.media.encode import VideoWriter
from likeness.media.footage import open_footage
from likeness.media.images import encode_jpeg
from tests.swapcase import CLIP, FRAME_PX, Case, make_case

Pixels = npt.NDArray[np.uint8]
FRAMES = 12
SWAPS = ("first", "second")
PARAMS = f"""\
publish: {{text: "drawn by a test"}}
swaps:
  first: {{source: ann, target: {CLIP}, model: ann-ben}}
  second: {{source: ann, target: {CLIP}, model: ann-ben}}
  elsewhere: {{source: ann, target: another-clip, model: ann-ben}}
"""
METRICS: dict[str, Any] = {
    "identity_cosine": {
        "source": 0.5,
        "target": 0.2,
        "source_itself": 0.85,
        "nearer_to_source": 1.0,
        "worst_source": 0.4,
        "target_copied": {"source": 0.06, "target": 0.96},
        "source_pasted": {"source": 0.63, "target": 0.09},
    },
    "pose_error_deg": {"mean": 1.5, "yaw": 0.9, "target_copied": 0.0, "source_pasted": 3.6},
    "outside": {"ssim": 0.995, "psnr_db": 48.0, "max_difference": 20},
    "seams": {"gradient_ratio": {"mean": 2.5, "target_copied": 2.4, "source_pasted": 2.6}},
    "flicker": {"landmark_jitter": 0.004, "landmark_jitter_target": 0.007},
    "colour_shift": {"mean": 0.2, "target_copied": 0.0},
    "sparkle": {"mean": 0.25, "target_copied": 0.125},
    "kid": {"value": None, "reason": "fewer than 50 images"},
    "frames": {"total": FRAMES, "with_face": FRAMES, "measured": FRAMES, "undecodable": 0},
    "embedder": {
        "name": "drawn",
        "dimension": 8,
        "independent": False,
        "gallery_faces": 3,
        "gallery_held_out": True,
    },
    "gates": {
        "identity_cosine.source": {"bound": ">= 0.35", "value": 0.5, "passed": True},
        "outside.ssim": {"bound": ">= 0.999", "value": 0.995, "passed": False},
    },
    "gates_passed": False,
}
"""As stage `evaluate` writes them, with a metric (`sparkle`) that no page knows by name."""


def metrics(**changes: Any) -> dict[str, Any]:
    """Numbers of a swap; `changes` replaces values by path, "__" for the dot."""
    found = copy.deepcopy(METRICS)
    for path, value in changes.items():
        *above, last = path.split("__")
        node = found
        for key in above:
            node = node[key]
        node[last] = value
    return found


@dataclass(frozen=True)
class ReportCase:
    """The repository; it is the working directory."""

    root: Path
    case: Case

    def folder(self, swap: str) -> Path:
        return Path("data/swaps") / swap

    def page(self, swap: str) -> Path:
        return self.folder(swap) / "report/report.html"

    def evaluate(
        self, swap: str, numbers: dict[str, Any], change: Callable[[Pixels], Pixels]
    ) -> None:
        """Render and outputs of `evaluate` for one swap; `change` draws the render's frames."""
        report = self.folder(swap) / "report"
        report.mkdir(parents=True, exist_ok=True)
        render = self.folder(swap) / "render.mp4"
        target = open_footage(self.case.footage)
        with VideoWriter(render, target, crf=20, preset="ultrafast") as writer:
            for frame in target.frames():
                writer.write_rgb(change(frame.rgb()), frame.pts)
        (self.folder(swap) / "converted.parquet").write_bytes(swap.encode())
        drawn = self.report(swap, numbers)
        write_report(report / "report.html", drawn, self.inputs(swap))
        (report / "metrics.json").write_text(to_json(numbers))
        sheet = contact_sheet(drawn.album, swap)
        (report / "contact_sheet.jpg").write_bytes(encode_jpeg(sheet, 88, "420"))
        write_per_frame(report / "per_frame.parquet", drawn.columns)

    def inputs(self, swap: str) -> dict[str, Path]:
        clip = self.case.clip
        return {
            "clip": clip / "clip.yaml",
            "frames": clip / "frames.parquet",
            "aligned": clip / "aligned.json",
            "source": Path("data/shards/ann"),
            "model": self.case.model,
            "converted": self.folder(swap) / "converted.parquet",
            "render": self.folder(swap) / "render.mp4",
        }

    def report(self, swap: str, numbers: dict[str, Any], frames: int = FRAMES) -> Report:
        """What `evaluate` would hand over: film and stills of the real files."""
        album = Album(10, set(), {0, frames // 2})
        target, render = (open_footage(p) for p in (self.case.footage, self.inputs(swap)["render"]))
        film = Film(target, [range(frames)])
        for before, after in zip(target.frames(), render.frames(), strict=True):
            album.frame(before, after)
            film.frame(before, after)
        for place, reason in enumerate(REASONS):
            album.worst[reason.name] = [shown(k, k + place) for k in range(0, frames, 5)]
        album.even.append(shown(1, 1))
        about = {"source": "ann", "target": CLIP, "model": "ann-ben", "family": "drawn"}
        facts = {"size_px": 96, "mask_size_px": 64, "template": "ffhq_512", "params": {"stills": 2}}
        waves = np.sin(np.arange(frames) / 3.0) / 4 + 0.5
        columns = {name: waves + k / 100 for k, name in enumerate(SCORES)}
        shots = np.repeat([0, 1], [frames // 2, frames - frames // 2])
        source = [np.full((96, 96, 3), (200, 40, 90), np.uint8)]
        return Report(swap, about | facts, numbers, columns, shots, album, film.finish(), source)


def shown(frame: int, seed: int) -> Shown:
    """A face of one colour."""
    picture = np.full((192, 192, 3), (40 * seed % 256, 90, 160), np.uint8)
    text, mirrored = f"badness {seed}", picture[:, ::-1].copy()
    return Shown(frame, float(seed), text, picture, mirrored, picture)


def write_per_frame(path: Path, columns: dict[str, npt.NDArray[np.float64]]) -> None:
    """per_frame.parquet with `columns` and what else its schema asks for."""
    count = len(next(iter(columns.values())))
    fixed: dict[str, Any] = {
        "frame_index": np.arange(count),
        "pts_s": np.arange(count) / 25,
        "shot_index": np.zeros(count),
        "track_index": np.zeros(count),
        "faces": np.ones(count),
        "sampled": np.ones(count, np.bool_),
    }
    with Writer(PER_FRAME, path) as writer:
        writer.add({name: fixed.get(name, columns.get(name)) for name in PER_FRAME.schema.names})
        writer.facts.update(dict.fromkeys(PER_FRAME.facts))


def write_source(case: Case) -> None:
    """Shards of the source with a manifest, and a model's folder with a history."""
    folder = Path("data/shards/ann")
    crops = CROPS.read(case.crops)
    with Writer(SHARDS, folder / "train-00000.parquet") as writer:
        columns = {name: crops[name] for name in crops.column_names}
        weights = np.ones(crops.num_rows)
        writer.add({**columns, "clip": ["ann-film"] * crops.num_rows, "sample_weight": weights})
        writer.facts.update(dict.fromkeys(SHARDS.facts))
    files = [{"file": "train-00000.parquet", "rows": crops.num_rows, "sha256": "5a" * 32}]
    manifest: dict[str, Any] = {"clips": {"ann-film": {"crops": crops.num_rows}}}
    manifest |= {"train": {"rows": crops.num_rows, "files": files}, "consent_sha256": "c0" * 32}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (case.model / "preview.jpg").write_bytes(encode_jpeg(np.full((32, 64, 3), 90, np.uint8)))
    with Writer(HISTORY, case.model / "history.parquet") as writer:
        images, values = np.arange(1, 6) * 64, np.linspace(0.3, 0.1, 5)
        writer.add({"images": images, "phase": ["all"] * 5, "name": ["loss"] * 5, "value": values})
        writer.facts.update(dict.fromkeys(HISTORY.facts))


def git(root: Path, *arguments: str) -> None:
    """Run git in `root` as somebody."""
    who = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", *who, *arguments], cwd=root, check=True, capture_output=True)


def make_report_case(root: Path, scale: int = 2) -> ReportCase:
    """Write the repository below `root`, the working directory: two swaps on one target.

    A first commit holds worse numbers of `first`, so that there is something to compare with.
    """
    size = (FRAME_PX[0] * scale, FRAME_PX[1] * scale)
    case = make_case(root, frames=FRAMES, pts=None, size=size)
    made = ReportCase(root, case)
    write_source(case)
    Path("params.yaml").write_text(PARAMS)
    Path("dvc.yaml").write_text("stages: {}\n")
    old = metrics(identity_cosine__source=0.3, seams__gradient_ratio__mean=2.0)
    git(root, "init", "-q")
    path = made.folder("first") / "report/metrics.json"
    path.parent.mkdir(parents=True)
    path.write_text(to_json(old))
    git(root, "add", str(path))
    git(root, "commit", "-q", "-m", "the numbers of yesterday")
    made.evaluate("first", metrics(), lambda rgb: 255 - rgb)
    better = metrics(identity_cosine__source=0.6, pose_error_deg__mean=4.0)
    made.evaluate("second", better, lambda rgb: np.ascontiguousarray(rgb[..., ::-1]))
    return made
