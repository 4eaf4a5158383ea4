"""A training goes on, whatever is changed: what it says, what it keeps, and when it cannot."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from likeness.contracts.errors import ModelError
from likeness.contracts.params.train import Plan
from likeness.contracts.tables.history import HISTORY
from models import tensorfile
from models.training import checkpoint, code
from models.training.fingerprint import fingerprint, fingerprint_of
from models.training.job import Job
from models.training.trainer import train_model
from tests.swapper_cases import interrupted
from tests.synthetic_shards import write_pool, write_recogniser, write_shards

FILES = ("model.safetensors", "moments.safetensors", "config.json", "history.parquet")
SMALL: dict[str, Any] = {"size_px": 32, "width": 4}
Make = Callable[..., Job]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    source = write_shards(tmp_path / "ann", "ann", 8, seed=1)
    target = write_shards(tmp_path / "ben", "ben", 6, seed=2)

    def job(place: str, images: int, **changed: Any) -> Job:
        """A training of the model whose state is called `place`, with an output of its own."""
        out = tmp_path / f"{place}-{len(list(tmp_path.iterdir()))}"
        out.mkdir()
        settings = {**SMALL, **changed.pop("settings", {})}
        given = {key: changed.pop(key) for key in ("source", "target", "init") if key in changed}
        family = changed.pop("family", "autoencoder")
        plan = Plan(**{"images": images, "batch_images": 4, "log_every_images": 16, **changed})
        state = tmp_path / "state" / place
        made = Job("tiny", family, settings, plan, source, target, out, state)
        return replace(made, **given)

    return job


def content(job: Job) -> list[bytes]:
    return [(job.out / name).read_bytes() for name in FILES]


def config(job: Job) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((job.out / "config.json").read_text())
    return found


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line for line in capsys.readouterr().err.splitlines() if line.startswith("tiny: ")]


def steps_of(capsys: pytest.CaptureFixture[str]) -> int:
    """Images that the last training saw, by what its bar said."""
    lines = [line for line in capsys.readouterr().err.splitlines() if " images: " in line]
    return int(lines[-1].split()[2]) if lines else 0


# ---- the same training -------------------------------------------------------------------------
@pytest.mark.parametrize("looks", [16, 24, 10_000])
def test_a_longer_budget_ends_as_if_it_had_been_the_first_one(
    make: Make, capsys: pytest.CaptureFixture[str], looks: int
) -> None:
    whole = make("whole", 96, preview_every_images=looks, ema=0.9)
    train_model(whole)
    train_model(make("grown", 40, preview_every_images=looks, ema=0.9))
    capsys.readouterr()
    grown = make("grown", 96, preview_every_images=looks, ema=0.9)
    train_model(grown)
    assert steps_of(capsys) == 56
    assert content(grown) == content(whole)
    assert config(grown)["continues"] is None


def test_what_only_looks_changes_neither_model_nor_chain(
    make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    first, again = make("one", 48), make("one", 48, preview_every_images=8, validation_images=2)
    train_model(first)
    capsys.readouterr()
    train_model(again)
    assert not any("images: " in line for line in capsys.readouterr().err.splitlines())
    for name in ("model.safetensors", "moments.safetensors", "config.json"):
        assert (first.out / name).read_bytes() == (again.out / name).read_bytes()


# ---- another training --------------------------------------------------------------------------
CHANGES: dict[str, dict[str, Any]] = {
    "setting": {"settings": {"learning_rate": 1e-3, "loss": "ssim_l1"}},
    "plan": {"batch_images": 8, "micro_batches": 4, "clip_gradient": 1.0},
    "average": {"ema": 0.9},
    "seed": {"seed": 5},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_change_goes_on_and_says_from_where(
    make: Make, capsys: pytest.CaptureFixture[str], change: dict[str, Any]
) -> None:
    first = make("one", 48)
    train_model(first)
    second = make("one", 96, **change)
    capsys.readouterr()
    train_model(second)
    line = f"{fingerprint(first)} at 48 images"
    told = capsys.readouterr().err
    assert f"tiny: continues: {line}\n" in told
    assert "tiny images: 48 in" in told
    facts = config(second)
    assert facts["continues"] == line
    assert facts["images"] == 96
    ends = [(t["fingerprint"], t["from_images"], t["to_images"]) for t in facts["trainings"]]
    assert ends == [(fingerprint(first), 0, 48), (fingerprint(second), 48, 96)]
    assert [fingerprint_of(t["of"]) for t in facts["trainings"]] == [e[0] for e in ends]
    rows = HISTORY.read(second.out / "history.parquet").to_pylist()
    assert {row["images"] for row in rows} >= {16, 32, 48, 64, 80, 96}


def test_a_chain_is_the_same_however_often_it_is_interrupted(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = []
    for place, stops in (("whole", set[int]()), ("broken", {2, 7, 9, 14})):
        monkeypatch.setenv("LIKENESS_CHECKPOINT_S", "0")
        chain = [(48, {}), (96, {"settings": {"learning_rate": 1e-3}, "ema": 0.9})]
        breaks = interrupted(monkeypatch, stops)
        for images, change in chain:
            while True:
                next(breaks, None)
                try:
                    train_model(make(place, images, **change))
                except KeyboardInterrupt:
                    continue
                break
        last = make(place, 96, **chain[1][1])
        train_model(last)
        ends.append(content(last))
        monkeypatch.undo()
    assert ends[0] == ends[1]


def test_weights_moments_and_history_are_carried_over(make: Make) -> None:
    train_model(make("one", 48))
    kept = checkpoint.newest(make("one", 0).state)
    second = make("one", 56, settings={"learning_rate": 1e-9, "encoder_rate": 1.0})
    train_model(second)
    after = checkpoint.newest(second.state)
    assert kept is not None
    assert after is not None
    assert (after.progress.step, after.progress.images) == (7, 56)
    # At this rate nothing moves: what is there is what there was.
    apart = [(after.weights[n] - w).abs().max() for n, w in kept.weights.items()]
    assert max(apart) < 1e-6
    steps = [v for name, v in after.optimisers.items() if name.endswith("/step")]
    assert steps
    assert all(int(v) == 7 for v in steps)
    rows = after.progress.history
    assert rows[: len(kept.progress.history)] == kept.progress.history


def test_more_data_joins_and_what_is_measured_is_measured_again(make: Make, tmp_path: Path) -> None:
    train_model(make("one", 32))
    write_shards(tmp_path / "ann", "ann", 12, seed=4)
    second = make("one", 64)
    train_model(second)
    facts = config(second)
    assert facts["continues"].endswith(" at 32 images")
    fresh = make("two", 0)
    train_model(fresh)
    found = [tensorfile.read(job.out / "model.safetensors") for job in (second, fresh)]
    assert torch.equal(found[0]["source_mean"], found[1]["source_mean"])


def test_an_edit_of_the_code_goes_on(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    first = make("one", 32)
    train_model(first)
    real = code.code_behind
    monkeypatch.setattr("models.training.fingerprint.code_behind", lambda family: real(family)[1:])
    second = make("one", 64)
    train_model(second)
    assert fingerprint(second) != fingerprint_of(config(first)["trainings"][0]["of"])
    assert config(second)["continues"].endswith(" at 32 images")


def test_a_budget_that_is_used_up_is_told(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = make("one", 48), make("one", 48, settings={"learning_rate": 1e-3})
    train_model(first)
    said(capsys)
    train_model(second)
    assert "nothing is trained; raise `train.images`" in said(capsys)[1]
    assert config(second)["trainings"][-1]["from_images"] == 48
    assert content(first)[0] == content(second)[0]
    # Nothing was trained by it: the first settings go on as if it had not been.
    third = make("one", 64)
    train_model(third)
    assert config(third)["continues"] is None


def test_fresh_begins_anew_and_puts_the_old_one_aside(
    make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    first = make("one", 48, snapshots={"every_images": 16})
    train_model(first)
    assert len(list(first.state.glob("snapshots/*"))) == 3
    change: dict[str, Any] = {"settings": {"learning_rate": 1e-3}, "fresh": True}
    second, alone = make("one", 32, **change), make("two", 32, **change)
    said(capsys)
    train_model(second)
    assert "begins anew (train.fresh); what had seen 48 images lies in" in said(capsys)[0]
    (aside,) = first.state.glob("backups/aside-*")
    assert {p.name for p in aside.iterdir()} >= {"snapshots", "step-000000006"}
    assert not list(second.state.glob("snapshots/*"))
    train_model(alone)
    assert content(second) == content(alone)
    # An interrupted or finished training that was begun so goes on.
    third = make("one", 64, **change)
    train_model(third)
    assert config(third)["trainings"][0]["to_images"] == 64


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            {"settings": {"width": 8}},
            "encoder.down.0.0.weight was (4, 3, 5, 5) and is (8, ",
        ),
        ({"settings": {"bottleneck": "conv1x1"}}, "encoder.code.0.weight"),
        ({"family": "pix2pix", "settings": {}}, "its family was autoencoder"),
    ],
)
def test_what_does_not_fit_begins_anew(
    make: Make, capsys: pytest.CaptureFixture[str], change: dict[str, Any], reason: str
) -> None:
    train_model(make("one", 16))
    said(capsys)
    if change.get("family"):
        change = {**change, "settings": {"size_px": 32, "width": 4, "critic_width": 4}}
        job = replace(make("one", 8, **change), settings=change["settings"])
    else:
        job = make("one", 8, **change)
    train_model(job)
    first = said(capsys)[0]
    assert "begins anew (" in first
    assert reason in first
    assert config(job)["continues"] is None


def test_another_person_begins_anew(
    make: Make, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    train_model(make("one", 16))
    said(capsys)
    train_model(make("one", 16, source=write_shards(tmp_path / "eve", "eve", 8, seed=3)))
    assert "begins anew (its source was ann)" in said(capsys)[0]


@pytest.mark.slow(seconds=6)
def test_who_leaves_a_pool_does_not_stay_in_its_model(
    make: Make, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pool = write_pool(tmp_path / "data", "all", {"ann": 4, "ben": 4, "cid": 4})
    given: dict[str, Any] = {"family": "faceshifter", "source": pool, "target": pool}
    tiny = {"size_px": 32, "width": 0.05}
    recogniser = write_recogniser(tmp_path / "recogniser")

    def job(images: int) -> Job:
        made = make("any", images, **given)
        return replace(made, settings=tiny, recogniser=recogniser)

    train_model(job(8))
    file = pool / "pool.json"
    members = json.loads(file.read_text())
    more = write_shards(tmp_path / "data/dan", "dan", 4, seed=7).name
    file.write_text(
        json.dumps(
            {**members, "members": [*members["members"], {"identity": more, "held_out": False}]}
        )
    )
    said(capsys)
    train_model(job(16))
    assert "continues: " in said(capsys)[0]
    file.write_text(json.dumps({**members, "members": members["members"][1:]}))
    train_model(job(16))
    assert "begins anew (ann has left its sources)" in said(capsys)[0]


# ---- finetuned ---------------------------------------------------------------------------------
def test_a_finetuned_model_carries_the_moments(
    make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    first = make("one", 48)
    train_model(first)
    said(capsys)
    second = make("tuned", 8, init=first.out, settings={"learning_rate": 1e-9})
    train_model(second)
    lines = said(capsys)
    count = len(list(tensorfile.read(first.out / "model.safetensors"))) - 2
    assert f"moments of {count} of {count} parameters are those of {first.out.name}" in lines[0]
    facts = config(second)
    assert facts["continues"] == f"{fingerprint(first)} at 48 images"
    assert facts["init"]["trainings"] == config(first)["trainings"]
    moments = tensorfile.read(second.out / "moments.safetensors")
    assert {int(v) for n, v in moments.items() if n.endswith("/step")} == {7}
    # Another first model is another beginning.
    train_model(make("one", 96))
    other = make("one", 96)
    train_model(other)
    train_model(make("tuned", 8, init=other.out))
    assert "begins anew (the model that it began from has changed)" in "\n".join(said(capsys))


def test_without_moments_they_begin_empty_and_it_is_told(
    make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    first = make("one", 16, moments=False)
    train_model(first)
    assert not (first.out / "moments.safetensors").exists()
    said(capsys)
    train_model(make("tuned", 8, init=first.out))
    assert "keeps no moments (`train.moments`): they begin empty" in said(capsys)[0]


# ---- backups, one writer -----------------------------------------------------------------------
def test_backups_are_whole_checkpoints_of_which_the_latest_are_kept(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIKENESS_CHECKPOINT_S", "0")
    rule = {"backups": {"every_hours": 1e-12, "latest": 2}}
    job = make("one", 48, **rule)
    train_model(job)
    kept = checkpoint.folders(job.state / "backups")
    assert [folder.name for folder in kept] == ["step-000000005", "step-000000006"]
    # To go back: the later checkpoint away, the backup in its place.
    for folder in checkpoint.folders(job.state):
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
    kept[0].rename(job.state / kept[0].name)
    again = make("one", 48, **rule)
    train_model(again)
    assert content(again) == content(job)


def test_no_backup_before_its_time(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIKENESS_CHECKPOINT_S", "0")
    job = make("one", 32)
    train_model(job)
    assert not checkpoint.folders(job.state / "backups")
    long_ago = time.time() - 7 * 3600
    os.utime(job.state / "backups", (long_ago, long_ago))
    train_model(make("one", 40))
    assert len(checkpoint.folders(job.state / "backups")) == 1


def test_the_second_writer_is_told_who_the_first_one_is(make: Make) -> None:
    job = make("one", 16)
    told = rf"^one: another process \({os.getpid()}\) trains it; wait"
    with checkpoint.claim(job.state), pytest.raises(ModelError, match=told):
        train_model(job)
    train_model(job)
