"""Every face of a clip with its box, five points and identity embedding.

In: the analyser pack, the footage, frames.parquet. Out: detections.parquet, by frame, best score
first.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field

from likeness.contracts.documents import Document
from likeness.contracts.stage import Context, Stage
from likeness.contracts.tables.base import Writer
from likeness.contracts.tables.detections import DETECTIONS
from likeness.contracts.tables.frames import FRAMES
from likeness.media.footage import open_footage
from models.analysers.pack import load_pack

Floats = npt.NDArray[np.float32]


class DetectParams(Document):
    """Section `detect` of params.yaml."""

    detect_every_frames: int = Field(default=8, ge=1, description="1: the detector sees all")
    embed_every_frames: int = Field(default=8, ge=1, description="1: every face is embedded")


def face_sharpness(luma: npt.NDArray[np.uint8], bbox: Floats) -> float:
    """Variance of the Laplacian of the face's luma, resampled to 112 px."""
    height, width = luma.shape
    x0, y0 = max(int(bbox[0]), 0), max(int(bbox[1]), 0)
    x1, y1 = min(int(bbox[2]) + 1, width), min(int(bbox[3]) + 1, height)
    if x1 - x0 < 2 or y1 - y0 < 2:
        return 0.0
    small = cv2.resize(luma[y0:y1, x0:x1], (112, 112), interpolation=cv2.INTER_AREA)
    return float(cv2.Laplacian(small, cv2.CV_32F).var())


def run(context: Context[DetectParams]) -> None:
    """Detect and embed."""
    pack = load_pack(context.inputs["pack"])
    frames = FRAMES.read(context.inputs["frames"], ["frame_index"])
    measured = detector_frames = 0
    with (
        open_footage(context.inputs["footage"]) as footage,
        Writer(DETECTIONS, context.outputs["detections"]) as writer,
        context.progress("detect", frames.num_rows) as advance,
    ):
        for frame in footage.frames():
            advance(1)
            if not frame.decoded:
                continue
            rgb, luma = frame.rgb(), frame.luma()
            bbox, score, landmarks_5 = pack.detector.detect(rgb)
            detector_frames += 1
            embedding = pack.embedder.embed(rgb, landmarks_5)
            measured += len(embedding)
            norm = np.linalg.norm(embedding, axis=1)
            count = len(bbox)
            rows: dict[str, Any] = {
                "frame_index": np.full(count, frame.frame_index),
                "detection_index": np.arange(count),
                "bbox": bbox,
                "det_score": score,
                "landmarks_5": landmarks_5,
                "normed_embedding": list(embedding / np.maximum(norm, 1e-12)[:, None]),
                "embedding_norm": norm,
                "sharpness": np.array([face_sharpness(luma, b) for b in bbox], np.float32),
                "followed": np.zeros(count, bool),
                "embedding_interpolated": np.zeros(count, bool),
            }
            writer.add(rows)
        writer.facts.update(
            clip=context.facts["frames"]["clip"],
            pack=pack.name,
            embedding_dim=pack.embedding_dim,
            frames=frames.num_rows,
            detector_frames=detector_frames,
            embeddings_measured=measured,
        )


STAGE = Stage(
    name="detect",
    params=DetectParams,
    inputs={"pack": None, "footage": None, "frames": FRAMES},
    outputs={"detections": DETECTIONS},
    run=run,
    description="every face with box, points and embedding",
)

if __name__ == "__main__":
    STAGE.main()
