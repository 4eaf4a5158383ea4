"""Averages, snapshots, validation, the guard against numbers that are none, and trials."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from likeness.contracts.errors import ModelError
from likeness.contracts.params.train import Plan
from likeness.contracts.tables.history import HISTORY
from models import tensorfile
from models.batch import Batch
from models.layers.norm import PreciseBatchNorm
from models.layers.recogniser import Recogniser
from models.swappers import registry
from models.swappers.base import Phase, Swapper, SwapperConfig
from models.training import checkpoint, loop, rates
from models.training.fingerprint import fingerprint
from models.training.job import Job
from models.training.previews import draw_preview
from models.training.run import Run
from models.training.trainer import train_model, train_partly
from models.training.validation import open_validation
from tasks._train_console import WIDTH, Series, TrainConsole
from tests.swapper_cases import interrupted
from tests.synthetic_shards import write_recogniser, write_shards

CPU = torch.device("cpu")
Make = Callable[..., Job]
EVERYTHING = {
    "ema": 0.7,
    "snapshots": {"every_images": 32, "best": True},
    "keep": "best",
    "preview_every_images": 32,
    "validation_images": 3,
}


def by_colour(_: Recogniser, crop: Tensor, landmarks_5: Tensor) -> Tensor:
    """Embeddings that tell drawn people apart: those of a network without training are all one."""
    assert landmarks_5.shape == (len(crop), 5, 2)
    return functional.normalize(functional.adaptive_avg_pool2d(crop, 4).flatten(1))


@pytest.fixture
def make_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    monkeypatch.setenv("LIKENESS_THREADS", "1")
    monkeypatch.setattr(Recogniser, "embed", by_colour)
    data = {}
    for seed, (side, name) in enumerate((("source", "ann"), ("target", "ben"))):
        data[side] = write_shards(tmp_path / side, name, 8, seed=seed)
        write_shards(tmp_path / side, name, 4, seed=seed, split="val")
    recogniser = write_recogniser(tmp_path / "recogniser")

    def make(name: str, settings: dict[str, Any] | None = None, **plan: Any) -> Job:
        out = tmp_path / name
        out.mkdir()
        given = Plan(**{"images": 96, "batch_images": 8, "log_every_images": 32, **plan})
        small = {"size_px": 32, "width": 4, "learning_rate": 5e-3, **(settings or {})}
        sides = (data["source"], data["target"], out, tmp_path / f"{name}-state")
        return Job("tiny", "autoencoder", small, given, *sides, recogniser=recogniser)

    return make


def content(job: Job) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(job.out.iterdir())}


def weights_of(folder: Path) -> dict[str, Tensor]:
    return tensorfile.read(folder / "model.safetensors")


class Normed(Swapper):
    """A layer whose statistics are settled for the weights that are shown."""

    family: ClassVar[str] = "normed"
    Config: ClassVar[type[SwapperConfig]] = SwapperConfig

    def __init__(self, config: SwapperConfig) -> None:
        super().__init__(config)
        self.first, self.norm = nn.Conv2d(3, 3, 1), PreciseBatchNorm(3)

    def phases(self) -> list[Phase]:
        return [Phase("only", list(self.parameters()), learning_rate=0.05)]

    def losses(self, phase: str, source: Batch, target: Batch) -> dict[str, Tensor]:
        return {"l1": (self.norm(self.first(target["warped"])) - target["crop"]).abs().mean()}

    def swap(self, target: Batch, source: Batch | None = None) -> tuple[Tensor, Tensor]:
        return self.norm(self.first(target["crop"])), torch.ones_like(target["crop"][:, :1])


# ---- the average of the weights ----------------------------------------------------------------


def test_the_average_is_the_corrected_one_and_training_goes_on_without_it(
    make_job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, averaged = make_job("plain"), make_job("averaged", ema=0.7, images=48)
    seen: list[Tensor] = []
    real = loop.train_step

    def watched(run: Run, context: Any) -> float:
        loss = real(run, context)
        seen.append(run.swapper.source_decoder.picture.weight.detach().clone())
        return loss

    monkeypatch.setattr(loop, "train_step", watched)
    loop.train(make_job("same", images=48), device=CPU)
    raw, seen[:] = list(seen), []
    train_model(averaged)
    assert all(torch.equal(a, b) for a, b in zip(raw, seen, strict=True))
    total = sum(0.3 * 0.7 ** (2 - i) * weight for i, weight in enumerate(raw)) / (1 - 0.7**3)
    saved = weights_of(averaged.out)["source_decoder.picture.weight"]
    assert torch.allclose(saved, total, atol=1e-7)
    assert not torch.equal(saved, raw[-1])
    train_model(plain)
    assert '"ema": null' in (plain.out / "config.json").read_text()


def test_checkpoints_hold_the_raw_weights_and_the_average(make_job: Make) -> None:
    run = loop.train(make_job("job", ema=0.9), device=CPU)
    run.save()
    moment = checkpoint.newest(run.job.state)
    assert moment is not None
    name = "encoder.down.0.0.weight"
    name = name if name in moment.average else next(iter(moment.average))
    assert torch.equal(moment.weights[name], dict(run.swapper.named_parameters())[name])
    assert not torch.equal(moment.weights[name], moment.average[name])


def test_statistics_are_settled_for_the_averaged_weights(
    make_job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "build", lambda *_: Normed(SwapperConfig(size_px=32)))
    means = [loop.train(make_job(f"ema-{ema}", ema=ema), device=CPU) for ema in (None, 0.9)]
    raw, averaged = (run.swapper.norm for run in means)
    assert torch.equal(raw.weight, averaged.weight)  # the same training ...
    assert not torch.allclose(raw.mean, averaged.mean)  # ... seen with other weights


def test_everything_at_once_survives_interruptions(
    make_job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, broken = (make_job(name, **EVERYTHING) for name in ("whole", "broken"))
    train_model(whole)
    monkeypatch.setenv("LIKENESS_CHECKPOINT_S", "0")
    for _ in interrupted(monkeypatch, {1, 4, 6}):
        with pytest.raises(KeyboardInterrupt):
            train_model(broken)
    train_model(broken)
    assert content(whole) == content(broken)
    kept = [sorted(p.name for p in (j.state / "snapshots").iterdir()) for j in (whole, broken)]
    assert kept[0] == kept[1]


# ---- snapshots and validation ------------------------------------------------------------------


def test_snapshots_are_whole_models_kept_by_rule(make_job: Make) -> None:
    job = make_job("job", **EVERYTHING)
    train_model(job)
    kept = sorted(p.name for p in (job.state / "snapshots").iterdir())
    rows = HISTORY.read(job.out / "history.parquet").to_pylist()
    identity = {r["images"]: r["value"] for r in rows if r["phase"] == "validation"}
    assert sorted(identity) == [32, 64, 96]
    assert all(-1 <= value <= 1 for value in identity.values())
    assert len(set(identity.values())) == 3
    best = max(identity, key=identity.__getitem__)
    every = [f"images-{images:09d}" for images in (32, 64, 96)]
    assert kept == [f"best-{best:09d}", *every]
    for name in kept:
        assert registry.load(job.state / "snapshots" / name).family == "autoencoder"
    # What is kept is what the model became, and the config says which moment that was.
    best_weights = weights_of(job.state / "snapshots" / kept[0])
    assert all(torch.equal(best_weights[n], w) for n, w in weights_of(job.out).items())
    assert json.loads((job.out / "config.json").read_text())["kept_images"] == best


def test_only_the_latest_snapshots_are_kept_where_a_rule_says_so(
    make_job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = {"snapshots": {"every_images": 32, "latest": 2}, "preview_every_images": 32}
    job = make_job("job", **rules)

    def killed(path: Path) -> None:
        (path / "config.json").unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("models.training.snapshots.shutil.rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            train_model(job)
    whole = sorted((job.state / "snapshots").glob("images-*"))
    assert [p.name for p in whole] == [f"images-{images:09d}" for images in (64, 96)]
    for path in whole:
        assert registry.load(path).family == "autoencoder"
    train_model(job)
    assert sorted((job.state / "snapshots").glob("images-*")) == whole


class Copy(Normed):
    """Gives the source's face, or leaves the target's."""

    share = 1.0

    def swap(self, target: Batch, source: Batch | None = None) -> tuple[Tensor, Tensor]:
        assert source is not None
        face = source["crop"][:1].expand_as(target["crop"])
        return face, torch.full_like(face[:, :1], self.share)


def test_validation_tells_the_source_from_the_target(make_job: Make) -> None:
    job, swapper = make_job("job"), Copy(SwapperConfig(size_px=32)).train()
    validation = open_validation(job, swapper, CPU)
    assert validation is not None
    found = []
    for Copy.share in (0.0, 0.5, 1.0):
        found.append(validation.identity(swapper))
    assert found[0] < found[1] < found[2]
    assert found[2] > 0.95
    assert swapper.training
    # They are the crops that training never sees, as many as were asked for or as there are.
    assert [len(e.target["crop"]) for e in validation.examinees] == [4]
    none = dataclasses.replace(job, plan=Plan(validation_images=0))
    assert open_validation(none, swapper, CPU) is None


def test_the_best_is_kept_even_when_the_last_is_worse(
    make_job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = iter([0.2, 0.9, 0.4, 0.5])
    monkeypatch.setattr("models.training.validation.Validation.identity", lambda *_: next(values))
    best = make_job("best", keep="best", preview_every_images=32)
    train_model(best)
    plain = make_job("plain", images=64)
    train_model(plain)
    two_thirds = weights_of(plain.out)
    assert all(torch.equal(two_thirds[name], w) for name, w in weights_of(best.out).items())


def test_without_val_crops_nobody_is_best(make_job: Make) -> None:
    job = make_job("job", snapshots={"best": True})
    for side in (job.source, job.target):
        (side / "val-00000.parquet").unlink()
    with pytest.raises(ModelError, match=r"best snapshot is unknown: the val split holds no crops"):
        train_model(job)
    plain = dataclasses.replace(job, plan=Plan(images=32, batch_images=8))
    train_model(plain)  # and who does not ask for it is not stopped
    with pytest.raises(ValueError, match="keep: best needs validation_images"):
        Plan(keep="best", validation_images=0)


# ---- numbers that are none ---------------------------------------------------------------------


def test_a_loss_that_is_no_number_leaves_the_last_good_weights(
    make_job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIKENESS_CHECKPOINT_S", "0")
    job, real = make_job("job"), loop.take_step

    def poisoned(context: Any, phase: Any, mover: Any, choices: Any, step: int, **more: Any) -> Any:
        values = real(context, phase, mover, choices, step, **more)
        if step == 2:
            with torch.no_grad():
                phase.parameters[0].fill_(float("inf"))
        return values

    monkeypatch.setattr(loop, "take_step", poisoned)
    with pytest.raises(ModelError) as caught:
        train_model(job)
    said = str(caught.value)
    assert said.startswith("tiny, phase autoencoder, step 3: loss source.l1")
    assert "--find-rate" in said
    assert str(job.state / "step-000000002") in said  # weights that are none were never saved
    moment = checkpoint.newest(job.state)
    assert moment is not None
    assert all(bool(w.isfinite().all()) for w in moment.weights.values())
    monkeypatch.setattr(loop, "take_step", real)
    train_model(job)
    whole = make_job("whole")
    train_model(whole)
    assert content(job) == content(whole)


def test_the_moment_before_is_saved_beside_the_last_checkpoint(
    make_job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Cliff(Normed):
        def losses(self, phase: str, source: Batch, target: Batch) -> dict[str, Tensor]:
            found = super().losses(phase, source, target)
            # The root of nothing: finite, and its slope is not.
            root = (self.first.weight.sum() * 0).abs().sqrt()
            return {**found, "root": root} if self.images_seen >= 32 else found

    monkeypatch.setattr(registry, "build", lambda *_: Cliff(SwapperConfig(size_px=32)))
    job = make_job("job")
    job.state.mkdir()
    run = loop.build(job, CPU)
    run.save()
    with pytest.raises(ModelError, match=r"phase only, step 2: norm of the gradient is nan"):
        loop.train(job, device=CPU)
    assert [f.name for f in checkpoint.folders(job.state)] == ["step-000000000", "step-000000002"]


# ---- torch.compile -----------------------------------------------------------------------------


def test_compiling_needs_a_compiler(make_job: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(ModelError, match=r"needs a C\+\+ compiler.*`train.compile: false`"):
        train_model(make_job("job", compile=True))


def test_networks_that_cannot_be_compiled_are_named(
    make_job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch._dynamo.exc import Unsupported

    def refuse(*_: object) -> float:
        raise Unsupported("a branch on data")

    monkeypatch.setattr(loop, "train_step", refuse)
    monkeypatch.setattr(loop, "compile_networks", lambda *_: None)
    with pytest.raises(ModelError, match=r"tiny: cannot be compiled \(a branch on data"):
        train_model(make_job("job", compile=True))


@pytest.mark.slow(seconds=5)
def test_compiled_networks_learn_the_same(make_job: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    real = nn.Module.compile

    def traced(self: nn.Module, **given: Any) -> None:
        # Torch traces the networks as ever, but runs the graph as it is: kernels take minutes.
        calls.append(type(self).__name__)
        real(self, backend="eager", **given)

    monkeypatch.setattr(nn.Module, "compile", traced)
    plain, compiled = (make_job(f"c-{c}", compile=c, images=32) for c in (False, True))
    train_model(plain)
    assert not calls
    train_model(compiled)
    assert calls == ["Encoder", "Decoder", "Decoder"]
    weights = weights_of(plain.out)
    assert all(torch.equal(weights[n], w) for n, w in weights_of(compiled.out).items())
    assert weights.keys() == weights_of(compiled.out).keys()
    assert fingerprint(plain) != fingerprint(compiled)


# ---- trials ------------------------------------------------------------------------------------


def test_a_trial_stops_and_what_follows_ends_as_if_it_had_not(make_job: Make) -> None:
    whole, tried = (make_job(name, **EVERYTHING) for name in ("whole", "tried"))
    train_model(whole)
    run = train_partly(tried, TrainConsole(images=40))
    assert run.images == 48
    assert [f.name for f in checkpoint.folders(tried.state)] == ["step-000000003"]
    assert run.preview_path.is_file()
    assert not list(tried.out.iterdir())
    train_model(tried)
    assert content(whole) == content(tried)


@pytest.mark.parametrize("every_s", ["0", "60"])
def test_a_trial_may_use_up_the_budget(
    make_job: Make, monkeypatch: pytest.MonkeyPatch, every_s: str
) -> None:
    monkeypatch.setenv("LIKENESS_CHECKPOINT_S", every_s)
    whole, tried = (make_job(name, **EVERYTHING) for name in ("whole", "tried"))
    train_model(whole)
    assert train_partly(tried, TrainConsole()).done
    assert not list(tried.out.iterdir())
    monkeypatch.setattr(loop, "train_step", None)  # nothing is left to do
    train_model(tried)
    assert content(whole) == content(tried)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_the_step_and_saves(
    make_job: Make, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    job, real, trial = make_job("job"), loop.train_step, TrainConsole()

    def interrupted(run: Run, context: Any) -> float:
        if run.progress.step == 1:
            os.kill(os.getpid(), number)
        return real(run, context)

    before = signal.getsignal(number)
    monkeypatch.setattr(loop, "train_step", interrupted)
    train_partly(job, trial)
    assert trial.interrupted
    assert signal.getsignal(number) is before
    assert [f.name for f in checkpoint.folders(job.state)] == ["step-000000002"]


def test_two_trainings_of_one_job_do_not_meet(make_job: Make) -> None:
    job = make_job("job")
    with checkpoint.claim(job.state), pytest.raises(ModelError, match="another process"):
        train_model(job)
    train_model(job)


def test_curves_stay_small_however_long_the_training() -> None:
    series = Series()
    for index in range(5000):
        series.add(1 / (1 + index))
    assert len(series.means) <= WIDTH
    assert series.means == sorted(series.means, reverse=True)
    assert (series.bars[0], series.bars[-1]) == ("█", "▁")
    assert Series().bars == ""


# ---- previews ----------------------------------------------------------------------------------


class OneWay(Normed):
    """A family that cannot go back."""

    def swap(self, target: Batch, source: Batch | None = None) -> tuple[Tensor, Tensor]:
        return target["crop"], torch.ones_like(target["crop"][:, :1])


def test_previews_show_mask_and_the_way_back_where_there_is_one(
    make_job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = loop.build(make_job("both", {"colour_shift": False}), CPU)
    picture = draw_preview(run.swapper, run.faces, CPU)
    assert picture.shape == (4 * 128 + 3 * 8, 2 * 5 * 128 + 8, 3)
    assert run.swapper.training
    with torch.no_grad():
        source = run.faces.sources[0]
        drawn, mask = run.swapper.eval().swap_back(source)
        own = run.swapper.target_decoder(run.swapper.encoder(source["crop"]))
    assert torch.equal(drawn, own)
    assert mask.shape == (len(source["crop"]), 1, 32, 32)
    white = picture[60, 3 * 128 + 64]  # the middle of the first mask
    assert white.tolist() == [255, 255, 255]
    monkeypatch.setattr(registry, "build", lambda *_: OneWay(SwapperConfig(size_px=32)))
    run = loop.build(make_job("one"), CPU)
    assert draw_preview(run.swapper, run.faces, CPU).shape[1] == 2 * 4 * 128 + 8


# ---- the range test ----------------------------------------------------------------------------


class Bowl(Normed):
    """A parabola: gradient descent falls below a rate of 1 and rises above it."""

    def __init__(self, config: SwapperConfig) -> None:
        super().__init__(config)
        self.place = nn.Parameter(torch.full((4,), 3.0))

    def phases(self) -> list[Phase]:
        late = [self.first.weight]
        return [
            Phase("bowl", [self.place], optimiser="adam", learning_rate=1e-3),
            Phase("late", late, first_image=64, learning_rate=1e-3),
        ]

    def losses(self, phase: str, source: Batch, target: Batch) -> dict[str, Tensor]:
        if phase == "bowl":
            return {"height": (self.place**2).mean()}
        return {"one": (self.first.weight**2).sum() + 1}


def test_the_range_test_finds_where_the_loss_falls(
    make_job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "build", lambda *_: Bowl(SwapperConfig(size_px=32)))
    job = make_job("job", images=96)
    bowl, late = rates.find_rates(job, lambda *_: None)
    assert not job.state.exists()
    assert (bowl.phase, late.phase) == ("bowl", "late")
    assert np.all(np.diff(bowl.rates) > 0)
    assert (bowl.rates[0], bowl.present) == (rates.LOWEST, 1e-3)
    # Adam moves by about its rate at each step: the ground is reached when the rates sum to three.
    assert bowl.losses[0] == pytest.approx(9)
    assert bowl.losses.min() < 1
    assert bowl.steepest is not None
    assert 0.1 < bowl.steepest <= 1
    assert late.losses[0] > 1


def test_the_range_test_ends_where_it_diverges_and_says_nothing_without_a_fall() -> None:
    found = rates.smooth([4.0] * 12)
    assert np.allclose(found, 4.0)
    tried = np.geomspace(1e-7, 1, 12)
    flat = rates.RateCurve("p", 1e-3, tried, found, found)
    assert (flat.steepest, flat.tenth) == (None, None)
    rising = rates.RateCurve("p", 1e-3, tried, found, np.arange(12.0))
    assert (rising.steepest, rising.tenth) == (None, None)
