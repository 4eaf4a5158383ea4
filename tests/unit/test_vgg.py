"""VGG-19 as a perceptual network: torchvision's layers, differentiable, never moved, named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from likeness.contracts.errors import ModelError
from likeness.contracts.params.train import Plan
from models.batch import Batch
from models.layers.recogniser import Recogniser
from models.layers.vgg import INPUTS, Vgg19, convolutions, select
from models.swappers import registry
from models.training import loop
from models.training.frozen import FrozenNetworks
from models.training.job import Job
from models.training.loaders import build_loader
from models.training.model_config import config_of
from models.training.process_group import SingleProcess
from models.training.steps import StepContext
from tests.swapper_cases import TINY
from tests.synthetic_shards import write_perceptual, write_pool, write_recogniser
from tests.synthetic_vgg import TAPS, WIDTH, plain_vgg19

CPU = torch.device("cpu")
FIVE = torch.tensor([[10.0, 12], [22, 12], [16, 18], [11, 24], [21, 24]])


def crops(count: int = 2, side: int = 32) -> torch.Tensor:
    torch.manual_seed(3)
    return torch.rand(count, 3, side, side) * 2 - 1


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIKENESS_THREADS", "1")
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def plain() -> nn.Sequential:
    return plain_vgg19()


@pytest.fixture
def network(plain: nn.Sequential) -> Vgg19:
    made = Vgg19("imagenet", WIDTH)
    made.load({f"features.{name}": value for name, value in plain.state_dict().items()})
    return made


def theirs(plain: nn.Sequential, image: torch.Tensor, given: str) -> list[torch.Tensor]:
    """Maps by the whole published network, of pixels in [0,1] normalised as its trainers do."""
    mean, deviation = (torch.tensor(row).view(3, 1, 1) for row in INPUTS[given])
    feature = ((image + 1) / 2 - mean) / deviation
    maps = []
    for index, layer in enumerate(plain):
        feature = layer(feature)
        if index in TAPS:
            maps.append(feature.clone())
    return maps


@pytest.mark.parametrize("given", sorted(INPUTS))
def test_features_are_those_of_the_published_network(plain: nn.Sequential, given: str) -> None:
    network = Vgg19(given, WIDTH)
    network.load({f"features.{name}": value for name, value in plain.state_dict().items()})
    image = crops()
    with torch.no_grad():
        ours, wanted = network.features(image, FIVE), theirs(plain, image, given)
    assert [m.shape[1:] for m in ours] == [
        (WIDTH * factor, side, side) for factor, side in ((1, 32), (2, 16), (4, 8), (8, 4), (8, 2))
    ]
    for mine, other in zip(ours, wanted, strict=True):
        assert torch.allclose(mine, other, rtol=1e-4, atol=1e-5)


def test_the_published_width_has_the_published_weights() -> None:
    """13 of the 16 convolutions: 12,944,960 numbers by the paper's table, 51.8 MB."""
    rows = convolutions()
    assert len(rows) == 13
    assert [index for index, *_, begins in rows if begins] == [0, 5, 10, 19, 28]
    assert sum(9 * i * o + o for _, i, o, _ in rows) == 12_944_960


def test_gradients_reach_the_crop_and_no_weight(network: Vgg19) -> None:
    image = crops().requires_grad_()
    sum((m.abs().mean() for m in network.train().features(image, FIVE)), torch.zeros(())).backward()
    assert image.grad is not None
    assert (image.grad.abs().amax((1, 2, 3)) > 0).all()
    assert not network.training
    assert not list(network.parameters())
    assert not network.state_dict()


def test_autocast_changes_nothing(network: Vgg19) -> None:
    image = crops()
    with torch.no_grad():
        plainly = network.features(image, FIVE)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            cast = network.features(image.bfloat16().float(), FIVE), network.features(image, FIVE)
    assert all(m.dtype == torch.float32 for m in cast[0])
    assert all(torch.equal(a, b) for a, b in zip(plainly, cast[1], strict=True))


def test_wrong_layouts_are_named(plain: nn.Sequential) -> None:
    state = {f"features.{name}": value for name, value in plain.state_dict().items()}
    assert set(select({"state_dict": {f"module.{k}": v for k, v in state.items()}})) == {
        f"features.{index}.{kind}"
        for index, *_ in convolutions(WIDTH)
        for kind in ("weight", "bias")
    }
    halves = select({name: value.half() for name, value in state.items()})
    assert all(value.dtype == torch.float32 for value in halves.values())
    with pytest.raises(ValueError, match=r"holds no `features.0.weight`"):
        select({"conv1_1.weight": state["features.0.weight"]})
    with pytest.raises(ValueError, match=r"`features.21.weight` is \(2,\), not \(32, 32, 3, 3\)"):
        select({**state, "features.21.weight": torch.zeros(2)})
    with pytest.raises(ValueError, match=r"`features.0.weight` is"):
        Vgg19("imagenet", WIDTH * 2).load(state)


# ---- in training ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    write_pool(folder, "all", {"ann": 4, "ben": 4})
    write_recogniser(folder / "recogniser")
    write_perceptual(folder / "vgg19", "symmetric")
    write_perceptual(folder / "embedded", None)
    return folder


def job_of(place: Path, out: Path, choice: str | None, weight: float = 1.0) -> Job:
    settings = {**TINY["fsgan"], "perceptual_weight": weight}
    plan = Plan(images=16, batch_images=2, micro_batches=1, precision="float32")
    out.mkdir(exist_ok=True)
    return Job(
        "any", "fsgan", settings, plan, place / "all", place / "all", out, out / "state",
        recogniser=place / "recogniser", perceptual=place / choice if choice else None,
    )  # fmt: skip


def test_fsgan_trains_with_it_and_says_so(place: Path, tmp_path: Path) -> None:
    run = loop.build(job_of(place, tmp_path, "vgg19"), CPU)
    generator = run.swapper.networks.reenactment
    before = [weight.clone() for weight in generator.parameters()]
    context = StepContext(
        run.swapper, build_loader(run.swapper, *run.crops), run.job.plan, SingleProcess()
    )
    assert 0 < loop.train_step(run, context) < 100
    moved = [not torch.equal(a, b) for a, b in zip(before, generator.parameters(), strict=True)]
    assert any(moved)
    assert config_of(run)["perceptual_networks"] == [
        {"name": "vgg19", "sha256": "1" * 64, "licence": None, "input": "symmetric"}
    ]
    assert not [name for name in run.swapper.state_dict() if name.startswith("perceptual")]


def test_only_what_a_family_takes_is_named(place: Path, tmp_path: Path) -> None:
    def named(job: Job) -> object:
        return config_of(loop.build(job, CPU))["perceptual_networks"]

    assert named(job_of(place, tmp_path, "vgg19", weight=0)) == []
    recogniser = [{"name": "drawn", "sha256": "0" * 64}]
    assert named(job_of(place, tmp_path, "embedded")) == recogniser
    assert named(job_of(place, tmp_path, None)) == recogniser


def test_embedded_features_are_the_recognisers(place: Path) -> None:
    networks = FrozenNetworks(place / "recogniser", place / "embedded")
    image, five = crops(1), FIVE[None]
    chosen = networks.perceptual()
    assert isinstance(chosen, Recogniser)
    assert not chosen.state_dict()
    with torch.no_grad():
        seen, known = (n.features(image, five) for n in (chosen, networks.embedder()))
    assert all(torch.equal(a, b) for a, b in zip(seen, known, strict=True))
    assert len(networks.taken) == 1


def test_the_choice_changes_what_fsgan_compares(place: Path) -> None:
    batch = _batch()
    found = []
    for choice in ("embedded", "vgg19"):
        torch.manual_seed(0)
        swapper = registry.build("fsgan", {**TINY["fsgan"], "perceptual_weight": 1.0})
        swapper.equip(FrozenNetworks(place / "recogniser", place / choice))
        torch.manual_seed(0)
        losses = swapper.losses("reenactment", batch, batch)
        losses["reconstruction"].backward()
        found.append(losses["reconstruction"].item())
    assert found[0] != found[1]


def _batch() -> Batch:
    torch.manual_seed(1)
    mesh = torch.rand(2, 468, 3) * 16 + 8
    mask = torch.zeros(2, 1, 32, 32)
    mask[..., 6:26, 6:26] = 1
    given = {"crop": crops(), "mask": mask, "landmarks_468": mesh}
    return given | {"warped": crops(), "landmarks_5": FIVE.expand(2, -1, -1)}


def test_damaged_folders_are_said(place: Path, tmp_path: Path) -> None:
    networks = FrozenNetworks(place / "recogniser", tmp_path)
    with pytest.raises(ModelError, match=r"perceptual.json: cannot be read.*dvc repro perceptual"):
        networks.perceptual()
    (tmp_path / "perceptual.json").write_text(json.dumps({"network": "vgg16"}))
    with pytest.raises(ModelError, match="names no network"):
        networks.perceptual()
    write_perceptual(tmp_path, "imagenet")
    (tmp_path / "vgg19.safetensors").unlink()
    with pytest.raises(ModelError, match=r"vgg19.safetensors: does not exist"):
        networks.perceptual()
