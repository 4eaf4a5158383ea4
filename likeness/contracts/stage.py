"""The stage runner: arguments, parameters, schemas at both doors, progress, atomic outputs."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from importlib.abc import MetaPathFinder
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeAlias, TypeVar

from pydantic import BaseModel

from likeness.contracts import atomic
from likeness.contracts.commands import ended
from likeness.contracts.errors import LikenessError
from likeness.contracts.listed_code import require_listed
from likeness.contracts.names import Filler
from likeness.contracts.orphans import end_with_dvc
from likeness.contracts.progress import Advance, progress
from likeness.contracts.reads import READ
from likeness.contracts.sections import PARAMS_FILE, load_section

if TYPE_CHECKING:
    # Arrow and numpy take longer to import than all the rest: stages without tables
    # (`roster`, one for each person and always run) do without.
    from likeness.contracts.tables.base import Facts, Table

P = TypeVar("P", bound=BaseModel)
Door: TypeAlias = "Table | None"
"""What stands behind a path argument: a table, whose schema is checked, or any file or folder."""


@dataclass(frozen=True)
class Context(Generic[P]):
    """What a stage's `run` receives.

    Attributes:
        params: the validated section of params.yaml.
        inputs: argument name -> path, already checked if it is a table.
        outputs: argument name -> temporary path to write; the runner renames it on success.
        options: further arguments, such as the key of a swap.
        facts: argument name -> metadata facts of each input table.
        params_file: the params.yaml in use, for entries (`load_entry`).
        final_outputs: argument name -> the name each output will bear.
    """

    params: P
    inputs: dict[str, Path]
    outputs: dict[str, Path]
    options: dict[str, str]
    facts: dict[str, Facts]
    params_file: Path
    final_outputs: dict[str, Path]

    def progress(self, label: str, total: int | None = None) -> AbstractContextManager[Advance]:
        """Progress of long work: `with context.progress("frames", 472) as advance: advance(1)`."""
        return progress(label, total)

    def say(self, message: str) -> None:
        """Print one line for the person who watches (to stderr)."""
        print(message, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Stage(Generic[P]):
    """A DVC stage: `python -m tasks.<name> --<argument> PATH ...`.

    Attributes:
        name: module name under tasks/, and section of params.yaml.
        params: pydantic class of that section.
        inputs: argument name -> Table to check, or None for any file or folder.
        outputs: the same for what is written.
        options: arguments that are no paths.
        overrides: gives keys that replace those of the section, from the options and params file.
    """

    name: str
    params: type[P]
    inputs: dict[str, Door]
    outputs: dict[str, Door]
    run: Callable[[Context[P]], None]
    options: tuple[str, ...] = ()
    overrides: Callable[[dict[str, str], Path], dict[str, Any]] | None = None
    description: str = field(default="")

    def parser(self) -> argparse.ArgumentParser:
        """Parser of the stage's command line."""
        parser = argparse.ArgumentParser(
            prog=f"python -m tasks.{self.name}", description=self.description
        )
        for name in (*self.options, *self.inputs, *self.outputs):
            metavar = "NAME" if name in self.options else "PATH"
            parser.add_argument(
                f"--{name.replace('_', '-')}", dest=name, required=True, metavar=metavar
            )
        parser.add_argument("--params", type=Path, default=PARAMS_FILE, metavar="PATH")
        return parser

    def execute(self, arguments: list[str] | None = None) -> None:
        """Run once.

        Raises:
            LikenessError: bad parameters, inputs or outputs, or code that is not what stage `code`
                listed; nothing stands under a final name.
        """
        given = vars(self.parser().parse_args(arguments))
        require_listed(self.name)
        names = Filler(given["params"])
        for name in (*self.options, *self.inputs, *self.outputs):
            given[name] = names.fill(given[name])
        options = {name: str(given[name]) for name in self.options}
        overrides = self.overrides(options, given["params"]) if self.overrides else None
        params = load_section(self.name, self.params, given["params"], overrides)
        inputs = {name: Path(given[name]) for name in self.inputs}
        final = {name: Path(given[name]) for name in self.outputs}
        facts = {name: self._enter(name, path) for name, path in inputs.items()}
        READ.clear()
        with contextlib.ExitStack() as stack:
            temporary = {n: stack.enter_context(atomic.atomic_path(p)) for n, p in final.items()}
            self.run(Context(params, inputs, temporary, options, facts, given["params"], final))
            for name, path in temporary.items():
                self._leave(name, path, final[name])
        # ExitStack renames in reverse order, so the first declared output appears last.
        if READ:
            rows = ", ".join(f"{name} {count}" for name, count in sorted(READ.items()))
            print(f"{self.name}: rows read: {rows}", file=sys.stderr, flush=True)

    def _enter(self, name: str, path: Path) -> Facts:
        door = self.inputs[name]
        if not path.exists():
            raise LikenessError(path, f"input of `{self.name}` is missing", "run `dvc repro`")
        return door.check(path) if door else {}

    def _leave(self, name: str, path: Path, final: Path) -> None:
        door = self.outputs[name]
        if not path.exists():
            raise LikenessError(final, f"`{self.name}` did not write it", "report this")
        if door:
            door.check(path)

    def main(self, arguments: list[str] | None = None) -> NoReturn:
        """Run and exit: 0, 2 with one line for a LikenessError, 130 for Ctrl-C."""
        end_with_dvc()
        if arguments is None and "pyarrow" in sys.modules:
            keep_arrow_from_pandas()
        left = f"{self.name}: interrupted; nothing half written is left"
        step = "free space or correct permissions, then run `dvc repro`"
        sys.exit(ended(lambda: self.execute(arguments), self.name, left, step))


class _WithoutPandas(MetaPathFinder):
    """Finds no pandas."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> None:
        """None for every module but pandas.

        Raises:
            ModuleNotFoundError: for pandas.
        """
        if fullname == "pandas":
            raise ModuleNotFoundError("stages do without pandas", name=fullname)


def keep_arrow_from_pandas() -> None:
    """Let Arrow note that there is no pandas; others (torch, Ray) find it afterwards.

    No stage uses it, and it takes longer to import than all the rest. Arrow looks for it once, with
    the first list that it is given, and does without where it is not.
    """
    import pyarrow as pa

    finder = _WithoutPandas()
    sys.meta_path.insert(0, finder)
    try:
        pa.array([0])
    finally:
        sys.meta_path.remove(finder)
