"""Questions to the crops tables: `yaw > 10 and sharpness > 50`.

The expression is read by Python's own parser and then walked: comparisons, `and`, `or`, `not`,
`in` with a list, arithmetic, numbers, strings, the names of columns and `abs`. Nothing else, so
that no question can run code.
"""

from __future__ import annotations

import ast
import difflib
import operator
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from likeness.contracts.errors import LikenessError
from likeness.contracts.tables.base import as_numpy
from likeness.contracts.tables.crops import CROPS

Column = npt.NDArray[Any]

COLUMNS = (
    "clip",
    "frame_index",
    "pts_s",
    "yaw",
    "pitch",
    "roll",
    "similarity",
    "sharpness",
    "mesh_error",
    "track_index",
    "shot_index",
)
"""Columns that an expression may name; angles in degrees, times in seconds."""
_ANGLES = ("yaw", "pitch", "roll")
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
}
_EXAMPLE = 'write for example "yaw > 10 and sharpness > 50"'


class QueryError(LikenessError):
    """An expression that cannot be read or answered."""


def query(expression: str, paths: Iterable[Path]) -> pd.DataFrame:
    """Rows of crops tables for which `expression` is true, in the order of `paths`, with COLUMNS.

    Args:
        expression: over COLUMNS; an empty one takes all rows.
        paths: data/crops/<identity>/<clip>.parquet files.

    Raises:
        QueryError: the expression names an unknown column, or more than is allowed.
        TableError: a path is no crops table.
    """
    tree = parse(expression)
    parts = [_answer(expression, tree, _columns(path)) for path in paths]
    if parts:
        return pd.concat(parts, ignore_index=True)
    return pd.DataFrame({name: [] for name in COLUMNS})


def parse(expression: str) -> ast.expr | None:
    """Tree of an expression, checked for what it may hold; None for an empty one.

    Raises:
        QueryError: what is wrong, and where.
    """
    if not expression.strip():
        return None
    try:
        tree = ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else "too deep"
        raise QueryError(f"`{expression}`", f"cannot be read ({reason})", _EXAMPLE) from None
    # No rows, but of the right kinds: whatever cannot be computed is found before any file is.
    empty: dict[str, Column] = {
        name: np.zeros(0, object if name == "clip" else np.float64) for name in COLUMNS
    }
    _mask(expression, tree, empty)
    return tree


def _columns(path: Path) -> dict[str, Column]:
    stored = [name for name in COLUMNS if name not in (*_ANGLES, "clip")]
    facts = CROPS.check(path)
    table = CROPS.read(path, [*stored, "pose_deg"])
    pose = as_numpy(table["pose_deg"], (3,))
    columns: dict[str, Column] = {name: as_numpy(table[name]) for name in stored}
    columns |= {name: pose[:, place] for place, name in enumerate(_ANGLES)}
    columns["clip"] = np.full(table.num_rows, facts["clip"], object)
    return columns


def _answer(expression: str, tree: ast.expr | None, columns: dict[str, Column]) -> pd.DataFrame:
    frame = pd.DataFrame({name: columns[name] for name in COLUMNS})
    return frame if tree is None else frame[_mask(expression, tree, columns)]


def _mask(expression: str, tree: ast.expr, columns: dict[str, Column]) -> npt.NDArray[np.bool_]:
    count = len(columns["clip"])
    try:
        value = np.asarray(_value(tree, columns))
    except TypeError:
        step = "compare numbers with numbers and clip with a name in quotes"
        raise QueryError(f"`{expression}`", "mixes text and numbers", step) from None
    except RecursionError:
        raise QueryError(f"`{expression[:40]}...`", "is nested too deeply", _EXAMPLE) from None
    if value.dtype != np.bool_:
        problem = "is a number, not a condition" if value.dtype != object else "is no condition"
        raise QueryError(f"`{expression}`", problem, _EXAMPLE)
    return np.broadcast_to(value, count)


def _value(node: ast.expr, columns: dict[str, Column]) -> Any:
    """Value of a node: a column, a number, a text, or truth per row."""
    handler = _HANDLERS.get(type(node))
    if handler is None:
        raise _refused(node)
    return handler(node, columns)


def _refused(node: ast.expr) -> QueryError:
    allowed = "allowed are comparisons, and, or, not, in, + - * / %, abs() and columns"
    return QueryError(f"`{ast.unparse(node)}`", "is not allowed in a query", allowed)


def _constant(node: ast.Constant, _columns: dict[str, Column]) -> Any:
    if isinstance(node.value, bool | int | float | str):
        return node.value
    raise _refused(node)


def _name(node: ast.Name, columns: dict[str, Column]) -> Any:
    if node.id in columns:
        return columns[node.id]
    close = difflib.get_close_matches(node.id, COLUMNS, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(f'`{name}`' for name in close)}? " if close else ""
    raise QueryError(f"`{node.id}`", "is no column", f"{hint}columns: {', '.join(COLUMNS)}")


def _compare(node: ast.Compare, columns: dict[str, Column]) -> Any:
    result: Any = True
    left = _value(node.left, columns)
    for sign, right_node in zip(node.ops, node.comparators, strict=True):
        if isinstance(sign, ast.In | ast.NotIn):
            found = _contained(left, right_node, columns)
            step, right = (~found if isinstance(sign, ast.NotIn) else found), left
        elif type(sign) in _COMPARISONS:
            right = _value(right_node, columns)
            _same_kind(left, right)
            step = _COMPARISONS[type(sign)](left, right)
        else:
            raise _refused(node)
        result, left = np.logical_and(result, step), right
    return result


def _contained(left: Any, node: ast.expr, columns: dict[str, Column]) -> Any:
    if not isinstance(node, ast.Tuple | ast.List | ast.Set):
        raise _refused(node)
    found = np.zeros(np.shape(left), np.bool_)
    for item in node.elts:
        value = _value(item, columns)
        _same_kind(left, value)
        found = np.logical_or(found, left == value)
    return found


def _same_kind(left: Any, right: Any) -> None:
    """Text and numbers are never equal nor ordered; saying so beats an empty answer."""
    if _is_text(left) != _is_text(right):
        raise TypeError


def _is_text(value: Any) -> bool:
    return isinstance(value, str) or np.asarray(value).dtype == object


def _boolean(node: ast.BoolOp, columns: dict[str, Column]) -> Any:
    join = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
    result = _truth(_value(node.values[0], columns), node.values[0])
    for item in node.values[1:]:
        result = join(result, _truth(_value(item, columns), item))
    return result


def _truth(value: Any, node: ast.expr) -> Any:
    if np.asarray(value).dtype != np.bool_:
        raise QueryError(f"`{ast.unparse(node)}`", "is no condition", _EXAMPLE)
    return value


def _unary(node: ast.UnaryOp, columns: dict[str, Column]) -> Any:
    value = _value(node.operand, columns)
    if isinstance(node.op, ast.Not):
        return np.logical_not(_truth(value, node.operand))
    if isinstance(node.op, ast.USub | ast.UAdd) and not _is_text(value):
        return -np.asarray(value) if isinstance(node.op, ast.USub) else value
    raise _refused(node)


def _binary(node: ast.BinOp, columns: dict[str, Column]) -> Any:
    if type(node.op) not in _ARITHMETIC:
        raise _refused(node)
    left, right = _value(node.left, columns), _value(node.right, columns)
    if _is_text(left) or _is_text(right):
        raise _refused(node)
    with np.errstate(divide="ignore", invalid="ignore"):
        return _ARITHMETIC[type(node.op)](np.asarray(left, np.float64), right)


def _call(node: ast.Call, columns: dict[str, Column]) -> Any:
    known = isinstance(node.func, ast.Name) and node.func.id == "abs"
    if not known or len(node.args) != 1 or node.keywords:
        raise _refused(node)
    value = _value(node.args[0], columns)
    if _is_text(value):
        raise _refused(node)
    return np.abs(value)


_HANDLERS: dict[type[ast.expr], Callable[[Any, dict[str, Column]], Any]] = {
    ast.Constant: _constant,
    ast.Name: _name,
    ast.Compare: _compare,
    ast.BoolOp: _boolean,
    ast.UnaryOp: _unary,
    ast.BinOp: _binary,
    ast.Call: _call,
}
