"""A pack's networks as films use them, beside insightface's own way through the same files.

Films go through the runner of our own as long as start and whole frames pay; windows and single
faces cost the same either way. Stills go through insightface: reference photos, thresholds.
`packs.start`: processor
seconds from an empty process to both networks loaded. `packs.scan`: a whole frame, which
insightface fills up to 640 by 640. `packs.window`: the window around a known face. `packs.embed`:
one face. `packs.stills`: FaceAnalysis on a photo, against detector and embedder one by one.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.harness import Result, best, cost
from likeness.media.footage import open_footage
from models.analysers.export import write_pack
from models.analysers.fetch import fetch, fetch_pack
from models.analysers.pack import Pack, load_pack
from models.analysers.zoo import open_analysis

Image = npt.NDArray[np.uint8]
FRAMES = range(0, 60, 3)
REPEATS = 7
STARTS = 3
WINDOW = (slice(64, 224), slice(200, 360))
RUNNER = "p.new_detector(1); p.new_embedder(1)"
ZOO = "p.stills"
PROGRAM = """
import sys, time
from pathlib import Path
from models.analysers.pack import load_pack
p = load_pack(Path(sys.argv[1])); {work}
print(time.process_time())
"""


def start(folder: Path, work: str) -> float:
    """Processor seconds of a process that loads both networks; the least of several."""
    given = [sys.executable, "-c", PROGRAM.format(work=work), str(folder)]
    return min(
        float(subprocess.run(given, capture_output=True, text=True, check=True).stdout)
        for _ in range(STARTS)
    )


def each(work: Callable[[Any], object], items: Sequence[Any]) -> float:
    """Milliseconds per item, best of several rounds."""
    return best(lambda: [work(item) for item in items], REPEATS) / len(items) * 1000


def compare(pack: Pack, analysis: Any, frames: list[Image]) -> list[Result]:
    """Both ways through the same pictures."""
    detector, embedder = pack.new_detector(1), pack.new_embedder(1)
    scrfd, arcface = (analysis.models[task] for task in ("detection", "recognition"))
    mirrored = [np.ascontiguousarray(frame[..., ::-1]) for frame in frames]
    small = [cv2.resize(frame, (640, 360))[WINDOW] for frame in frames]
    windows = [np.ascontiguousarray(one[..., ::-1]) for one in small]
    crops = [np.ascontiguousarray(cv2.resize(frame, (112, 112))) for frame in frames]
    ours = {
        "scan": each(detector.detect, frames),
        "window": each(lambda one: detector.detect_scaled([one], 1.0), small),
        "embed": each(lambda one: embedder.embed_crops(one[None]), crops),
        "stills": each(lambda one: embedder.embed(one, detector.detect(one)[2]), frames),
    }
    theirs = {
        "scan": each(scrfd.detect, mirrored),
        "window": each(lambda one: scrfd.detect(one, input_size=one.shape[1::-1]), windows),
        "embed": each(arcface.get_feat, crops),
        "stills": each(analysis.get, mirrored),
    }
    return [cost(f"packs.{name}", ours[name], theirs[name], "ms") for name in ours]


def run() -> list[Result]:
    """All parts, on one thread."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "embedded"
        write_pack("embedded", fetch_pack("embedded"), place)
        begun = cost("packs.start", start(place, RUNNER), start(place, ZOO), "s")
        film = fetch(["man-portrait"])["man-portrait"]
        with open_footage(film) as footage:
            frames = [frame.rgb() for frame in footage.frames(FRAMES)]
        return [begun, *compare(load_pack(place), open_analysis(place, 1), frames)]
