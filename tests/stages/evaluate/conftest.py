"""The clip, the source and two measured swaps, made once."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from likeness.contracts.tables.shards import SHARDS
from likeness.media.images import decode_jpeg
from models.analysers.pack import load_pack
from tests.evaluatecase import PARAMS, Case, write_judge, write_source, write_swap, write_target


@pytest.fixture(scope="session")
def case(
    tmp_path_factory: pytest.TempPathFactory, shared: Path, pack_folder: Path
) -> Iterator[Case]:
    root = tmp_path_factory.mktemp("evaluate")
    made = Case(root, pack_folder.resolve())
    # The pack's own embedder under another name: quick, and here at any rate.
    write_judge(made)
    pack = load_pack(pack_folder)
    write_target(made, shared / "footage/single_face.mp4", pack)
    write_source(made, shared / "footage/lp_d10.mp4", pack)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        Path("params.yaml").write_text(PARAMS)
        made.compare_with(root / "data/baselines.parquet")
    yield made


@pytest.fixture(autouse=True)
def inside(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(case.root)
    Path("params.yaml").write_text(PARAMS)


@pytest.fixture(scope="session")
def pasted(case: Case) -> tuple[Path, Any]:
    """The source's first crop pasted into every face, and its metrics."""
    table = SHARDS.read(case.shards / "train-00000.parquet", ["crop"])
    source = decode_jpeg(table["crop"][0].as_py())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(case.root)
        Path("params.yaml").write_text(PARAMS)
        folder = write_swap(case, "pasted", lambda _: source)
        return folder, case.run(folder)


@pytest.fixture(scope="session")
def itself(case: Case) -> Any:
    """Metrics of the footage as its own render."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(case.root)
        Path("params.yaml").write_text(PARAMS)
        folder = write_swap(case, "itself", lambda crop: crop)
        shutil.copy(case.clip / "footage.mp4", folder / "render.mp4")
        return case.run(folder)
