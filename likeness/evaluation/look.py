"""What the networks and the statistics say of one picture of a face, before it is compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from likeness.evaluation.views import Place, embedder_crop
from likeness.metrics import expression, gaze, light
from likeness.metrics.colour import rgb_to_lab
from likeness.metrics.subjects import Look
from likeness.vision import alignment
from likeness.vision.alignment import Affine
from likeness.vision.pose import pose_from_mesh
from likeness.vision.squares import Squares

Pixels = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float64]
Floats = npt.NDArray[np.floating]


class Networks(Protocol):
    """What faces are measured with; models.analysers.judge has the real ones. Thread-safe."""

    has_second: bool

    def embed(self, crops: Pixels) -> tuple[Floats, list[Floats]]:
        """Embeddings (N,D) and feature maps (N,C,S,S) of crops (N,112,112,3) uint8 RGB."""

    def second(self, crops: Pixels) -> Floats:
        """Embeddings (N,E) by an embedder of another make."""

    def mesh(self, pictures: Pixels) -> tuple[Floats, Floats]:
        """Meshes (N,468,3) in px of views (N,S,S,3) uint8 RGB, and scores (N,) in 0-1."""

    def eyes(self, crops: Pixels) -> tuple[Floats, Floats]:
        """Contours (N,71,3) and irises (N,5,3) in px of eye crops as gaze.eye_crops makes them."""


@dataclass(frozen=True)
class Measures:
    """What measuring takes beside the pictures.

    Attributes:
        networks: embedders, mesh, iris.
        canonical: (468,3) vertices for the head pose.
        squares: from px of the frames to square ones.
    """

    networks: Networks
    canonical: Floats
    squares: Squares

    @property
    def frame_size(self) -> tuple[int, int]:
        """Width, height of the frames in px, as stored."""
        return self.squares.width_px, self.squares.height_px

    def from_view(self, place: Place) -> Affine:
        """(2,3) px of a view -> square px of the frame: a similarity."""
        back = alignment.invert(place.to_view)
        if self.squares.square:
            return back
        return alignment.compose(self.squares.matrix, back)


def look(
    pictures: Sequence[Pixels], meshes: Floats, place: Place, using: Measures, *, judged: bool
) -> list[Look]:
    """Measure pictures (S,S,3) of one place, whose meshes (N,468,3) in view px are known.

    Args:
        pictures: at least one.
        meshes: as `Networks.mesh` gives them.
        place: where in the frame.
        using: networks and canonical face.
        judged: the second embedder looks too, if there is one.
    """
    networks = using.networks
    crops = np.stack([embedder_crop(picture, place) for picture in pictures])
    embeddings, layers = networks.embed(crops)
    second = networks.second(crops) if judged and networks.has_second else None
    eyes = [gaze.eye_crops(p, mesh) for p, mesh in zip(pictures, meshes, strict=True)]
    contours, irises = networks.eyes(np.concatenate(eyes))
    contours, irises = contours.reshape(-1, 2, 71, 3), irises.reshape(-1, 2, 5, 3)
    from_view = using.from_view(place)
    found = []
    for row, picture in enumerate(pictures):
        mesh = np.asarray(meshes[row], np.float64)
        placed = alignment.apply_mesh(from_view, mesh)
        lab = rgb_to_lab(picture)
        found.append(
            Look(
                picture=picture,
                mesh=mesh,
                placed=placed,
                pose_deg=np.asarray(pose_from_mesh(placed, using.squares.size, using.canonical)),
                units=expression.units(mesh),
                gaze=gaze.directions(irises[row], mesh),
                lids=gaze.lid_openings(contours[row]),
                lab=lab,
                colours=light.statistics(lab, place.mask),
                shading=light.shading(np.ascontiguousarray(lab[..., 0]), place.mask),
                embedding=np.asarray(embeddings[row], np.float64),
                layers=[layer[row] for layer in layers],
                second=None if second is None else np.asarray(second[row], np.float64),
            )
        )
    return found
