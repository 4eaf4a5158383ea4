"""Stage pack: a folder that says where everything in it came from."""

from __future__ import annotations

from pathlib import Path

import pytest

from likeness.contracts.documents import read_json, sha256_of
from likeness.contracts.errors import WeightsError
from models.analysers.weights import load_catalogue
from tasks.pack import STAGE


def params(folder: Path, text: str) -> str:
    path = folder / "params.yaml"
    path.write_text(text)
    return str(path)


@pytest.mark.slow
def test_pack_is_complete_and_byte_stable(tmp_path: Path) -> None:
    file = params(tmp_path, "pack:\n  name: embedded\n")
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        beside = ["--recogniser", str(folder / "recogniser"), "--weights", str(tmp_path)]
        STAGE.execute(["--out", str(folder / "pack"), *beside, "--params", file])
    folders = [folder / "pack" for folder in folders]
    assert sha256_of(tmp_path / "one/recogniser") == sha256_of(tmp_path / "two/recogniser")
    assert sha256_of(folders[0]) == sha256_of(folders[1])
    facts = read_json(folders[0] / "pack.json")
    assert facts["embedding_dim"] == 128
    assert {path.name for path in folders[0].iterdir()} == {"pack.json", *facts["sha256"]}
    for name, digest in facts["sha256"].items():
        assert sha256_of(folders[0] / name) == digest
    pinned = {name: weight.sha256 for name, weight in load_catalogue().weights.items()}
    assert len(facts["weights"]) == 7
    assert all(weight["sha256"] == pinned[weight["name"]] for weight in facts["weights"])
    assert all(weight["licence"] for weight in facts["weights"])


def test_unknown_pack_is_refused(tmp_path: Path) -> None:
    file = params(tmp_path, "pack:\n  name: antelope\n")
    arguments = ["--out", str(tmp_path / "out"), "--recogniser", str(tmp_path / "rec")]
    with pytest.raises(WeightsError, match="choose from: buffalo_l, embedded"):
        STAGE.execute([*arguments, "--weights", str(tmp_path), "--params", file])
    assert not (tmp_path / "out").exists()
