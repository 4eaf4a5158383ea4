"""Real footage changed for tests (turned, squeezed, mirrored), and the stages run on it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from likeness.contracts.stage import Stage
from likeness.contracts.tables.crops import CROPS
from likeness.contracts.tables.detections import DETECTIONS
from likeness.contracts.tables.faces import FACES
from likeness.media.footage import open_footage
from tasks import align, detect, frames
from tasks import filter as filter_task
from tests import synthetic_faces as faces

Pixels = npt.NDArray[np.uint8]
Change = Callable[[int, Pixels], Pixels]


def pictures(footage: Path, count: int, step: int = 1) -> Iterator[Pixels]:
    """Every `step`-th picture of footage as RGB, `count` of them."""
    with open_footage(footage) as opened:
        for frame in opened.frames(range(0, count * step, step)):
            yield frame.rgb()


def write(path: Path, shown: list[Pixels], aspect: tuple[int, int] = (1, 1)) -> Path:
    """A film of these pictures, whose pixels are `aspect` wide and high; even sizes alone."""
    height, width = (side // 2 * 2 for side in shown[0].shape[:2])
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25, options={"crf": "12"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(*aspect)
        for rgb in shown:
            picture = np.ascontiguousarray(rgb[:height, :width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def turn(rgb: Pixels, turn_deg: float) -> tuple[Pixels, npt.NDArray[np.float64]]:
    """A picture turned clockwise on a larger one, and (2,3) from its px to those."""
    height, width = rgb.shape[:2]
    cosine, sine = abs(np.cos(np.radians(turn_deg))), abs(np.sin(np.radians(turn_deg)))
    size = (
        round((width * cosine + height * sine) / 2) * 2,
        round((width * sine + height * cosine) / 2) * 2,
    )
    affine = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), -turn_deg, 1.0)
    affine[:, 2] += ((size[0] - width) / 2, (size[1] - height) / 2)
    return np.asarray(cv2.warpAffine(rgb, affine, size), np.uint8), affine


@dataclass
class Shot:
    """A clip of one identity, and its stages' outputs in a repository of its own."""

    root: Path
    pack: Path
    footage: Path

    def __post_init__(self) -> None:
        faces.write_clip(self.root, "walk")
        faces.write_consent(self.root)

    def path(self, name: str) -> Path:
        """Of an output or input."""
        return self.root / "data/clips/walk" / name

    def stage(self, stage: Stage[Any], params: str = "{}", **more: Path) -> None:
        """Run one stage; `more` names files that are not the clip's own."""
        file = self.root / "params.yaml"
        file.write_text(f"{stage.name}: {params}\n")
        known = {
            "pack": self.pack,
            "clip": self.path("clip.yaml"),
            "consent": self.root / "data/consents/ann-2024.yaml",
            "footage": self.footage,
            "crops": self.path("crops.parquet"),
            "aligned": self.path("aligned.json"),
            **{n: self.path(f"{n}.parquet") for n in ("frames", "detections", "faces")},
            **more,
        }
        names = [*stage.inputs, *stage.outputs]
        arguments = [part for name in names for part in (f"--{name}", str(known[name]))]
        stage.execute([*arguments, "--params", str(file)])

    def analysed(self, judged: str = "{}") -> Shot:
        """Run frames, detect, filter (with parameters `judged`) and align."""
        for stage in (frames.STAGE, detect.STAGE):
            self.stage(stage)
        self.stage(filter_task.STAGE, judged)
        self.stage(align.STAGE)
        return self

    @property
    def detections(self) -> pa.Table:
        """detections.parquet."""
        return DETECTIONS.read(self.path("detections.parquet"))

    @property
    def faces(self) -> pa.Table:
        """faces.parquet."""
        return FACES.read(self.path("faces.parquet"))

    @property
    def crops(self) -> pa.Table:
        """Align's crops."""
        return CROPS.read(self.path("crops.parquet"))

    @property
    def aligned(self) -> dict[str, Any]:
        """aligned.json."""
        content: dict[str, Any] = json.loads(self.path("aligned.json").read_text())
        return content
