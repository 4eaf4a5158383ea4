"""A repository in which a small untrained model can run live, and a piece of footage to run on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from likeness.media.camera import camera_facts
from likeness.media.colour import Planes
from likeness.media.encode import StreamFacts, VideoWriter
from likeness.media.footage import Footage, open_footage
from likeness.media.frame import Frame
from models import tensorfile
from models.swappers import registry
from tests.synthetic_shards import SIZE_PX, write_shards

SETTINGS: dict[str, Any] = {"size_px": 32, "width": 8}
MODEL = Path("data/models/ann-ben")
PARAMS = "blend: {colour: none}\n"
CONSENT = """\
consent: {name}-2024
identity: {name}
roles: [{roles}]
basis: test
use: test
training: true
{more}"""


class Still(Frame):
    """A grey frame."""

    def __init__(self, footage: Footage, frame_index: int, pts: int) -> None:
        super().__init__(footage, frame_index, pts)
        self.decoded = True

    def _load(self) -> Planes:
        height, width = self._footage.facts["height_px"], self._footage.facts["width_px"]
        half = np.full((height // 2, width // 2), 128, np.uint8)
        return np.full((height, width), 90, np.uint8), half, half


class Stills(Footage):
    """`count` grey frames, `apart` units of 1/90000 s from one to the next."""

    def __init__(self, count: int, apart: int = 3600, size: tuple[int, int] = (320, 240)) -> None:
        super().__init__(Path("grey"), camera_facts(*size, 25))
        self.count, self.apart = count, apart
        self.given = 0

    def _read(self) -> Iterator[Frame]:
        for index in range(self.count):
            self.given = index + 1
            yield Still(self, index, index * self.apart)


def write_consent(name: str, roles: str = "source, target", more: str = "") -> None:
    """data/consents/<name>-2024.yaml in the working directory."""
    path = Path("data/consents") / f"{name}-2024.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(CONSENT.format(name=name, roles=roles, more=more))


def write_identity(name: str) -> None:
    """data/identities/<name>/identity.yaml in the working directory."""
    path = Path("data/identities") / name / "identity.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"identity: {name}\nconsent: {name}-2024\n")


def write_model(folder: Path, family: str = "autoencoder", **facts: Any) -> Path:
    """An untrained model of `SETTINGS` with its config.json."""
    torch.manual_seed(0)
    swapper = registry.build(family, SETTINGS)
    folder.mkdir(parents=True)
    tensorfile.write(folder / registry.WEIGHTS, swapper.state_dict())
    content = {
        "family": family,
        "config": swapper.config.model_dump(mode="json"),
        "model": folder.name,
        "source": "ann",
        "target": "ben",
        "size_px": swapper.size_px,
        "coverage": swapper.coverage,
        "template": "ffhq_512",
        "crop_size_px": SIZE_PX,
        "pack": "embedded",
        **facts,
    }
    (folder / registry.CONFIG).write_text(json.dumps(content))
    return folder


def write_repository(pack: Path | None = None) -> None:
    """params.yaml, consents, shards and `MODEL` in the working directory, and a pack if given."""
    Path("params.yaml").write_text(PARAMS)
    for seed, name in enumerate(("ann", "ben")):
        write_consent(name)
        write_identity(name)
        write_shards(Path("data/shards") / name, name, 12, seed=seed)
    write_model(MODEL)
    if pack is not None:
        Path("data/packs").mkdir()
        shutil.copytree(pack, "data/packs/embedded")


def write_clip(path: Path, footage: Path, frames: range, *, blank: range = range(0)) -> list[int]:
    """Some frames of `footage`, the `blank` ones grey; returns their times, which are uneven."""
    source = open_footage(footage)
    model = StreamFacts(path, {**source.facts, "audio_streams": 0})
    times: list[int] = []
    with VideoWriter(path, model, crf=12, preset="ultrafast") as writer:
        for frame in source.frames(frames):
            y, u, v = frame.planes()
            if frame.frame_index in blank:
                y, u, v = (np.full_like(plane, 128) for plane in (y, u, v))
            pts = frame.pts + 40 * (len(times) % 2)
            writer.write(y, u, v, pts)
            times.append(pts)
    return times
