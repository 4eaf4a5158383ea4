"""Known answers for every metric: itself, shifted, turned, blurred, another. None is constant."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from likeness.media.pictures import read_image
from likeness.metrics import colour, fidelity, identity, landmarks, pose, seams, temporal

Pixels = npt.NDArray[np.uint8]
# Published pairs (Sharma, Wu, Dalal 2005, table 1): Lab, Lab, difference.
SHARMA = [
    ((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485), 2.0425),
    ((50.0, -1.3802, -84.2814), (50.0, 0.0, -82.7485), 1.0000),
    ((50.0, 2.4900, -0.0010), (50.0, -2.4900, 0.0011), 7.2195),
    ((50.0, 2.5, 0.0), (73.0, 25.0, -18.0), 27.1492),
    ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
]


@pytest.fixture(scope="module")
def photo(shared: Path) -> Pixels:
    rgb = read_image(shared / "photos" / "astronaut.png")
    return np.ascontiguousarray(rgb[:256, 96:352])


def grey(rgb: Pixels) -> Pixels:
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)


def shifted(picture: Pixels, dx: float, dy: float = 0.0) -> Pixels:
    move = np.array([[1.0, 0.0, dx], [0.0, 1.0, dy]])
    size = (picture.shape[1], picture.shape[0])
    return np.asarray(cv2.warpAffine(picture, move, size, borderMode=cv2.BORDER_REFLECT))


def turned(picture: Pixels, degrees: float) -> Pixels:
    size = (picture.shape[1], picture.shape[0])
    move = cv2.getRotationMatrix2D((size[0] / 2, size[1] / 2), degrees, 1.0)
    return np.asarray(cv2.warpAffine(picture, move, size, borderMode=cv2.BORDER_REFLECT))


def disc(size_px: int = 256, radius_px: int = 70) -> Pixels:
    mask = np.zeros((size_px, size_px), np.uint8)
    cv2.circle(mask, (size_px // 2, size_px // 2), radius_px, 255, -1, cv2.LINE_AA)
    return mask


def face_mesh(seed: int = 0) -> npt.NDArray[np.float64]:
    """468 points in space that are nobody's face, in px."""
    return np.random.default_rng(seed).normal(0, 40, (468, 3)) + np.array([320.0, 180.0, 0.0])


# --- identity ---


def test_cosine_of_the_same_the_opposite_and_the_unrelated() -> None:
    a, b = np.array([3.0, 0.0]), np.array([0.0, 0.2])
    assert identity.cosine(a, 7 * a) == pytest.approx(1)
    assert identity.cosine(a, -a) == pytest.approx(-1)
    assert identity.cosine(a, b) == pytest.approx(0)
    assert identity.cosine(a, a + 15 * b) == pytest.approx(np.sqrt(0.5))
    assert identity.cosine(a, np.zeros(2)) == 0


@given(st.integers(2, 20), st.integers(2, 64), st.integers(0, 99))
def test_centroid_is_a_unit_vector_nearer_than_any_single_one(n: int, d: int, seed: int) -> None:
    person = np.random.default_rng(seed).normal(size=(n, d)) + 3
    middle = identity.centroid(person)
    assert np.linalg.norm(middle) == pytest.approx(1)
    own = identity.cosine(person, middle).mean()
    assert own >= max(identity.cosine(person, one).mean() for one in person) - 1e-9
    assert identity.centroid(100 * person) == pytest.approx(middle)


def test_gallery_against_itself_leaves_the_probe_out() -> None:
    alike = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    by_hand = (2 * np.sqrt(0.5) + 0.0) / 3
    assert identity.to_the_others(alike) == pytest.approx(by_hand)
    assert np.isnan(identity.to_the_others(alike[:1]))


def test_identity_variance_grows_with_flicker() -> None:
    assert identity.variance(np.full(9, 0.4)) == pytest.approx(0)
    assert identity.variance(np.array([0.3, 0.5] * 5)) == pytest.approx(0.01)
    assert np.isnan(identity.variance(np.array([0.4])))


# --- pose ---


@given(st.floats(-720, 720), st.floats(-179, 179))
def test_angles_know_the_turn(angle: float, apart: float) -> None:
    assert pose.angle_difference(angle + apart, angle) == pytest.approx(apart, abs=1e-6)
    assert pose.angle_difference(angle + apart + 360, angle) == pytest.approx(apart, abs=1e-6)


def test_pose_error_is_a_length_in_degrees() -> None:
    assert pose.pose_error(np.array([10.0, -5, 179]), np.array([10.0, -5, 179])) == 0
    assert pose.pose_error(np.array([13.0, -5, -177]), np.array([10.0, -5, 179])) == pytest.approx(
        5
    )


# --- landmarks ---


def test_landmark_error_of_itself_shifted_and_turned() -> None:
    mesh = face_mesh()
    eyes = landmarks.eye_distance(mesh)
    assert landmarks.landmark_error(mesh, mesh, eyes) == 0
    moved = mesh + np.array([0.3 * eyes, 0.4 * eyes, 9.0])
    assert landmarks.landmark_error(moved, mesh, eyes) == pytest.approx(0.5)
    angle = np.radians(5)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    flat = mesh[:, :2] - mesh[:, :2].mean(axis=0)
    expected = 2 * np.sin(angle / 2) * np.linalg.norm(flat, axis=1).mean() / eyes
    assert landmarks.landmark_error(flat @ turn.T, flat, eyes) == pytest.approx(expected)


def test_expression_ignores_pose_place_and_size_but_not_the_mouth() -> None:
    mesh = face_mesh()
    angle = np.radians(20)
    turn = np.array(
        [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
    )
    posed = 1.7 * mesh @ turn.T + [30, -8, 4]
    assert landmarks.expression_error(posed, mesh) == pytest.approx(0, abs=1e-9)
    spoke = mesh.copy()
    spoke[[13, 14, 17, 152]] += [0, 12, 0]
    by_hand = 4 * 12 / 468 / landmarks.eye_distance(mesh)
    assert landmarks.expression_error(spoke, mesh) == pytest.approx(by_hand)
    assert landmarks.expression_error(face_mesh(1), mesh) > 0.1


def test_jitter_of_even_motion_is_zero_and_of_noise_is_known() -> None:
    even = face_mesh()[None] + np.arange(5)[:, None, None] * np.array([3.0, -1.0, 0.0])
    assert landmarks.jitter(even, 50.0) == pytest.approx(0)
    shaking = even.copy()
    shaking[2] += [0, 5.0, 0]
    # 5, 2 x 5 and 5 px over three second differences.
    assert landmarks.jitter(shaking, 50.0) == pytest.approx((5 + 10 + 5) / 3 / 50)
    assert np.isnan(landmarks.jitter(even[:2], 50.0))


# --- fidelity ---


def test_ssim_by_hand_in_the_middle_of_a_window(photo: Pixels) -> None:
    a, b = grey(photo), grey(np.asarray(cv2.GaussianBlur(photo, (0, 0), 2)))
    along = np.exp(-(np.arange(-5.0, 6.0) ** 2) / (2 * 1.5**2))
    window = np.outer(along, along) / along.sum() ** 2
    x, y = (p[95:106, 115:126].astype(np.float64) for p in (a, b))
    mx, my = (window * x).sum(), (window * y).sum()
    vx, vy = (window * x * x).sum() - mx**2, (window * y * y).sum() - my**2
    cov = (window * x * y).sum() - mx * my
    c1, c2 = 6.5025, 58.5225
    expected = (2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    assert fidelity.ssim_map(a, b)[100, 120] == pytest.approx(expected, abs=2e-4)


def test_ssim_orders_what_was_done(photo: Pixels, shared: Path) -> None:
    luma = grey(photo)
    other = grey(cv2.resize(read_image(shared / "photos" / "multi_face.jpg"), (256, 256)))
    little, much = (grey(np.asarray(cv2.GaussianBlur(photo, (0, 0), s))) for s in (1, 4))
    done = [little, much, other]
    values = [fidelity.ssim(luma, picture) for picture in done]
    assert fidelity.ssim(luma, luma) == pytest.approx(1, abs=1e-6)
    assert 1 > values[0] > values[1] > values[2]
    assert fidelity.ssim(luma, shifted(luma, 2)) < 0.95
    assert fidelity.ssim(luma, turned(luma, 5)) < 0.7


def test_what_the_mask_covers_does_not_count(photo: Pixels) -> None:
    luma, mask = grey(photo), disc()
    changed = np.where(mask > 0, 255 - luma, luma).astype(np.uint8)
    squared, largest = fidelity.difference_outside(luma, changed, mask)
    assert (squared, largest, fidelity.psnr(squared)) == (0, 0, fidelity.PSNR_OF_EQUALS_DB)
    counted = fidelity.reach(mask, fidelity.WINDOW_PX // 2) == 0
    assert fidelity.ssim(luma, changed, counted) == pytest.approx(1, abs=1e-5)
    assert fidelity.ssim(luma, changed) < 0.9
    changed[3, 4] = luma[3, 4] ^ 16
    squared, largest = fidelity.difference_outside(luma, changed, mask)
    assert largest == 16
    assert squared == pytest.approx(256 / (mask == 0).sum())


def test_psnr_by_hand() -> None:
    assert fidelity.psnr(255.0**2) == pytest.approx(0)
    assert fidelity.psnr(1.0) == pytest.approx(48.1308, abs=1e-4)
    assert np.isnan(fidelity.psnr(fidelity.difference_outside(disc(), disc(), disc() | 1)[0]))


# --- colour and seams ---


@pytest.mark.parametrize(("first", "second", "expected"), SHARMA)
def test_delta_e_as_published(
    first: tuple[float, ...], second: tuple[float, ...], expected: float
) -> None:
    one, two = np.array(first), np.array(second)
    assert colour.delta_e_2000(one, two) == pytest.approx(expected, abs=1e-4)
    assert colour.delta_e_2000(two, one) == pytest.approx(expected, abs=1e-4)


# sRGB primaries, white, greys: CIE Lab for D65 by the formulas, to four digits.
LAB = {
    (255, 255, 255): (100.0, 0.0, 0.0),
    (0, 0, 0): (0.0, 0.0, 0.0),
    (255, 0, 0): (53.2408, 80.0925, 67.2032),
    (0, 255, 0): (87.7347, -86.1827, 83.1793),
    (0, 0, 255): (32.2970, 79.1875, -107.8602),
    (119, 119, 119): (50.0344, 0.0, 0.0),
    (3, 3, 3): (0.8226, 0.0, 0.0),
}


@pytest.mark.parametrize(("rgb", "lab"), LAB.items())
def test_lab_as_published(rgb: tuple[int, ...], lab: tuple[float, ...]) -> None:
    found = colour.rgb_to_lab(np.full((2, 3, 3), rgb, np.uint8))
    assert found.shape == (2, 3, 3)
    assert found.dtype == np.float32
    assert found[1, 2] == pytest.approx(lab, abs=0.02)


def test_mean_lab_weighs(photo: Pixels) -> None:
    lab = colour.rgb_to_lab(photo)
    left = np.zeros(lab.shape[:2], np.float32)
    left[:, :10] = 0.5
    assert colour.mean_lab(lab, left) == pytest.approx(lab[:, :10].mean(axis=(0, 1)), rel=1e-4)
    assert np.isnan(colour.mean_lab(lab, np.zeros_like(left))).all()


def test_boundary_difference_sees_a_colour_step_and_where_it_is(photo: Pixels) -> None:
    soft = np.asarray(cv2.GaussianBlur(photo, (0, 0), 12))
    mask = disc()
    around = seams.rings(mask)
    natural = seams.boundary_delta_e(soft, around)
    tinted = soft.astype(np.float64)
    tinted[mask >= 128] += [25, 0, -10]
    step = seams.boundary_delta_e(np.clip(tinted, 0, 255).astype(np.uint8), around)
    half = soft.astype(np.float64)
    half[:, :128][mask[:, :128] >= 128] += [25, 0, -10]
    one_side = seams.boundary_delta_e(np.clip(half, 0, 255).astype(np.uint8), around)
    assert natural + 1 < one_side < step
    assert np.isnan(seams.boundary_delta_e(soft, seams.rings(np.zeros_like(mask))))


def test_gradient_ratio_tells_an_edge_from_a_smear(photo: Pixels) -> None:
    mask = disc()
    around = seams.rings(mask)
    noisy = np.random.default_rng(0).integers(90, 160, (256, 256, 3)).astype(np.uint8)
    noisy = np.asarray(cv2.GaussianBlur(noisy, (0, 0), 1.5))
    plain = seams.gradient_ratio(noisy, around)
    cut = noisy.copy()
    cut[mask >= 128] += 40
    smeared = np.asarray(cv2.GaussianBlur(noisy, (0, 0), 4))
    band = around[1]
    smooth = np.where(band[..., None], smeared, noisy).astype(np.uint8)
    assert plain == pytest.approx(1, abs=0.25)
    assert seams.gradient_ratio(cut, around) > 3 * plain
    assert seams.gradient_ratio(smooth, around) < 0.7 * plain
    assert seams.gradient_ratio(photo, around) != plain


# --- time ---


def test_colour_flicker_within_shots() -> None:
    steady = np.tile([60.0, 10.0, 20.0], (8, 1))
    steady[4:] += 30  # another shot has another light
    shots = np.repeat([0, 1], 4)
    assert temporal.colour_flicker(steady, shots) == pytest.approx(0)
    flickering = steady + np.array([2.0, 0, 0]) * np.array([1, -1] * 4)[:, None]
    assert temporal.colour_flicker(flickering, shots) == pytest.approx(2)
    assert temporal.colour_flicker(steady, np.zeros(8, int)) > 20
    assert np.isnan(temporal.colour_flicker(np.zeros((0, 3)), np.zeros(0, int)))


def test_flow_finds_a_shift_and_warping_undoes_it(photo: Pixels) -> None:
    before = grey(np.asarray(cv2.GaussianBlur(photo, (0, 0), 1)))
    now = shifted(before, 4, 1)
    flow = temporal.optical_flow(now, before)
    middle = np.zeros(before.shape, bool)
    middle[40:-40, 40:-40] = True
    assert np.median(flow[middle], axis=0) == pytest.approx([-4, -1], abs=0.3)
    moved = temporal.warping_error(now, before, flow, middle)
    still = temporal.warping_error(now, before, np.zeros_like(flow), middle)
    assert moved < 0.1 * still
    lit = temporal.warping_error(np.clip(now + 20.0, 0, 255).astype(np.uint8), before, flow, middle)
    assert lit == pytest.approx((20 / 255) ** 2, rel=0.35)
    there = temporal.visible(flow, temporal.optical_flow(before, now))
    assert there[middle].mean() > 0.9


def test_flow_difference_of_itself_and_of_other_motion(photo: Pixels) -> None:
    luma = grey(photo)
    flow = temporal.optical_flow(shifted(luma, 3), luma)
    everywhere = np.ones(luma.shape, bool)
    assert temporal.flow_difference(flow, flow, everywhere) == 0
    assert temporal.flow_difference(flow + np.float32(1), flow, everywhere) == pytest.approx(
        np.sqrt(2), rel=1e-4
    )
    assert np.isnan(temporal.flow_difference(flow, flow, ~everywhere))


def test_occlusion_is_left_out(photo: Pixels) -> None:
    flow = np.zeros((64, 64, 2), np.float32)
    back = flow.copy()
    back[20:30, 20:30] = 9.0
    assert not temporal.visible(flow, back)[25, 25]
    assert temporal.visible(flow, back)[5, 5]
