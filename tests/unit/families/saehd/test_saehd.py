"""SAEHD: channel counts, wiring of DF and LIAE, losses and options against their definitions."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from likeness.contracts.errors import ModelError, ParamsError
from likeness.contracts.params.train import Plan
from models.batch import Batch
from models.losses.pixels import dssim
from models.swappers import registry
from models.swappers.saehd import masked_losses
from models.swappers.saehd.dense_codes import normed
from models.swappers.saehd.eyes_mouth import eyes_mouth
from models.swappers.saehd.swapper import Saehd, cosine
from models.swappers.saehd.unet_critic import CodeCritic, PatchUNet, receptive_field, strides_for
from models.training import loop
from models.training.job import Job
from models.training.results import write_results
from tests.swapper_cases import TINY
from tests.synthetic_shards import drawn_mesh, write_pool, write_shards

CPU = torch.device("cpu")
SIDE = 32


def make(**settings: Any) -> Saehd:
    torch.manual_seed(0)
    swapper = registry.build("saehd", {**TINY["saehd"], **settings})
    assert isinstance(swapper, Saehd)
    return swapper


def side(seed: int, count: int = 2) -> Batch:
    random = torch.Generator().manual_seed(seed)
    crop = torch.rand((count, 3, SIDE, SIDE), generator=random) * 2 - 1
    warped = torch.rand((count, 3, SIDE, SIDE), generator=random) * 2 - 1
    mask = torch.zeros(count, 1, SIDE, SIDE)
    mask[..., 6:26, 8:24] = 1
    mesh = torch.from_numpy(drawn_mesh(torch.zeros(count).numpy(), SIDE))
    return {"crop": crop, "warped": warped, "mask": mask, "landmarks_468": mesh}


@pytest.mark.parametrize("architecture", ["df-ud", "liae-ud"])
def test_the_way_back_draws_as_the_target_is_restored(architecture: str) -> None:
    swapper, source = make(architecture=architecture).eval(), side(1)
    with torch.no_grad():
        picture, mask = swapper.swap_back(source)
        seen = (source["crop"] + 1) / 2
        drawn = swapper.networks(seen, seen)
    assert torch.equal(picture, drawn.pictures[1] * 2 - 1)
    middle = (..., SIDE // 2, SIDE // 2)
    own, edge = drawn.masks[1], (..., 0, slice(None))
    assert torch.equal(mask[middle], own[middle]) and mask[edge].max() < own[edge].min() / 2


# ---- networks ------------------------------------------------------------------------------


def conv(kernel: int, given: int, made: int) -> int:
    return kernel**2 * given * made + made


def residual(channels: int) -> int:
    return 2 * conv(3, channels, channels)


def enlarging(given: int, made: int) -> int:
    return conv(3, given, 4 * made)


def count(**settings: Any) -> int:
    with torch.device("meta"):
        swapper = registry.build("saehd", settings)
    return sum(p.numel() for p in swapper.parameters())


ENCODER = conv(5, 3, 64) + conv(5, 64, 128) + conv(5, 128, 256) + conv(5, 256, 512)


def test_default_has_the_channels_of_liae_ud() -> None:
    flat = 512 * 8 * 8
    middle = (flat + 1) * 256 + (256 + 1) * 4 * 4 * 512 + enlarging(512, 512)
    picture = enlarging(1024, 512) + enlarging(512, 256) + enlarging(256, 128)
    picture += residual(512) + residual(256) + residual(128) + conv(1, 128, 3) + 3 * conv(3, 128, 3)
    mask = enlarging(1024, 176) + enlarging(176, 88) + enlarging(88, 44) + enlarging(44, 22)
    assert count() == ENCODER + 2 * middle + picture + mask + conv(1, 22, 1)


def test_quick_has_the_channels_of_quick96() -> None:
    flat = 512 * 6 * 6
    middle = (flat + 1) * 128 + (128 + 1) * 3 * 3 * 128 + enlarging(128, 128)
    picture = enlarging(128, 512) + enlarging(512, 256) + enlarging(256, 128)
    picture += residual(512) + residual(256) + residual(128) + conv(1, 128, 3) + 3 * conv(3, 128, 3)
    mask = enlarging(128, 128) + enlarging(128, 64) + enlarging(64, 32) + enlarging(32, 16)
    assert count(preset="quick") == ENCODER + middle + 2 * (picture + mask + conv(1, 16, 1))


def test_option_t_goes_down_five_times_with_residual_blocks() -> None:
    encoder = ENCODER + conv(5, 512, 512) + residual(64) + residual(512)
    middle = (512 * 4 * 4 + 1) * 256 + (256 + 1) * 8 * 8 * 256  # no enlarging
    picture = enlarging(256, 512) + enlarging(512, 512) + enlarging(512, 256) + enlarging(256, 128)
    picture += 2 * residual(512) + residual(256) + residual(128) + conv(1, 128, 3)
    mask = enlarging(256, 176) + enlarging(176, 176) + enlarging(176, 88) + enlarging(88, 44)
    whole = encoder + middle + 2 * (picture + mask + conv(1, 44, 1))
    assert count(architecture="df-t") == whole


@pytest.mark.parametrize("letters", ["", "-u", "-d", "-t", "-ud", "-udt"])
@pytest.mark.parametrize("kind", ["df", "liae"])
def test_every_architecture_draws_crops_of_its_size(kind: str, letters: str) -> None:
    swapper = make(architecture=kind + letters, size_px=64, colour_transfer="none")
    target = {"crop": torch.zeros(2, 3, 64, 64)}
    with torch.no_grad():
        image, mask = swapper.eval().swap(target)
    assert image.shape == (2, 3, 64, 64)
    assert mask.shape == (2, 1, 64, 64)


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"size_px": 80, "architecture": "df-d"}, "multiple of 32"),
        ({"architecture": "liae", "true_face": 0.1}, "df architecture"),
        ({"architecture": "sae"}, "architecture"),
        ({"architecture": "df-uu"}, "a letter twice"),
        ({"size_px": 33}, "size_px"),
    ],
)
def test_settings_that_cannot_be_built_are_refused(settings: dict[str, Any], word: str) -> None:
    with pytest.raises(ParamsError, match=word):
        registry.build("saehd", settings)


def test_a_preset_gives_defaults_and_leaves_what_is_stated() -> None:
    config = registry.configure("saehd", {"preset": "quick", "ae_dims": 32})
    found = config.model_dump()
    assert (found["size_px"], found["ae_dims"], found["optimiser"]) == (96, 32, "rmsprop")
    assert (found["learning_rate"], found["lr_dropout"]) == (2e-4, 0.3)
    assert registry.configure("saehd", found) == config


def test_unit_codes_have_a_mean_square_of_one() -> None:
    code = normed(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    assert code[0].square().mean() == pytest.approx(1, abs=1e-4)
    assert torch.equal(code[1], torch.zeros(2))


def test_df_swaps_by_the_sources_decoder_and_liae_by_ab_twice() -> None:
    crop = side(1)["crop"]
    df = make(architecture="df-ud", learned_mask="swapped", border=0).networks
    code = df.target_code(df.encoder(crop))
    assert torch.equal(df.swapping(code), df.middle(df.encoder(crop)))
    liae = make().networks
    features = liae.encoder(crop)
    code = liae.target_code(features)
    both, own = liae.middle(features), liae.target_middle
    assert own is not None
    assert torch.equal(code, torch.cat([own(features), both], dim=1))
    assert torch.equal(liae.swapping(code), torch.cat([both, both], dim=1))
    assert torch.equal(liae.source_code(features), torch.cat([both, both], dim=1))


def test_the_mask_is_that_of_the_swap_of_the_target_or_both() -> None:
    target = {"crop": side(1)["crop"]}
    swappers = [make(learned_mask=kind, border=0).eval() for kind in ("swapped", "target", "both")]
    with torch.no_grad():
        swapped, own, both = (swapper.swap(target)[1] for swapper in swappers)
    assert not torch.allclose(swapped, own)
    assert torch.allclose(both, swapped * own)


@pytest.mark.parametrize("patch_px", [3, 8, 16, 28, 64])
def test_a_verdict_sees_a_patch_of_its_size(patch_px: int) -> None:
    strides = strides_for(patch_px)
    assert abs(receptive_field(strides) - patch_px) <= 1
    critic = PatchUNet(1, patch_px, 4)
    image = torch.zeros(1, 1, 96, 96, requires_grad=True)
    patches, pixels = critic(image)
    assert pixels.shape == (1, 1, 96, 96)
    assert patches.shape[-1] == math.ceil(96 / math.prod(strides))
    for layer in critic.modules():  # no seen pixel may hide behind a weight of another sign
        if isinstance(layer, nn.Conv2d):
            layer.weight.data.abs_()
    middle = patches.shape[-1] // 2
    (seen,) = torch.autograd.grad(critic(image)[0][0, 0, middle, middle], image)
    rows = seen[0, 0].abs().amax(dim=1).nonzero()
    assert int(rows.max() - rows.min()) + 1 == receptive_field(strides)


def test_the_critic_of_codes_halves_once_and_again_per_eight() -> None:
    critic = CodeCritic(12, 8, width=4)
    assert critic(torch.zeros(2, 12, 8, 8)).shape == (2, 1, 2, 2)
    assert [m.out_channels for m in critic.modules() if isinstance(m, nn.Conv2d)] == [4, 8, 1]


# ---- losses --------------------------------------------------------------------------------


def test_a_mask_is_softened_outwards() -> None:
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 16:48, 16:48] = 1
    soft = masked_losses.softened(mask)
    assert (soft[..., 18:46, 18:46] == 1).all()
    assert 0 < soft[0, 0, 32, 14] < 1  # beyond the old edge
    assert soft[0, 0, 32, 5] == 0


def test_structure_is_ten_dssim_and_two_windows_from_256_px() -> None:
    random = torch.Generator().manual_seed(0)
    small = torch.rand((2, 1, 3, 64, 64), generator=random)
    assert masked_losses.structure(*small) == pytest.approx(10 * float(dssim(*small, window_px=5)))
    large = torch.rand((2, 1, 3, 256, 256), generator=random)
    values = [float(dssim(*large, window_px=w)) for w in (22, 11)]
    assert masked_losses.structure(*large) == pytest.approx(5 * values[0] + 5 * values[1])


def test_weights_of_the_plain_losses() -> None:
    black, grey = torch.zeros(1, 3, 8, 8), torch.full((1, 3, 8, 8), 0.1)
    parts = torch.zeros(1, 1, 8, 8)
    parts[..., :4] = 1
    assert masked_losses.squares(black, grey) == pytest.approx(10 * 0.01)
    assert masked_losses.priority(black, grey, parts) == pytest.approx(300 * 0.1 / 2)
    assert masked_losses.roughness(black) == 0
    grey[..., 4:] = 0.3
    assert masked_losses.roughness(grey) == pytest.approx(3 * 8 * 0.04, rel=1e-5)


def test_style_compares_means_and_deviations() -> None:
    flat = torch.full((1, 3, 64, 64), 0.5)
    assert masked_losses.style(flat, flat) == 0
    brighter = masked_losses.style(flat, flat + 0.01)
    assert 0.5 < brighter < 10_000 * 0.01**2 * 1.1  # less at the blurred edge
    torn = flat.clone()
    torn[..., :32] += 0.2
    torn[..., 32:] -= 0.2
    assert masked_losses.style(flat, torn) > 20  # the same mean


def test_verdicts_cost_the_cross_entropy() -> None:
    undecided = torch.zeros(2, 1, 4, 4)
    assert masked_losses.verdict(undecided, undecided, real=True) == pytest.approx(2 * math.log(2))
    assert masked_losses.verdict(undecided + 20, real=True) < 1e-6
    assert masked_losses.verdict(undecided + 20, real=False) == pytest.approx(20)


def test_eyes_and_mouth_lie_on_the_mesh_and_closed_eyes_count() -> None:
    mesh = torch.from_numpy(drawn_mesh(torch.zeros(1).numpy(), 128))
    parts = eyes_mouth(mesh, 128)
    for point in (13, 14, 159, 145, 386, 374, 33, 263, 61, 291):  # lips, lids and corners
        x, y = mesh[0, point, :2].round().long().tolist()
        assert parts[0, 0, y, x] == 1
    nose, chin = (mesh[0, p, :2].round().long().tolist() for p in (4, 152))
    assert parts[0, 0, nose[1], nose[0]] == 0
    assert parts[0, 0, chin[1], chin[0]] == 0
    assert 0.02 < parts.mean() < 0.12
    shut = mesh.clone()
    shut[:, :, 1] = torch.where(shut[:, :, 1] < mesh[0, 4, 1], mesh[0, 33, 1], shut[:, :, 1])
    x, y = shut[0, 159, :2].round().long().tolist()
    assert eyes_mouth(shut, 128)[0, 0, y, x] == 1


def test_options_name_their_losses() -> None:
    source, target = side(1), side(2)
    plain = {f"{s}.{n}" for s in ("source", "target") for n in ("dssim", "mse", "mask")}
    found = make(eyes_mouth=False, gan=0).losses("autoencoder", source, target)
    assert set(found) == plain
    more = make(architecture="df-ud", face_style=10, background_style=10, true_face=0.1)
    eyes = {"source.eyes_mouth", "target.eyes_mouth"}
    extra = {"face_style", "background_style", "true_face", "gan", "roughness", "background"}
    assert set(more.losses("autoencoder", source, target)) == plain | eyes | extra
    assert [p.name for p in more.phases()] == ["autoencoder", "critic", "code_critic"]


def test_powers_are_percents_and_factors() -> None:
    source, target = side(1), side(2)

    def values(**settings: float) -> dict[str, float]:
        found = make(architecture="df-ud", **settings).losses("autoencoder", source, target)
        return {name: float(value.detach()) for name, value in found.items()}

    low = values(face_style=1, background_style=1, true_face=0.1, gan=0.1)
    high = values(face_style=3, background_style=3, true_face=0.3, gan=0.3)
    for name in ("face_style", "background_style", "true_face", "gan"):
        assert high[name] == pytest.approx(3 * low[name], rel=1e-4)
    for name in ("source.dssim", "roughness", "background"):
        assert high[name] == pytest.approx(low[name], rel=1e-5)


def test_face_style_moves_the_decoder_alone() -> None:
    swapper = make(architecture="df-ud", face_style=10)
    swapper.losses("autoencoder", side(1), side(2))["face_style"].backward()
    given = {n.split(".")[1] for n, p in swapper.named_parameters() if p.grad is not None}
    assert given == {"decoder"}


def test_outside_the_mask_nothing_counts_unless_wanted() -> None:
    source, target = side(1), side(2)
    other = {**target, "crop": torch.where(target["mask"] > 0, target["crop"], -target["crop"])}
    far = masked_losses.softened(target["mask"]) == 0
    other["crop"] = torch.where(far, other["crop"], target["crop"])
    for wanted, same in ((True, True), (False, False)):
        swapper = make(masked_training=wanted, colour_transfer="none", gan=0)
        found = [swapper.losses("autoencoder", source, t) for t in (target, other)]
        first, second = (float(losses["target.mse"].detach()) for losses in found)
        assert (first == pytest.approx(second)) is same


def test_the_network_sees_warped_crops_until_its_share_of_the_budget() -> None:
    source, target = side(1), side(2)
    swapper = make(random_warp_until=0.5, colour_transfer="none", gan=0)
    swapper.plan_images = 100
    clean = [{**batch, "warped": batch["crop"]} for batch in (source, target)]

    def loss(images: int, batches: Any) -> float:
        swapper.images_seen = images
        return float(swapper.losses("autoencoder", *batches)["source.dssim"].detach())

    assert loss(49, (source, target)) != loss(49, clean)
    assert loss(50, (source, target)) == loss(50, clean) == loss(49, clean)


def test_a_share_of_crops_is_shown_unwarped() -> None:
    swapper = make(unwarped=0.4)
    shown = swapper._shown(side(1, 400))
    still = (shown["warped"] == shown["crop"]).flatten(1).all(dim=1)
    assert still.float().mean() == pytest.approx(0.4, abs=0.08)


def test_the_step_size_follows_a_cosine() -> None:
    factor = cosine(8000)
    assert factor(0) == factor(8000) == pytest.approx(1)
    assert factor(4000) == pytest.approx(0, abs=1e-12)
    assert factor(2000) == pytest.approx(0.5)
    (phase,) = make(gan=0, lr_cos_images=8000, lr_dropout=0.3).phases()
    assert phase.rate is not None
    assert phase.rate(2000) == pytest.approx(0.5)
    assert (phase.options["lr_dropout"], phase.clip_gradient) == (0.3, 1.0)


def test_the_picture_s_critic_begins_with_its_share_of_the_budget() -> None:
    swapper = make(gan_from=0.5)
    swapper.plan_images = 1000
    assert [p.first_image for p in swapper.phases()] == [0, 500]
    for images, judged in ((499, False), (500, True)):
        swapper.images_seen = images
        assert ("gan" in swapper.losses("autoencoder", side(1), side(2))) is judged


# ---- training ------------------------------------------------------------------------------


def job(folder: Path, name: str, shards: tuple[Path, Path], **settings: Any) -> Job:
    """Four steps; `init` names a model to begin with, `images` replaces the budget."""
    torch.set_num_threads(1)
    init, images = settings.pop("init", None), settings.pop("images", 32)
    out = folder / name
    out.mkdir()
    plan = Plan(images=images, batch_images=4, precision="float32", log_every_images=8)
    state = folder / f"{name}-state"
    return Job(name, "saehd", {**TINY["saehd"], **settings}, plan, *shards, out, state, init=init)


def test_pretrained_on_a_pool_then_trained_on_a_pair(tmp_path: Path) -> None:
    pool = write_pool(tmp_path, "everybody", {"ann": 6, "ben": 5, "cid": 4})
    first = job(tmp_path, "first", (pool, pool), pretrain=True)
    run = loop.train(first, device=CPU)
    write_results(run)
    named = {name for _, _, name, _ in run.progress.history}
    assert "gan" not in named
    stored = run.swapper.state_dict()
    pair = (tmp_path / "ann", tmp_path / "ben")
    begun = loop.build(job(tmp_path, "pair", pair, init=first.out, images=0), CPU).swapper
    for name, value in begun.state_dict().items():
        new = name.startswith(("networks.middle.", "networks.target_middle."))
        if value.ndim > 1:
            # Encoder and decoder go on; the middles knew other people.
            assert torch.equal(value, stored[name]) is not new
    assert begun.get_buffer("pretrained") == 0
    with pytest.raises(ModelError, match=r"only pretrained.*`finetuned:`"):
        registry.load(first.out)


def test_a_pool_is_refused_without_pretraining(tmp_path: Path) -> None:
    pool = write_pool(tmp_path, "everybody", {"ann": 4, "ben": 4})
    with pytest.raises(ModelError, match="two identities"):
        loop.build(job(tmp_path, "model", (pool, pool)), CPU)


def test_pretraining_keeps_colours_and_step_size() -> None:
    swapper = make(gan=0, pretrain=True, colour_transfer="rct", lr_cos_images=8000)
    (phase,) = swapper.phases()
    assert phase.rate is None
    plain = make(gan=0, pretrain=True, colour_transfer="none")
    batches = side(1), side(2)
    assert swapper.losses("autoencoder", *batches) == plain.losses("autoencoder", *batches)


def test_a_critic_of_another_size_begins_anew(tmp_path: Path) -> None:
    pair = (write_shards(tmp_path / "ann", "ann", 5), write_shards(tmp_path / "ben", "ben", 5))
    first = job(tmp_path, "first", pair, gan=0.1, gan_dims=4)
    write_results(loop.train(first, device=CPU))
    wide = job(tmp_path, "wide", pair, gan=0.1, gan_dims=8, init=first.out)
    begun, known = loop.build(wide, CPU).swapper, registry.load(first.out).state_dict()
    for name, value in begun.state_dict().items():
        own = not name.startswith("critic.")
        assert (value.shape == known[name].shape and torch.equal(value, known[name])) or not own
    write_results(loop.train(wide, device=CPU))
    assert registry.load(wide.out).state_dict()["critic.enter.weight"].shape[0] == 8


def test_a_critic_may_come_and_go_between_trainings(tmp_path: Path) -> None:
    pair = (write_shards(tmp_path / "ann", "ann", 5), write_shards(tmp_path / "ben", "ben", 5))
    plain = job(tmp_path, "plain", pair, gan=0)
    write_results(loop.train(plain, device=CPU))
    judged = job(tmp_path, "judged", pair, init=plain.out)
    write_results(loop.train(judged, device=CPU))
    assert any(name.startswith("critic.") for name in registry.load(judged.out).state_dict())
    again = loop.build(job(tmp_path, "again", pair, gan=0, init=judged.out), CPU).swapper
    kept = registry.load(judged.out).state_dict()
    assert all(torch.equal(value, kept[name]) for name, value in again.state_dict().items())


def test_an_interrupted_training_gives_the_same_bytes(tmp_path: Path) -> None:
    pair = (write_shards(tmp_path / "ann", "ann", 5), write_shards(tmp_path / "ben", "ben", 5))
    settings: dict[str, Any] = {
        "gan": 0,
        "lr_dropout": 0.5,
        "colour_transfer": "sot",
        "lr_cos_images": 40,
        "unwarped": 0.3,
    }
    straight = loop.train(job(tmp_path, "straight", pair, **settings), device=CPU)
    short = loop.build(job(tmp_path, "short", pair, **settings), CPU)
    context = loop.StepContext(
        short.swapper,
        loop.build_loader(short.swapper, *short.crops),
        short.job.plan,
        loop.SingleProcess(),
    )
    for _ in range(2):
        loop.train_step(short, context)
    short.save()
    resumed = loop.train(short.job, device=CPU)
    assert resumed.progress.step == 4
    for name, value in straight.swapper.state_dict().items():
        assert torch.equal(value, resumed.swapper.state_dict()[name])


def test_config_json_holds_everything_that_a_preset_filled_in(tmp_path: Path) -> None:
    pair = (write_shards(tmp_path / "ann", "ann", 5), write_shards(tmp_path / "ben", "ben", 5))
    run = loop.train(job(tmp_path, "model", pair, preset="quick", images=0), device=CPU)
    write_results(run)
    config = json.loads((run.job.out / "config.json").read_text())["config"]
    assert (config["preset"], config["optimiser"], config["size_px"]) == ("quick", "rmsprop", 32)
