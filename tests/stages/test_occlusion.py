"""Stage `occlusion`: teaches from crops, records it, says whether it made the shipped bytes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from likeness.contracts.errors import ParamsError
from likeness.media.images import encode_jpeg
from models.layers import mesh_topology, occlusion_weights
from tasks.occlusion import STAGE
from tests.drawn_face import drawn_crop
from tests.synthetic_faces import crop_rows, write_crops

RECIPE = """\
occlusion:
  seed: 3
  steps: {steps}
  batch_images: 2
  tests: 4
  clips:
    ann/walk: {{learn: [[0, 3]], test: [[{test}]], every: 1}}
"""


@pytest.fixture
def crops(tmp_path: Path) -> Path:
    rgb, points = drawn_crop()
    mesh = np.concatenate([points, np.zeros((468, 1))], 1).astype(np.float32)
    rows = crop_rows([(0.0, 0.0)] * 6, mesh_topology.canonical_vertices().numpy())
    rows |= {"crop": [encode_jpeg(rgb, 95)] * 6, "landmarks_468": np.tile(mesh.reshape(-1), (6, 1))}
    write_crops(tmp_path / "crops/ann/walk.parquet", rows, size_px=160, footage_sha256="ab")
    return tmp_path / "crops"


def teach(crops: Path, out: Path, steps: int = 2, test: str = "4, 5") -> dict[str, object]:
    params = out.with_suffix(".yaml")
    params.write_text(RECIPE.format(steps=steps, test=test))
    weights, record = out.with_suffix(".safetensors"), out.with_suffix(".json")
    given = {"params": params, "crops": crops, "weights": weights, "record": record}
    STAGE.execute([part for name, path in given.items() for part in (f"--{name}", str(path))])
    found: dict[str, object] = json.loads(record.read_text())
    return found


@pytest.mark.slow
def test_weights_are_recorded_and_made_again_byte_for_byte(crops, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LIKENESS_THREADS", "1")
    first = teach(crops, tmp_path / "first")
    monkeypatch.setenv("LIKENESS_THREADS", "2")
    again = teach(crops, tmp_path / "again")
    content = (tmp_path / "first.safetensors").read_bytes()
    assert content == (tmp_path / "again.safetensors").read_bytes()
    assert first == again
    assert first["sha256"] == hashlib.sha256(content).hexdigest()
    assert len(content) < occlusion_weights.MAX_BYTES
    clip = first["clips"]["ann/walk"]
    assert (clip["learned_from"], clip["held_back"], clip["footage_sha256"]) == (4, 2, "ab")
    assert 0 <= first["intersection_over_union"]["all"] <= 1
    assert "not the shipped bytes" in capsys.readouterr().err
    network = occlusion_weights.load(tmp_path / "first.safetensors")
    assert not network.training and not any(p.requires_grad for p in network.parameters())


def test_frames_that_are_not_there_are_named(crops, tmp_path):
    with pytest.raises(ParamsError, match=r"occlusion\.clips\.ann/walk: none of the frames"):
        teach(crops, tmp_path / "none", test="40, 50")
    assert not (tmp_path / "none.safetensors").exists()
