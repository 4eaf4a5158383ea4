"""`likeness families`: every family has a row, with figures of this machine where there are any."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from flows import families
from flows.cli import main
from likeness.contracts.params.train import Plan
from models.families import Drawn, step_bytes
from models.swappers import registry
from models.swappers.autoencoder.config import AutoencoderConfig
from models.swappers.autoencoder.swapper import Autoencoder
from models.training.footprint import measure
from models.training.process_group import SingleProcess
from models.training.steps import StepContext
from tests.swapper_cases import TINY


@pytest.fixture(scope="module")
def rows(repository: Path) -> list[dict[str, object]]:
    return families.describe(repository)


@pytest.mark.slow
def test_every_family_has_a_row(rows: list[dict[str, object]]) -> None:
    assert [row["family"] for row in rows] == registry.names()
    found = {row["family"]: row for row in rows}
    with registry.Unfilled():
        network = Autoencoder(AutoencoderConfig())
    count = sum(p.numel() for p in network.parameters())
    row = found["autoencoder"]
    assert (row["parameters"], row["mode"], row["for"]) == (count, "swap", "a pair")
    assert isinstance(row["step_bytes"], int)
    # Weights, gradients and Adam's two moments, and the activations on top.
    assert 16 * count < row["step_bytes"] < 16 * count + 2**30
    assert (found["mesh_transfer"]["parameters"], found["mesh_transfer"]["step_bytes"]) == (0, None)
    assert found["faceshifter"]["for"] == "any face"
    assert all((row["step_bytes"] is None) == (row["parameters"] == 0) for row in rows)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "apart"),
    # What fsgan keeps depends on where the mask is, a little.
    [("autoencoder", 0), ("cyclegan", 0), ("pix2pix", 0), ("saehd", 0), ("fsgan", 0.03)],
)
def test_memory_counted_without_content_is_that_of_real_tensors(family: str, apart: float) -> None:
    torch.manual_seed(0)
    plan = Plan(batch_images=4, micro_batches=2, precision="float32")
    swapper = registry.build(family, TINY[family]).train()
    swapper.plan_images = plan.images
    real = measure(StepContext(swapper, Drawn(swapper), plan, SingleProcess()), swapper.phases())
    wanted = real.activations + real.weights
    assert step_bytes(family, plan, TINY[family]) == pytest.approx(wanted, rel=apart, abs=0)


@pytest.mark.slow
def test_speeds_come_from_the_benchmark(
    rows: list[dict[str, object]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "params.yaml").write_text("train: {batch_images: 4, micro_batches: 4}\n")
    (tmp_path / families.MEASURED).parent.mkdir(parents=True)
    speeds = {"autoencoder": {"train_images_s": 371.26, "swap_ms": 4.0}}
    (tmp_path / families.MEASURED).write_text(json.dumps(speeds))
    given: list[list[str]] = []

    def counted(_root: Path, sizes: list[str], _say: object) -> list[dict[str, object]]:
        given.append(sizes)
        return [{name: row[name] for name in row if name not in families.SPEEDS} for row in rows]

    monkeypatch.setattr(families, "counted", counted)
    monkeypatch.setenv("LIKENESS_STATE", str(tmp_path / "state"))
    for _ in range(2):  # the second time it is known
        shown = {row["family"]: families.cells(row) for row in families.describe(tmp_path)}
    assert given == [["--batch", "4", "--parts", "4"]]
    (tmp_path / "params.yaml").write_text("train: {batch_images: 8, micro_batches: 4}\n")
    families.describe(tmp_path)
    assert given[1] == ["--batch", "8", "--parts", "4"]
    assert shown["autoencoder"][-2:] == ("371.3", "4.0")
    assert shown["autoencoder"][5] == "82.1 M"
    assert shown["mesh_transfer"][-4:] == ("0", "-", "-", "-")
    assert all(len(cells) == len(families.COLUMNS) for cells in shown.values())


@pytest.mark.slow
def test_the_command_prints_a_table(
    rows: list[dict[str, object]],
    repository: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(repository)
    monkeypatch.setattr("flows.commands.learn.describe", lambda _: [
        {**row, "train_images_s": None, "swap_ms": None} for row in rows
    ])  # fmt: skip
    with pytest.raises(SystemExit) as caught:
        main(["families"])
    assert not caught.value.code
    said = capsys.readouterr().out
    assert said.splitlines()[0].startswith("family")
    assert "make bench ONLY=families" in said
    with pytest.raises(SystemExit):
        main(["families", "--json"])
    assert [row["family"] for row in json.loads(capsys.readouterr().out)] == registry.names()
