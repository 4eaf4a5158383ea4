"""Questions to the crops tables."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from likeness.contracts.errors import LikenessError, TableError
from likeness.contracts.query import COLUMNS, QueryError, parse, query
from models.analysers.pack import load_pack
from tests.synthetic_faces import crop_rows, write_crops

YAWS = [-40.0, -10.0, 0.0, 10.0, 35.0, 50.0]


@pytest.fixture(scope="module")
def tables(pack_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("crops") / "ann"
    canonical, _ = load_pack(pack_folder).canonical_mesh()
    rows = crop_rows([(yaw, 5.0) for yaw in YAWS], canonical)
    rows["sharpness"] = np.array([10, 20, 60, 70, 40, 90], np.float32)
    return [write_crops(folder / "one.parquet", rows), write_crops(folder / "two.parquet", rows)]


@pytest.mark.parametrize(
    ("expression", "frames"),
    [
        ("yaw > 30 and sharpness > 50", [5]),
        ("yaw > 30 or sharpness >= 70", [3, 4, 5]),
        ("not yaw > 0", [0, 1, 2]),
        ("abs(yaw) < 15", [1, 2, 3]),
        ("-15 < yaw <= 10", [1, 2, 3]),
        ("frame_index in (1, 4)", [1, 4]),
        ("frame_index not in [1, 4] and pts_s * 25 % 2 == 0", [0, 2]),
        ("yaw / 2 + 5 > 25", [5]),
        ("pitch == 5", [0, 1, 2, 3, 4, 5]),
        ("clip == 'two' and yaw == 0", [2]),
        ("yaw > 90", []),
    ],
)
def test_answers(tables, expression, frames):
    found = query(expression, tables)
    assert tuple(found.columns) == COLUMNS
    of_second = found[found["clip"] == "two"]
    assert of_second["frame_index"].tolist() == frames
    clips = 1 if "clip" in expression else 2
    assert len(found) == clips * len(frames)


def test_an_empty_question_takes_all_and_no_tables_give_no_rows(tables):
    assert len(query("", tables)) == 2 * len(YAWS)
    empty = query("yaw > 3", [])
    assert tuple(empty.columns) == COLUMNS
    assert isinstance(empty, pd.DataFrame)
    assert len(empty) == 0


def test_an_unknown_column_is_named_with_what_comes_close(tables):
    with pytest.raises(QueryError, match="`sharpnes`: is no column; did you mean `sharpness`"):
        query("sharpnes > 3", tables)
    with pytest.raises(QueryError, match="columns: clip, frame_index"):
        query("zzz > 3", [])  # found before any table is opened


@pytest.mark.parametrize(
    "expression",
    [
        "__import__('os').system('true')",
        "yaw.real > 0",
        "(lambda: 1)() > 0",
        "[y for y in clip] == 1",
        "yaw[0] > 1",
        "open('x') > 1",
        "abs(yaw, pitch) > 1",
        "abs(clip) > 1",
        "9 ** 9 ** 9 > yaw",
        "f'{yaw}' == 'x'",
        "(yaw := 3) > 2",
        "yaw if yaw > 1 else pitch",
        "yaw is None",
        "clip in 'abc'",
        "yaw > 1j",
        "yaw > None",
        "clip + clip == 'aa'",
    ],
)
def test_what_is_more_than_a_question_is_refused(tables, expression):
    with pytest.raises(QueryError):
        query(expression, tables)


@pytest.mark.parametrize("expression", ["yaw", "1", "yaw >", "yaw and pitch", "clip > 3", "'a'"])
def test_what_is_no_condition_is_refused(tables, expression):
    with pytest.raises(QueryError):
        query(expression, tables)


def test_a_table_of_another_kind_is_refused(tables, tmp_path):
    stray = tmp_path / "stray.parquet"
    stray.write_bytes(b"no table")
    with pytest.raises(TableError, match=r"stray\.parquet"):
        query("yaw > 1", [stray])


@given(st.text(max_size=60))
@example("(" * 60)
@example("not " * 900 + "yaw > 1")
@example("\x00")
@example("1" * 5000 + " > yaw")
def test_no_text_makes_it_fail_otherwise(text):
    try:
        parse(text)
    except LikenessError as error:
        assert "\n" not in error.problem  # one line for the reader


def test_the_module_needs_no_heavy_package():
    code = (
        "import sys, likeness.contracts.query;"
        "print([m for m in ('torch', 'cv2', 'onnxruntime') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
