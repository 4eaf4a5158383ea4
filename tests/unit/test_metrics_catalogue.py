"""The catalogue: everything that names metrics follows its rows."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from likeness.evaluation import gates, reductions, summary
from likeness.evaluation.per_frame import PER_FRAME, SCORES
from likeness.metrics import catalogue, measures
from likeness.metrics.catalogue import METRICS, docs
from likeness.metrics.catalogue.baselines import OWN
from likeness.metrics.catalogue.metric import Clip, Columns, Group, Metric

ROOT = Path(__file__).resolve().parents[2]
RNG = np.random.default_rng(0)


def twice(names: list[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


def test_no_two_rows_say_the_same_thing() -> None:
    assert twice([row.name for row in METRICS]) == []
    assert twice([row.path for row in METRICS if row.path]) == []
    assert twice(list(SCORES)) == []
    aliases = [alias for row in METRICS for alias in row.aliases]
    assert twice([*aliases, *(row.name for row in METRICS)]) == []


def test_every_column_is_measured_and_every_measure_is_a_column() -> None:
    known = {
        "pair": measures.OF_PAIR,
        "motion": measures.OF_MOTION,
        "run": measures.OF_RUN,
    }
    for of, functions in known.items():
        assert set(catalogue.measured(of)) == set(functions), of  # type: ignore[arg-type]
    frames = {*catalogue.measured("outside"), *catalogue.measured("sampled")}
    assert frames == set(measures.OF_FRAMES)
    looks = {
        name.removeprefix(OWN)
        for of in ("unit", "colour", "angle")
        for name in catalogue.measured(of)  # type: ignore[arg-type]
    }
    assert looks == set(measures.OF_LOOK)
    people = {f"{by}_{who}" for by in ("identity", "independent") for who in ("source", "target")}
    assert set(catalogue.measured("person")) == people
    assert catalogue.measured("mesh") == ("mesh_score",)


def test_every_figure_is_made_from_columns_that_there_are() -> None:
    for row in METRICS:
        if row.clip in reductions.OF_COLUMNS and row.path:
            assert row.column in SCORES, row.name
            assert not row.against or row.against in SCORES, row.name
    apart = {"given", *summary.CROWDS}
    assert {*reductions.OF_COLUMNS, *apart} == set(get_args(Clip))


def test_a_figure_stands_where_its_row_says() -> None:
    columns = {name: RNG.uniform(0.1, 0.9, 30) for name in SCORES}
    tree = summary.summarise(columns, np.zeros(30, int), 0.9, 0.8)
    paths = {path for path in gates.leaves(tree) if ".reasons" not in path}
    for row in METRICS:
        if row.path:
            assert row.path in paths, row.name
            assert gates.path_of(row.name, paths) == row.path
            assert all(gates.path_of(alias, paths) == row.path for alias in row.aliases)
    assert PER_FRAME.schema.names[6:] == list(SCORES)


def test_badness_by_hand() -> None:
    scores = {"glow": 2.0, "copied_glow": 0.5, "target_glow": 3.0}
    lower = Metric("glow", "lower", "Fidelity", columns=Columns("pair"))
    assert lower.badness(scores) == 2.0
    assert Metric("glow", "higher", "Fidelity").badness(scores) == -2.0
    assert Metric("glow", "target", "Fidelity").badness(scores) == 1.5
    above = Metric("glow", "lower", "Fidelity", clip="excess", against="target_glow")
    assert above.badness(scores) == -1.0
    apart = Metric("glow", "lower", "Fidelity", clip="apart", against="target_glow")
    assert apart.badness(scores) == 1.0
    assert np.isnan(lower.badness({}))


@pytest.mark.parametrize("path", [*docs.PAGES, docs.TEMPLATE])
def test_the_texts_say_what_the_rows_say(path: Path) -> None:
    """Else: python -m likeness.metrics.catalogue.docs --write."""
    assert docs.texts(ROOT)[path] == (ROOT / path).read_text(encoding="utf-8")


def test_every_section_has_its_table() -> None:
    page = (ROOT / "docs/evaluation.md").read_text(encoding="utf-8")
    assert [g for g in get_args(Group) if f"<!-- metrics: {g} -->" not in page] == []


# --- the how-to, word for word ---

HEAD, TAIL = "ROWS = (\n", "    # and the rows that are there\n)\n"
PIECE = re.compile(r"`(likeness/[\w/]+\.py)`:\n\n```python\n(.*?)```", re.DOTALL)
LOOKS = """\
import numpy as np, sys
from dataclasses import replace
from likeness.evaluation import scores, summary, gates
from likeness.evaluation.per_frame import PER_FRAME, SCORES
from likeness.evaluation.report import album, curves, rows
from likeness.metrics.subjects import Look, Pair, Replaced

rng = np.random.default_rng(0)
mesh = rng.uniform(0, 96, (468, 3))
lab = rng.uniform(20, 60, (96, 96, 3)).astype(np.float32)
look = Look(
    picture=rng.integers(0, 255, (96, 96, 3), np.uint8), mesh=mesh, placed=mesh,
    pose_deg=np.zeros(3), units=np.zeros(6), gaze=np.zeros((2, 2)), lids=np.ones(2), lab=lab,
    colours=np.ones((2, 3)), shading=np.zeros((48, 48), np.float32), embedding=np.ones(4),
    layers=[np.ones((4, 7, 7))], second=None,
)
pale = replace(look, lab=lab * np.float32([1, 0.5, 0.5]))
mask = np.zeros((96, 96), np.uint8)
mask[20:70, 20:70] = 255
found = scores.of_pair(Pair(pale, look, Replaced(mask)), "copied_")
assert abs(found["copied_chroma_ratio"] - 0.5) < 1e-6, found

assert {"chroma_ratio", "copied_chroma_ratio", "pasted_chroma_ratio"} <= set(PER_FRAME.schema.names)
columns = {name: rng.uniform(0.1, 0.9, 30) for name in SCORES}
tree = summary.summarise(columns, np.zeros(30, int), 0.9)
wanted = round(float(columns["chroma_ratio"].mean()), 4)
assert tree["illumination"]["chroma_ratio"]["mean"] == wanted
assert tree["illumination"]["chroma_ratio"]["target_copied"] is not None
row = next(row for row in rows.table(tree) if row["label"] == "Chroma")
assert row["value"] == f"{wanted:.2f}" and row["arrow"] == "≈", row
assert any(group.title == "Chroma ratio" for group in curves.groups(columns))
assert any(reason.name == "chroma" for reason in album.REASONS)
verdicts = gates.verdicts(tree, ["chroma_ratio <= 0.01"])
assert not verdicts["illumination.chroma_ratio.mean"]["passed"]
"""


def test_the_how_to_is_all_it_takes(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "likeness", tmp_path / "likeness")
    for path in (*docs.PAGES, docs.TEMPLATE):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / path)
    page = (ROOT / "docs/how-to/add-a-metric.md").read_text(encoding="utf-8")
    pieces = PIECE.findall(page)
    assert len(pieces) == 3
    for name, code in pieces:
        path = tmp_path / name
        text = path.read_text(encoding="utf-8")
        row = code.removeprefix(HEAD).removesuffix(TAIL)
        text = text.replace(HEAD, HEAD + row) if row != code else f"{text}\n\n{code}"
        path.write_text(text, encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-P", *command], cwd=tmp_path, env=environment,
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    done = run("-c", textwrap.dedent(LOOKS))
    assert done.returncode == 0, done.stderr
    assert run("-m", "likeness.metrics.catalogue.docs").returncode == 1
    assert run("-m", "likeness.metrics.catalogue.docs", "--write").returncode == 0
    written = (tmp_path / "docs/evaluation.md").read_text(encoding="utf-8")
    assert "| `illumination.chroma_ratio` | as the target's own |" in written
    assert "`chroma_ratio`" in (tmp_path / "docs/how-to/gate.md").read_text(encoding="utf-8")
