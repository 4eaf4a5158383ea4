"""A live re-enactment at 256 px, 640x360 footage to film, beside a plain serial loop.

Both: the paper's U-Net of 54 million parameters (untrained: the speed is the same) on drawings of
the mesh, colour transfer, the face laid back, the visible mark, and the same encoder. Ours:
`apps.live` as the command runs it. Baseline: one frame after the other; the whole picture
searched on every frame, networks on contiguous float32 tensors, mixing over the full RGB frame.

The rate is that of showing every frame. Latency is measured by playing the footage as a camera:
ours drops frames; the loop always takes the newest one, so that its latency is the time of a frame
and what the frame had waited, half a period in the mean.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from apps.live.meter import Meter
from apps.live.request import Request
from apps.live.runners import as_pixels
from apps.live.session import run as run_live
from apps.live.sinks import CRF, PRESET
from benchmarks.blend import paste_full
from benchmarks.drawn import draw_shard
from benchmarks.harness import Result, cost, rate, record
from likeness.contracts.environment import shared_folder, threads
from likeness.contracts.params.blend import BlendParams
from likeness.media.colour import rgb_to_yuv420
from likeness.media.encode import StreamFacts, VideoWriter
from likeness.media.footage import open_footage
from likeness.media.frame import Frame
from likeness.provenance.marks import make_mark, stamp
from likeness.vision import alignment, masks
from likeness.vision.pasting import Face
from likeness.vision.templates import template
from models import tensorfile
from models.analysers.export import write_pack
from models.analysers.fetch import fetch_pack
from models.analysers.pack import Pack, load_pack
from models.conversion import joined_masks
from models.swappers import registry
from models.swappers.base import Swapper

FAMILY, SIZE_PX, MASK_PX = "pix2pix", 256, 128
PERSON = "identity: subject\nconsent: subject\n"
CONSENT = """\
consent: subject
identity: subject
roles: [source, target]
basis: test footage, nothing is published
use: measuring speed
training: true
"""


def prepare(root: Path) -> None:
    """Records, pack and an untrained model of full size below `root`."""
    (root / "data/consents").mkdir(parents=True)
    (root / "data/identities/subject").mkdir(parents=True)
    (root / "data/identities/subject/identity.yaml").write_text(PERSON)
    (root / "params.yaml").write_text("")
    (root / "data/consents/subject.yaml").write_text(CONSENT)
    write_pack("embedded", fetch_pack("embedded"), root / "pack")
    torch.manual_seed(0)
    swapper = registry.build(FAMILY, {"size_px": SIZE_PX})
    folder = root / "model"
    folder.mkdir()
    tensorfile.write(folder / registry.WEIGHTS, swapper.state_dict())
    about = {
        "model": "model",
        "family": FAMILY,
        "config": swapper.config.model_dump(mode="json"),
        "source": "subject",
        "target": "subject",
        "size_px": SIZE_PX,
        "coverage": swapper.coverage,
        "pack": "embedded",
    }
    (folder / registry.CONFIG).write_text(json.dumps(about))
    write_trial(root)


def write_trial(root: Path) -> None:
    """Drawn shards, on which the choice of a runtime is timed."""
    shards = root / "data/shards"
    shards.mkdir(parents=True)
    draw_shard(shards / "subject", "subject", 1)


def ours(root: Path, footage: Path, *, every_frame: bool) -> Meter:
    """The command's own way."""
    request = Request(
        root / "model",
        root / "pack",
        taken_from=str(footage),
        output=str(root / "ours.mp4"),
        view="paste",
        every_frame=every_frame,
        root=root,
    )
    return run_live(request, [], lambda _pipeline: None)


class Loop:
    """The plain way, one frame at a time."""

    def __init__(self, root: Path, facts: dict[str, Any]) -> None:
        torch.set_num_threads(threads())
        self.pack: Pack = load_pack(root / "pack")
        self.swapper: Swapper = registry.load(root / "model")
        self.facts = {**facts, "audio_streams": 0}
        size = (facts["width_px"], facts["height_px"])
        self.mark = make_mark("AI face swap · likeness", size)
        self.space = (facts["colour_space"], facts["colour_range"])

    def __call__(self, frame: Frame, writer: VideoWriter) -> None:
        """Search, align, draw, run, lay, mark, encode."""
        rgb = frame.rgb()
        bbox, _, points = self.pack.detector.detect(rgb)
        if len(bbox):
            rgb = self._swapped(rgb, bbox[0], points[0])
        planes = stamp(rgb_to_yuv420(rgb, *self.space), self.mark)
        writer.write(*planes, frame.pts)

    def _swapped(self, rgb: Any, bbox: Any, five: Any) -> Any:
        mesh = self.pack.mesh.run(rgb, five[None], bbox[None])[0][0]
        affine = alignment.umeyama(five, template("ffhq_512", SIZE_PX))
        crop = cv2.warpAffine(rgb, affine, (SIZE_PX, SIZE_PX), flags=cv2.INTER_CUBIC)
        landmarks = alignment.apply_mesh(affine, mesh).astype(np.float32)
        mask = masks.hull_mask(landmarks, SIZE_PX, MASK_PX)
        mask = masks.meet(mask, self.pack.segmenter.run(crop[None])[0])
        with torch.inference_mode():
            given = {"landmarks_468": torch.from_numpy(landmarks)[None]}
            image, replace = self.swapper.swap(given)
        aligned = torch.from_numpy(cv2.resize(mask, (SIZE_PX, SIZE_PX)))[None, None]
        levels = joined_masks(replace, aligned, "both")[0]
        face = Face((0, 0), as_pixels(image[0].numpy()), levels, affine)
        return paste_full(rgb, face, BlendParams())


def baseline(root: Path, footage: Path) -> tuple[float, float]:
    """Frames per second of the loop, and the median milliseconds of a frame."""
    source = open_footage(footage, decode_threads=1)
    loop, spent = Loop(root, source.facts), []
    model = StreamFacts(footage, loop.facts)
    with VideoWriter(root / "loop.mp4", model, CRF, PRESET, audio=False) as writer:
        for frame in source.frames():
            began = time.perf_counter()
            loop(frame, writer)
            spent.append(time.perf_counter() - began)
    kept = spent[3:]  # networks set themselves up on the first
    return len(kept) / sum(kept), 1000 * float(np.median(kept))


def run() -> list[Result]:
    """Frames per second, and milliseconds from capture to shown."""
    footage = shared_folder() / "footage/single_face.mp4"
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        prepare(root)
        all_frames = ours(root, footage, every_frame=True)
        played = ours(root, footage, every_frame=False)
        frames_s, frame_ms = baseline(root, footage)
    print(f"live, every frame: {all_frames.summary()}")
    print(f"live, as a camera: {played.summary()}")
    period_ms = 1000 / 30
    latency = 1000 * played.percentile_s(0.5)
    return [
        rate("live.serial", all_frames.mean_rate, frames_s, "frames/s"),
        cost("live.latency", latency, frame_ms + period_ms / 2, "ms"),
    ]


if __name__ == "__main__":
    record(run())
