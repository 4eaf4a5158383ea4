"""Bytes of stored crops beside a dump of the same frames as PNG, for the demo's footage.

Ours: data/crops/<identity>/<clip>.parquet, everything in it (crop, mask, landmarks, pose).
Baseline: every frame of the clip as PNG, as the tools before this one dump them. Printed beside
the ratio: bytes per crop, and what the PNGs come to per 1,000 frames.
"""

from __future__ import annotations

from pathlib import Path

import cv2

from benchmarks.harness import Result, cost, record
from likeness.contracts.catalog import footage_path
from likeness.contracts.documents import read_json
from likeness.contracts.tables.crops import CROPS
from likeness.media.footage import open_footage


def png_bytes(path: Path) -> tuple[int, int]:
    """Number of frames, and the bytes of all of them as PNG at OpenCV's default level."""
    frames = total = 0
    for frame in open_footage(path).frames():
        if frame.decoded:
            total += len(cv2.imencode(".png", frame.rgb()[..., ::-1])[1])
        frames += 1
    return frames, total


def run() -> list[Result]:
    """Bytes of all crops against bytes of all frames, over the clips that have crops."""
    ours = baseline = 0
    for aligned in sorted(Path("data/clips").glob("*/aligned.json")):
        crops = Path(read_json(aligned)["crops"])
        if not crops.is_file():
            continue
        frames, dumped = png_bytes(footage_path(aligned.parent / "clip.yaml"))
        stored, rows = crops.stat().st_size, CROPS.count(crops)
        print(
            f"crops {aligned.parent.name}: {stored / max(rows, 1):.0f} bytes per crop of "
            f"{CROPS.check(crops)['size_px']} px ({rows}); PNGs {dumped / frames / 1000:.0f} MB "
            "per 1,000 frames",
            flush=True,
        )
        ours, baseline = ours + stored, baseline + dumped
    if not ours:
        print("crops: skipped, no crops; run `make swap`", flush=True)
        return []
    return [cost("crops.bytes", ours, baseline, "bytes")]


if __name__ == "__main__":
    record(run())
