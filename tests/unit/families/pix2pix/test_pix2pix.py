"""pix2pix: networks of the paper's sizes, losses by hand, proportions of one face on another."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor, nn

from likeness.contracts.errors import ParamsError
from models.batch import Batch
from models.layers.face_shape import expressions, fit_pose
from models.layers.mesh_topology import canonical_vertices
from models.losses.adversarial import logistic_critic, logistic_generator
from models.swappers import registry
from models.swappers.pix2pix.proportions import LIDS, LIPS, Likeness, Rest, five_points, measure
from models.swappers.pix2pix.swapper import Pix2Pix
from models.swappers.pix2pix.translation_unet import TranslationUNet
from tests.synthetic_shards import drawn_mesh

LOG_2 = math.log(2)


def built(**settings: object) -> Pix2Pix:
    found = registry.build("pix2pix", {"size_px": 32, "width": 4, "critic_width": 4, **settings})
    assert isinstance(found, Pix2Pix)
    return found


def faces(count: int = 4, size_px: int = 32) -> Batch:
    yaw = torch.linspace(-1, 1, count)
    random = torch.Generator().manual_seed(3)
    crop = torch.rand(count, 3, size_px, size_px, generator=random) * 2 - 1
    return {"crop": crop, "landmarks_468": torch.from_numpy(drawn_mesh(yaw.numpy(), size_px))}


# Networks


def test_the_generator_has_the_papers_54_million_parameters() -> None:
    with torch.device("meta"):
        count = sum(p.numel() for p in built(size_px=256, width=64).generator.parameters())
    down = [3, 64, 128, 256, 512, 512, 512, 512, 512]
    up = [512, 512, 512, 512, 512, 256, 128, 64, 3]
    bridges = [0, 512, 512, 512, 512, 256, 128, 64]
    weights = sum(16 * a * b for a, b in itertools.pairwise(down))
    ups = zip(itertools.pairwise(up), bridges, strict=True)
    weights += sum(16 * (a + bridge) * b for (a, b), bridge in ups)
    norms = 2 * (sum(down[2:8]) + sum(up[1:8]))
    biases = 64 + 512 + 3  # where no norm follows
    assert count == weights + norms + biases == 54_414_531


@pytest.mark.parametrize("growth", ["transpose", "resize"])
@pytest.mark.parametrize("size_px", [64, 128, 256, 512])
def test_every_size_goes_down_to_one_pixel_and_up_again(size_px: int, growth: str) -> None:
    network = TranslationUNet(size_px, 4, growth, "batch")  # type: ignore[arg-type]
    assert len(network.down) == len(network.up) == size_px.bit_length() - 1
    seen: list[tuple[int, ...]] = []
    network.down[-1].register_forward_hook(lambda *given: seen.append(tuple(given[2].shape)))
    with torch.no_grad():
        drawn = network(torch.zeros(1, 3, size_px, size_px))
    assert seen == [(1, 32, 1, 1)]
    assert drawn.shape == (1, 3, size_px, size_px)
    assert drawn.abs().max() <= 1


def test_both_ways_up_have_the_same_weights() -> None:
    counts = {sum(p.numel() for p in TranslationUNet(64, 8, g).parameters())
              for g in ("transpose", "resize")}  # fmt: skip
    assert len(counts) == 1


def test_dropout_is_in_three_levels_and_in_training_alone() -> None:
    torch.manual_seed(0)
    network = TranslationUNet(64, 4)
    assert sum(isinstance(part, nn.Dropout) for part in network.modules()) == 3
    given = torch.rand(2, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        assert not torch.equal(network(given), network(given))
        network.eval()
        assert torch.equal(network(given), network(given))


def test_instance_norm_does_not_look_at_neighbours_even_in_training() -> None:
    torch.manual_seed(0)
    network = TranslationUNet(32, 4, norm="instance", dropout=0)
    given = torch.rand(3, 3, 32, 32)
    with torch.no_grad():
        assert torch.allclose(network(given)[1:2], network(given[1:2]), atol=1e-5)


@pytest.mark.parametrize("wrong", [48, 100, 16, 1024])
def test_sides_that_do_not_halve_to_one_pixel_are_refused(wrong: int) -> None:
    with pytest.raises(ParamsError, match="size_px"):
        registry.build("pix2pix", {"size_px": wrong})


# Losses


def test_cross_entropies_by_hand() -> None:
    blind = [torch.zeros(2, 1, 3, 3)]
    assert logistic_critic(blind, blind) == pytest.approx(LOG_2)
    assert logistic_generator(blind) == pytest.approx(LOG_2)
    sure = [torch.full((1, 1, 2, 2), 2.0)]
    assert logistic_generator(sure) == pytest.approx(math.log(1 + math.exp(-2)))
    wanted = (math.log(1 + math.exp(-2)) + math.log(1 + math.exp(2))) / 2
    assert logistic_critic(sure, sure) == pytest.approx(wanted)
    assert torch.isfinite(logistic_critic([torch.tensor([-1e4])], [torch.tensor([1e4])]))


class _Constant(nn.Module):
    """A generator of one colour."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))

    def forward(self, image: Tensor) -> Tensor:
        return torch.zeros_like(image) + self.value


def test_losses_have_the_papers_weights() -> None:
    swapper, batch = built(), faces()
    swapper.generator = _Constant(0.25)  # type: ignore[assignment]
    nn.init.zeros_(swapper.critic.verdict.weight)
    nn.init.constant_(swapper.critic.verdict.bias, 1.0)
    found = swapper.losses("generator", batch, {})
    apart = float((batch["crop"] - 0.25).abs().mean())
    assert found["l1"].item() == pytest.approx(100 * apart, rel=1e-5)
    assert found["adversarial"].item() == pytest.approx(math.log(1 + math.exp(-1)), rel=1e-5)
    critic = swapper.losses("discriminator", batch, {})
    mean = (math.log(1 + math.exp(-1)) + math.log(1 + math.e)) / 2
    assert critic["critic"].item() == pytest.approx(mean, rel=1e-5)
    with pytest.raises(TypeError, match="no phase"):
        swapper.losses("painter", batch, {})


def test_the_critic_comes_first_and_is_left_out_without_weight() -> None:
    phases = built().phases()
    assert [phase.name for phase in phases] == ["discriminator", "generator"]
    assert {(phase.learning_rate, phase.betas) for phase in phases} == {(2e-4, (0.5, 0.999))}


def test_the_critic_is_shown_the_drawing_beside_the_picture() -> None:
    swapper, batch = built(), faces()
    seen: list[Tensor] = []
    swapper.critic.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    swapper.losses("discriminator", batch, {})
    made, genuine = seen
    assert torch.equal(made[:, :3], genuine[:, :3])
    assert torch.equal(genuine[:, 3:], batch["crop"])
    assert genuine[:, :3].max() > 0.5  # the drawing
    assert not made.requires_grad  # nothing of it reaches the generator


# Proportions


class _Crops:
    """Crops of one identity, of a mesh each; implements `Crops`."""

    def __init__(self, meshes: Tensor, side: int) -> None:
        self.identity, self._meshes, self._side = "drawn", meshes, side

    def __len__(self) -> int:
        return len(self._meshes)

    def batches(self, size: int):  # type: ignore[no-untyped-def]
        for part in self._meshes.split(size):
            yield {"crop": torch.zeros(len(part), 3, self._side, self._side),
                   "landmarks_468": part}  # fmt: skip


def people(wide: float, jaw_cm: float, lids_cm: float, count: int = 9) -> Tensor:
    """Meshes of a person in px of a crop of 256: wider, with a longer jaw, more open eyes."""
    shape = canonical_vertices().clone()
    shape[:, 0] *= wide
    shape[:, 1] += jaw_cm * (shape[:, 1] - 3).clamp(min=0) / 5
    for upper, lower in LIDS:
        shape[list(upper), 1] -= lids_cm / 2
        shape[list(lower), 1] += lids_cm / 2
    angle = torch.linspace(-0.4, 0.4, count)
    turn = torch.eye(3).repeat(count, 1, 1)
    turn[:, 0, 0], turn[:, 2, 2] = angle.cos(), angle.cos()
    turn[:, 0, 2], turn[:, 2, 0] = angle.sin(), -angle.sin()
    return 9.0 * shape @ turn.transpose(1, 2) + torch.tensor([127.5, 127.5, 0.0])


def likeness_of(source: Tensor, driver: Tensor) -> Likeness:
    found = Likeness()
    found.compare(measure(_Crops(source, 256)), measure(_Crops(driver, 256)))
    return found


def test_a_driver_who_is_the_source_is_drawn_as_he_is() -> None:
    own = people(1.1, 0.6, 0.2)
    assert torch.allclose(likeness_of(own, own)(own, 256), own, atol=2e-3)
    assert torch.equal(Likeness()(own, 256), own)  # before training has begun


def test_a_driver_takes_on_the_sources_shape_in_his_own_pose() -> None:
    source, driver = people(0.9, 1.0, 0.1), people(1.15, 0.0, 0.1)
    found = likeness_of(source, driver)(driver, 256)
    shape = [fit_pose(meshes).unplace(meshes) for meshes in (found, source, driver)]
    width = [(s[:, 454] - s[:, 234]).norm(dim=1).mean() for s in shape]
    assert width[0] == pytest.approx(float(width[1]), rel=0.01)
    assert width[2] > 1.1 * width[1]
    turned = [fit_pose(meshes).angles_deg()[:, 0] for meshes in (found, driver)]
    assert torch.allclose(turned[0], turned[1], atol=1.5)


def test_place_and_size_of_the_driver_in_the_crop_are_the_sources() -> None:
    source, driver = people(1.0, 0.0, 0.1), people(1.0, 0.0, 0.1)
    found = likeness_of(source, driver * 0.8 + 20)(driver * 0.8 + 20, 256)
    apart = (five_points(found) - five_points(source)).mean(0).norm(dim=1)
    assert apart.max() < 0.5
    assert (five_points(driver * 0.8 + 20) - five_points(source)).norm(dim=2).mean() > 5


def test_a_shut_eye_stays_shut_and_a_shut_mouth_too() -> None:
    source, driver = people(0.9, 0.8, 0.5), people(1.1, 0.0, 0.1)
    shut = driver.clone()
    for upper, lower in (*LIDS, LIPS):
        shut[:, list(upper)] = shut[:, list(lower)]
    found = likeness_of(source, driver)(shut, 256)
    for upper, lower in (*LIDS, LIPS):
        assert torch.allclose(found[:, list(upper)], found[:, list(lower)], atol=1e-3)


def test_open_eyes_are_as_open_as_the_sources() -> None:
    source, driver = people(1.0, 0.0, 0.3), people(1.0, 0.0, 0.0)
    found = likeness_of(source, driver)(driver, 256)
    opening = [expressions(fit_pose(m).unplace(m))[:, :2].mean() for m in (found, source, driver)]
    assert opening[0] == pytest.approx(float(opening[1]), rel=0.05)
    assert opening[1] > 1.2 * opening[2]


def test_rest_is_measured_where_the_mouth_is_shut() -> None:
    closed, opened = people(1.0, 0.0, 0.1), people(1.0, 0.0, 0.1)
    opened[:, list(LIPS[1]), 1] += 15
    found: Rest = measure(_Crops(torch.cat([opened[::3], closed]), 256))
    wanted: Rest = measure(_Crops(closed, 256))
    assert torch.allclose(found.shape, wanted.shape, atol=0.02)


def test_half_precision_is_for_the_layers_alone() -> None:
    likeness, driver = likeness_of(people(0.9, 1.0, 0.3), people(1.1, 0.0, 0.1)), people(1.1, 0, 0)
    wanted = likeness(driver, 256)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(likeness(driver, 256), wanted)


def test_what_is_drawn_does_not_depend_on_the_neighbours() -> None:
    source, driver = people(0.9, 1.0, 0.3), people(1.15, 0.0, 0.1)
    likeness = likeness_of(source, driver)
    together = likeness(driver, 256)
    assert torch.allclose(together[3:4], likeness(driver[3:4], 256), atol=1e-3)


def test_fit_none_draws_the_driver_as_he_is() -> None:
    batch = faces()
    for fit, same in (("none", True), ("shape", False)):
        swapper = built(fit=fit).eval()
        swapper.likeness.compare(measure(_Crops(people(0.8, 1.0, 0.1), 256)),
                                 measure(_Crops(people(1.1, 0.0, 0.1), 256)))  # fmt: skip
        drawn: list[Tensor] = []
        swapper.generator.register_forward_pre_hook(lambda _, g, d=drawn: d.append(g[0]))
        with torch.no_grad():
            _, mask = swapper.swap({"landmarks_468": batch["landmarks_468"]})
        assert torch.equal(drawn[0], swapper._drawn(batch["landmarks_468"])) == same
        assert mask.shape == (4, 1, 32, 32)
