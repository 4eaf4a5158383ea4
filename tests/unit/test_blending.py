"""Compositing inside a box: what it must equal, what it must not touch."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likeness.media.colour import rgb_to_yuv420, yuv420_region_to_rgb, yuv_matrix
from likeness.vision import alignment, blending, placing
from likeness.vision.box import Box
from likeness.vision.patch import cut_patch, patch_colours, sample_planes

Pixels = npt.NDArray[np.uint8]
Affine = npt.NDArray[np.float64]
WIDTH, HEIGHT = 320, 180


def smooth_picture(seed: int, width: int = WIDTH, height: int = HEIGHT) -> Pixels:
    """A picture (H,W,3) with gentle structure everywhere."""
    random = np.random.default_rng(seed)
    coarse = random.integers(40, 216, (height // 20 + 2, width // 20 + 2, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))


def affine_for(x: float, y: float, side: float, angle_deg: float, size_px: int = 128) -> Affine:
    """Frame px -> crop px for a square of `side` frame px around (x, y)."""
    turn = np.deg2rad(angle_deg)
    linear = (
        size_px / side * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    )
    centre = np.full(2, (size_px - 1) / 2)
    return np.column_stack([linear, centre - linear @ (x, y)])


def disc(size_px: int = 128, radius: float = 0.4) -> Pixels:
    mask = np.zeros((size_px, size_px), np.uint8)
    cv2.circle(mask, (size_px // 2, size_px // 2), int(radius * size_px), 255, -1, cv2.LINE_AA)
    return mask


places = st.tuples(
    st.floats(-20, WIDTH + 20),
    st.floats(-20, HEIGHT + 20),
    st.floats(24, 300),
    st.floats(-180, 180),
)


@settings(max_examples=60, deadline=None)
@given(places, st.floats(0, 0.2), st.floats(0, 0.15))
def test_a_box_is_even_inside_the_frame_and_holds_every_pixel_with_alpha(
    place: tuple[float, float, float, float], feather: float, erode: float
) -> None:
    affine, mask = affine_for(*place), disc()
    crop = np.zeros((128, 128, 3), np.uint8)
    patch = cut_patch(crop, mask, affine, (WIDTH, HEIGHT), erode=erode, feather=feather)
    alpha = blending.soft_alpha(mask, erode * 128, feather * 128)
    everywhere = placing.warp_alpha(alpha, affine, Box(0, 0, WIDTH, HEIGHT))
    if patch is None:
        assert everywhere.max() < 0.01
        return
    box = patch.box
    assert not any(v % 2 for v in box)
    assert 0 <= box.x0 < box.x1 <= WIDTH
    assert 0 <= box.y0 < box.y1 <= HEIGHT
    assert np.abs(patch.alpha_in_box() - box.cut(everywhere)).max() < 0.02
    everywhere[box.y0 : box.y1, box.x0 : box.x1] = 0
    assert everywhere.max() < 0.01


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 60), st.integers(0, 60))
def test_alpha_stays_inside_its_mask_and_off_the_rim(erode: int, feather: int) -> None:
    mask = disc(radius=0.55)  # reaches over the rim of the crop
    alpha = blending.soft_alpha(mask, erode, feather)
    assert alpha.min() >= 0
    assert alpha.max() <= 1
    assert (alpha[mask == 0] == 0).all()
    assert alpha[[0, -1]].max() == 0
    assert alpha[:, [0, -1]].max() == 0


def test_feather_rises_without_steps() -> None:
    alpha = blending.soft_alpha(disc(256), 0, 20)
    line = alpha[128]
    assert line[128] == pytest.approx(1.0)
    assert np.abs(np.diff(line)).max() < 0.09
    assert (np.diff(line[:129]) >= -1e-6).all()


def test_rescaling_keeps_the_edges_of_the_square() -> None:
    affine = affine_for(100, 80, 70, 20, size_px=64)
    edges = alignment.footprint(affine, 64)
    assert np.allclose(alignment.footprint(alignment.rescaled(affine, 64, 256), 256), edges)


def test_identity_swap_gives_the_frame_back() -> None:
    frame = smooth_picture(1)
    affine = affine_for(150, 90, 120, 12, size_px=256)
    crop = alignment.warp_crop(frame, affine, 256)
    patch = cut_patch(crop, disc(256), affine, (WIDTH, HEIGHT), feather=0.05)
    assert patch is not None
    below = np.ascontiguousarray(patch.box.cut(frame))
    mixed = blending.mixed(below, patch.in_box(patch.crop), patch.alpha_in_box())
    assert np.abs(mixed.astype(int) - below).max() <= 3


def test_colours_of_a_face_on_itself_are_equal() -> None:
    frame = smooth_picture(2)
    affine = affine_for(150, 90, 120, -20, size_px=256)
    crop = alignment.warp_crop(frame, affine, 256)
    patch = cut_patch(crop, disc(256), affine, (WIDTH, HEIGHT))
    assert patch is not None
    yuv = sample_planes(rgb_to_yuv420(frame), patch)
    beneath = cv2.transform(yuv, yuv_matrix("bt601", "limited")[1])
    measured = patch_colours(patch, beneath, (WIDTH, HEIGHT))
    assert measured is not None
    own, beneath = measured
    assert np.abs(np.array(own.mean) - beneath.mean).max() < 0.6
    assert np.abs(np.array(own.deviation) - beneath.deviation).max() < 0.6


def planes_of(seed: int) -> tuple[Pixels, Pixels, Pixels]:
    y, u, v = rgb_to_yuv420(smooth_picture(seed))
    return y, u, v


def test_planes_mix_where_alpha_is_and_keep_every_other_bit() -> None:
    below, above = planes_of(3), planes_of(4)
    before = tuple(plane.copy() for plane in below)
    alpha = np.zeros((HEIGHT, WIDTH), np.float32)
    alpha[40:100, 60:200] = 0.5
    alpha[60:80, 100:160] = 1.0
    blending.composite_planes(below, above, alpha)
    for plane, old, over, share in zip(
        below, before, above, (alpha, alpha[::2, ::2], alpha[::2, ::2]), strict=True
    ):
        assert np.array_equal(plane[share == 0], old[share == 0])
        assert np.array_equal(plane[share == 1], over[share == 1])
        half = share == 0.5
        mean = (old[half].astype(float) + over[half]) / 2
        assert np.abs(plane[half] - mean).max() <= 0.51


def test_alpha_zero_changes_nothing_at_all() -> None:
    below = planes_of(5)
    before = tuple(plane.copy() for plane in below)
    blending.composite_planes(below, planes_of(6), np.zeros((HEIGHT, WIDTH), np.float32))
    assert all(np.array_equal(a, b) for a, b in zip(below, before, strict=True))


@pytest.mark.parametrize("place", [(150, 90, 110, 10), (40, 30, 140, -30), (300, 170, 90, 75)])
def test_a_box_gives_what_the_full_frame_in_float_gives(
    place: tuple[float, float, float, float],
) -> None:
    frame, crop = smooth_picture(7), smooth_picture(8, 256, 256)
    affine, mask = affine_for(*place, size_px=256), disc(256)
    planes = rgb_to_yuv420(frame)
    patch = cut_patch(crop, mask, affine, (WIDTH, HEIGHT), feather=0.06)
    assert patch is not None
    ours = tuple(plane.copy() for plane in planes)
    half = patch.box.halved()
    below = (patch.box.cut(ours[0]), half.cut(ours[1]), half.cut(ours[2]))
    yuv = cv2.transform(patch.crop, yuv_matrix("bt601", "limited")[0])
    blending.composite_planes(below, patch.planes_in_box(yuv), patch.alpha_in_box())

    whole = Box(0, 0, WIDTH, HEIGHT)
    soft = blending.soft_alpha(mask, 0, 0.06 * 256)
    share = placing.warp_alpha(soft, affine, whole)[..., None]
    under = yuv420_region_to_rgb(planes, whole).astype(np.float32)
    over = placing.warp_to_box(crop, affine, whole).astype(np.float32)
    full = rgb_to_yuv420(np.rint(under * (1 - share) + over * share).astype(np.uint8))
    for a, b in zip(ours, full, strict=True):
        assert np.abs(a.astype(int) - b).max() <= 2


def test_a_large_face_that_shrinks_is_averaged_and_does_not_alias() -> None:
    stripes = np.zeros((512, 512, 3), np.uint8)
    stripes[:, ::2] = 255
    seen = placing.warp_to_box(stripes, affine_for(100, 90, 64, 0, 512), Box(80, 70, 120, 110))
    assert np.abs(seen.astype(int) - 127).max() <= 3


def test_poisson_keeps_the_gradients_takes_the_level_and_stands_still() -> None:
    below = np.full((120, 140, 3), 90, np.uint8)
    above = np.full((120, 140, 3), 160, np.uint8)
    cv2.circle(above, (70, 60), 6, (220, 220, 220), -1)
    alpha = np.zeros((120, 140), np.float32)
    alpha[21:98, 31:110] = 1
    cloned = blending.poisson(below, above, alpha)
    assert cloned is not None
    assert np.abs(cloned[60, 40].astype(int) - 90).max() <= 4  # the level of the target
    spot = cloned[..., 0].astype(float) - 90
    spot[spot < 20] = 0
    rows, columns = np.mgrid[:120, :140]
    centre = (columns * spot).sum() / spot.sum(), (rows * spot).sum() / spot.sum()
    assert centre == pytest.approx((70, 60), abs=0.6)  # half a pixel off would jitter
    assert np.array_equal(cloned[:20], below[:20])


@pytest.mark.parametrize("extent", [0, 1, 2])
def test_poisson_of_next_to_nothing_is_refused_and_never_raises(extent: int) -> None:
    picture = smooth_picture(9, 60, 60)
    alpha = np.zeros((60, 60), np.float32)
    alpha[30 : 30 + extent, 30 : 30 + extent] = 1
    assert blending.poisson(picture, picture, alpha) is None


def test_poisson_of_a_mask_that_fills_its_box_works() -> None:
    picture = smooth_picture(10, 60, 60)
    cloned = blending.poisson(picture, picture, np.ones((60, 60), np.float32))
    assert cloned is not None
    assert np.abs(cloned.astype(int) - picture).max() <= 3
