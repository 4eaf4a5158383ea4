"""What the target asks for against what the source's footage shows: pose and expression."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from likeness.contracts.catalog import DATA, below
from likeness.contracts.documents import read_json
from likeness.contracts.tables.base import Table, as_numpy
from likeness.contracts.tables.crops import CROPS
from likeness.contracts.tables.shards import SHARDS
from likeness.evaluation.report.scatter import Scatter, draw
from likeness.metrics.landmarks import eye_distance
from likeness.vision.mesh import LIPS_INNER, MOUTH_CORNERS

Values = npt.NDArray[np.float64]
MOST_POINTS = 1000
"""Points of each side, evenly taken: more would only hide each other."""
REACH_DEG = 10.0
"""Families that lay in views of the source show a turn beyond this as a stretched face."""
REACH_MOUTH = 0.1
LIPS = (LIPS_INNER[15], LIPS_INNER[5])
"""Middle of the upper and of the lower inner lip."""


@dataclass(frozen=True)
class Faces:
    """Faces of a table.

    Attributes:
        frames: (N,) frame_index.
        pose_deg: (N,2) yaw and pitch.
        mouth: (N,2) opening and width of the mouth, eye distances.
    """

    frames: npt.NDArray[np.int64]
    pose_deg: Values
    mouth: Values

    def relative(self) -> Values:
        """`mouth` with its width against the middle of the person's own range.

        Mouths differ in width and all can close; the middle of the range, unlike a mean, does
        not ask how long somebody smiled.
        """
        if not len(self.mouth):
            return self.mouth
        middle = np.quantile(self.mouth[:, 1], [0.05, 0.95]).mean()
        return self.mouth - np.array([0.0, middle])


def mouth(landmarks_468: Values) -> tuple[float, float]:
    """Opening and width of the mouth of a mesh (468,3) in eye distances, measured in space."""
    upper, lower = (landmarks_468[index] for index in LIPS)
    left, right = (landmarks_468[index] for index in MOUTH_CORNERS)
    eyes = max(eye_distance(landmarks_468), 1e-6)
    opening, width = np.linalg.norm(upper - lower), np.linalg.norm(left - right)
    return float(opening / eyes), float(width / eyes)


def read_faces(table: Table, files: Iterable[Path]) -> Faces:
    """At most `MOST_POINTS` faces of tables of crops, evenly taken; memory stays the same."""
    paths = list(files)
    step = max(-(-sum(table.count(path) for path in paths) // MOST_POINTS), 1)
    frames: list[int] = []
    poses: list[Values] = []
    mouths: list[tuple[float, float]] = []
    columns = ["frame_index", "pose_deg", "landmarks_468"]
    passed = 0
    for path in paths:
        for batch in table.batches(path, columns):
            chosen = np.arange(-passed % step, batch.num_rows, step)
            passed += batch.num_rows
            kept = batch.take(chosen)
            if not kept.num_rows:
                continue
            frames += kept["frame_index"].to_pylist()
            poses += list(as_numpy(kept["pose_deg"], (3,))[:, :2].astype(np.float64))
            meshes = as_numpy(kept["landmarks_468"], (468, 3)).astype(np.float64)
            mouths += [mouth(mesh) for mesh in meshes]
    shape = (len(frames), 2)
    return Faces(np.array(frames, np.int64), np.reshape(poses, shape), np.reshape(mouths, shape))


def coverage(source: Path, aligned: Path) -> list[Scatter]:
    """Pose and expression of the target's faces over those that a model could learn from.

    Args:
        source: folder of the source's shards; its training split is taken.
        aligned: the target's aligned.json.
    """
    crops = Path(read_json(aligned)["crops"])
    given = read_faces(SHARDS, sorted(source.glob("train-*.parquet")))
    wanted = read_faces(CROPS, [below(DATA, str(crops.relative_to(DATA)))])
    frames = wanted.frames.tolist()
    return [
        draw(
            "Head pose",
            ("yaw", "pitch"),
            given.pose_deg,
            wanted.pose_deg,
            frames,
            reach=REACH_DEG,
            least=20.0,
            unit="°",
        ),
        draw(
            "Mouth",
            ("opening", "width"),
            given.relative(),
            wanted.relative(),
            frames,
            reach=REACH_MOUTH,
            least=0.2,
            unit=" eye distances",
        ),
    ]
