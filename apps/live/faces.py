"""From a frame to what a model is given: the face aligned, masked and cut as the stages do it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from apps.live.settings import ModelFacts
from apps.live.tracker import Seen, Tracker
from likeness.contracts.params.align import AlignParams
from likeness.media.frame import Frame
from likeness.vision import alignment, masks
from likeness.vision.mesh import mesh_error
from likeness.vision.pose import pose_from_mesh
from likeness.vision.squares import Squares
from likeness.vision.templates import eye_distance_px, template
from models.analysers.pack import Pack
from models.analysers.segmenter import PersonSegmenter
from models.analysers.sweep import face_sharpness
from models.analysers.view import View
from models.batch import Batch, as_image
from models.conversion import covered, out_mask_px
from models.training.crops import CropSet, cut

Points = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Aligned:
    """A frame's face, ready for the model.

    Attributes:
        batch: one row of the columns that the family needs.
        mask: (1,1,M,M) float32 in [0,1], align's mask over the family's crop.
        affine: (2,3) frame px -> px of the family's crop.
        track: of the tracker.
    """

    batch: Batch
    mask: Tensor
    affine: Points
    track: int


class Aligner:
    """Finds and aligns the face of each frame, in order.

    Args:
        pack: analysers; used by one thread.
        facts: of the model.
        needs: columns that its family reads.
        settings: section `align`.
        tracker: follows the face.
        aspect: width and height of a stored pixel of the frames.
    """

    def __init__(
        self,
        pack: Pack,
        facts: ModelFacts,
        needs: tuple[str, ...],
        settings: AlignParams,
        tracker: Tracker,
        *,
        aspect: tuple[int, int] | list[int] = (1, 1),
    ) -> None:
        self._aspect = aspect
        self._facts, self._settings, self._tracker = facts, settings, tracker
        self._needs = needs
        side = facts.crop_size_px
        self._template = template(facts.template, side)
        self._eyes_px = eye_distance_px(facts.template, side)
        self._canonical, _ = pack.canonical_mesh()
        self._segmenter = PersonSegmenter(pack.path("segmenter")) if settings.person else None
        form = {"size_px": side, "mask_size_px": settings.mask_size_px}
        # The same object as in training moves points and cuts crops.
        self._crops = CropSet(
            facts.target, [], form, 0, needs, facts.size_px, float(facts.coverage)
        )

    def warm_up(self, width_px: int, height_px: int) -> None:
        """Run the networks once on a grey frame of this size; changes nothing that is followed."""
        half = ((height_px + 1) // 2, (width_px + 1) // 2)
        grey = [np.full(shape, 128, np.uint8) for shape in ((height_px, width_px), half, half)]
        view = View((grey[0], grey[1], grey[2]), "bt601", "limited", self._aspect)
        self._tracker.warm_up(view)
        if self._segmenter is not None:
            side = self._facts.crop_size_px
            self._segmenter.run(np.zeros((1, side, side, 3), np.uint8))

    def __call__(self, frame: Frame, space: tuple[str, str]) -> Aligned | None:
        """The face of the next frame, or None where there is none.

        Args:
            frame: decoded.
            space: colour space and range of the footage, names of media.colour.
        """
        planes = frame.planes()
        view = View(planes, *space, self._aspect)
        seen = self._tracker(view, frame.pts_s)
        if seen is None:
            return None
        to_crop = alignment.umeyama(seen.landmarks_5, self._template)
        landmarks = alignment.apply_mesh(to_crop, seen.mesh)
        off = mesh_error(landmarks, alignment.apply(to_crop, seen.landmarks_5), self._eyes_px)
        most = self._settings.max_mesh_error
        if most is not None and off > most:
            return None  # as in stage `align`: what cannot be placed is never swapped
        return self._aligned(frame, seen, to_crop, landmarks, view.squares)

    def _aligned(
        self, frame: Frame, seen: Seen, to_crop: Points, landmarks: Points, squares: Squares
    ) -> Aligned:
        facts, size_px = self._facts, self._facts.crop_size_px
        frame_px = squares.width_px, squares.height_px
        affine = to_crop
        if not squares.square:
            affine = alignment.compose(to_crop, squares.matrix)
        box = alignment.region(affine, size_px, *frame_px)
        rgb = frame.region_rgb(*box)
        crop = alignment.warp_crop(rgb, alignment.moved(affine, box[0], box[1]), size_px)
        mask = torch.from_numpy(self._mask(crop, landmarks, affine, frame_px))[None, None]
        coverage = self._crops.coverage
        picture = as_image(torch.from_numpy(np.ascontiguousarray(crop)[None]))
        columns = self._columns(frame, seen, landmarks, to_crop, squares)
        columns["mask"] = lambda: cut(mask, coverage, facts.size_px)
        needed = {name: columns[name]() for name in self._needs if name in columns}
        return Aligned(
            batch={"crop": cut(picture, coverage, facts.size_px), **needed},
            mask=cut(mask, coverage, out_mask_px(facts.size_px)),
            affine=covered(affine[None], size_px, facts.size_px, coverage)[0],
            track=seen.track,
        )

    def _mask(
        self, crop: Pixels, landmarks: Points, affine: Points, frame_px: tuple[int, int]
    ) -> masks.Mask:
        """As stage `align`: hull of the mesh, inside the frame, met with the person."""
        settings, size_px = self._settings, self._facts.crop_size_px
        mask = masks.hull_mask(landmarks, size_px, settings.mask_size_px, settings.forehead)
        shown = alignment.inside(affine, size_px, *frame_px)
        if not shown.all():
            mask = masks.meet(mask, shown.astype(np.float32) / 255.0)
        if self._segmenter is None:
            return mask
        return masks.meet(mask, self._segmenter.run(crop[None])[0])

    def _columns(
        self, frame: Frame, seen: Seen, landmarks: Points, to_crop: Points, squares: Squares
    ) -> dict[str, Callable[[], Tensor]]:
        """What makes each column but the pictures, in the coordinates of the family's crops."""
        five, luma = alignment.apply(to_crop, seen.landmarks_5), frame.luma()
        bbox = squares.stored(seen.bbox.reshape(2, 2)).reshape(4).astype(np.float32)
        return {
            "landmarks_468": lambda: self._crops.points(_tensor(landmarks)),
            "landmarks_5": lambda: self._crops.points(_tensor(five)),
            "pose_deg": lambda: _tensor(pose_from_mesh(seen.mesh, squares.size, self._canonical)),
            # Nobody is to be recognised here: the face was chosen already.
            "similarity": lambda: torch.ones(1),
            "sharpness": lambda: _tensor(face_sharpness(luma, bbox)),
            "mesh_error": lambda: _tensor(mesh_error(landmarks, five, self._eyes_px)),
        }


def _tensor(values: npt.NDArray[np.floating] | float) -> Tensor:
    """One row of float32."""
    return torch.from_numpy(np.asarray(values, np.float32)[None].copy())
