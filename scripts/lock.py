"""Write requirements.lock from pyproject.toml with uv, for every Python from 3.11 on."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from setup import ROOT, VENV, uv_environment

HEADER = (
    "# Written by `make lock` from pyproject.toml; CUDA packages are left to torch's own choice.\n"
)
CUDA = ("nvidia-", "cuda-", "triton")


def main() -> None:
    """Resolve, drop what belongs to a CUDA build of torch, and write the lock."""
    command = [
        str(VENV / "bin" / "uv"),
        "pip",
        "compile",
        "--universal",
        "--python-version",
        "3.11",
    ]
    command += ["--extra", "dev", "--no-header", "--no-annotate", "--quiet", "pyproject.toml"]
    resolved = subprocess.run(
        command, cwd=ROOT, env=uv_environment(), check=True, capture_output=True, text=True
    ).stdout
    lines: dict[str, None] = {}
    for line in resolved.splitlines():
        if not line.startswith(CUDA):
            # A local build label (+cpu) names a wheel that other machines do not have.
            lines[re.sub(r"^(torch==[0-9.]+).*", r"\1", line)] = None
    Path(ROOT / "requirements.lock").write_text(HEADER + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
