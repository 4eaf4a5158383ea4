"""FSGAN: published sizes, landmarks as heat maps, poses in steps, phases, lessons, the chain."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from torch import Tensor

from likeness.contracts.errors import ModelError, ParamsError
from models.batch import Batch
from models.layers import mesh_topology
from models.layers.face_shape import Pose, fit_pose
from models.layers.recogniser import Recogniser
from models.losses.perceptual import perceptual
from models.swappers import registry
from models.swappers.fsgan import heatmaps
from models.swappers.fsgan.config import FsganConfig
from models.swappers.fsgan.mapped_views import laid_out, view_shares
from models.swappers.fsgan.networks import inner
from models.swappers.fsgan.random_occlusion import random_occlusion
from models.swappers.fsgan.reenactment import euler_deg, pose_between, rotation, stepwise
from models.swappers.fsgan.resunet import ResUnet, Stem
from models.swappers.fsgan.segmentation_losses import between, cross_entropy
from models.swappers.fsgan.swapper import Fsgan, shares_of
from tests.swapper_cases import TINY

SIDE = 32


def small(**changed: Any) -> Fsgan:
    torch.manual_seed(0)
    swapper = registry.build("fsgan", TINY["fsgan"] | changed)
    assert isinstance(swapper, Fsgan)
    return swapper


def meshes(angles_deg: list[tuple[float, float]], scale: float = 1.3) -> Tensor:
    """Canonical faces (N,468,3) turned by yaw and pitch, in the middle of a crop of SIDE px."""
    angles = torch.tensor([(*pair, 0.0) for pair in angles_deg])
    shift = torch.tensor([SIDE / 2, SIDE / 2, 0.0]).expand(len(angles), 3)
    pose = Pose(rotation(angles), torch.full((len(angles),), scale), shift)
    return pose.place(mesh_topology.canonical_vertices().expand(len(angles), -1, -1))


def batch(count: int, seed: int = 0) -> Batch:
    """Random crops with turned faces."""
    random = torch.Generator().manual_seed(seed)
    mask = torch.zeros(count, 1, SIDE, SIDE)
    mask[..., 8:24, 8:24] = 1.0
    return {
        "crop": torch.rand((count, 3, SIDE, SIDE), generator=random) * 2 - 1,
        "mask": mask,
        "landmarks_468": meshes([(10.0 * n - 15 + seed, 5.0 * n) for n in range(count)]),
        "pose_deg": torch.tensor([(10.0 * n - 15 + seed, 5.0 * n, 0.0) for n in range(count)]),
        "landmarks_5": torch.tensor([[11.0, 12], [21, 12], [16, 17], [12, 22], [20, 22]]).expand(
            count, 5, 2
        ),
    }


# Sizes


def test_defaults_are_the_published_networks() -> None:
    with torch.device("meta"):
        swapper = registry.build("fsgan", {})
    parts = swapper.networks.named_children()
    counts = {name: sum(p.numel() for p in part.parameters()) for name, part in parts}
    assert counts == {
        "reenactment": 76_060_288,
        "segmentation": 31_384_963,
        "inpainting": 74_178_688,
        "blending": 74_235_136,
        "soften": 0,
    }
    sizes = {
        "networks.reenactment.stem.convolution.weight": (128, 101, 7, 7),  # 3 + 98 heat maps
        "networks.reenactment.base_stem.convolution.weight": (256, 101, 7, 7),
        "networks.reenactment.base.below.0.0.weight": (512, 256, 3, 3),
        "networks.reenactment.base.below.1.below.0.0.weight": (1024, 512, 3, 3),
        "networks.reenactment.heads.0.weight": (3, 128, 7, 7),  # picture
        "networks.reenactment.heads.1.weight": (3, 128, 7, 7),  # segmentation
        "networks.inpainting.network.stem.convolution.weight": (128, 4, 7, 7),
        "networks.blending.network.stem.convolution.weight": (128, 7, 7, 7),
        "networks.segmentation.head.weight": (3, 64, 1, 1),
        "critics.reenactment.critics.1.layers.3.0.weight": (512, 256, 4, 4),
    }
    assert {name: tuple(swapper.get_parameter(name).shape) for name in sizes} == sizes
    network = swapper.networks.reenactment
    deeper = network.base.below[1]
    for level in (network.level, network.base, deeper, deeper.below[1]):
        assert len(level.blocks) == 2
    assert swapper.config.size_px == 256


@pytest.mark.parametrize(("width", "depth", "size_px"), [(4, 2, 32), (6, 3, 64), (4, 5, 96)])
def test_width_depth_and_side_are_settings(width: int, depth: int, size_px: int) -> None:
    network = ResUnet(3, (3, 2), width, (1,) * depth, 16)
    picture = torch.zeros(2, 3, size_px, size_px)
    assert [tuple(p.shape[1:]) for p in network(picture)] == [
        (3, size_px, size_px),
        (2, size_px, size_px),
    ]
    assert max(m.out_channels for m in network.modules() if isinstance(m, torch.nn.Conv2d)) <= 16
    base = network(picture[..., ::2, ::2], small=True)
    assert base[0].shape == (2, 3, size_px // 2, size_px // 2)
    parts = (network.small_parameters(), network.whole_parameters())
    shared = {id(p) for p in parts[0]} & {id(p) for p in parts[1]}
    both = (*network.base_stem.parameters(), *network.base.parameters())
    assert shared == {id(p) for p in both}


# Landmarks


def test_there_are_98_landmarks_and_mirroring_keeps_them() -> None:
    assert heatmaps.COUNT == 98
    assert len(set(heatmaps.VERTICES)) == 96
    mirrored = mesh_topology.mirrored()
    assert {int(mirrored[v]) for v in heatmaps.VERTICES} == set(heatmaps.VERTICES)
    mesh = meshes([(0.0, 0.0)])
    eyes = heatmaps.landmarks(mesh)[0, -2:]
    assert eyes[0, 0] < SIDE / 2 < eyes[1, 0]
    assert torch.allclose(eyes[0, 1], eyes[1, 1], atol=0.1)


def test_a_heat_map_is_one_on_its_landmark() -> None:
    points = torch.tensor([[[5.0, 20.0], [31.0, 0.0]]])
    maps = heatmaps.heatmaps(points, SIDE, sigma=0.05)
    assert maps[0, 0, 20, 5] == maps[0, 1, 0, 31] == 1
    away = math.exp(-0.5 * (2 / (0.05 * SIDE)) ** 2)
    assert float(maps[0, 0, 20, 7]) == pytest.approx(away, rel=1e-5)
    assert float(maps[0, 0, 22, 5]) == pytest.approx(away, rel=1e-5)


def test_the_stem_convolves_the_maps_it_never_draws() -> None:
    torch.manual_seed(0)
    stem = Stem(3, 5, 98, heatmaps.SIGMA)
    image, points = torch.randn(2, 3, SIDE, SIDE), torch.rand(2, 98, 2) * 40 - 4
    drawn = stem(torch.cat([image, heatmaps.heatmaps(points, SIDE)], 1), None)
    assert torch.allclose(stem(image, points), drawn, atol=1e-5)
    assert not torch.allclose(stem(image, points + 2), drawn, atol=1e-2)


def test_points_follow_their_picture_to_another_side() -> None:
    points = torch.tensor([[[0.5, 0.5], [31.0, 0.0]]])
    halved = heatmaps.resized(points, 32, 16)
    assert halved.tolist() == [[[0.0, 0.0], [15.25, -0.25]]]
    assert torch.equal(heatmaps.resized(halved, 16, 32), points)


# Poses


@settings(max_examples=25, deadline=None)
@given(yaw=some.floats(-80, 80), pitch=some.floats(-80, 80), roll=some.floats(-170, 170))
def test_euler_angles_come_back(yaw: float, pitch: float, roll: float) -> None:
    angles = torch.tensor([[yaw, pitch, roll]])
    turned = rotation(angles)
    assert torch.allclose(turned @ turned.transpose(1, 2), torch.eye(3)[None], atol=1e-5)
    assert torch.allclose(euler_deg(turned), angles, atol=0.05)
    pose = Pose(turned, torch.ones(1), torch.zeros(1, 3))
    assert torch.allclose(pose.angles_deg()[:, :2], angles[:, :2], atol=0.05)


def test_steps_turn_the_source_and_end_in_the_target() -> None:
    source, target = meshes([(-30.0, 10.0)]), meshes([(30.0, -20.0)], scale=1.5) * 1.0
    target[:, 13:15, 1] += 2.0  # the target's mouth is another
    way = stepwise(source, target, 3)
    assert len(way) == 3
    assert torch.equal(way[-1], target)
    angles = [euler_deg(fit_pose(mesh).rotation)[0, :2].tolist() for mesh in way[:2]]
    assert angles == [pytest.approx([-10, 0], abs=0.3), pytest.approx([10, -10], abs=0.3)]
    shape = fit_pose(source).unplace(source)
    assert torch.allclose(fit_pose(way[1]).unplace(way[1]), shape, atol=1e-3)
    assert stepwise(source, target, 1)[0] is target


def test_size_and_place_are_carried_along() -> None:
    eye = torch.eye(3)[None]
    first = Pose(eye, torch.tensor([1.0]), torch.zeros(1, 3))
    second = Pose(eye, torch.tensor([4.0]), torch.tensor([[8.0, 4.0, 0.0]]))
    halfway = pose_between(first, second, 0.5)
    assert float(halfway.scale) == pytest.approx(2)
    assert halfway.shift.tolist() == [[4.0, 2.0, 0.0]]


def test_views_are_those_around_the_target_in_yaw_and_pitch() -> None:
    views = torch.tensor([(-20.0, -10.0, 3.0), (20.0, -10.0, 0.0), (0.0, 20.0, 0.0)])
    shares = view_shares(*laid_out(views), torch.tensor([(20.0, -10.0, 5.0), (0.0, 0.0, 0.0)]))
    assert torch.allclose(shares.sum(1), torch.ones(2))
    assert float(shares[0, 1]) == pytest.approx(1, abs=0.02)
    assert torch.allclose(shares[1] @ views[:, :2], torch.zeros(2), atol=1e-4)
    alone = view_shares(*laid_out(views[:1]), torch.tensor([(50.0, 40.0, 0.0)]))
    assert alone.tolist() == [[1.0]]


def test_a_map_that_is_given_is_taken_as_it_is() -> None:
    """Its triangles, and its corners wherever they lie."""
    views = torch.tensor([(-20.0, 0.0), (20.0, 0.0), (0.0, 5.0), (0.0, -5.0)])
    corners = torch.tensor([(-30.0, -30.0), (-30.0, 30.0), (30.0, -30.0), (30.0, 30.0)])
    source = {"map_points": torch.cat([views, corners]), "pose_deg": torch.zeros(4, 3)}
    target = {"pose_deg": torch.tensor([(0.0, 0.0, 0.0)])}
    for triangles, used in (([(0, 1, 2), (0, 1, 3)], [0, 1]), ([(0, 2, 3), (1, 2, 3)], [2, 3])):
        shares = shares_of(source | {"map_triangles": torch.tensor(triangles)}, target)
        assert shares[0].nonzero()[:, 0].tolist() == used
        assert shares[0, used].tolist() == pytest.approx([0.5, 0.5])
    beyond = {"pose_deg": torch.tensor([(-80.0, 0.0, 0.0)])}
    around = source | {"map_triangles": torch.tensor([(0, 4, 5)])}
    assert shares_of(around, beyond).tolist() == [[1.0, 0.0, 0.0, 0.0]]


# Losses


def test_features_are_compared_map_by_map_relative_to_the_wanted() -> None:
    wanted = [torch.full((2, 3, 4, 4), 2.0), torch.full((2, 8, 2, 2), 100.0)]
    assert perceptual(wanted, wanted) == 0
    assert float(perceptual([wanted[0] + 1, wanted[1] + 50], wanted)) == pytest.approx(0.5)
    drawn = torch.full((2, 3, 4, 4), 1.0, requires_grad=True)
    real = torch.full((2, 3, 4, 4), 2.0, requires_grad=True)
    perceptual([drawn], [real]).backward()
    assert drawn.grad is not None
    assert real.grad is None


def test_segmentations_agree_by_probability() -> None:
    labels = torch.randint(0, 3, (2, 8, 8), generator=torch.Generator().manual_seed(0))
    sure = torch.nn.functional.one_hot(labels, 3).permute(0, 3, 1, 2) * 50.0
    assert float(cross_entropy(sure, labels)) < 1e-6
    assert float(between(sure, sure * 2)) < 1e-6  # scores differ, probabilities do not
    assert float(between(sure, sure.roll(1, 1))) == pytest.approx(2 / 3, abs=1e-5)


@settings(max_examples=20, deadline=None)
@given(some.integers(0, 10_000))
def test_holes_hide_a_part_of_a_face_and_repeat(seed: int) -> None:
    face = batch(3)["mask"]
    torch.manual_seed(seed)
    first = random_occlusion(face)
    torch.manual_seed(seed)
    assert torch.equal(first, random_occlusion(face))
    assert first.shape == face.shape
    hidden = (first & (face > 0)).sum((1, 2, 3)) / face.sum((1, 2, 3))
    assert (hidden < 0.9).all()
    assert first.any()


def test_a_missing_network_is_said() -> None:
    with pytest.raises(ModelError, match="no network whose features"):
        small(perceptual_weight=1.0).losses("reenactment", batch(2), batch(2, 1))


def test_features_count_where_a_network_is_given() -> None:
    class Given:
        def embedder(self) -> Recogniser:
            return Recogniser()

        def perceptual(self) -> Recogniser:
            return Recogniser(saved=False)

    plain, seeing = small(), small(perceptual_weight=1.0, perceptual_share=0.5)
    seeing.equip(Given())
    with torch.no_grad():
        plainly, looking = (
            swapper.losses("reenactment", batch(2), batch(2, 1)) for swapper in (plain, seeing)
        )
    assert looking["reconstruction"] > plainly["reconstruction"]
    assert not [name for name in seeing.state_dict() if "perceptual" in name]


# Phases


def test_phases_follow_each_other_by_their_shares() -> None:
    swapper = small(
        reenactment_share=2, inpainting_share=1, blending_share=1, small_share=0.25,
        segmentation_share=0.5,
    )  # fmt: skip
    swapper.plan_images = 4000
    spans = {p.name: (p.first_image, p.last_image) for p in swapper.phases()}
    assert spans == {
        "segmentation": (0, 1000),
        "reenactment_small": (0, 500),
        "reenactment_small_critic": (0, 500),
        "reenactment": (500, 2000),
        "reenactment_critic": (500, 2000),
        "inpainting_small": (2000, 2250),
        "inpainting_small_critic": (2000, 2250),
        "inpainting": (2250, 3000),
        "inpainting_critic": (2250, 3000),
        "blending_small": (3000, 3250),
        "blending_small_critic": (3000, 3250),
        "blending": (3250, 4000),
        "blending_critic": (3250, 4000),
    }


def test_a_fine_tuning_moves_gr_alone() -> None:
    swapper = small(
        inpainting_share=0, blending_share=0, small_share=0, segmentation_share=0,
        adversarial_weight=0,
    )  # fmt: skip
    swapper.plan_images = 4800
    (phase,) = swapper.phases()
    assert (phase.name, phase.first_image, phase.last_image) == ("reenactment", 0, 4800)
    assert swapper.state_dict().keys() == small().state_dict().keys()  # it can begin with those


def test_any_stage_can_be_left_out_but_not_all() -> None:
    swapper = small(reenactment_share=0, inpainting_share=0, adversarial_weight=0, small_share=0.5)
    swapper.plan_images = 100
    names = ["blending_small", "blending_small_critic", "blending", "blending_critic"]
    assert [p.name for p in swapper.phases()] == names
    with torch.no_grad():
        assert swapper.eval().swap(batch(1), batch(2, 1))[0].isfinite().all()
    with pytest.raises(ParamsError, match="one of the shares"):
        small(reenactment_share=0, inpainting_share=0, blending_share=0)


def test_step_sizes_are_those_of_the_size_and_of_the_critic() -> None:
    swapper = small(learning_rate=1e-4, whole_rate=0.4, critic_rate=0.1)
    rates = {p.name: p.learning_rate for p in swapper.phases()}
    assert rates["segmentation"] == rates["blending_small"] == 1e-4
    assert rates["blending_small_critic"] == pytest.approx(1e-5)
    assert rates["blending"] == pytest.approx(4e-5)
    assert rates["blending_critic"] == pytest.approx(4e-6)


def test_step_sizes_halve_from_the_beginning_of_each_phase() -> None:
    swapper = small(inpainting_share=1, blending_share=0, small_share=0.5, halve_every=400)
    swapper.plan_images = 4000
    rates = {p.name: p.rate for p in swapper.phases()}
    assert {p.name: p.first_image for p in swapper.phases()}["inpainting"] == 3000
    for name in ("inpainting", "inpainting_critic"):
        rate = rates[name]
        assert rate is not None
        found = [rate(images) for images in (3000, 3399, 3400, 3799, 3800)]
        assert found == [1.0, 1.0, 0.5, 0.5, 0.25]
    assert all(p.rate is None for p in small(halve_every=0).phases())
    epochs = FsganConfig().halve_every / (2 * 20_000)  # of 20,000 pairs
    assert epochs == 10


def test_the_agreement_of_gs_with_gr_grows_from_nothing() -> None:
    swapper = small(reenactment_share=1, inpainting_share=0, blending_share=0, small_share=0.5)
    swapper.plan_images = 100
    found = []
    for swapper.images_seen in (0, 50, 75, 100):
        torch.manual_seed(0)
        found.append(swapper.losses("segmentation", batch(2), batch(2, 1))["consistency"].item())
    assert found[0] == 0
    assert found[2] == pytest.approx(0.75 * found[3], rel=1e-4)
    assert found[1] > 0  # Gr draws by its base alone there


def test_losses_that_have_no_weight_are_left_out() -> None:
    names = set(small(steps=3).losses("reenactment", batch(2), batch(2, 1)))
    assert names == {"reconstruction", "stepwise", "segmentation", "adversarial"}
    plain = small(steps=1, segmentation_weight=0, adversarial_weight=0)
    assert set(plain.losses("reenactment", batch(2), batch(2, 1))) == {"reconstruction"}
    with pytest.raises(TypeError):
        plain.losses("generator", batch(2), batch(2, 1))


@pytest.mark.parametrize("stage", ["reenactment", "inpainting_small", "blending"])
def test_gradients_reach_all_of_a_network_and_nothing_else(stage: str) -> None:
    for phase in small().phases():
        if phase.name.removesuffix("_critic") != stage:
            continue
        swapper = small()
        own = {p.name: p for p in swapper.phases()}[phase.name].parameters
        for parameter in swapper.parameters():
            parameter.requires_grad_(any(parameter is p for p in own))
        losses = swapper.losses(phase.name, batch(3), batch(3, 1))
        torch.autograd.backward(torch.stack(list(losses.values())).sum())
        reached = {id(p) for p in swapper.parameters() if p.grad is not None}
        assert reached == {id(p) for p in own}


# The chain


@torch.no_grad()
def test_only_views_with_a_share_are_drawn() -> None:
    networks = small().eval().networks
    target, source = batch(2), batch(3, 1)
    shares = torch.tensor([[0.25, 0.75, 0.0], [0.0, 0.0, 1.0]])
    mixed = networks.mixed(target, source, shares)
    views = [
        networks.redraw(source["crop"][v : v + 1], target["landmarks_468"][r : r + 1])[0]
        for r, v in ((0, 0), (0, 1), (1, 2))
    ]
    assert torch.allclose(mixed[:1], 0.25 * views[0] + 0.75 * views[1], atol=1e-5)
    assert torch.allclose(mixed[1:], views[2], atol=1e-5)


@torch.no_grad()
def test_the_mask_is_the_targets_eroded_face() -> None:
    swapper = small().eval()
    target, source = batch(2), batch(3, 1)
    target["mask"][1] = 0
    _, mask = swapper.swap(target, source)
    assert float(mask[0, 0, 16, 16]) == 1
    assert float((mask[0] - torch.nn.functional.max_pool2d(target["mask"][0], 3, 1, 1)).max()) <= 0
    assert float(mask[1].max()) == 0


@torch.no_grad()
def test_previews_show_gr_until_the_others_have_learned() -> None:
    swapper = small(reenactment_share=1, inpainting_share=1, blending_share=0, small_share=0.5)
    target, source = batch(2), batch(3, 1)
    swapper.eval().plan_images = 200
    shares = shares_of(source, target)
    for swapper.images_seen, half in ((0, True), (50, False)):
        drawn, mask = swapper.swap(target, source)
        assert torch.equal(drawn, swapper.networks.shown(target, source, shares, small=half))
        assert torch.equal(mask, target["mask"])
    swapper.images_seen = 100
    chain = swapper.networks.swap(target, source, shares)
    assert torch.equal(swapper.swap(target, source)[0], chain.blended)
    assert torch.equal(chain.cut[chain.cut != -1], chain.drawn[chain.cut != -1])
    assert (chain.cut[:, :, 0] == -1).all()  # no face there
    picture = swapper.pictures(target, source)["chain"]
    assert picture.shape == (3, 2 * SIDE, 7 * SIDE)


def test_blending_leaves_the_rim_of_a_face() -> None:
    face = batch(1)["mask"] > 0
    shrunk = inner(face)
    assert shrunk[0, 0, 9:23, 9:23].min() == 1  # one pixel of 32
    assert float(shrunk.sum()) == 14**2
    assert inner(~face).sum() < (~face).sum()


@torch.no_grad()
def test_poissons_solution_can_stand_for_gb() -> None:
    swapper = small(blend="poisson").eval()
    target, source = batch(2), batch(3, 1)
    chain = swapper.networks.swap(target, source, torch.eye(3)[:2])
    outside = torch.nn.functional.max_pool2d(target["mask"], 3, 1, 1) == 0
    apart = (chain.blended - target["crop"]).abs().amax(1, keepdim=True)
    assert float(apart[outside].max()) < 1e-5
    assert float(apart[~outside].mean()) > 0.05


def test_a_swap_needs_the_source() -> None:
    with pytest.raises(ModelError, match="no view of the source"):
        small().swap(batch(1))
