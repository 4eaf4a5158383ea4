"""Pools in training: who is paired with whom, what a batch holds, and the loop over both."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from likeness.contracts.errors import ModelError
from likeness.contracts.params.train import Augmentation, Plan
from models import tensorfile
from models.batch import Batch
from models.layers.norm import PreciseBatchNorm, settling
from models.layers.recogniser import Recogniser
from models.swappers import registry
from models.swappers.abilities import Sampling
from models.training import loop
from models.training.augment import draw, move_points, relabel, sample, wanted_positions
from models.training.footprint import measure
from models.training.gallery import choose_views
from models.training.identities import open_identities
from models.training.job import Job
from models.training.landmarks import PARTNERS
from models.training.loaders import PairLoader, build_loader, pair_loader
from models.training.pair_sampler import IdentityPairSampler, draw_pairs, make_crop_sampler
from models.training.process_group import SingleProcess
from models.training.seeds import generator
from models.training.steps import StepContext
from models.training.trainer import train_model
from tests.anyface import AnyFace, AnyFaceConfig
from tests.synthetic_shards import write_pool, write_recogniser, write_shards

COUNTS = {"ann": 12, "ben": 5, "cid": 7, "dan": 4, "eve": 6}
NEEDS = ("mask", "landmarks_5", "landmarks_468")
CPU = torch.device("cpu")
MANY = 4000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards of five people, of whom two are held out and have none on disk any more."""
    root = tmp_path_factory.mktemp("pool")
    write_pool(root, "all", COUNTS, held_out=("dan", "eve"))
    for unseen in ("dan", "eve"):
        shutil.rmtree(root / unseen)
    write_shards(root / "one-clip", "one-clip", 5, seed=9)
    return root


def pairs_of(source: Path, target: Path, sampling: Sampling) -> PairLoader:
    people = [open_identities(side, NEEDS, 32, 0.625) for side in (source, target)]
    return pair_loader(people[0], people[1], sampling)


def drawn(pairs: PairLoader) -> tuple[torch.Tensor, torch.Tensor]:
    return draw_pairs(pairs.sampler, pairs.pairing, MANY, generator(3))


def test_both_batches_need_five_copies_and_wait_for_none(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs, meta = pairs_of(folder / "all", folder / "all", Sampling(0.5)), torch.device("meta")
    plan = Plan(batch_images=6)
    there = pairs.to(meta)
    there.batches(there.choose(plan, 0), meta)  # constants go there once
    real, behind = torch.Tensor.to, []

    def to(self: torch.Tensor, *given: Any, **named: Any) -> torch.Tensor:
        found = real(self, *given, **named)
        if self.device != found.device:
            behind.append(named.get("non_blocking", False))
        return found

    monkeypatch.setattr(torch.Tensor, "to", to)
    batches = there.batches(there.choose(plan, 1), meta)
    assert {column.device for batch in batches for column in batch.values()} == {meta}
    assert behind == [True] * 5  # rows and numbers of either side, identities of both


@pytest.mark.parametrize("same", [0.0, 0.2, 1.0])
def test_pairs_are_of_one_identity_by_chance_and_everybody_counts_alike(
    folder: Path, same: float
) -> None:
    pairs = pairs_of(folder / "all", folder / "all", Sampling(same))
    assert pairs.dataset.names == ("ann", "ben", "cid")  # the held-out ones are nowhere
    source, target = (pairs.dataset.identity[rows] for rows in drawn(pairs))
    assert float((source == target).float().mean()) == pytest.approx(same, abs=0.03)
    for side in (source, target):
        shares = torch.bincount(side, minlength=3) / MANY
        assert torch.allclose(shares, torch.full((3,), 1 / 3), atol=0.03)


def test_a_pair_of_one_clip_is_of_one_clip(folder: Path) -> None:
    pairs = pairs_of(folder / "all", folder / "all", Sampling(1.0, "clip"))
    rows = drawn(pairs)
    assert torch.equal(*(pairs.dataset.identity[side] for side in rows))
    assert torch.equal(*(pairs.dataset.clip[side] for side in rows))
    assert len(set(pairs.dataset.clip[rows[0]].tolist())) == 2
    assert not torch.equal(*rows)


def test_a_pair_of_two_clips_is_of_two_where_there_are_two(folder: Path) -> None:
    pairs = pairs_of(folder / "all", folder / "one-clip", Sampling(1.0, "clips"))
    rows = drawn(pairs)
    identity = pairs.dataset.identity[rows[0]]
    assert torch.equal(identity, pairs.dataset.identity[rows[1]])
    single = identity == pairs.dataset.names.index("one-clip")
    clips = [pairs.dataset.clip[side] for side in rows]
    assert not (clips[0] == clips[1])[~single].any()
    assert (clips[0] == clips[1])[single].all()
    # A pair of one identity takes it from either side with equal chance.
    assert float(single.float().mean()) == pytest.approx(0.5, abs=0.03)


def test_two_identities_keep_their_sides(folder: Path) -> None:
    pairs = pairs_of(folder / "ann", folder / "ben", Sampling(0.4))
    source, target = (pairs.dataset.identity[rows] for rows in drawn(pairs))
    apart = source != target
    assert float(apart.float().mean()) == pytest.approx(0.6, abs=0.03)
    assert (source[apart] == 0).all()
    assert (target[apart] == 1).all()


def test_one_identity_alone_is_always_itself(folder: Path) -> None:
    pairs = pairs_of(folder / "ann", folder / "ann", Sampling(0.0))
    assert torch.equal(*(pairs.dataset.identity[rows] for rows in drawn(pairs)))


def test_nobody_meets_himself_when_one_side_is_a_member_of_the_other(folder: Path) -> None:
    for sides in (("all", "ben"), ("ben", "all")):
        pairs = pairs_of(*(folder / side for side in sides), Sampling(0.0))
        source, target = (pairs.dataset.identity[rows] for rows in drawn(pairs))
        assert not (source == target).any()


def test_crops_of_an_identity_are_drawn_by_weight() -> None:
    identity, clip = torch.tensor([1, 0, 1, 0, 1]), torch.tensor([0, 0, 1, 1, 0])
    weights = torch.tensor([3.0, 1.0, 1.0, 2.0, 0.0])
    deck = make_crop_sampler(identity, clip, weights)
    everybody = torch.tensor([0, 1])
    rows = draw_pairs(
        deck, IdentityPairSampler(everybody, everybody, Sampling(0.0)), MANY, generator(0)
    )[1]
    shares = torch.bincount(rows, minlength=5) / MANY
    wanted = torch.tensor([3 / 8, 1 / 6, 1 / 8, 1 / 3, 0])
    assert torch.allclose(shares, wanted, atol=0.02)


def test_batches_hold_what_the_family_needs_and_parts_are_the_same_alone(folder: Path) -> None:
    pairs = pairs_of(folder / "all", folder / "all", Sampling(0.5))
    plan = Plan(batch_images=6)
    choices = pairs.choose(plan, 4)
    source, target = pairs.batches(choices, CPU)
    columns = {"crop", "warped", "mask", "landmarks_5", "landmarks_468", "same", "identity_index"}
    assert set(source) == set(target) == columns
    assert source["crop"].shape == (6, 3, 32, 32)
    assert source["landmarks_468"].shape == (6, 468, 3)
    assert torch.equal(source["same"], target["same"])
    assert torch.equal(source["same"] > 0, source["identity_index"] == target["identity_index"])
    part = pairs.batches((choices[0].part(2, 5), choices[1].part(2, 5)), CPU)[1]
    assert all(torch.equal(part[name], target[name][2:5]) for name in columns)
    again = pairs.batches(pairs.choose(plan, 4), CPU)[0]
    assert all(torch.equal(again[name], source[name]) for name in columns)
    other = pairs.choose(plan, 5)
    assert not torch.equal(other[0].index, choices[0].index)


def test_what_is_not_warped_is_the_crop_itself(folder: Path) -> None:
    pairs = pairs_of(folder / "all", folder / "all", Sampling(0.5))
    still = Plan(batch_images=4, augment=Augmentation(warp=0))
    batch = pairs.batches(pairs.choose(still, 0), CPU)[0]
    assert batch["warped"] is batch["crop"]


def test_batches_are_made_on_the_device(folder: Path) -> None:
    """On a device without values; a tensor left on the CPU would meet one that is not."""
    meta = torch.device("meta")
    pairs = pairs_of(folder / "all", folder / "all", Sampling(0.5))
    source, target = pairs.batches(pairs.choose(Plan(batch_images=4), 0), meta)
    assert {tensor.device for batch in (source, target) for tensor in batch.values()} == {meta}
    found = Recogniser().to(meta).embed(source["crop"], source["landmarks_5"])
    assert (found.device, found.shape) == (meta, (4, 128))


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_landmarks_follow_their_pixels(flip: float) -> None:
    spots = torch.tensor([[40.0, 44], [85, 47], [60, 70], [44, 90], [80, 94]])
    numbers = draw(8, Augmentation(flip=flip), generator(11, "points"))
    rows, columns = torch.meshgrid(torch.arange(128.0), torch.arange(128.0), indexing="ij")
    ours = move_points(spots.expand(8, -1, -1), numbers, 0.8, 128, 96)
    named = relabel(ours, numbers, PARTNERS["landmarks_5"])
    where = wanted_positions(numbers, 0.8, 96)
    for k, (x, y) in enumerate(spots.tolist()):
        blob = torch.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 18)
        seen = sample(blob.expand(8, 1, -1, -1), where)[:, 0]
        total = seen.sum((1, 2))
        line = torch.arange(96.0)
        found = torch.stack([(seen.sum(1) * line).sum(1), (seen.sum(2) * line).sum(1)], 1)
        assert (found / total[:, None] - ours[:, k]).abs().max() < 0.1
    partner = [1, 0, 2, 4, 3] if flip else [0, 1, 2, 3, 4]
    assert torch.equal(named, ours[:, partner])
    # Mirrored or not, the image-left eye stays on the left: its name goes by the picture.
    assert (named[:, 0, 0] < named[:, 1, 0]).all()


def test_depth_is_scaled_like_the_plane() -> None:
    mesh = torch.tensor([[[50.0, 60, 10], [70, 60, -5]]])
    numbers = draw(1, Augmentation(zoom=0.5, flip=0), generator(2))
    moved = move_points(mesh, numbers, 0.7, 128, 64)
    scale = (moved[0, 0, :2] - moved[0, 1, :2]).norm() / 20
    assert torch.allclose(moved[..., 2], mesh[..., 2] * scale, atol=1e-4)


def test_views_are_clean_and_spread_over_pose() -> None:
    yaw = np.linspace(-40, 40, 81)
    pose = np.stack([yaw, yaw * 0, yaw * 0], axis=1)
    error, sharp = np.full(81, 0.02), np.full(81, 100.0)
    error[0], sharp[80] = 0.2, 1.0  # the outermost two are not clean
    chosen = choose_views(pose, error, sharp, 3)
    assert [yaw[index] for index in chosen] == [0, -39, 39]
    assert choose_views(pose[:2], error[:2], sharp[:2], 8) == [1]


# ---- normalisation -------------------------------------------------------------------------


def test_settled_statistics_are_those_of_all_that_passed() -> None:
    torch.manual_seed(0)
    layer = PreciseBatchNorm(4)
    batches = [torch.randn(5, 4, 6, 6) * 3 + 1 for _ in range(7)]
    before = layer(batches[0])
    assert torch.equal(layer.mean, torch.zeros(4))  # training alone moves nothing
    for _ in range(2):  # settling begins anew each time
        with settling(layer):
            assert torch.equal(layer(batches[0]), before)
            for batch in batches[1:]:
                layer(batch)
    joined = torch.cat(batches)
    assert torch.allclose(layer.mean, joined.mean((0, 2, 3)), atol=1e-5)
    assert torch.allclose(layer.variance, joined.var((0, 2, 3), correction=0), rtol=1e-4)
    whole = layer.eval()(joined)
    assert torch.allclose(layer(joined[:1]), whole[:1], atol=1e-5)
    assert torch.allclose(layer.train()(joined), whole, atol=1e-3)


# ---- the loop ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recogniser(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recogniser(tmp_path_factory.mktemp("recogniser"))


@pytest.fixture
def make_job(
    folder: Path, recogniser: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Job]:
    monkeypatch.setattr(registry, "build", lambda *_: AnyFace(AnyFaceConfig()))
    monkeypatch.setenv("LIKENESS_THREADS", "1")

    def make(name: str, **plan: Any) -> Job:
        out = tmp_path / name
        out.mkdir()
        given = Plan(**{"images": 32, "batch_images": 4, "log_every_images": 16, **plan})
        state = tmp_path / f"{name}-state"
        pool = folder / "all"
        return Job("any", "autoencoder", {}, given, pool, pool, out, state, recogniser=recogniser)

    return make


def content(job: Job) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(job.out.iterdir())}


def test_a_pool_trains_to_the_same_bytes_however_often_it_is_interrupted(
    make_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, again, broken = make_job("whole"), make_job("again"), make_job("broken")
    train_model(whole)
    train_model(again)
    assert content(whole) == content(again)
    monkeypatch.setenv("LIKENESS_CHECKPOINT_S", "0")
    real, calls = loop.train_step, 0

    def sometimes(*given: Any) -> float:
        nonlocal calls
        calls += 1
        if calls in {1, 3}:
            raise KeyboardInterrupt
        return real(*given)

    monkeypatch.setattr(loop, "train_step", sometimes)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            train_model(broken)
    train_model(broken)
    assert content(whole) == content(broken)


def test_a_finished_training_is_settled_again(make_job: Callable[..., Job]) -> None:
    job = make_job("job")
    first = loop.train(job, device=CPU)
    first.save()
    second = loop.train(job, device=CPU)  # as the process does after its workers
    assert isinstance(first.swapper, AnyFace)
    assert isinstance(second.swapper, AnyFace)
    assert not torch.equal(first.swapper.norm.mean, torch.zeros(6))
    assert torch.equal(first.swapper.norm.mean, second.swapper.norm.mean)


def test_the_model_says_who_and_what_it_learned_from(make_job: Callable[..., Job]) -> None:
    job = make_job("job", images=0)
    train_model(job)
    config = json.loads((job.out / "config.json").read_text())
    trained = ["ann", "ben", "cid"]
    assert config["source"] == config["target"] == "all"
    assert config["pools"] == {"source": trained, "target": trained}
    assert config["perceptual_networks"] == [{"name": "drawn", "sha256": "0" * 64}]


@pytest.mark.slow(seconds=5)
def test_training_begins_where_another_model_ended(make_job: Callable[..., Job]) -> None:
    first = make_job("first")
    train_model(first)
    onwards = dataclasses.replace(make_job("onwards", images=0), init=first.out)
    train_model(onwards)
    names = ("first.weight", "norm.weight", "colour.bias", "recogniser.network.scale")
    weights = [tensorfile.read(job.out / "model.safetensors") for job in (first, onwards)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in names)


def test_families_of_two_identities_refuse_a_pool(folder: Path, tmp_path: Path) -> None:
    small = {"size_px": 32, "width": 4}
    pool = folder / "all"
    job = Job("two", "autoencoder", small, Plan(), pool, pool, tmp_path, tmp_path / "state")
    with pytest.raises(ModelError, match="is for two identities, all given"):
        loop.build(job, CPU)


def test_a_family_that_needs_the_recogniser_says_so(make_job: Callable[..., Job]) -> None:
    job = dataclasses.replace(make_job("job"), recogniser=None)
    with pytest.raises(ModelError, match=r"looks at a recogniser.*dvc repro"):
        loop.build(job, CPU)


def test_people_of_two_templates_are_refused(folder: Path, tmp_path: Path) -> None:
    pool = write_pool(tmp_path, "mixed", {"ann": 3, "ben": 3})
    people = open_identities(pool, (), 32, 1.0)
    people.sets[1].facts["template"] = "arcface_112"
    with pytest.raises(ModelError, match=r"ben: has template arcface_112, ann ffhq_512"):
        from models.training.identities import require_alike

        require_alike(people.sets[1], people.sets[0])


def test_memory_is_counted_before_training(
    make_job: Callable[..., Job], capsys: pytest.CaptureFixture[str]
) -> None:
    job = make_job("job")
    loop.train(job, device=CPU)
    said = capsys.readouterr().err
    assert "any: " in said
    assert "for activations of 2 images a side" in said
    assert "MiB crops" in said


class Known(AnyFace):
    """Two products whose factors must be kept, of known size."""

    def losses(self, phase: str, source: Batch, target: Batch) -> dict[str, torch.Tensor]:
        once = target["crop"] * self.last.weight.sum()
        return {"loss": once.square().sum()}


def test_footprint_counts_each_kept_tensor_once(make_job: Callable[..., Job]) -> None:
    job = make_job("job", batch_images=8, micro_batches=2)
    run = loop.build(job, CPU)
    swapper = Known(AnyFaceConfig())
    context = StepContext(swapper, build_loader(swapper, *run.crops), job.plan, SingleProcess())
    found = measure(context, swapper.phases())
    crops = 4 * 3 * 32 * 32 * 4
    # The crop (times a number, which is kept as well), and the product that is squared.
    assert 2 * crops <= found.activations <= 2 * crops + 64
    learned = sum(p.numel() * 4 for p in swapper.parameters())
    held = sum(b.numel() * b.element_size() for b in swapper.buffers())
    assert found.weights == 4 * learned + held  # weights, gradients and Adam's two moments
    assert found.images == 4
    assert all(p.grad is None for p in swapper.parameters())


def test_gradients_are_clipped_to_the_norm(make_job: Callable[..., Job]) -> None:
    moved = []
    for limit in (None, 1e-3):
        job = make_job(f"clip-{limit}", images=8, clip_gradient=limit)
        run = loop.train(job, device=CPU)
        state = run.optimisers["generator"].state_dict()["state"]
        moments = [entry["exp_avg"].norm() for entry in state.values()]
        moved.append(float(torch.stack(moments).norm()) * 2)  # the first step's, times 1 - 0.5
    assert moved[0] > 2e-3
    assert moved[1] == pytest.approx(1e-3, rel=1e-3)
