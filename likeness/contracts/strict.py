"""Settings whose numbers are numbers; pydantic alone, so that training needs no YAML reader."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler

MOST = 2**63 - 1
"""Largest number that is read where a class states no bound of its own."""
_NO_SCHEMA = {"default", "metadata", "serialization", "config"}
"""Parts of a core schema that hold values, not schemas."""


def make_strict(schema: object) -> None:
    """Change a core schema of pydantic in place, to its last part."""
    if isinstance(schema, list | tuple):
        for part in schema:
            make_strict(part)
    elif isinstance(schema, dict):
        _bound(schema)
        for name, part in schema.items():
            if name not in _NO_SCHEMA:
                make_strict(part)


def _bound(schema: dict[str, Any]) -> None:
    """The schema of one number or switch."""
    kind = schema.get("type")
    if kind in {"int", "float", "bool"}:
        schema["strict"] = True
    if kind in {"int", "float"}:
        most = MOST if kind == "int" else float(MOST)
        if not schema.keys() & {"ge", "gt"}:
            schema["ge"] = -most
        if not schema.keys() & {"le", "lt"}:
            schema["le"] = most
    if kind == "float":
        schema["allow_inf_nan"] = False


class Strict(BaseModel):
    """Base of what people write: numbers are finite numbers, and switches are switches.

    By itself pydantic takes `true` and "3" for numbers, and infinity and 10**25 for sizes.
    """

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> Any:
        """The class's own schema, its numbers strict, finite and bounded."""
        schema = handler(source)
        make_strict(schema)
        return schema


class Section(Strict):
    """Base of the sections of params.yaml: frozen, and unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)
