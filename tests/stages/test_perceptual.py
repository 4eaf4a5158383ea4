"""Stage `perceptual`: weights from an address of the user's, checked before anything is written."""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from likeness.contracts.documents import sha256_of
from likeness.contracts.errors import ParamsError, WeightsError
from models import tensorfile
from models.analysers import perceptual
from models.layers.vgg import select
from models.training.frozen import FrozenNetworks
from tasks.perceptual import STAGE
from tests.synthetic_shards import write_recogniser
from tests.synthetic_vgg import state_dict

Settings = dict[str, object]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        return


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIKENESS_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    torch.save(state_dict(), folder / "vgg19.pth")
    torch.save({"state_dict": state_dict(), "arch": "vgg19"}, folder / "nested.pth")
    tensorfile.write(folder / "vgg19.safetensors", state_dict())
    torch.save({"conv1_1.weight": torch.zeros(4, 3, 3, 3)}, folder / "other.pth")
    torch.save([1, 2], folder / "list.pth")
    torch.save(state_dict, folder / "code.pth")  # a function: what weights_only refuses
    (folder / "page.html").write_text("<html>log in first</html>")
    (folder / "braces").write_bytes(b"12345678{not json")
    (folder / "empty").touch()
    whole = (folder / "vgg19.pth").read_bytes()
    (folder / "half.pth").write_bytes(whole[: len(whole) // 2])
    return folder


@pytest.fixture
def server(files: Path) -> Iterator[str]:
    handler = partial(Quiet, directory=str(files))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{made.server_address[1]}"
        made.shutdown()
        thread.join()


def run(**settings: object) -> dict[str, Any]:
    Path("params.yaml").write_text(f"perceptual: {json.dumps(settings)}\n")
    STAGE.execute(["--out", "out"])
    found: dict[str, Any] = json.loads(Path("out/perceptual.json").read_text())
    return found


def asked(path: Path, url: str | None = None) -> Settings:
    return {"network": "vgg19", "url": url or path.as_uri(), "sha256": sha256_of(path)}


def test_embedded_is_said_without_torch_or_network(tmp_path: Path, repository: Path) -> None:
    """As a process of its own, which ends before torch could have been imported."""
    code = (
        "import sys; from tasks.perceptual import STAGE; STAGE.execute(sys.argv[1:]);"
        "assert 'torch' not in sys.modules"
    )
    Path("params.yaml").write_text("train: {}\n")
    arguments = ["--out", str(tmp_path / "out"), "--params", str(tmp_path / "params.yaml")]
    subprocess.run([sys.executable, "-c", code, *arguments], cwd=repository, check=True)
    assert json.loads((tmp_path / "out/perceptual.json").read_text()) == {"network": "embedded"}
    assert len(list((tmp_path / "out").iterdir())) == 1


@pytest.mark.parametrize("name", ["vgg19.pth", "nested.pth", "vgg19.safetensors"])
def test_a_file_becomes_the_layers_that_losses_need(files: Path, name: str) -> None:
    found = run(**asked(files / name), input="symmetric", licence="drawn for this test")
    assert found == {
        "network": "vgg19",
        "name": "vgg19",
        "file": "vgg19.safetensors",
        "sha256": sha256_of(files / name),
        "licence": "drawn for this test",
        "input": "symmetric",
    }
    written = tensorfile.read(Path("out/vgg19.safetensors"))
    wanted = select(state_dict())
    assert written.keys() == wanted.keys()
    assert all(torch.equal(written[key], wanted[key]) for key in wanted)
    assert not [key for key in written if key.startswith("classifier")]


def test_what_is_here_is_not_fetched_again(files: Path, server: str, tmp_path: Path) -> None:
    settings = asked(files / "vgg19.pth", f"{server}/vgg19.pth")
    run(**settings | {"sha256": str(settings["sha256"]).upper()})
    first = sha256_of(Path("out"))
    run(**settings | {"url": "https://127.0.0.1:1/gone"})
    assert sha256_of(Path("out")) == first
    networks = FrozenNetworks(write_recogniser(tmp_path / "recogniser"), Path("out"))
    maps = networks.perceptual().features(torch.zeros(1, 3, 16, 16), torch.zeros(1, 5, 2))
    assert [m.shape[-1] for m in maps] == [16, 8, 4, 2, 1]
    assert networks.taken[0]["sha256"] == settings["sha256"]


@pytest.mark.parametrize("missing", ["url", "sha256"])
def test_a_missing_key_is_named(files: Path, missing: str) -> None:
    settings = asked(files / "vgg19.pth") | {missing: None}
    with pytest.raises(ParamsError, match=rf"params.yaml:1: key `perceptual.{missing}` is missing"):
        run(**settings)
    assert not Path("out").exists()


def test_another_hash_is_refused_and_nothing_stays(files: Path, server: str) -> None:
    settings = asked(files / "vgg19.pth", f"{server}/nested.pth")
    with pytest.raises(WeightsError, match=r"nested.pth: sha256 is \w{12}..., not \w{12}...; do"):
        run(**settings)
    assert not Path("out").exists()
    assert not [path for path in Path("state").rglob("*") if path.is_file()]
    with pytest.raises(ParamsError, match=r"perceptual.sha256"):
        run(**settings | {"sha256": "abc"})


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://127.0.0.1:1/vgg19.pth", "refused"),
        ("{server}/none.pth", "File not found"),
        ("file:///nowhere/vgg19.pth", "No such file"),
        ("http://[", "Invalid IPv6"),
        ("http://127.0.0.1:port/x", "port"),
        ("ftp://127.0.0.1/vgg19.pth", "no address that can be fetched; begin `perceptual.url`"),
        ("vgg19.pth", "no address that can be fetched"),
    ],
)
def test_an_unreachable_address_is_one_line(server: str, url: str, problem: str) -> None:
    with pytest.raises(WeightsError) as caught:
        run(network="vgg19", url=url.format(server=server), sha256="a" * 64)
    said = str(caught.value)
    assert problem in said
    assert "\n" not in said
    assert "perceptual" in said


def test_passwords_are_not_repeated(server: str) -> None:
    url = server.replace("//", "//ann:secret@") + "/none.pth?token=secret"
    with pytest.raises(WeightsError) as caught:
        run(network="vgg19", url=url, sha256="a" * 64)
    assert "secret" not in str(caught.value)


def test_too_much_is_not_kept(files: Path, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perceptual, "MAX_BYTES", 1 << 14)
    with pytest.raises(WeightsError, match="sends more than"):
        run(**asked(files / "vgg19.pth", f"{server}/vgg19.pth"))
    assert not [path for path in Path("state").rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("other.pth", "is no VGG-19: it holds no `features.0.weight`"),
        ("list.pth", "holds a list, no state dict"),
        *((name, "holds no tensors that can be read") for name in
          ("code.pth", "page.html", "braces", "empty", "half.pth")),
    ],
)  # fmt: skip
def test_what_is_no_vgg19_is_refused(files: Path, name: str, problem: str) -> None:
    with pytest.raises(WeightsError) as caught:
        run(**asked(files / name))
    assert problem in str(caught.value)
    assert name in str(caught.value)
    assert "torchvision" in str(caught.value)
    assert not Path("out").exists()
