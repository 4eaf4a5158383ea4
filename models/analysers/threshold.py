"""Which cosine tells one person from two: `python -m models.analysers.threshold FOLDER PHOTOS`.

FOLDER is a pack's, as FaceAnalysis accepts it; PHOTOS holds a folder of photos per person, each
with one face. All pairs are compared. The threshold printed leaves the smallest share of them on
its wrong side, both kinds weighing the same; of several such it is the middle one, which is
half-way between both kinds where they do not overlap.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from likeness.contracts.commands import ended
from likeness.contracts.errors import LikenessError, WeightsError
from likeness.media.pictures import read_image
from models.analysers.zoo import Stills

Values = npt.NDArray[np.float64]
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
FEW_PAIRS = 30
"""Below so many pairs of a kind the threshold is a guess, and is called one."""


@dataclass(frozen=True)
class Choice:
    """A threshold, and the cosines that it was chosen from.

    Attributes:
        same, different: of pairs of one person, and of two.
        threshold: the best.
        wrong: share of both kinds on the wrong side of it, averaged.
    """

    same: Values
    different: Values
    threshold: float
    wrong: float


def embeddings(stills: Stills, folder: Path) -> tuple[Values, list[str], list[str]]:
    """Unit embeddings (N,D), whose they are, and what was left out, of a folder per person."""
    vectors, people, left_out = [], [], []
    for path in sorted(p for p in folder.glob("*/*") if p.suffix.lower() in SUFFIXES):
        faces = stills.faces(read_image(path))
        if len(faces) != 1:
            left_out.append(f"{path}: {len(faces)} faces")
            continue
        vectors.append(faces[0].embedding)
        people.append(path.parent.name)
    return np.array(vectors, np.float64), people, left_out


def choose(vectors: Values, people: list[str], photos: Path) -> Choice:
    """The threshold that these photos ask for.

    Raises:
        WeightsError: there is not one pair of each kind.
    """
    rows, columns = np.triu_indices(len(people), 1)
    names = np.array(people)
    cosines = (vectors @ vectors.T)[rows, columns] if len(people) > 1 else np.zeros(0)
    alike = names[rows] == names[columns] if len(people) > 1 else np.zeros(0, bool)
    same, different = np.sort(cosines[alike]), np.sort(cosines[~alike])
    if not len(same) or not len(different):
        problem = "shows no two people of whom one has two photos with one face each"
        raise WeightsError(photos, problem, "make a folder of photos for each of several people")
    edges = np.unique(np.concatenate([same, different]))
    middles = (edges[:-1] + edges[1:]) / 2
    below = np.searchsorted(same, middles) / len(same)
    above = 1 - np.searchsorted(different, middles) / len(different)
    wrong = (below + above) / 2
    best = np.flatnonzero(wrong == wrong.min())
    low, high = middles[best[0]], middles[best[-1]]
    return Choice(same, different, round(float(low + high) / 2, 3), float(wrong.min()))


def report(choice: Choice, people: int) -> str:
    """What is printed."""
    same, different = choice.same, choice.different

    def about(cosines: Values) -> str:
        low, high = cosines[0], cosines[-1]
        return f"cosine {low:.3f} to {high:.3f}, median {np.median(cosines):.3f}"

    lines = [
        f"{len(same)} pairs of one person: {about(same)}",
        f"{len(different)} pairs of two of {people} people: {about(different)}",
        f"threshold: {choice.threshold:.3f} ({choice.wrong:.1%} of both kinds on the wrong side)",
    ]
    if min(len(same), len(different)) < FEW_PAIRS:
        lines.append(f"fewer than {FEW_PAIRS} pairs of a kind: add photos before you rely on it")
    return "\n".join(lines)


def measure(pack: Path, photos: Path) -> str:
    """The report on a pack and photos.

    Raises:
        LikenessError: no such folder, no pack, or no pairs.
    """
    if not photos.is_dir():
        raise LikenessError(photos, "is no folder", "name one that holds a folder per person")
    vectors, people, left_out = embeddings(Stills(pack), photos)
    for line in left_out:
        print(f"left out: {line}", file=sys.stderr)
    return report(choose(vectors, people, photos), len(set(people)))


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m models.analysers.threshold",
        description="The cosine from which two embeddings of a pack are one person.",
    )
    parser.add_argument("pack", type=Path, help="folder of ONNX files, as FaceAnalysis accepts it")
    parser.add_argument("photos", type=Path, help="a folder of photos per person")
    given = parser.parse_args(arguments)

    def work() -> None:
        print(measure(given.pack, given.photos))

    left = "interrupted; nothing was written"
    return ended(work, "threshold", left, "free space or correct permissions")


if __name__ == "__main__":
    sys.exit(main())
