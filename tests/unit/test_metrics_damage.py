"""Measures of what a person sees: known answers, and ranks over forty swaps with known damage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import spearmanr

from likeness.metrics import gaze, seams
from likeness.metrics.colour import rgb_to_lab
from likeness.metrics.expression import units
from likeness.vision.mesh import FACE_OVAL
from models.analysers.pack import load_pack
from tests.damagedfaces import KINDS, Damaged, forty, people

SIDE = 96


def lab(level: float) -> npt.NDArray[np.float32]:
    picture = np.zeros((SIDE, SIDE, 3), np.float32)
    picture[..., 0] = level
    return picture


@pytest.fixture
def square() -> npt.NDArray[np.uint8]:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[24:72, 24:72] = 255
    return mask


def step(mask: npt.NDArray[np.uint8], height: float) -> npt.NDArray[np.float32]:
    found = lab(50)
    found[mask > 0, 0] += height
    return found


def test_the_outline_points_outwards(square: npt.NDArray[np.uint8]) -> None:
    places, normals = seams.outline(square)
    assert len(places) == 4 * 47
    away = places - 47.5
    assert ((away * normals).sum(axis=1) > 0).all()
    assert np.allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)
    assert len(seams.outline(np.full((SIDE, SIDE), 255, np.uint8))[0]) == 0


def test_a_step_shows_along_the_whole_outline(square: npt.NDArray[np.uint8]) -> None:
    assert seams.visible_seam(lab(50), lab(50), square) == 0
    assert seams.visible_seam(step(square, 20), lab(50), square) == 4 * 47
    assert seams.visible_seam(step(square, 1), lab(50), square) == 0  # nobody sees it
    # Where the target has the same edge by nature there is no seam.
    assert seams.visible_seam(step(square, 25), step(square, 20), square) <= 4 * 47
    assert seams.visible_seam(step(square, 20), step(square, 20), square) == 0
    half = step(square, 20)
    half[:48] = 50
    assert seams.visible_seam(half, lab(50), square) == pytest.approx(2 * 47, abs=8)
    nothing = np.zeros_like(square)
    assert np.isnan(seams.visible_seam(lab(50), lab(50), nothing))


def test_a_soft_step_is_no_edge_but_a_shade(square: npt.NDArray[np.uint8]) -> None:
    import cv2

    soft = cv2.GaussianBlur(step(square, 12), (0, 0), 6)
    assert seams.visible_seam(soft, lab(50), square) == 0
    assert seams.shade_mismatch(soft, lab(50), square) > 6


def test_shades_by_hand(square: npt.NDArray[np.uint8]) -> None:
    assert seams.shade_mismatch(lab(50), lab(50), square) == 0
    assert seams.shade_mismatch(step(square, 10), lab(50), square) == pytest.approx(10, abs=1e-3)
    side = step(square, 10)
    side[:, 48:] = 50
    assert seams.shade_mismatch(side, lab(50), square) > 9  # a half is more than a tenth
    nothing = np.zeros_like(square)
    assert np.isnan(seams.shade_mismatch(lab(50), lab(50), nothing))


def test_coverage_by_hand() -> None:
    rng = np.random.default_rng(0)
    mesh = rng.uniform(20, 76, (468, 3))
    oval = np.linspace(0, 2 * np.pi, len(FACE_OVAL), endpoint=False)
    mesh[list(FACE_OVAL), 0] = 48 + 30 * np.cos(oval)
    mesh[list(FACE_OVAL), 1] = 48 + 30 * np.sin(oval)
    whole = np.full((SIDE, SIDE), 255, np.uint8)
    assert seams.covered(whole, mesh) == 1
    assert seams.covered(np.zeros_like(whole), mesh) == 0
    whole[:, 48:] = 0
    assert seams.covered(whole, mesh) == pytest.approx(0.5, abs=0.02)
    assert np.isnan(seams.covered(whole, mesh + 500))


def test_openings_of_lids_by_hand() -> None:
    contours = np.zeros((2, 71, 3))
    contours[:, 8, 0] = 20.0
    for upper, lower in gaze.LIDS:
        contours[:, upper, 1], contours[:, lower, 1] = -3.0, 3.0
    contours[1, :, :] *= 2  # nearer to the camera
    assert gaze.lid_openings(contours) == pytest.approx([0.3, 0.3])
    shut = contours.copy()
    shut[1, :, 1] = 0
    assert gaze.eye_gap(gaze.lid_openings(shut), gaze.lid_openings(contours)) == pytest.approx(0.3)


# --- forty swaps with known damage ---


@dataclass(frozen=True)
class Measured:
    """One swap's damage, and what the measures say."""

    swap: Damaged
    values: dict[str, float]


@pytest.fixture(scope="module")
def measured(shared: Path, pack_folder: Path) -> list[Measured]:
    pack = load_pack(pack_folder)
    swaps = forty(people(shared, pack), pack.canonical_mesh()[1])
    meshes, _ = pack.mesh.run_crops(np.stack([swap.render for swap in swaps]))
    found = []
    for swap, mesh in zip(swaps, np.asarray(meshes, np.float64), strict=True):
        given, wanted = rgb_to_lab(swap.render), rgb_to_lab(swap.target.picture)
        lids = [
            gaze.lid_openings(pack.iris.run(gaze.eye_crops(picture, points))[0])
            for picture, points in ((swap.render, mesh), (swap.target.picture, swap.target.mesh))
        ]
        values = {
            "visible_seam": seams.visible_seam(given, wanted, swap.mask, swap.target.mesh),
            "shade_mismatch": seams.shade_mismatch(given, wanted, swap.mask),
            "coverage": -seams.covered(swap.mask, swap.target.mesh),
            "eye_gap": gaze.eye_gap(*lids),
            "mouth_gap": abs(units(mesh)[0] - units(swap.target.mesh)[0]),
        }
        found.append(Measured(swap, values))
    return found


def rank(measured: list[Measured], measure: str, kind: str) -> float:
    chosen = [one for one in measured if one.swap.kind == kind]
    pairs = [(one.values[measure], one.swap.severity) for one in chosen]
    return float(spearmanr(*np.array(pairs).T)[0])


@pytest.mark.parametrize(
    ("measure", "kind", "floor"),
    [
        ("visible_seam", "shifted", 0.65),
        ("visible_seam", "ragged", 0.7),
        ("visible_seam", "lit", 0.75),
        ("shade_mismatch", "lit", 0.9),
        ("coverage", "ragged", 0.9),
        ("coverage", "shifted", 0.9),
        ("eye_gap", "eyes", 0.85),
        ("mouth_gap", "mouth", 0.75),
    ],
)
def test_the_worse_the_damage_the_worse_the_measure(
    measured: list[Measured], measure: str, kind: str, floor: float
) -> None:
    """Spearman's rank correlation over the eight swaps of a kind."""
    assert rank(measured, measure, kind) >= floor


def test_the_set_is_what_it_says(measured: list[Measured]) -> None:
    assert len(measured) == 40
    for kind in KINDS:
        severities = sorted(one.swap.severity for one in measured if one.swap.kind == kind)
        assert severities == pytest.approx(np.arange(8) / 7)


def test_good_swaps_have_no_seam_and_the_worst_have(measured: list[Measured]) -> None:
    def seam(test: Callable[[Damaged], bool]) -> list[float]:
        return [one.values["visible_seam"] for one in measured if test(one.swap)]

    assert max(seam(lambda swap: swap.severity == 0)) == 0
    bad = ("ragged", "lit")
    assert min(seam(lambda swap: swap.severity == 1 and swap.kind in bad)) > 50
