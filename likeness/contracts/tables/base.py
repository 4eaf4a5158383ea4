"""Parquet tables whose bytes depend on their content alone, read and written in a stream."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from likeness.contracts.errors import TableError
from likeness.contracts.reads import READ
from likeness.contracts.tables.sizes import ROWS_PER_GROUP

# Arrow's own allocator keeps what is freed, per thread: resident size would grow with the clip.
pa.set_memory_pool(pa.system_memory_pool())

Facts = dict[str, Any]


@dataclass(frozen=True)
class Table:
    """A kind of table: its name, version, columns, and the facts its metadata must hold.

    A group of rows is read and written as one: `group_rows` is small where rows hold pictures.
    """

    name: str
    version: int
    schema: pa.Schema
    facts: tuple[str, ...] = ()
    group_rows: int = ROWS_PER_GROUP

    def check(self, path: Path) -> Facts:
        """Check name, version, columns and facts of the file at `path`; return the facts.

        Raises:
            TableError: with what differs and the stage to run.
        """
        try:
            file = pq.ParquetFile(path)
        except FileNotFoundError:
            raise TableError(path, "does not exist", "run `dvc repro`") from None
        except (pa.ArrowException, OSError) as error:
            reason = str(error).splitlines()[0]
            raise TableError(
                path, f"is no readable Parquet file ({reason})", "run `dvc repro`"
            ) from None
        with file:
            stored = file.metadata.metadata or {}
            kind = stored.get(b"likeness.table", b"?").decode()
            version = stored.get(b"likeness.schema_version", b"?").decode()
            if (kind, version) != (self.name, str(self.version)):
                problem = f"is `{kind}` version {version}, not `{self.name}` version {self.version}"
                raise TableError(path, problem, "run `dvc repro`")
            if not file.schema_arrow.equals(self.schema, check_metadata=False):
                wanted, given = set(self.schema.names), set(file.schema_arrow.names)
                problem = f"columns differ ({', '.join(sorted(wanted ^ given)) or 'types'})"
                raise TableError(path, problem, "run `dvc repro`")
        facts: Facts = json.loads(stored.get(b"likeness.facts", b"{}"))
        missing = [key for key in self.facts if key not in facts]
        if missing:
            raise TableError(path, f"metadata lacks {', '.join(missing)}", "run `dvc repro`")
        return facts

    def read(self, path: Path, columns: list[str] | None = None) -> pa.Table:
        """Read the whole table, or some columns, after checking it."""
        self.check(path)
        # pq.read_table would load the whole of pyarrow.dataset: most of a second in every stage.
        with pq.ParquetFile(path, pre_buffer=False) as file:
            rows = file.read(columns=columns)
        READ[self.name] += rows.num_rows
        return rows if columns is None else rows.select(columns)

    def batches(
        self, path: Path, columns: list[str] | None = None, rows: int = ROWS_PER_GROUP
    ) -> Iterator[pa.RecordBatch]:
        """Read in batches of at most `rows`, so that memory does not grow with the table."""
        self.check(path)
        with pq.ParquetFile(path, pre_buffer=False) as file:
            for batch in file.iter_batches(batch_size=rows, columns=columns, use_threads=False):
                READ[self.name] += batch.num_rows
                yield batch

    def pick(
        self,
        path: Path,
        wanted: npt.NDArray[np.integer],
        columns: list[str],
        rows: int = ROWS_PER_GROUP,
    ) -> Iterator[pa.RecordBatch]:
        """Some rows alone, in batches of at most `rows`; groups that hold none are not read.

        Args:
            path: of the table.
            wanted: indices of rows, rising.
            columns: to read.
            rows: of a batch.
        """
        self.check(path)
        with pq.ParquetFile(path, pre_buffer=False) as file:
            first = 0
            for group in range(file.num_row_groups):
                count = file.metadata.row_group(group).num_rows
                here = wanted[(wanted >= first) & (wanted < first + count)] - first
                first += count
                if not len(here):
                    continue
                READ[self.name] += count
                table = file.read_row_group(group, columns=columns, use_threads=False)
                yield from table.take(pa.array(here)).combine_chunks().to_batches(rows)

    def count(self, path: Path) -> int:
        """Number of rows."""
        self.check(path)
        return int(pq.read_metadata(path).num_rows)

    def write(self, path: Path, rows: pa.Table, facts: Facts) -> None:
        """Write a whole table at once."""
        with Writer(self, path) as writer:
            writer.add(rows)
            writer.facts.update(facts)


class Writer:
    """Writes rows as they come; `facts` may be filled until it closes.

    Rows are regrouped to the table's `group_rows`, so that the bytes do not depend on how they
    arrived.
    The path is the stage runner's temporary one: it renames the file when the stage succeeds.
    """

    def __init__(self, table: Table, path: Path) -> None:
        self.table = table
        self.facts: Facts = {}
        self.rows = 0
        self._path = path
        self._pending: list[pa.Table] = []
        self._waiting = 0
        self._file = pq.ParquetWriter(path, table.schema, compression="zstd", compression_level=3)

    def add(self, rows: pa.Table | pa.RecordBatch | dict[str, Any]) -> None:
        """Append rows: a table, a record batch, or a mapping from column to array."""
        if isinstance(rows, dict):
            rows = pa.table(
                {f.name: as_column(rows[f.name], f.type) for f in self.table.schema},
                schema=self.table.schema,
            )
        if isinstance(rows, pa.RecordBatch):
            rows = pa.Table.from_batches([rows])
        self._pending.append(rows.select(self.table.schema.names).cast(self.table.schema))
        self._waiting += rows.num_rows
        self.rows += rows.num_rows
        while self._waiting >= self.table.group_rows:
            self._flush(self.table.group_rows)

    def _flush(self, count: int) -> None:
        joined = pa.concat_tables(self._pending)
        self._file.write_table(
            joined.slice(0, count).combine_chunks(), row_group_size=self.table.group_rows
        )
        rest = joined.slice(count)
        self._pending = [rest.combine_chunks()] if rest.num_rows else []
        self._waiting = rest.num_rows

    def close(self) -> None:
        """Write what is left and the metadata.

        Raises:
            TableError: a fact that the table must state was not given.
        """
        if self._waiting:
            self._flush(self._waiting)
        missing = [key for key in self.table.facts if key not in self.facts]
        if missing:
            self._file.close()
            raise TableError(self._path, f"facts not given: {', '.join(missing)}", "report this")
        self._file.add_key_value_metadata(
            {
                "likeness.table": self.table.name,
                "likeness.schema_version": str(self.table.version),
                "likeness.facts": json.dumps(self.facts, sort_keys=True),
            }
        )
        self._file.close()

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self._file.close()


def fixed(length: int, kind: pa.DataType) -> pa.DataType:
    """Type of a column whose cells are arrays of `length` numbers."""
    return pa.list_(kind, length)


def as_column(values: Any, kind: pa.DataType) -> pa.Array:
    """Arrow array of `kind` from a NumPy array (N, ...) or a sequence of cells.

    A cell of several dimensions is stored flat, in C order.
    """
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values
    if pa.types.is_fixed_size_list(kind) and isinstance(values, np.ndarray):
        flat = pa.array(np.ascontiguousarray(values).reshape(-1), type=kind.value_type)
        return pa.FixedSizeListArray.from_arrays(flat, kind.list_size)
    if pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind):
        cells = [None if v is None else np.asarray(v).reshape(-1) for v in values]
        return pa.array(cells, type=kind)
    return pa.array(values, type=kind)


def as_numpy(column: pa.Array | pa.ChunkedArray, shape: tuple[int, ...] = ()) -> npt.NDArray[Any]:
    """NumPy array (N, *shape) from a column of numbers or of number lists without nulls."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if pa.types.is_fixed_size_list(column.type) or pa.types.is_list(column.type):
        count = len(column)
        values = _plain(column.flatten())
        tail = shape or ((-1,) if count else (0,))
        return values.reshape((count, *tail))
    return _plain(column)


def _plain(column: pa.Array) -> npt.NDArray[Any]:
    numbers = pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
    if numbers and not column.null_count:
        # `to_numpy` would load pandas: a third of what a small stage takes.
        return np.from_dlpack(column)
    return np.asarray(column.to_numpy(zero_copy_only=False))


def concatenate(tables: Iterable[pa.Table], schema: pa.Schema) -> pa.Table:
    """Join tables; none gives an empty table of `schema`."""
    joined = list(tables)
    return pa.concat_tables(joined) if joined else schema.empty_table()
