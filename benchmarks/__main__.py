"""`python -m benchmarks [--only PART]`: every benchmark, or one part by name."""

from __future__ import annotations

import argparse
import importlib
import sys
import time

from benchmarks.harness import RESULTS, record
from likeness.contracts.errors import LikenessError

PARTS = {
    "detect": "every face of a clip, beside insightface's FaceAnalysis on every frame",
    "packs": "a pack's networks for films, beside insightface's own way through them",
    "blend": "one face at 1080p, beside full-frame arithmetic and insightface's paste_back",
    "crops": "bytes of a crop, beside dumping frames as PNG",
    "train": "the founding autoencoder, beside a plain float32 loop",
    "beside": "training and conversion beside busy processes, and beside none",
    "fsgan_parts": "labels, Poisson and soft erosion of FSGAN, beside OpenCV",
    "any_face": "networks of the families for any face at 256 px, beside eager float32",
    "live": "a live re-enactment at 256 px, beside a plain serial loop",
    "families": "every family at its defaults, beside its plain float32 form",
    "chain": "the whole chain at 720p, beside frames dumped as PNG and read back per step",
    "evaluate": "a 500-frame swap judged, beside stage detect on the same clip",
    "memory": "resident size on a long clip, beside its first frames",
}


def main(arguments: list[str] | None = None) -> int:
    """Run the parts asked for; returns the exit status."""
    lines = "\n".join(f"  {name:12s}{text}" for name, text in PARTS.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=f"parts:\n{lines}",
        epilog="example: make bench ONLY=blend",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", choices=list(PARTS), help="one part")
    only = parser.parse_args(arguments).only
    for part in [only] if only else PARTS:
        began = time.monotonic()
        print(f"== {part}: {PARTS[part]}", flush=True)
        try:
            record(importlib.import_module(f"benchmarks.{part}").run())
        except LikenessError as error:
            print(f"error: {error}", file=sys.stderr)
            return error.exit_code
        print(f"== {part}: {time.monotonic() - began:.0f} s", flush=True)
    print(f"results: {RESULTS}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
