"""The whole chain on a 720p clip, beside the practice of dumping PNGs between steps.

Both sides: the same footage, analyser pack, 64 px autoencoder of width 128 (random weights: the
speed is the same), colour transfer, encoder settings, and both end with a video with sound. All
networks are loaded within the time. Ours: the stages frames to blend as DVC runs them, one after
the other in one process. Baseline: every step reads the pictures of the one before from PNG files
and writes its own; insightface's FaceAnalysis on every frame, one face at a time through the
network in float32, mixing over the full frame.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import torch

from benchmarks.blend import paste_full
from benchmarks.harness import Result, rate, record
from benchmarks.memory import cut
from likeness.contracts.environment import shared_folder, threads
from likeness.contracts.params.blend import BlendParams
from likeness.media.encode import VideoWriter
from likeness.media.footage import open_footage
from likeness.vision import alignment, masks
from likeness.vision.pasting import Face
from likeness.vision.templates import template
from models import tensorfile
from models.analysers.export import write_pack
from models.analysers.fetch import fetch_pack
from models.analysers.pack import load_pack
from models.batch import as_image, as_pixels
from models.conversion import covered
from models.swappers import registry
from models.training.crops import cut as cut_crops
from tasks import align, blend, convert, detect, frames
from tasks import filter as filter_faces

_ = pd  # Arrow imports it with its first array, here before the time; stages do without
FRAMES = 282
CROP_PX, MASK_PX = 256, 128
CLIP = Path("data/clips/clip")
PACK = Path("data/models/embedded")  # insightface looks for <root>/models/<name>
MODEL, SWAP = Path("data/trained/model"), Path("data/swaps/swap")
PARAMS = """\
models: {model: {family: autoencoder, source: subject, target: subject}}
swaps: {swap: {source: subject, target: clip, model: model}}
"""
CONSENT = """\
consent: subject
identity: subject
roles: [source, target]
basis: test footage, nothing is published
use: measuring speed
training: true
"""
CARD = "clip: clip\nidentity: subject\nrole: target\nconsent: subject\nlicence: MIT\n"


class Split:
    """Seconds per step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time what happens inside."""
        began = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - began

    def line(self) -> str:
        """All steps and their sum."""
        parts = [f"{name} {value:.2f}" for name, value in self.seconds.items()]
        return f"{', '.join(parts)}; sum {sum(self.seconds.values()):.2f} s"


def prepare(footage: Path, pack: dict[str, Path]) -> None:
    """Clip, records, pack and an untrained model of the founding size in the working directory."""
    for folder in (CLIP, SWAP, MODEL, Path("data/consents"), Path("data/crops/subject")):
        folder.mkdir(parents=True)
    Path("params.yaml").write_text(PARAMS)
    Path("data/consents/subject.yaml").write_text(CONSENT)
    (CLIP / "clip.yaml").write_text(CARD)
    cut(footage, CLIP / "footage.mp4", FRAMES)
    write_pack("embedded", pack, PACK)
    torch.manual_seed(0)
    settings: dict[str, Any] = {"size_px": 64, "width": 128}
    tensorfile.write(MODEL / registry.WEIGHTS, registry.build("autoencoder", settings).state_dict())
    about = {"family": "autoencoder", "config": settings, "source": "subject", "target": "subject"}
    (MODEL / registry.CONFIG).write_text(json.dumps(about))


def ours() -> Split:
    """The six stages."""
    split = Split()
    paths = {
        "pack": PACK,
        "clip": CLIP / "clip.yaml",
        "consent": "data/consents/subject.yaml",
        "footage": CLIP / "footage.mp4",
        "frames": CLIP / "frames.parquet",
        "detections": CLIP / "detections.parquet",
        "faces": CLIP / "faces.parquet",
        "crops": "data/crops/subject/clip.parquet",
        "aligned": CLIP / "aligned.json",
        "swap": "swap",
        "model": MODEL,
        "source": MODEL,
        "appearance": MODEL,  # there, and not read by a family that takes no source
        "converted": SWAP / "converted.parquet",
        "render": SWAP / "render.mp4",
    }
    for module in (frames, detect, filter_faces, align, convert, blend):
        stage: Any = module.STAGE
        names = (*stage.options, *stage.inputs, *stage.outputs)
        with split.step(stage.name):
            stage.execute([part for name in names for part in (f"--{name}", str(paths[name]))])
    return split


def read(path: Path) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A PNG as RGB."""
    return np.asarray(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB))


def write(path: Path, rgb: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
    """RGB as a PNG at OpenCV's default level."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))


def baseline() -> Split:
    """The same with PNGs between the steps."""
    split, folder = Split(), Path("dump")
    with split.step("extract"):
        reader, count = cv2.VideoCapture(str(CLIP / "footage.mp4")), 0
        while (picture := reader.read()[1]) is not None:
            write(folder / f"frame-{count:05d}.png", cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
            count += 1
    with split.step("detect"):
        found = baseline_detect(folder, count)
    with split.step("align"):
        affines = baseline_align(folder, found)
    with split.step("convert"):
        baseline_convert(folder, sorted(affines))
    with split.step("blend"):
        baseline_blend(folder, count, affines)
    with split.step("encode"), open_footage(CLIP / "footage.mp4") as footage:
        params = BlendParams()
        with VideoWriter(Path("baseline.mp4"), footage, params.crf, params.preset) as writer:
            for index, frame in enumerate(footage.frames()):
                writer.write_rgb(read(folder / f"out-{index:05d}.png"), frame.pts)
    return split


def baseline_detect(folder: Path, count: int) -> dict[int, Any]:
    """insightface on every frame: frame -> its largest face."""
    from insightface.app import FaceAnalysis

    app = FaceAnalysis(name=PACK.name, root=str(PACK.parents[1]))
    app.prepare(ctx_id=-1, det_size=(640, 640))
    found = {}
    for index in range(count):
        faces = app.get(cv2.imread(str(folder / f"frame-{index:05d}.png")))
        if faces:
            found[index] = max(faces, key=lambda face: face.bbox[2] - face.bbox[0])
    return found


def baseline_align(folder: Path, found: dict[int, Any]) -> dict[int, Any]:
    """Crop, mesh and mask of every face, one at a time: frame -> affine."""
    pack, fixed, affines = load_pack(PACK), template("ffhq_512", CROP_PX), {}
    for index, face in found.items():
        rgb = read(folder / f"frame-{index:05d}.png")
        affine = alignment.umeyama(face.kps, fixed)
        crop = alignment.warp_crop(rgb, affine, CROP_PX)
        mesh, _ = pack.mesh.run(rgb, face.kps[None], face.bbox[None])
        hull = masks.hull_mask(alignment.apply_mesh(affine, mesh[0]), CROP_PX, MASK_PX)
        mask = masks.meet(hull, pack.segmenter.run(crop[None])[0])
        write(folder / f"crop-{index:05d}.png", crop)
        levels = np.frombuffer(masks.to_bytes(mask), np.uint8).reshape(MASK_PX, MASK_PX)
        cv2.imwrite(str(folder / f"mask-{index:05d}.png"), levels)
        affines[index] = affine
    return affines


def baseline_convert(folder: Path, indices: list[int]) -> None:
    """One face at a time through the network in float32."""
    swapper = registry.load(MODEL)
    for index in indices:
        crop = as_image(torch.from_numpy(read(folder / f"crop-{index:05d}.png"))[None])
        mask = cv2.imread(str(folder / f"mask-{index:05d}.png"), cv2.IMREAD_GRAYSCALE)
        batch = {
            "crop": cut_crops(crop, swapper.coverage, swapper.size_px),
            "mask": cut_crops(
                torch.from_numpy(mask).float()[None, None] / 255, swapper.coverage, swapper.size_px
            ),
        }
        with torch.inference_mode():
            image, alpha = swapper.swap(batch)
        write(folder / f"swap-{index:05d}.png", as_pixels(image)[0].numpy())
        levels = (alpha[0, 0].numpy() * 255).round().astype(np.uint8)
        cv2.imwrite(str(folder / f"alpha-{index:05d}.png"), levels)


def baseline_blend(folder: Path, count: int, affines: dict[int, Any]) -> None:
    """Every frame mixed over its whole area."""
    params, coverage = BlendParams(), float(registry.load(MODEL).coverage)
    for index in range(count):
        rgb = read(folder / f"frame-{index:05d}.png")
        if index in affines:
            crop = read(folder / f"swap-{index:05d}.png")
            mask = cv2.imread(str(folder / f"alpha-{index:05d}.png"), cv2.IMREAD_GRAYSCALE)
            affine = covered(affines[index], CROP_PX, crop.shape[0], coverage)
            rgb = paste_full(rgb, Face((0, 0), crop, np.asarray(mask), affine), params)
        write(folder / f"out-{index:05d}.png", rgb)


def run() -> list[Result]:
    """Frames per second of both, each once."""
    footage = shared_folder().absolute() / "footage/lp_s18.mp4"
    if not footage.is_file():
        print(f"chain: skipped, no {footage.name}; set LIKENESS_SHARED", flush=True)
        return []
    cv2.setNumThreads(threads())
    torch.set_num_threads(threads())
    pack = {role: path.absolute() for role, path in fetch_pack("embedded").items()}
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
        prepare(footage, pack)
        usual = baseline()
        mine = ours()
        shown = sum(1 for _ in open_footage(SWAP / "render.mp4").frames())
    print(f"chain baseline: {usual.line()}", flush=True)
    print(f"chain ours: {mine.line()}", flush=True)
    speeds = [shown / sum(split.seconds.values()) for split in (mine, usual)]
    return [rate("chain", speeds[0], speeds[1], "frames/s")]


if __name__ == "__main__":
    record(run())
