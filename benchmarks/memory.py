"""Resident size of each stage on a long clip, beside the same stage on its first frames.

Runs the stages as DVC does, one process each, on clm_franck.mp4 (4800 frames) and on a copy of
its first 600 frames. `ours` is the peak on the long clip, `baseline` on the short one; a stage
that streams has a ratio near 1. `shard` and `train` hold their data by design and are left out.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import av

from benchmarks.harness import Result, cost, record
from likeness.contracts.environment import shared_folder, state_folder
from likeness.contracts.errors import LikenessError
from models.analysers.export import RECOGNISER, write_pack, write_recogniser
from models.analysers.fetch import fetch, fetch_pack

ROOT = Path(__file__).resolve().parents[1]
LONG, SHORT, SHORT_FRAMES = "long", "short", 600
PACK, JUDGE = "data/packs/embedded", "data/packs/judge"
APPEARANCE = "data/appearance/map.json"
PERSON = "data/identities/subject/identity.yaml"
RECOGNISER_FOLDER, PERCEPTUAL = "data/packs/recogniser", "data/packs/perceptual"
PARAMS = """pack: {name: embedded}
models:
  mesh: {family: mesh_transfer, source: subject, target: subject}
swaps:
  long: {source: subject, target: long, model: mesh}
  short: {source: subject, target: short, model: mesh}
"""
CONSENT = """consent: subject
identity: subject
roles: [source, target]
basis: test footage, nothing is published
use: measuring memory
training: true
"""


def cut(footage: Path, path: Path, frames: int) -> None:
    """Copy the first `frames` packets of the video stream without encoding."""
    with av.open(str(footage)) as source, av.open(str(path), "w") as sink:
        stream = sink.add_stream_from_template(source.streams.video[0])
        for count, packet in enumerate(source.demux(video=0)):
            if packet.dts is None or count >= frames:
                break
            packet.stream = stream
            sink.mux(packet)


def workspace(folder: Path, footage: Path) -> None:
    """Two clips of one subject, a consent record, the analyser pack and the judge."""
    (folder / "params.yaml").write_text(PARAMS)
    (folder / "data/consents").mkdir(parents=True)
    (folder / "data/consents/subject.yaml").write_text(CONSENT)
    (folder / "data/identities/subject").mkdir(parents=True)
    (folder / PERSON).write_text("identity: subject\nconsent: subject\n")
    (folder / "data/packs").mkdir()
    write_pack("embedded", fetch_pack("embedded"), folder / PACK)
    write_recogniser(fetch([RECOGNISER])[RECOGNISER], folder / RECOGNISER_FOLDER)
    peak_mib(folder, "judge", pack=PACK, out=JUDGE)
    for clip in (LONG, SHORT):
        home = folder / "data/clips" / clip
        home.mkdir(parents=True)
        lines = f"clip: {clip}\nidentity: subject\nrole: target\nconsent: subject\nlicence: MIT\n"
        (home / "clip.yaml").write_text(lines)
    shutil.copy(footage, folder / "data/clips/long/footage.mp4")
    cut(footage, folder / "data/clips/short/footage.mp4", SHORT_FRAMES)


def peak_mib(folder: Path, stage: str, **paths: str) -> float:
    """Run one stage; its largest resident size in MiB.

    Raises:
        LikenessError: the stage failed.
    """
    arguments = [part for k, v in paths.items() for part in (f"--{k.replace('_', '-')}", v)]
    # A small launcher, so that the child's own peak is read and not that of earlier children.
    code = (
        "import resource, subprocess, sys\n"
        "done = subprocess.run(sys.argv[1:])\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
        "sys.exit(done.returncode)\n"
    )
    command = [sys.executable, "-c", code, sys.executable, "-m", f"tasks.{stage}", *arguments]
    # Weights that this repository has fetched are not fetched again.
    state = str(state_folder().absolute())
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LIKENESS_STATE": state}
    done = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise LikenessError(stage, "failed", "see the lines above")
    return int(done.stdout.split()[-1]) / 1024


def clip_stages(folder: Path, clip: str) -> dict[str, float]:
    """Peaks of the four clip-level stages."""
    home, pack = f"data/clips/{clip}", PACK
    frames, footage = f"{home}/frames.parquet", f"{home}/footage.mp4"
    detections, faces = f"{home}/detections.parquet", f"{home}/faces.parquet"
    card, consent = f"{home}/clip.yaml", "data/consents/subject.yaml"
    crops, aligned = f"data/crops/subject/{clip}.parquet", f"{home}/aligned.json"
    read = {"footage": footage, "frames": frames}
    return {
        "frames": peak_mib(folder, "frames", clip=card, **read),
        "detect": peak_mib(folder, "detect", pack=pack, **read, detections=detections),
        "filter": peak_mib(
            folder,
            "filter",
            pack=pack,
            clip=card,
            consent=consent,
            frames=frames,
            detections=detections,
            faces=faces,
        ),
        "align": peak_mib(
            folder, "align", pack=pack, **read, faces=faces, crops=crops, aligned=aligned
        ),
    }


def model(folder: Path) -> None:
    """Shards of the short clip's crops, and a mesh_transfer model from them."""
    crops = folder / "data/crops/subject"
    hidden = folder / "long.parquet"
    (crops / f"{LONG}.parquet").rename(hidden)
    clip = folder / f"data/clips/{LONG}/clip.yaml"
    text = clip.read_text()
    clip.unlink()
    peak_mib(
        folder,
        "roster",
        identity=PERSON,
        consent="data/consents/subject.yaml",
        clips="data/clips",
        roster="data/rosters/subject.json",
    )
    shards = "data/shards/subject"
    listed = {"roster": "data/rosters/subject.json", "manifest": "data/manifests/subject.json"}
    peak_mib(folder, "shard", **listed, crops=str(crops), shards=shards)
    drawn = {"map": APPEARANCE, "picture": "data/appearance/map.jpg"}
    peak_mib(folder, "appearance", shards=shards, **drawn)
    peak_mib(folder, "perceptual", out=PERCEPTUAL)
    both = {"source": shards, "target": shards, "recogniser": RECOGNISER_FOLDER}
    both["perceptual"] = PERCEPTUAL
    peak_mib(folder, "train", model="mesh", **both, out="data/models/mesh")
    clip.write_text(text)
    hidden.rename(crops / f"{LONG}.parquet")


def record_lock(folder: Path) -> None:
    """What `publish` asks of dvc.lock: who wrote the renders and reports, and from which clips."""
    stages = {
        f"evaluate@{clip}": {
            "deps": [{"path": f"data/clips/{clip}/clip.yaml", "md5": clip}],
            "outs": [
                {"path": f"data/swaps/{clip}/{name}", "md5": clip}
                for name in ("render.mp4", "report/metrics.json")
            ],
        }
        for clip in (LONG, SHORT)
    }
    (folder / "dvc.lock").write_text(json.dumps({"schema": "2.0", "stages": stages}))


def swap_stages(folder: Path, clip: str) -> dict[str, float]:
    """Peaks of convert, blend, baselines, evaluate and publish."""
    home, out, report = f"data/clips/{clip}", f"data/swaps/{clip}", f"data/swaps/{clip}/report"
    common = {"swap": clip}
    made = {"converted": f"{out}/converted.parquet"}
    render = {"render": f"{out}/render.mp4"}
    model_of = {"model": "data/models/mesh", "source": "data/shards/subject"}
    views = {"appearance": APPEARANCE}
    aligned = {"aligned": f"{home}/aligned.json"}
    target = {"clip": f"{home}/clip.yaml", "frames": f"{home}/frames.parquet"}
    written = {
        "metrics": f"{report}/metrics.json",
        "per_frame": f"{report}/per_frame.parquet",
        "curves": f"{report}/curves.csv",
        "contact_sheet": f"{report}/contact_sheet.jpg",
        "html": f"{report}/report.html",
    }
    pack = {"pack": PACK, "judge": JUDGE}
    beside = {"baselines": f"{out}/baselines.parquet"}
    source = {"source": model_of["source"], "pack": PACK}
    return {
        "convert": peak_mib(folder, "convert", **common, **model_of, **views, **aligned, **made),
        "blend": peak_mib(folder, "blend", **common, **target, **made, **render),
        "baselines": peak_mib(
            folder, "baselines", **common, **target, **aligned, **source, **beside
        ),
        "evaluate": peak_mib(
            folder,
            "evaluate",
            **{**common, **pack, **target, **aligned, **model_of, **beside},
            **{**made, **render, **written},
        ),
        "publish": peak_mib(
            folder,
            "publish",
            **common,
            **render,
            metrics=written["metrics"],
            published=f"{out}/published.mp4",
            provenance=f"{out}/provenance.json",
        ),
    }


def run() -> list[Result]:
    """Measure all streaming stages."""
    footage = shared_folder().absolute() / "footage/clm_franck.mp4"
    if not footage.is_file():
        print(f"memory: skipped, no {footage.name}; set LIKENESS_SHARED", flush=True)
        return []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        workspace(folder, footage)
        long, short = clip_stages(folder, LONG), clip_stages(folder, SHORT)
        model(folder)
        record_lock(folder)
        long |= swap_stages(folder, LONG)
        short |= swap_stages(folder, SHORT)
    return [cost(f"memory.{stage}", long[stage], short[stage], "MiB") for stage in long]


def main() -> None:
    """Measure, print and record."""
    record(run())


if __name__ == "__main__":
    main()
