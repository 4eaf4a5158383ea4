"""Scores of single faces and frames: the metrics applied, with the baselines beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from likeness.metrics import colour, fidelity, identity, landmarks, pose, seams, temporal
from likeness.metrics.views import View, embedder_crop
from likeness.vision import alignment
from likeness.vision.colour import rgb_to_lab
from likeness.vision.pose import pose_from_mesh

Pixels = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float64]
Scores = dict[str, float]
Points = npt.NDArray[np.floating]
ANGLES = ("yaw", "pitch", "roll")
VARIANTS = ("", "copied_", "pasted_")
"""Prefixes of columns: the render, the target as it is, the source pasted."""


class Networks(Protocol):
    """What a face is measured with; see tasks.evaluate for the real ones."""

    def embed(self, crops: Pixels) -> npt.NDArray[np.floating]:
        """Embeddings (N,D) of crops (N,112,112,3) uint8 RGB."""

    def mesh(self, views: Pixels) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]:
        """Meshes (N,468,3) in px of views (N,S,S,3) uint8 RGB, and scores (N,) in 0-1."""


@dataclass(frozen=True)
class Face:
    """One measured face: its scores, and what later frames and galleries need of it.

    Attributes:
        scores: by column of per_frame.parquet.
        embeddings: (3,D) of the render, of the target and with the source pasted, as they come;
            None where only the motion is measured.
        meshes: (468,3) of render and target in frame px.
        eye_distance_px: the target's, in frame px.
    """

    scores: Scores
    embeddings: Values | None
    meshes: tuple[Values, Values]
    eye_distance_px: float


def measure(
    views: Sequence[View],
    networks: Networks,
    canonical: npt.NDArray[np.floating],
    frame_size: tuple[int, int],
) -> list[Face]:
    """Measure faces in one batch.

    Args:
        views: the faces.
        networks: embedder and mesh.
        canonical: (468,3) vertices for the head pose.
        frame_size: width, height of the frames in px.
    """
    if not views:
        return []
    pictures = [[p for p in (v.render, v.target, v.pasted) if p is not None] for v in views]
    meshes, beliefs = networks.mesh(np.stack([p for own in pictures for p in own]))
    crops = [
        embedder_crop(picture, view.place)
        for view, own in zip(views, pictures, strict=True)
        if len(own) == len(VARIANTS)
        for picture in own
    ]
    embeddings = np.asarray(networks.embed(np.stack(crops)) if crops else [], np.float64)
    faces: list[Face] = []
    first = embedded = 0
    for view, own in zip(views, pictures, strict=True):
        found = np.asarray(meshes[first : first + len(own)], np.float64)
        placed = alignment.apply_mesh(alignment.invert(view.place.to_view), found)
        eyes = landmarks.eye_distance(placed[1])
        scores, vectors = {"mesh_score": float(beliefs[first])}, None
        if len(own) == len(VARIANTS):
            vectors = embeddings[embedded : embedded + len(own)]
            embedded += len(own)
            poses = [pose_from_mesh(mesh, frame_size, canonical) for mesh in placed]
            scores |= _angles(poses[0], poses[1]) | _colours(view)
            scores |= _compared(own, found, poses, view.place.mask)
        faces.append(Face(scores, vectors, (placed[0], placed[1]), eyes))
        first += len(own)
    return faces


def _compared(
    pictures: Sequence[Pixels], meshes: Values, poses: Sequence[Points], mask: Pixels
) -> Scores:
    """What is measured alike of render, target and paste, each against the target."""
    scores: Scores = {}
    around = seams.rings(mask)
    for place, prefix in enumerate(VARIANTS):
        own = {"pose_error_deg": float(pose.pose_error(poses[place], poses[1]))}
        own |= _shape(meshes[place], meshes[1]) | _seam(pictures[place], around)
        scores |= {prefix + key: value for key, value in own.items()}
    return scores


def _angles(given: Points, wanted: Points) -> Scores:
    """Errors of the render's yaw, pitch and roll, and the target's own angles."""
    turn = np.abs(pose.angle_difference(given, wanted))
    scores = {f"{name}_error_deg": float(v) for name, v in zip(ANGLES, turn, strict=True)}
    return scores | {f"target_{n}_deg": float(v) for n, v in zip(ANGLES, wanted, strict=True)}


def _shape(mesh: Values, reference: Values) -> Scores:
    """Landmarks and expression of a mesh against the target's, both in view px."""
    eyes = landmarks.eye_distance(reference)
    return {
        "landmark_error": landmarks.landmark_error(mesh, reference, eyes),
        "expression_error": landmarks.expression_error(mesh, reference),
    }


def _seam(picture: Pixels, around: seams.Rings) -> Scores:
    return {
        "boundary_delta_e": seams.boundary_delta_e(picture, around),
        "gradient_ratio": seams.gradient_ratio(picture, around),
    }


def _colours(view: View) -> Scores:
    """Mean Lab inside the mask of render and target, and how far apart they are."""
    weight = view.place.mask.astype(np.float32)
    render = colour.mean_lab(rgb_to_lab(view.render), weight)
    target = colour.mean_lab(rgb_to_lab(view.target), weight)
    scores = {f"lab_{c}": float(v) for c, v in zip("lab", render, strict=True)}
    scores |= {f"target_lab_{c}": float(v) for c, v in zip("lab", target, strict=True)}
    return scores | {"colour_shift": float(colour.delta_e_2000(render, target))}


def outside(target: Pixels, render: Pixels, touched: Pixels, *, with_ssim: bool) -> Scores:
    """Fidelity of luma pictures (H,W) where `touched` (H,W) is 0: PSNR, largest difference, SSIM.

    SSIM leaves out the pixels whose window reaches into the touched part.
    """
    squared, largest = fidelity.difference_outside(target, render, touched)
    scores = {"psnr_outside_db": fidelity.psnr(squared), "max_difference_outside": float(largest)}
    if with_ssim:
        counted = fidelity.reach(touched, fidelity.WINDOW_PX // 2) == 0
        scores["ssim_outside"] = fidelity.ssim(target, render, counted)
    return scores


def over_time(now: tuple[Pixels, Pixels], before: tuple[Pixels, Pixels], mask: Pixels) -> Scores:
    """Warping errors and flow difference between two frames, inside `mask` (h,w) uint8.

    Args:
        now, before: luma (h,w) of render and target in one box of both frames.
        mask: what is replaced in it.
    """
    flow = temporal.optical_flow(now[1], before[1])
    back = temporal.optical_flow(before[1], now[1])
    counted = temporal.visible(flow, back) & (mask >= 128)
    own = temporal.optical_flow(now[0], before[0])
    return {
        "warping_error": temporal.warping_error(now[0], before[0], flow, counted),
        "target_warping_error": temporal.warping_error(now[1], before[1], flow, counted),
        "flow_difference_px": temporal.flow_difference(own, flow, counted),
    }


def jitters(three: Sequence[Face]) -> Scores:
    """Landmark jitter of render and target over three faces in a row."""
    eyes = three[1].eye_distance_px
    render, target = (np.stack([face.meshes[which] for face in three]) for which in (0, 1))
    return {
        "landmark_jitter": landmarks.jitter(render, eyes),
        "target_landmark_jitter": landmarks.jitter(target, eyes),
    }


def identities(faces: Sequence[Values], source: Values, target: Values) -> dict[str, Values]:
    """Cosine columns (N,) of all measured faces to the centroids `source` and `target` (D,)."""
    columns: dict[str, Values] = {}
    if not faces:
        return columns
    stacked = np.stack(faces)
    for place, prefix in enumerate(VARIANTS):
        columns[prefix + "identity_source"] = identity.cosine(stacked[:, place], source)
        columns[prefix + "identity_target"] = identity.cosine(stacked[:, place], target)
    return columns
