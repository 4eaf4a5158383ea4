"""`python -m apps.protocols.faceforensics FOLDER OUT`: the protocol's tables of a data set.

Writes methods.md, methods.csv, videos.csv and benchmark.json to OUT and prints the first;
`likeness benchmark-ff` calls it. Interrupted, it goes on where it was.
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from apps.protocols.cache import FaceCache
from apps.protocols.dataset_folder import DataSet, read_layout
from apps.protocols.faces import Analyst, Embed
from apps.protocols.run import Protocol, run
from likeness.contracts.atomic import write_text
from likeness.contracts.commands import ended, positive
from likeness.contracts.documents import sha256_of, to_json
from likeness.contracts.environment import state_folder
from likeness.contracts.errors import LikenessError
from likeness.contracts.progress import progress
from likeness.metrics import faceforensics as tables
from likeness.metrics.faceforensics import Measured
from models.analysers.judge import Judge, load_judge
from models.analysers.pack import Pack, load_pack

POSE = "perspective-n-point on the face mesh, in the place of Hopenet"
EXPRESSION = "mesh after pose, in eye distances, in the place of a 3D reconstruction's coefficients"


def parser() -> argparse.ArgumentParser:
    """Parser of this command's arguments."""
    made = argparse.ArgumentParser(
        prog="python -m apps.protocols.faceforensics",
        description="ID retrieval, pose and expression error of every method in a data set "
        "laid out as FaceForensics++.",
    )
    made.add_argument("folder", type=Path, help="root of the data set")
    made.add_argument("out", type=Path, help="folder for the tables")
    made.add_argument("--pack", type=Path, required=True, help="output of stage `pack`")
    made.add_argument("--judge", type=Path, help="output of stage `judge`, a second embedder")
    made.add_argument("--method", action="append", default=[], help="only this one; repeatable")
    made.add_argument("--compression", default="", help="raw, c23, c40; if there are several")
    made.add_argument("--frames", type=positive, default=10, help="of each manipulated video")
    made.add_argument(
        "--gallery-frames", type=positive, default=0, help="of each original; all if left out"
    )
    return made


def networks(pack_folder: Path, judge_folder: Path | None) -> tuple[Pack, Embed, dict[str, Any]]:
    """The pack, the embedder that judges, and what is said of it.

    The second embedder where stage `judge` has one; else the pack's, named circular: a swap of
    this project was made from faces that it chose.

    Raises:
        WeightsError: no pack, or a judge that is not what it says.
    """
    if judge_folder is not None and (judge_folder / "judge.json").is_file():
        judge: Judge = load_judge(pack_folder, judge_folder)
        if judge.has_second:
            return judge.pack, judge.second, dict(judge.second_facts)
    pack = load_pack(pack_folder)
    facts = {
        "name": f"{pack.name} (pack)",
        "sha256": sha256_of(pack.path("embedder")),
        "dimension": pack.embedding_dim,
        "circular": True,
    }
    return pack, pack.new_embedder(threads=1).embed_crops, facts


def content(
    data: DataSet, given: argparse.Namespace, embedder: Mapping[str, Any], measured: list[Measured],
    lacking: Mapping[str, str],
) -> dict[str, Any]:  # fmt: skip
    """What benchmark.json holds."""
    return {
        "methods": tables.table(measured),
        "videos": [one.row() for one in measured],
        "left_out": tables.reasons(measured),
        "originals_left_out": dict(sorted(lacking.items())),
        "confusion": tables.confusions(measured),
        "protocol": {
            "frames": given.frames,
            "gallery_frames": given.gallery_frames or "all",
            "originals": len(data.originals),
            "compression": data.compression,
            "originals_compression": data.originals_compression,
            "embedder": dict(embedder),
            "pose": POSE,
            "expression": EXPRESSION,
        },
    }


def page(found: Mapping[str, Any]) -> str:
    """What methods.md holds: the table, what was left out, and by what it was measured."""
    protocol = found["protocol"]
    who = protocol["embedder"]
    circular = ", **circular for swaps of this project**" if who.get("circular") else ""
    lines = [tables.markdown(found["methods"])]
    for reason, count in found["left_out"].items():
        lines.append(f"- left out: {count} {'video' if count == 1 else 'videos'}: {reason}")
    for name, reason in found["originals_left_out"].items():
        lines.append(f"- original {name} is not searched: {reason}")
    gallery = f"{protocol['originals']} originals ({protocol['originals_compression']})"
    each = f"{protocol['frames']} evenly spaced frames of each video ({protocol['compression']})"
    lines += [
        f"- gallery: {gallery}, {protocol['gallery_frames']} frames each; {each}",
        f"- identity: {who['name']}, {who['dimension']} dimensions{circular}",
        f"- pose: {POSE}",
        f"- expression: {EXPRESSION}",
    ]
    return "\n".join(lines) + "\n"


def as_csv(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """CSV text; empty cells for None."""
    text = io.StringIO()
    table = csv.DictWriter(text, columns, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return text.getvalue()


def write(out: Path, found: Mapping[str, Any]) -> None:
    """Write the four files; each appears whole."""
    texts = {
        "methods.md": page(found),
        "methods.csv": as_csv(found["methods"], tables.METHOD_COLUMNS),
        "videos.csv": as_csv(found["videos"], tables.VIDEO_COLUMNS),
        "benchmark.json": to_json(found),
    }
    for name, text in texts.items():
        # A file's name need not be UTF-8, these files are.
        write_text(out / name, text.encode("utf-8", "backslashreplace").decode())


def benchmark(given: argparse.Namespace) -> dict[str, Any]:
    """Run the protocol and write its files; returns what benchmark.json holds.

    Raises:
        LikenessError: the folder is not laid out so, or not one video could be measured.
    """
    data = read_layout(given.folder, given.method, given.compression)
    pack, embed, facts = networks(given.pack, given.judge)
    parts = ("detector", "mesh", "canonical_mesh")
    hashes = {part: sha256_of(pack.path(part)) for part in parts}
    cache = FaceCache(state_folder() / "benchmark-ff", hashes | {"embedder": facts["sha256"]})
    protocol = Protocol(Analyst(pack, embed), cache, given.frames, given.gallery_frames)
    total = len(data.swapped) + len(data.originals)
    with progress("videos", total) as advance:
        measured, lacking = run(data, protocol, advance)
    found = content(data, given, facts, measured, lacking)
    write(given.out, found)
    if all(one.reason for one in measured):
        why = "; ".join(found["left_out"]) or "there are no manipulated videos"
        raise LikenessError(given.folder, f"no video could be measured ({why})", "correct that")
    return found


def main(arguments: list[str] | None = None) -> int:
    """Run; returns 0, 2 with one line on a fault, 130 on Ctrl-C."""
    given = parser().parse_args(arguments)

    def work() -> None:
        print(page(benchmark(given)), end="")
        print(f"\nwrote methods.md, methods.csv, videos.csv and benchmark.json to {given.out}")

    return ended(work, given.out, "interrupted; the same command goes on from here")


if __name__ == "__main__":
    sys.exit(main())
