"""Known answers for what is said of faces: itself, shifted, turned, blurred, another person."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from likeness.evaluation import sampling
from likeness.evaluation.views import embedder_crop, locate
from likeness.media.pictures import read_image
from likeness.metrics import distributions, expression, gaze, light, perceptual, seams
from likeness.metrics.catalogue import measured
from likeness.vision import alignment
from likeness.vision.colour import rgb_to_lab
from models.analysers.features import EMBEDDED, TappedEmbedder, find_taps
from models.analysers.pack import Pack, load_pack

Pixels = npt.NDArray[np.uint8]
RNG = np.random.default_rng(5)
People = dict[str, tuple[Pixels, npt.NDArray[np.float64]]]
EYE_WIDTH_PX = gaze.EYE_PX / gaze.ENLARGE


@pytest.fixture(scope="module")
def pack(pack_folder: Path) -> Pack:
    return load_pack(pack_folder)


@pytest.fixture(scope="module")
def embedder(pack: Pack) -> TappedEmbedder:
    return TappedEmbedder(pack.path("embedder"), pack.networks.embedder)


@pytest.fixture(scope="module")
def people(shared: Path, pack: Pack) -> People:
    """View (192,192,3) and mesh of one face in each of three photos, two of one man."""
    found = {}
    for name in ("franck_02159.jpg", "franck_02221.jpg", "astronaut.png"):
        rgb = read_image(shared / "photos" / name)
        bbox, _, five = pack.detector.detect(rgb)
        mesh = np.asarray(pack.mesh.run(rgb, five[:1], bbox[:1])[0][0], np.float64)
        mask = np.full((64, 64), 255, np.uint8)
        place = locate(np.eye(2, 3), five[0], mesh, mask, np.eye(2, 3))
        view = alignment.warp_crop(rgb, place.to_view, 192)
        found[name] = (view, alignment.apply_mesh(place.to_view, mesh))
        assert embedder_crop(view, place).shape == (112, 112, 3)
    return found


def turned(points: npt.NDArray[np.float64], degrees: float) -> npt.NDArray[np.float64]:
    angle = np.radians(degrees)
    turn = np.array(
        [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
    )
    return points @ turn.T


# --- action units ---


def test_names_of_units_are_those_of_the_table() -> None:
    assert measured("unit") == expression.UNITS


def test_units_ignore_pose_and_size_and_see_what_moves(people: People) -> None:
    mesh = people["astronaut.png"][1]
    own = expression.units(mesh)
    assert expression.units(2.5 * turned(mesh, 5) + [9, 9, 9]) == pytest.approx(own, abs=1e-9)
    eyes = np.linalg.norm(mesh[[33, 133]].mean(0) - mesh[[362, 263]].mean(0))
    spoke = mesh.copy()
    spoke[14] += (mesh[14] - mesh[13]) / np.linalg.norm(mesh[14] - mesh[13]) * 0.2 * eyes
    change = expression.units(spoke) - own
    assert change[0] == pytest.approx(0.2, rel=0.1)
    assert np.abs(change[1:]).max() < 1e-9
    raised = mesh.copy()
    up = mesh[168] - mesh[2]
    brows = [*expression.mesh.IMAGE_LEFT_BROW, *expression.mesh.IMAGE_RIGHT_BROW]
    raised[brows] += up / np.linalg.norm(up) * 0.1 * eyes
    assert (expression.units(raised) - own)[3] == pytest.approx(0.1, rel=0.1)


def test_another_person_differs_more_than_another_photo(people: People) -> None:
    first, second, other = (expression.units(mesh) for _, mesh in people.values())
    assert np.abs(first - other).mean() > np.abs(first - second).mean() > 0


def test_following_is_correlation() -> None:
    wanted = np.sin(np.arange(20.0))
    assert expression.follows(0.3 * wanted + 7, wanted) == pytest.approx(1)
    assert expression.follows(-wanted, wanted) == pytest.approx(-1)
    assert np.isnan(expression.follows(np.ones(20), wanted))
    assert np.isnan(expression.follows(wanted[:2], wanted[:2]))


# --- gaze ---


def drawn_eye(x: float, y: float) -> Pixels:
    """An eye (64,64,3) whose iris stands (x, y) eye widths from the middle between its corners."""
    side, fine = gaze.EYE_PX, 8
    picture = np.full((side * fine, side * fine, 3), (200, 160, 140), np.uint8)
    half = EYE_WIDTH_PX / 2 * fine
    t = np.linspace(-1, 1, 80)
    upper = np.stack([t * half, -0.36 * half * (1 - t**2)], axis=1)
    lower = np.stack([t[::-1] * half, 0.29 * half * (1 - t[::-1] ** 2)], axis=1)
    outline = np.round(np.concatenate([upper, lower]) + side * fine / 2).astype(np.int32)
    white = np.full_like(picture, 232)
    centre = tuple(round(side * fine / 2 + v * 2 * half) for v in (x, y))
    cv2.circle(white, centre, int(0.42 * half), (90, 60, 40), -1, cv2.LINE_AA)
    cv2.circle(white, centre, int(0.19 * half), (10, 10, 10), -1, cv2.LINE_AA)
    inside = cv2.fillPoly(np.zeros(picture.shape[:2], np.uint8), [outline], 255) > 0
    picture[inside] = white[inside]
    cv2.polylines(picture, [outline], isClosed=True, color=(60, 40, 35), thickness=fine)
    soft = cv2.GaussianBlur(picture, (0, 0), 0.6 * fine)
    return np.asarray(cv2.resize(soft, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def test_the_iris_network_reads_drawn_eyes(pack: Pack) -> None:
    """Slopes near 1 and errors of a few hundredths: what docs/evaluation.md says of it."""
    moves = [(x, y) for x in (-0.2, -0.1, 0.0, 0.1, 0.2) for y in (-0.06, 0.0, 0.06)]
    _, irises = pack.iris.run(np.stack([drawn_eye(x, y) for x, y in moves]))
    found = (irises[:, 0, :2] - (gaze.EYE_PX - 1) / 2) / EYE_WIDTH_PX
    wanted = np.array(moves)
    across, down = (np.polyfit(wanted[:, i], found[:, i], 1)[0] for i in (0, 1))
    assert 0.7 < across < 1.1
    assert 0.5 < down < 1.1
    assert np.abs(found - wanted).mean(axis=0).max() < 0.05


def test_gaze_error_is_a_distance_over_open_eyes() -> None:
    still = np.array([[0.1, 0.0], [-0.1, 0.0]])
    assert gaze.gaze_error(still, still) == 0
    assert gaze.gaze_error(still + np.array([0.03, 0.04]), still) == pytest.approx(0.05)
    winking = still.copy()
    winking[0] = np.nan
    assert gaze.gaze_error(winking + np.array([0.03, 0.04]), still) == pytest.approx(0.05)
    assert np.isnan(gaze.gaze_error(np.full((2, 2), np.nan), still))


def test_gaze_of_a_shifted_and_turned_picture_stays(pack: Pack, people: People) -> None:
    view, mesh = people["astronaut.png"]
    own = gaze.directions(pack.iris.run(gaze.eye_crops(view, mesh))[1], mesh)
    affine = cv2.getRotationMatrix2D((96, 96), 5, 1.0)
    affine[:, 2] += (4, -3)
    moved = np.asarray(cv2.warpAffine(view, affine, (192, 192), flags=cv2.INTER_CUBIC), np.uint8)
    placed = mesh.copy()
    placed[:, :2] = alignment.apply(affine, mesh[:, :2])
    again = gaze.directions(pack.iris.run(gaze.eye_crops(moved, placed))[1], placed)
    assert gaze.gaze_error(again, own) < 0.05
    looking = view.copy()
    x, y = mesh[133, :2].round().astype(int)
    looking[y - 6 : y + 6, x - 16 : x - 4] = view[y - 6 : y + 6, x - 22 : x - 10]
    away = gaze.directions(pack.iris.run(gaze.eye_crops(looking, mesh))[1], mesh)
    assert gaze.gaze_error(away, own) > gaze.gaze_error(again, own)


def test_closed_eyes_have_no_gaze(people: People) -> None:
    _, mesh = people["astronaut.png"]
    shut = mesh.copy()
    for upper, lower in expression.LIDS:
        shut[upper] = shut[lower]
    assert np.isnan(gaze.directions(np.zeros((2, 5, 3)), shut)).all()
    assert not np.isnan(gaze.directions(np.zeros((2, 5, 3)), mesh)).any()


# --- light ---


def test_illumination_of_itself_brighter_flatter_and_lit_from_elsewhere(people: People) -> None:
    lab = rgb_to_lab(people["astronaut.png"][0])
    mask = cv2.circle(np.zeros((192, 192), np.uint8), (96, 96), 60, 255, -1)
    own, shade = light.statistics(lab, mask), light.shading(lab[..., 0].copy(), mask)
    assert light.differences(own, own) == (0, 0)
    assert light.shading_correlation(shade, shade) == pytest.approx(1)
    brighter = light.differences(light.statistics(lab + np.float32([7, 0, 0]), mask), own)
    assert brighter == pytest.approx((7, 0), abs=1e-3)
    flat = lab.copy()
    flat[..., 0] = own[0, 0] + 0.5 * (lab[..., 0] - own[0, 0])
    means, deviations = light.differences(light.statistics(flat, mask), own)
    assert means == pytest.approx(0, abs=1e-3)
    assert deviations == pytest.approx(own[1, 0] / 2, rel=1e-3)
    side = np.linspace(-20, 20, 192, dtype=np.float32)[None].repeat(192, axis=0)
    left, right = light.shading(50 + side, mask), light.shading(50 - side, mask)
    assert light.shading_correlation(left, right) == pytest.approx(-1)
    assert light.shading_correlation(shade, light.shading(lab[:, ::-1, 0].copy(), mask)) < 0.9
    assert np.isnan(light.statistics(lab, np.zeros_like(mask))).all()


# --- features ---


def test_taps_change_no_embedding_and_are_the_last_of_each_size(
    pack: Pack, embedder: TappedEmbedder
) -> None:
    crops = RNG.integers(0, 255, (3, 112, 112, 3)).astype(np.uint8)
    embeddings, maps = embedder.run(crops)
    assert embeddings == pytest.approx(pack.embedder.embed_crops(crops), abs=1e-5)
    assert [m.shape[2] for m in maps] == [56, 28, 14, 7]
    assert find_taps(pack.path("embedder")) == EMBEDDED


def test_perceptual_distance_orders_what_was_done(embedder: TappedEmbedder, people: People) -> None:
    own, again, other = (np.asarray(view[40:152, 40:152]) for view, _ in people.values())
    little, much = (np.asarray(cv2.GaussianBlur(own, (0, 0), s), np.uint8) for s in (1, 4))
    affine = cv2.getRotationMatrix2D((56, 56), 5, 1.0)
    turn = np.asarray(cv2.warpAffine(own, affine, (112, 112), borderMode=cv2.BORDER_REFLECT))
    moved = np.roll(own, 3, axis=1)
    _, maps = embedder.run(np.stack([own, little, much, turn, moved, again, other]))
    layers = [[m[i] for m in maps] for i in range(7)]
    itself, *rest = (perceptual.distance(one, layers[0]) for one in layers)
    blurred, smeared, rotated, shifted, same_man, another = rest
    assert itself == pytest.approx(0, abs=1e-6)
    assert 0 < blurred < smeared
    assert 0 < shifted < another
    assert 0 < rotated < another
    assert same_man < another
    assert perceptual.pooled(layers[0]).shape == (128,)


# --- crowds ---


def test_fid_of_gaussians_is_known() -> None:
    one = RNG.normal(size=(400, 4))
    moved = one + np.array([3.0, 0, 0, 0])
    assert distributions.fid(one, one).value == pytest.approx(0, abs=1e-6)
    assert distributions.fid(moved, one).value == pytest.approx(9, rel=1e-6)
    wide = distributions.fid(2 * one, one).value
    centred = one - one.mean(axis=0)
    spread = (centred**2).sum() / 399
    assert wide == pytest.approx((one.mean(axis=0) ** 2).sum() + spread, rel=1e-6)


def test_kid_is_unbiased_and_sees_another_crowd() -> None:
    draws = [distributions.kid(*RNG.normal(size=(2, 60, 8)), resamples=0).value for _ in range(40)]
    assert abs(np.mean(draws)) < 3 * np.std(draws) / np.sqrt(40)
    assert min(draws) < 0 < max(draws)
    one, other = RNG.normal(size=(60, 8)), RNG.normal(size=(60, 8)) + 0.7
    found = distributions.kid(one, other)
    assert 0 < found.low < found.value < found.high


def test_crowds_have_the_same_interval_each_time_and_are_refused_when_small() -> None:
    one, other = RNG.normal(size=(50, 8)), RNG.normal(size=(60, 8)) + 1
    first, second = distributions.fid(one, other), distributions.fid(one, other)
    assert first == second
    assert first.images == 50
    assert first.low < first.value < first.high
    refused = distributions.fid(one[:49], other)
    assert np.isnan(refused.value)
    assert refused.reason == "49 images, at least 50 are needed"


# --- which frames ---


def test_runs_of_three_stand_apart_and_follow() -> None:
    frames, shots = np.arange(40), np.repeat([0, 1], 20)
    lines = (frames, shots, np.zeros(40, int))
    middles = sampling.triples(np.full(40, sampling.ALL), *lines, 4)
    assert len(middles) == 4
    assert np.diff(middles).min() >= 3
    assert all(shots[m - 1] == shots[m + 1] for m in middles)
    lonely = np.full(40, sampling.NOTHING)
    lonely[[3, 30]] = sampling.ALL
    assert sampling.triples(lonely, *lines, 4).tolist() == [3, 30]


def test_the_box_of_a_seam_changes_nothing(people: People) -> None:
    view = people["astronaut.png"][0]
    mask = cv2.circle(np.zeros((192, 192), np.uint8), (80, 100), 40, 255, -1)
    wide = np.asarray(cv2.copyMakeBorder(view, 50, 50, 50, 50, cv2.BORDER_REFLECT))
    far = cv2.copyMakeBorder(mask, 50, 50, 50, 50, cv2.BORDER_CONSTANT)
    step = seams.boundary_delta_e(view, seams.rings(mask))
    assert seams.boundary_delta_e(wide, seams.rings(far)) == pytest.approx(step, rel=1e-3)
