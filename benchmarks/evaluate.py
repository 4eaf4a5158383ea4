"""Stage `evaluate` on a 500-frame 360p swap, beside stage `detect` on the same clip.

Both as `python -m tasks.<stage>` with default parameters, the way DVC runs them, so that starting
Python counts for both; modules are compiled once, as they are wherever software is installed. The
target is 500 frames of the demo's woman at 640x360, the swap is made from the demo's man by an
autoencoder that was hardly trained: a swap by mesh_transfer would spare the baseline of that name.
`ratio` is evaluate / detect: at most 1.5 is the goal, and less is better. The frames of the
baselines come from a stage that hangs on no model; what that takes, once per pair, is a line of its
own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.harness import Result, record, seconds
from likeness.contracts.environment import state_folder
from likeness.contracts.errors import LikenessError
from likeness.media.encode import VideoWriter
from likeness.media.footage import open_footage
from models.analysers.export import RECOGNISER, write_recogniser
from models.analysers.fetch import fetch

ROOT = Path(__file__).resolve().parents[1]
FRAMES = 500
REPEATS = 4
GIVER, TAKER, SWAP = "giver", "taker", "swap"
APPEARANCE = "data/appearance/map.json"
PARAMS = """pack: {name: embedded}
models:
  hasty: {family: autoencoder, source: giver, target: taker, width: 32}
train: {images: 64, batch_images: 8}
swaps:
  swap: {source: giver, target: taker, model: hasty}
"""
CONSENT = """consent: {name}
identity: {name}
roles: [source, target]
basis: demo footage, nothing is published
use: measuring speed
training: true
"""
CARD = "clip: {name}\nidentity: {name}\nrole: {role}\nconsent: {name}\nlicence: test\n"


def lengthened(footage: Path, path: Path, frames: int) -> None:
    """The footage's frames, from the start again until there are `frames` of them."""
    opened = open_footage(footage)
    with VideoWriter(path, opened, 18.0, "veryfast", audio=False) as out:
        step, first = 0, 0
        while out.frames < frames:
            begin = first + step * out.frames
            for frame in opened.frames(range(frames - out.frames)):
                first = first or frame.pts
                step = step or (frame.pts if frame.frame_index == 1 else 0)
                out.write_rgb(frame.rgb(), begin + frame.pts)


def workspace(folder: Path) -> None:
    """Two clips, their consent records, parameters and the pack of this repository."""
    (folder / "params.yaml").write_text(PARAMS)
    (folder / "data/consents").mkdir(parents=True)
    (folder / "data/packs").mkdir()
    (folder / "data/packs/embedded").symlink_to(ROOT / "data/packs/embedded")
    write_recogniser(fetch([RECOGNISER])[RECOGNISER], folder / "data/packs/recogniser")
    found = fetch(["woman-pexels", "man-portrait"])
    for name, role in ((GIVER, "source"), (TAKER, "target")):
        home = folder / "data/clips" / name
        home.mkdir(parents=True)
        (home / "clip.yaml").write_text(CARD.format(name=name, role=role))
        person = folder / "data/identities" / name
        person.mkdir(parents=True)
        (person / "identity.yaml").write_text(f"identity: {name}\nconsent: {name}\n")
        (folder / f"data/consents/{name}.yaml").write_text(CONSENT.format(name=name))
    shutil.copy(found["man-portrait"], folder / f"data/clips/{GIVER}/footage.mp4")
    lengthened(found["woman-pexels"], folder / f"data/clips/{TAKER}/footage.mp4", FRAMES)


def paths(clip: str) -> dict[str, str]:
    """Where everything lies, by argument."""
    home, out = f"data/clips/{clip}", f"data/swaps/{SWAP}"
    report = f"{out}/report"
    return {
        "pack": "data/packs/embedded",
        "judge": "data/packs/judge",
        "clip": f"{home}/clip.yaml",
        "consent": f"data/consents/{clip}.yaml",
        "footage": f"{home}/footage.mp4",
        "frames": f"{home}/frames.parquet",
        "detections": f"{home}/detections.parquet",
        "faces": f"{home}/faces.parquet",
        "aligned": f"{home}/aligned.json",
        "baselines": f"{out}/baselines.parquet",
        "converted": f"{out}/converted.parquet",
        "render": f"{out}/render.mp4",
        "metrics": f"{report}/metrics.json",
        "per_frame": f"{report}/per_frame.parquet",
        "curves": f"{report}/curves.csv",
        "contact_sheet": f"{report}/contact_sheet.jpg",
        "html": f"{report}/report.html",
    }


def stage(folder: Path, name: str, given: dict[str, str]) -> float:
    """Run one stage as DVC does; seconds it took.

    Raises:
        LikenessError: it failed.
    """
    arguments = [part for k, v in given.items() for part in (f"--{k.replace('_', '-')}", v)]
    command = [sys.executable, "-m", f"tasks.{name}", *arguments]
    state = {"LIKENESS_STATE": str(state_folder().absolute())}  # where downloads lie
    # Without it an environment that forbids Python to keep what it compiles would be measured.
    compiled = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(folder / ".compiled")}
    environment = {**os.environ, **state, **compiled, "PYTHONPATH": str(ROOT)}
    spent, done = seconds(
        lambda: subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
    )
    if done.returncode:
        raise LikenessError(f"stage {name}", done.stderr.strip()[-300:], "see benchmarks/evaluate")
    return spent


def pick(known: dict[str, str], *names: str) -> dict[str, str]:
    """Some of the arguments."""
    return {name: known[name] for name in names}


def prepare(folder: Path) -> None:
    """Everything that `evaluate` reads, made by the stages themselves."""
    workspace(folder)
    stage(folder, "judge", {"pack": "data/packs/embedded", "out": "data/packs/judge"})
    for clip in (GIVER, TAKER):
        known = paths(clip)
        crops = {"crops": f"data/crops/{clip}/{clip}.parquet"}
        stage(folder, "frames", pick(known, "clip", "footage", "frames"))
        stage(folder, "detect", pick(known, "pack", "footage", "frames", "detections"))
        listed = pick(known, "pack", "clip", "consent", "frames", "detections", "faces")
        stage(folder, "filter", listed)
        wanted = pick(known, "pack", "footage", "frames", "faces", "aligned")
        stage(folder, "align", {**wanted, **crops})
        roster = f"data/rosters/{clip}.json"
        owner = {"identity": f"data/identities/{clip}/identity.yaml"}
        owner |= {"clips": "data/clips", "roster": roster}
        stage(folder, "roster", {**pick(known, "consent"), **owner})
        shards = {"crops": f"data/crops/{clip}", "shards": f"data/shards/{clip}"}
        listed = {"roster": roster, "manifest": f"data/manifests/{clip}.json"}
        stage(folder, "shard", {**listed, **shards})
    both = {"source": f"data/shards/{GIVER}", "target": f"data/shards/{TAKER}"}
    stage(folder, "perceptual", {"out": "data/packs/perceptual"})
    known = {name: f"data/packs/{name}" for name in ("recogniser", "perceptual")}
    known["out"] = "data/models/hasty"
    stage(folder, "train", {"model": "hasty", **both, **known})
    known = paths(TAKER)
    model = {"model": "data/models/hasty", "source": f"data/shards/{GIVER}"}
    drawn = {"map": APPEARANCE, "picture": "data/appearance/map.jpg"}
    stage(folder, "appearance", {"shards": f"data/shards/{GIVER}", **drawn})
    given = {**model, "appearance": APPEARANCE, **pick(known, "aligned", "converted")}
    stage(folder, "convert", {"swap": SWAP, **given})
    names = ("clip", "frames", "converted", "render")
    stage(folder, "blend", {"swap": SWAP, **pick(known, *names)})


def compared(folder: Path) -> float:
    """Seconds of stage `baselines`."""
    source = {"source": f"data/shards/{GIVER}"}
    given = pick(paths(TAKER), "pack", "clip", "frames", "aligned", "baselines")
    return stage(folder, "baselines", {"swap": SWAP, **source, **given})


def measure(folder: Path) -> tuple[float, float]:
    """Seconds of `evaluate` and of `detect`, each the best of several turns."""
    known = paths(TAKER)
    detect = pick(known, "pack", "footage", "frames", "detections")
    read = ("pack", "judge", "clip", "frames", "aligned", "baselines", "converted", "render")
    written = ("metrics", "per_frame", "curves", "contact_sheet", "html")
    model = {"model": "data/models/hasty", "source": f"data/shards/{GIVER}"}
    evaluate = {"swap": SWAP, **model, **pick(known, *read, *written)}
    spent: dict[str, list[float]] = {"evaluate": [], "detect": []}
    for _ in range(REPEATS):
        spent["detect"].append(stage(folder, "detect", detect))
        spent["evaluate"].append(stage(folder, "evaluate", evaluate))
    return min(spent["evaluate"]), min(spent["detect"])


def run() -> list[Result]:
    """`evaluate.over_detect` and `evaluate.baselines`: seconds, and how many times detect's."""
    with tempfile.TemporaryDirectory() as name:
        prepare(Path(name))
        beside = compared(Path(name))
        ours, baseline = measure(Path(name))
    spent = {"over_detect": ours, "baselines": beside}
    return [Result(f"evaluate.{n}", t, baseline, t / baseline, "s") for n, t in spent.items()]


if __name__ == "__main__":
    record(run())
