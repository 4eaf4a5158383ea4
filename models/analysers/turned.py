"""A second look at a face that lies turned in the picture.

Detectors know upright faces. A head that lies on its side, or stands on it, they find all the same,
with a high score, but put the five points where those of an upright face would be. Two signs tell:
the eyes do not lie level, or the face mesh, fitted where the points say, disagrees with them. Such
a face is cut out, turned upright and looked at again.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from likeness.vision import alignment
from likeness.vision.mesh import mesh_error
from models.analysers.detector import Detector
from models.analysers.embedder import TEMPLATE
from models.analysers.faces import overlap
from models.analysers.mesh import FaceMesh, square_region
from models.analysers.view import View

Floats = npt.NDArray[np.float32]
Points = npt.NDArray[np.floating]
LEVEL_DEG = 35.0
"""Turn up to which the detector's points are as good as on an upright face."""
SURE, SURE_LEANING, LEANING_DEG = 0.16, 0.12, 20.0
"""Mesh to five points, in eye distances, up to which there is no doubt, and the same for a face
that leans: of 650 upright faces of twelve clips that face the camera the worst had 0.145, the
median 0.06; of misread ones the best had 0.16."""
CLEAR = 0.1
"""The same, from which no other turn is tried."""
SURE_NORM = {"embedded": 17.0}
"""Pack -> length of an embedding from which a level face is in no doubt, and costs no mesh: of 107
misread ones of eleven clips the longest had 15.2, the median 10; upright ones that face the camera
have 15 to 21. For a pack without it every scan fits a mesh."""
AGREED = 0.2
"""The same, up to which a mesh and five points show one face."""
MESH_SCORE = 0.5
"""A mesh below this shows no face."""
QUARTERS = (90.0, 180.0, -90.0)
"""Turns that are tried beside the one that the points state."""
UPRIGHT_DEG = 8.0
"""Lean in a turned picture from which it is turned once more."""
APART_DEG = 30.0
"""Turns nearer to each other than this are one."""
SIDE_PX, CONTEXT = 224, 2.2
"""Side of the picture of a second look, and its length in longer sides of the face's box."""
SAME_FACE = 0.3
"""Overlap with the middle of that picture from which a face is the one looked for."""


@dataclass(frozen=True)
class Sight:
    """One face as the detector sees it.

    Attributes:
        bbox: (4,) px of the view. score: of the detector. points: (5,2) px of the view.
        error: of the mesh to the points, eye distances.
        belief: 0-1, of the mesh that there is a face.
        lean_deg: turn that is left in the picture it was seen in.
    """

    bbox: Floats
    score: float
    points: Floats
    error: float = math.inf
    belief: float = 0.0
    lean_deg: float = 0.0

    @property
    def sure(self) -> bool:
        """Whether it needs no second look."""
        lean = abs(self.lean_deg)
        most = SURE if lean <= LEANING_DEG else SURE_LEANING
        return lean <= LEVEL_DEG and self.error <= most and self.belief >= MESH_SCORE

    @property
    def fits(self) -> bool:
        """Whether it is a face that stands level and agrees with its mesh, in doubt or not."""
        return self.agrees and abs(self.lean_deg) <= LEVEL_DEG and self.belief >= MESH_SCORE

    @property
    def clear(self) -> bool:
        """Whether no other turn can show it much better."""
        return self.sure and self.error <= CLEAR and abs(self.lean_deg) <= LEANING_DEG

    @property
    def agrees(self) -> bool:
        """Whether mesh and five points show one face."""
        return self.error <= AGREED


def roll_deg(points: Points) -> float:
    """Turn of a face in the picture by its five points (5,2), clockwise, -180 to 180."""
    affine = alignment.umeyama(points, TEMPLATE)
    return math.degrees(math.atan2(affine[0, 1], affine[0, 0]))


def between_deg(first: float, second: float) -> float:
    """Angle between two turns, 0 to 180."""
    return abs((first - second + 180.0) % 360.0 - 180.0)


class SecondLook:
    """Judges the detector's faces, and looks again at those in doubt.

    Args:
        detector: as for whole pictures.
        mesh: gives the mesh of the calling thread.
        min_score: of the detector.
        count: told how many looks and meshes were run.
    """

    def __init__(
        self,
        detector: Detector,
        mesh: Callable[[], FaceMesh],
        min_score: float,
        count: Callable[..., None],
    ) -> None:
        self._detector, self._mesh = detector, mesh
        self._min_score, self._count = min_score, count

    def judged(self, view: View, sight: Sight) -> Sight:
        """The same with what the mesh says of it, and its lean in the picture itself."""
        return replace(self._meshed(view, sight), lean_deg=roll_deg(sight.points))

    def upright(self, view: View, sight: Sight) -> Sight:
        """The best sight of a judged face that was found, or the one given if none is better."""
        if sight.sure:
            return sight
        best, tried = sight, list[float]()
        for turn in (sight.lean_deg, *QUARTERS):
            if any(between_deg(turn, before) < APART_DEG for before in tried):
                continue
            tried.append(turn)
            seen = self.turned(view, sight, turn)
            if seen is None or not (seen.sure or (seen.fits and not sight.fits)):
                continue
            if best is sight or seen.error < best.error:
                best = seen
            if seen.clear:
                break
        return best

    def turned(self, view: View, near: Sight, turn_deg: float) -> Sight | None:
        """The face near another sight of it, in a picture turned so that `turn_deg` is upright."""
        seen = self._once(view, near.bbox, turn_deg)
        if seen is not None and abs(seen.lean_deg) > UPRIGHT_DEG:
            # The points of a leaning face are not the best yet, but tell how it leans.
            seen = self._once(view, seen.bbox, turn_deg + seen.lean_deg) or seen
        return None if seen is None else self._meshed(view, seen)

    def _once(self, view: View, bbox: Floats, turn_deg: float) -> Sight | None:
        centre, longer = (bbox[:2] + bbox[2:]) / 2, float((bbox[2:] - bbox[:2]).max())
        affine = square_region(centre, CONTEXT * longer, math.radians(turn_deg), SIDE_PX)
        picture = view.warped(affine, SIDE_PX)
        found, scores, points = self._detector.detect_scaled([picture], 1.0, self._min_score)[0]
        self._count(looks=1)
        if not len(found):
            return None
        half = SIDE_PX / CONTEXT / 2
        middle = (SIDE_PX - 1) / 2 + half * np.array([-1, -1, 1, 1], np.float32)
        shares = [overlap(one, middle) for one in found]
        best = int(np.argmax(shares))
        if shares[best] < SAME_FACE:
            return None
        placed = alignment.apply(alignment.invert(affine), points[best]).astype(np.float32)
        box = _box(found[best], affine)
        return Sight(box, float(scores[best]), placed, lean_deg=roll_deg(points[best]))

    def _meshed(self, view: View, sight: Sight) -> Sight:
        """The same with error and belief of a mesh fitted where it says."""
        bbox, points = sight.bbox, sight.points
        eyes = points[1] - points[0]
        angle = math.atan2(eyes[1], eyes[0])
        network = self._mesh()
        side = 1.5 * float((bbox[2:] - bbox[:2]).max())
        affine = square_region((bbox[:2] + bbox[2:]) / 2, side, angle, network.size_px)
        mesh, score = network.run_crop(view.warped(affine, network.size_px, replicate=True))
        self._count(meshes=1)
        five = alignment.apply(affine, points)
        # An eye distance of a frontal face of this size, in px of the network's crop.
        scale = alignment.scale(alignment.umeyama(five, TEMPLATE))
        unit = float(np.linalg.norm(TEMPLATE[1] - TEMPLATE[0])) / max(scale, 1e-6)
        return replace(sight, error=mesh_error(mesh, five, unit), belief=score)


def _box(found: Floats, affine: npt.NDArray[np.float64]) -> Floats:
    """Upright box of the view around the ellipse inside a box of a turned picture."""
    middle = alignment.apply(alignment.invert(affine), (found[:2] + found[2:]) / 2)
    half = (found[2:] - found[:2]) / 2 / alignment.scale(affine)
    turn = affine[:, :2] / alignment.scale(affine)
    reach = np.sqrt((turn.T**2) @ (half.astype(np.float64) ** 2))
    return np.concatenate([middle - reach, middle + reach]).astype(np.float32)
