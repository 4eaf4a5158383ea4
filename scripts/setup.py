"""Create .venv and install the locked versions; runs on a bare Python 3.11+ (standard library)."""

from __future__ import annotations

import ctypes.util
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
UV = "uv==0.13.8"
LIBRARIES = {"GL": "libgl1", "glib-2.0": "libglib2.0-0"}
"""System libraries that opencv-python loads -> the Debian package that holds each."""


def say(message: str) -> None:
    """Print one line at once."""
    print(message, flush=True)


def check_python() -> None:
    """Stop with one line on Windows, and if this Python is too old."""
    if sys.platform == "win32":
        sys.exit("error: Windows: is not supported; use WSL 2 (`wsl --install`)")
    # The check is for whoever starts this with an older Python than the project's.
    if sys.version_info < (3, 11):  # noqa: UP036
        sys.exit(
            f"error: Python {sys.version.split()[0]}: needs 3.11 or newer; "
            "run `make setup PYTHON=python3.12`"
        )


def check_libraries() -> None:
    """Stop with one line that names the Debian packages of missing system libraries."""
    if sys.platform != "linux":
        return
    missing = [deb for name, deb in LIBRARIES.items() if ctypes.util.find_library(name) is None]
    if missing:
        packages = " ".join(missing)
        sys.exit(f"error: {packages}: system library missing; run `apt-get install {packages}`")


def base_python() -> str:
    """The interpreter below any virtual environment: the old .venv is about to be removed."""
    if sys.prefix == sys.base_prefix:
        return sys.executable
    return str(Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}")


def pip_setting(name: str) -> str:
    """Value of a pip setting from any of pip's files or variables, or an empty string."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    ).stdout
    for line in listed.splitlines():
        key, _, value = line.partition("=")
        if key.split(".")[-1] == name:
            return value.strip("'\"")
    return ""


def uv_environment() -> dict[str, str]:
    """Environment that hands pip's package sources to uv."""
    environment = dict(os.environ)
    for setting, variable in (("find-links", "UV_FIND_LINKS"), ("index-url", "UV_DEFAULT_INDEX")):
        value = os.environ.get("PIP_" + setting.upper().replace("-", "_")) or pip_setting(setting)
        if value and variable not in environment:
            # uv separates several places by commas, pip by spaces or new lines.
            environment[variable] = ",".join(value.replace("\\n", " ").split())
    return environment


def install() -> str:
    """Install the lock and the project into .venv; returns the installer that did it."""
    python = str(VENV / "bin" / "python")
    lock, editable = str(ROOT / "requirements.lock"), ["--no-deps", "--editable", str(ROOT)]
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install"]
    uv = [str(VENV / "bin" / "uv"), "pip", "install", "--python", python]
    if subprocess.run([*pip, "--quiet", UV], check=False).returncode == 0:
        environment = uv_environment()
        steps = [[*uv, "--requirement", lock], [*uv, *editable]]
        if all(subprocess.run(s, env=environment, check=False).returncode == 0 for s in steps):
            return "uv"
        say("uv could not install everything; pip tries")
    subprocess.run([*pip, "--requirement", lock], check=True)
    subprocess.run([*pip, *editable], check=True)
    return "pip"


def main() -> None:
    """Create, install, and confirm that the heavy packages can be loaded."""
    check_python()
    check_libraries()
    began = time.monotonic()
    say(f"creating {VENV.name} with Python {sys.version.split()[0]}")
    shutil.rmtree(VENV, ignore_errors=True)
    try:
        subprocess.run([base_python(), "-m", "venv", str(VENV)], check=True)
        installer = install()
    except subprocess.CalledProcessError as error:
        sys.exit(
            f"error: .venv: `{' '.join(map(str, error.cmd[:6]))} ...` failed; "
            "see the lines above, then run `make setup` again"
        )
    teach = "import pathlib, flows.merging as m; m.teach_git(pathlib.Path())"
    subprocess.run([str(VENV / "bin" / "python"), "-c", teach], cwd=ROOT, check=False)
    say(f"installed by {installer} in {time.monotonic() - began:.0f} s")
    say("for `likeness` and `dvc` in this terminal: source .venv/bin/activate")


if __name__ == "__main__":
    main()
