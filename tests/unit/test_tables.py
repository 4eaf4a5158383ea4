"""Tables: bytes depend on content alone, and both doors notice what is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likeness.contracts.errors import TableError
from likeness.contracts.tables.base import Table, Writer, as_numpy, fixed
from likeness.contracts.tables.sizes import ROWS_PER_GROUP

POINTS = Table(
    "points",
    3,
    pa.schema(
        [
            pa.field("index", pa.int32(), nullable=False),
            pa.field("xy", fixed(2, pa.float32()), nullable=False),
        ]
    ),
    facts=("clip",),
)


def rows(first: int, count: int) -> dict[str, np.ndarray]:
    index = np.arange(first, first + count)
    return {"index": index, "xy": np.stack([index, -index], axis=1).astype(np.float32)}


def write(path: Path, sizes: list[int], clip: str = "a") -> bytes:
    with Writer(POINTS, path) as writer:
        first = 0
        for size in sizes:
            writer.add(rows(first, size))
            first += size
        writer.facts["clip"] = clip
    return path.read_bytes()


@settings(max_examples=20, deadline=None)
@given(sizes=st.lists(st.integers(0, 700), max_size=6))
def test_bytes_do_not_depend_on_how_rows_arrive(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("tables")
    assert write(folder / "a", sizes) == write(folder / "b", [sum(sizes)])
    assert POINTS.count(folder / "a") == sum(sizes)


def test_arrays_come_back_with_their_shape(tmp_path: Path) -> None:
    write(tmp_path / "a", [5])
    batch = next(POINTS.batches(tmp_path / "a"))
    assert as_numpy(batch["xy"], (2,)).tolist() == [[i, -i] for i in range(5)]
    assert POINTS.check(tmp_path / "a") == {"clip": "a"}


def test_empty_table_keeps_schema_and_facts(tmp_path: Path) -> None:
    write(tmp_path / "a", [])
    assert POINTS.check(tmp_path / "a") == {"clip": "a"}
    assert POINTS.read(tmp_path / "a").num_rows == 0


def test_row_groups_bound_memory(tmp_path: Path) -> None:
    write(tmp_path / "a", [3 * ROWS_PER_GROUP + 1])
    assert pq.read_metadata(tmp_path / "a").num_row_groups == 4


def test_missing_fact_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="facts not given: clip"), Writer(POINTS, tmp_path / "a"):
        pass


def test_door_refuses_other_tables_versions_and_columns(tmp_path: Path) -> None:
    write(tmp_path / "a", [2])
    newer = Table("points", 4, POINTS.schema, POINTS.facts)
    with pytest.raises(TableError, match="version 3, not `points` version 4"):
        newer.check(tmp_path / "a")
    wider = Table("points", 3, POINTS.schema.append(pa.field("z", pa.int8())), POINTS.facts)
    with pytest.raises(TableError, match=r"columns differ \(z\)"):
        wider.check(tmp_path / "a")
    more = Table("points", 3, POINTS.schema, ("clip", "pack"))
    with pytest.raises(TableError, match="lacks pack"):
        more.check(tmp_path / "a")


def test_door_refuses_truncated_and_absent_files(tmp_path: Path) -> None:
    content = write(tmp_path / "a", [100])
    (tmp_path / "cut").write_bytes(content[: len(content) // 2])
    with pytest.raises(TableError, match="no readable Parquet"):
        POINTS.check(tmp_path / "cut")
    with pytest.raises(TableError, match="does not exist; run `dvc repro`"):
        POINTS.check(tmp_path / "none")
