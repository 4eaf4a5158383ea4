"""The FaceForensics++ protocol as arithmetic: from measured faces to its table.

Since FaceShifter (Li et al. 2020, arXiv 1912.13457) swaps are compared so: 10 evenly spaced frames
of each manipulated video of FaceForensics++ (Roessler et al. 2019, arXiv 1901.08971), each face
embedded, its nearest neighbour by cosine among the faces of all frames of all original videos;
retrieval is the share whose neighbour belongs to the source's video. Head pose and expression are
compared with the target's frame of the same index. Papers use Hopenet for the one and a 3D face
reconstruction for the other; here both come from the face mesh, and are named so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from likeness.metrics.retrieval import confusion, top_1

DECIMALS = 4
VIDEO_COLUMNS = (
    "method",
    "video",
    "target",
    "source",
    "frames",
    "faces",
    "retrieved",
    "as_target",
    "cosine_nearest",
    "compared",
    "pose_error_deg",
    "expression_error",
    "reason",
)
METHOD_COLUMNS = (
    "method",
    "videos",
    "left_out",
    "frames",
    "faces",
    "retrieval",
    "retrieval_of_all_frames",
    "retrieved_as_target",
    "compared",
    "pose_error_deg",
    "expression_error",
)
HEADINGS = {
    "method": "method",
    "videos": "videos",
    "left_out": "left out",
    "frames": "frames",
    "faces": "faces",
    "retrieval": "ID retrieval %",
    "retrieval_of_all_frames": "of all frames %",
    "retrieved_as_target": "as target %",
    "compared": "faces compared",
    "pose_error_deg": "pose error deg",
    "expression_error": "expression error",
}
SHARES = ("retrieval", "retrieval_of_all_frames", "retrieved_as_target")


@dataclass(frozen=True)
class Measured:
    """One manipulated video.

    Attributes:
        method, video, target, source: its method, name, and the two originals.
        frames: frames looked at.
        found: for each face found, the original that its nearest neighbour belongs to.
        cosines: to that neighbour.
        pose_errors_deg, expression_errors: of the frames where the target's face was found, too.
        reason: why it is left out; "" where it is not.
    """

    method: str
    video: str
    target: str
    source: str
    frames: int = 0
    found: tuple[str, ...] = ()
    cosines: tuple[float, ...] = ()
    pose_errors_deg: tuple[float, ...] = ()
    expression_errors: tuple[float, ...] = ()
    reason: str = ""

    def row(self) -> dict[str, Any]:
        """Its line in the table of videos, keys as VIDEO_COLUMNS."""
        return {
            "method": self.method,
            "video": self.video,
            "target": self.target,
            "source": self.source,
            "frames": self.frames,
            "faces": len(self.found),
            "retrieved": share([self], self.source),
            "as_target": share([self], self.target),
            "cosine_nearest": mean(self.cosines),
            "compared": len(self.pose_errors_deg),
            "pose_error_deg": mean(self.pose_errors_deg),
            "expression_error": mean(self.expression_errors),
            "reason": self.reason,
        }


def mean(values: Iterable[float]) -> float | None:
    """Mean, rounded; None for none."""
    listed = list(values)
    return round(float(np.mean(listed)), DECIMALS) + 0.0 if listed else None


def share(videos: Sequence[Measured], *expected: str) -> float | None:
    """Share of the faces of `videos` retrieved as `expected`, one for each video; None for none."""
    wanted = [who for v, who in zip(videos, expected, strict=True) for _ in v.found]
    found = [who for v in videos for who in v.found]
    return round(top_1(wanted, found), DECIMALS) if found else None


def method_row(method: str, videos: Sequence[Measured]) -> dict[str, Any]:
    """Line of a method, keys as METHOD_COLUMNS: means over its faces, as the papers take them.

    A video that is left out counts in `left_out` alone. `retrieval_of_all_frames` counts frames
    without a face as misses, so that a method cannot win by destroying the hard faces.
    """
    used = [v for v in videos if not v.reason]
    frames = sum(v.frames for v in used)
    retrieval = share(used, *(v.source for v in used))
    faces = sum(len(v.found) for v in used)
    return {
        "method": method,
        "videos": len(used),
        "left_out": len(videos) - len(used),
        "frames": frames,
        "faces": faces,
        "retrieval": retrieval,
        "retrieval_of_all_frames": None
        if retrieval is None
        else round(retrieval * faces / frames, DECIMALS),
        "retrieved_as_target": share(used, *(v.target for v in used)),
        "compared": sum(len(v.pose_errors_deg) for v in used),
        "pose_error_deg": mean(e for v in used for e in v.pose_errors_deg),
        "expression_error": mean(e for v in used for e in v.expression_errors),
    }


def table(videos: Sequence[Measured]) -> list[dict[str, Any]]:
    """A line per method, by name."""
    methods = sorted({v.method for v in videos})
    return [method_row(name, [v for v in videos if v.method == name]) for name in methods]


def reasons(videos: Iterable[Measured]) -> dict[str, int]:
    """How many videos were left out for which reason, by reason."""
    return dict(sorted(Counter(v.reason for v in videos if v.reason).items()))


def confusions(videos: Sequence[Measured]) -> dict[str, dict[str, dict[str, int]]]:
    """For each method how often a source (outer key) was retrieved as which original."""
    found = {}
    for method in sorted({v.method for v in videos}):
        own = [v for v in videos if v.method == method and not v.reason]
        expected = [v.source for v in own for _ in v.found]
        found[method] = confusion(expected, [who for v in own for who in v.found])
    return found


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table of methods; shares in per cent, as the papers print them."""
    cells = [[HEADINGS[c] for c in METHOD_COLUMNS]]
    cells += [[_cell(row[c], c) for c in METHOD_COLUMNS] for row in rows]
    lines = ["| " + " | ".join(line) + " |" for line in cells]
    lines.insert(1, "|---" + "|---:" * (len(METHOD_COLUMNS) - 1) + "|")
    return "\n".join(lines) + "\n"


def _cell(value: Any, column: str) -> str:
    if value is None:
        return "-"
    if column in SHARES:
        return f"{100 * value:.2f}"
    if isinstance(value, float):
        return f"{value:.4f}" if column == "expression_error" else f"{value:.2f}"
    return str(value).replace("|", "\\|").replace("<", "&lt;")
