"""The loop: the same bytes each time, parts and checkpoints that change nothing, guards."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from likeness.contracts.errors import ModelError
from likeness.contracts.params.train import Backups, Plan, Snapshots
from likeness.contracts.tables.history import HISTORY
from models.batch import Batch
from models.swappers import registry
from models.swappers.autoencoder.swapper import Autoencoder
from models.swappers.base import Phase, Swapper, SwapperConfig
from models.training import checkpoint, code, loop, optimisers
from models.training.fingerprint import fingerprint
from models.training.job import Job
from models.training.process_group import SingleProcess
from models.training.trainer import train_model
from tests.swapper_cases import interrupted
from tests.synthetic_shards import write_shards

FILES = (
    "model.safetensors",
    "moments.safetensors",
    "config.json",
    "history.parquet",
    "preview.jpg",
)
CPU = torch.device("cpu")
LOOKING: list[dict[str, Any]] = [
    {"images": 10_000},
    {"log_every_images": 7},
    {"preview_every_images": 7, "validation_images": 3},
    {"snapshots": Snapshots(every_images=5)},
    {"keep": "best", "fresh": True, "moments": False},
    {"backups": Backups(every_hours=None)},
]
Make = Callable[..., Job]


@pytest.fixture
def make_job(tmp_path: Path) -> Make:
    source = write_shards(tmp_path / "source", "ann", 8, seed=1)
    target = write_shards(tmp_path / "target", "ben", 6, seed=2)

    def make(name: str, settings: dict[str, Any] | None = None, **plan: Any) -> Job:
        out = tmp_path / name
        out.mkdir()
        given = {"images": 96, "batch_images": 8, "log_every_images": 32, **plan}
        small = settings or {"size_px": 32, "width": 4, "loss": "ssim_l1"}
        state = tmp_path / f"{name}-state"
        return Job("tiny", "autoencoder", small, Plan(**given), source, target, out, state)

    return make


def content(job: Job) -> dict[str, bytes]:
    return {name: (job.out / name).read_bytes() for name in FILES}


@pytest.mark.parametrize("precision", ["bf16", "float32"])
def test_two_runs_write_the_same_bytes(make_job: Make, precision: str) -> None:
    jobs = [make_job(name, precision=precision) for name in ("first", "second")]
    for job in jobs:
        train_model(job)
    assert content(jobs[0]) == content(jobs[1])
    other = make_job("other", precision=precision, seed=1)
    train_model(other)
    assert content(other)["model.safetensors"] != content(jobs[0])["model.safetensors"]


def test_interruption_at_any_step_changes_nothing(
    make_job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, broken = make_job("whole"), make_job("broken")
    train_model(whole)
    monkeypatch.setenv("LIKENESS_CHECKPOINT_S", "0")
    for _ in interrupted(monkeypatch, {1, 4, 6}):
        with pytest.raises(KeyboardInterrupt):
            train_model(broken)
    assert [folder.name for folder in checkpoint.folders(broken.state)] == ["step-000000003"]
    train_model(broken)
    assert content(whole) == content(broken)
    # What trains the model next goes on from here.
    assert [folder.name for folder in checkpoint.folders(broken.state)] == ["step-000000006"]


def test_half_a_checkpoint_is_no_checkpoint(
    make_job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job("job", images=32)
    run = loop.train(job, device=CPU)
    run.save()
    run.progress.step += 1

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint.tensorfile, "write", full_disk)
    with pytest.raises(OSError, match="No space"):
        run.save()
    moment = checkpoint.newest(job.state)
    assert moment is not None
    assert moment.progress.step == 2
    assert [p.name for p in job.state.glob("*step*")] == ["step-000000002"]


def test_a_damaged_checkpoint_is_named(make_job: Make) -> None:
    job = make_job("job", images=32)
    loop.train(job, device=CPU).save()
    weights = next(job.state.glob("step-*/model.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ModelError, match=r"model.safetensors.*truncated"):
        loop.train(job, device=CPU)


def test_parts_of_a_batch_sum_to_the_whole(make_job: Make) -> None:
    runs = []
    for parts in (1, 4):
        job = make_job(f"p{parts}", micro_batches=parts, precision="float32", images=16)
        runs.append(loop.train(job, device=CPU))
    first, second = (run.optimisers["autoencoder"].state_dict()["state"] for run in runs)
    for index in first:
        assert torch.allclose(first[index]["exp_avg"], second[index]["exp_avg"], atol=1e-6)
    assert runs[0].progress.history[0][3] == pytest.approx(runs[1].progress.history[0][3], rel=1e-5)


def test_parts_must_divide_the_batch() -> None:
    with pytest.raises(ValueError, match="multiple of micro_batches"):
        Plan(batch_images=6, micro_batches=4)


def test_history_counts_images_and_means(make_job: Make) -> None:
    job = make_job("job", images=100)
    train_model(job)
    facts = HISTORY.check(job.out / "history.parquet")
    assert facts["images"] == 112  # the last step begun is finished
    rows = HISTORY.read(job.out / "history.parquet").to_pylist()
    losses = [row["images"] for row in rows if row["name"] == "loss"]
    assert losses == [32, 64, 96, 112]
    parts = {row["name"]: row["value"] for row in rows if row["images"] == 32}
    total = sum(value for name, value in parts.items() if name != "loss")
    assert parts["loss"] == pytest.approx(total)


def test_previews_appear_while_training(make_job: Make) -> None:
    job = make_job("job", preview_every_images=48)
    train_model(job)
    names = sorted(path.name for path in (job.state / "previews").iterdir())
    assert names == ["preview-000000048.jpg", "preview-000000096.jpg"]


def test_settings_are_saved_beside_the_weights(make_job: Make) -> None:
    job = dataclasses.replace(make_job("job", images=0), facts={"pack": "drawn"})
    train_model(job)
    config = json.loads((job.out / "config.json").read_text())
    assert config["family"] == "autoencoder"
    assert config["config"]["width"] == 4
    assert (config["source"], config["target"], config["pack"]) == ("ann", "ben", "drawn")
    assert (config["size_px"], config["template"], config["images"]) == (32, "ffhq_512", 0)
    assert config["precision"] == "bf16"


def test_a_loss_that_is_no_number_stops_the_training(make_job: Make) -> None:
    job = make_job("job", {"size_px": 32, "width": 4, "learning_rate": 1e18})
    with pytest.raises(ModelError, match=r"step \d+: loss .* not finite; lower learning_rate"):
        train_model(job)
    assert not list(job.out.iterdir())


def test_fingerprint_follows_what_decides_the_weights(make_job: Make) -> None:
    job = make_job("job")
    prints = {
        fingerprint(job),
        fingerprint(dataclasses.replace(job, plan=Plan(seed=1))),
        fingerprint(dataclasses.replace(job, settings={"width": 8})),
        fingerprint(dataclasses.replace(job, source=job.target)),
    }
    assert len(prints) == 4
    moved = dataclasses.replace(job, out=job.state, model="renamed")
    assert fingerprint(moved) in prints


@pytest.mark.parametrize("change", LOOKING)
def test_fingerprint_does_not_follow_what_only_looks(
    make_job: Make, change: dict[str, Any]
) -> None:
    job = make_job("job")
    other = job.plan.model_copy(update=change)
    assert fingerprint(job) == fingerprint(dataclasses.replace(job, plan=other))


def test_another_budget_is_another_training_where_it_sets_the_pace() -> None:
    """Families whose schedules follow the share of the budget say so, and no others."""
    for name in registry.names():
        files = Path(registry.__file__).with_name(name).glob("*.py")
        told = any("plan_images" in file.read_text() for file in files)
        assert registry.load_class(name).paced == told, name


def test_code_of_a_training_is_its_familys_and_the_loops() -> None:
    names = {path.relative_to(code.ROOT).as_posix() for path in code.code_behind("autoencoder")}
    assert {
        "models/swappers/autoencoder/swapper.py",
        "models/swappers/base.py",
        "models/crew.py",
    } <= names
    assert {"models/layers/resampling.py", "models/losses/pixels.py"} <= names
    # Nothing of another family, though one's name begins with this one's.
    assert not [name for name in names if "autoencoder_gan" in name or "saehd" in name]
    assert not names & {f"models/training/{stem}.py" for stem in code.LOOKING}
    gan = {path.name for path in code.code_behind("autoencoder_gan")}
    assert {"networks.py", "losses.py"} <= gan


def test_every_module_of_training_moves_weights_or_looks(repository: Path) -> None:
    """A new module of the room is counted in the fingerprint, or named as one that looks."""
    known = {path.stem for path in code.code_behind("saehd") if path.parent.name == "training"}
    known |= {path.stem for path in code.code_behind("faceshifter")}
    outside = {"__init__", "cluster", "distributed", "rates", "failure_policy", "trainer", "worker"}
    rooms = {path.stem for path in (repository / "models/training").glob("*.py")}
    assert rooms - known - code.LOOKING - outside == set()


class TwoPhases(Swapper):
    """A family with phases that begin and end."""

    family: ClassVar[str] = "two_phases"
    Config: ClassVar[type[SwapperConfig]] = SwapperConfig

    def __init__(self, config: SwapperConfig) -> None:
        super().__init__(config)
        self.early, self.late = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)

    def phases(self) -> list[Phase]:
        early, late = list(self.early.parameters()), list(self.late.parameters())
        return [
            Phase("early", early, last_image=32, optimiser="adamw"),
            Phase("late", late, first_image=16, optimiser="rmsprop"),
        ]

    def losses(self, phase: str, source: Batch, target: Batch) -> dict[str, Tensor]:
        picture = self.late(self.early(target["warped"]))
        return {"l1": (picture - target["crop"]).abs().mean()}

    def swap(self, target: Batch, source: Batch | None = None) -> tuple[Tensor, Tensor]:
        return target["crop"], target["crop"][:, :1]


def test_phases_begin_and_end_with_the_images_seen(
    make_job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "build", lambda *_: TwoPhases(SwapperConfig(size_px=32)))
    job = make_job("job", images=64, log_every_images=16)
    run = loop.train(job, device=CPU)
    seen = {(images, phase) for images, phase, name, _ in run.progress.history if name == "loss"}
    assert seen == {(16, "early"), (32, "early"), (32, "late"), (48, "late"), (64, "late")}


@pytest.mark.parametrize("optimiser", ["adam", "rmsprop"])
def test_a_phase_may_let_its_step_size_fall(
    make_job: Make, monkeypatch: pytest.MonkeyPatch, optimiser: str
) -> None:
    short = loop.train(make_job("short", images=32), device=CPU).swapper.state_dict()
    plain = Autoencoder.phases

    def phases(self: Autoencoder) -> list[Phase]:
        ends = {"rate": lambda images: float(images < 32), "optimiser": optimiser}
        return [dataclasses.replace(phase, **ends) for phase in plain(self)]

    monkeypatch.setattr(Autoencoder, "phases", phases)
    stopped = loop.train(make_job("stopped", images=32), device=CPU).swapper.state_dict()
    longer = loop.train(make_job("longer", images=96), device=CPU).swapper.state_dict()
    assert all(torch.equal(longer[name], stopped[name]) for name in stopped)
    if optimiser == "adam":
        assert all(torch.equal(short[name], stopped[name]) for name in stopped)


def test_unknown_optimiser_is_refused() -> None:
    with pytest.raises(ModelError, match=r"unknown optimiser sgd9.*adam"):
        optimisers.make(Phase("p", [nn.Parameter(torch.zeros(1))], optimiser="sgd9"))


@pytest.mark.parametrize("name", sorted(optimisers.KNOWN))
def test_optimisers_continue_where_they_were(name: str) -> None:
    torch.manual_seed(0)
    gradients = torch.randn(6, 5)
    whole = [nn.Parameter(torch.ones(5)) for _ in range(2)]
    movers = [optimisers.make(Phase("p", [p], optimiser=name)) for p in whole]
    for step, gradient in enumerate(gradients):
        if step == 3:  # the second one goes on as another object
            state = optimisers.state_of("p", movers[1])
            movers[1] = optimisers.make(Phase("p", [whole[1]], optimiser=name))
            optimisers.restore("p", movers[1], {k: v.clone() for k, v in state.items()})
        for parameter, mover in zip(whole, movers, strict=True):
            parameter.grad = gradient.clone()
            mover.step()
    assert torch.equal(whole[0], whole[1])


def test_one_optimiser_equals_the_founding_two() -> None:
    torch.manual_seed(0)
    encoder, decoders = torch.randn(4), torch.randn(2, 4)
    ours = [nn.Parameter(t.clone()) for t in (encoder, *decoders)]
    theirs = [nn.Parameter(t.clone()) for t in (encoder, *decoders)]
    one = optimisers.make(Phase("p", ours, learning_rate=0.01, factors=[2.0, 1.0, 1.0]))
    rates = {"lr": 0.01, "betas": (0.5, 0.999)}
    two = [torch.optim.Adam([theirs[0], decoder], **rates) for decoder in theirs[1:]]
    for _ in range(20):
        for weights, movers in ((ours, [one]), (theirs, two)):
            for mover in movers:
                mover.zero_grad()
            wide = (weights[0] * weights[1]).sum().square() + (weights[0] - weights[2]).abs().sum()
            torch.autograd.backward(wide)
            for mover in movers:
                mover.step()
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(ours, theirs, strict=True))
    assert not torch.allclose(ours[0], encoder, atol=0.05)


def test_alone_shares_with_nobody() -> None:
    values = torch.arange(3.0)
    SingleProcess().broadcast(values, 0)
    assert torch.equal(values, torch.arange(3.0))


BLOCKED = ["ruamel", "rich", "cv2", "insightface", "onnxruntime", "ray", "dvc", "prefect", "av"]
BLOCKED += ["scipy", "pandas", "safetensors", "matplotlib", "typer", "ai_edge_litert", "onnx"]
ALONE = """
import importlib.machinery, sys
from pathlib import Path

class Missing:
    # torch asks whether some of these could be imported; only importing them is an error.
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked!r}:
            return importlib.machinery.ModuleSpec(name, self)

    def create_module(self, spec):
        raise ModuleNotFoundError(spec.name)

    def exec_module(self, module):
        pass

sys.meta_path.insert(0, Missing())
from models.swappers import registry
from models.swappers.autoencoder.swapper import Autoencoder
from likeness.contracts.params.train import Plan
from models.training.job import Job
from models.training.trainer import train_model

source, target, out, state = map(Path, sys.argv[1:])
settings = {{"size_px": 32, "width": 4}}
plan = Plan(images=32, batch_images=4)
train_model(Job("m", "autoencoder", settings, plan, source, target, out, state))
registry.load(out)
try:
    import cv2
except ModuleNotFoundError:
    print("blocked")
"""


@pytest.mark.slow(seconds=7)
def test_training_needs_only_the_few_packages(make_job: Make, repository: Path) -> None:
    job = make_job("job")
    code = ALONE.format(blocked=BLOCKED)
    given = [str(path) for path in (job.source, job.target, job.out, job.state)]
    command = [sys.executable, "-c", code, *given]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "blocked\n"
    assert (job.out / "model.safetensors").is_file()
