"""What several commands share: confirmation, JSON, names for shell completion."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.clips import names
from likeness.contracts.documents import to_json
from likeness.contracts.errors import LikenessError

ROOT = Path()
"""Commands run at the root of the repository; paths in messages are relative to it."""

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")]


def require_root() -> None:
    """Check that the current folder is the repository.

    Raises:
        LikenessError: it is not.
    """
    if not (ROOT / "dvc.yaml").is_file() or not (ROOT / "params.yaml").is_file():
        step = "change to the folder that holds dvc.yaml and params.yaml"
        raise LikenessError(Path.cwd(), "is not the root of a Likeness repository", step)


def confirm(question: str, yes: bool) -> None:
    """Go on only after a yes: from `--yes`, or from the person at the terminal.

    Raises:
        LikenessError: nobody is there to ask.
        typer.Exit: the answer was no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise LikenessError(question, "needs a confirmation and nobody can be asked", "add --yes")
    if not typer.confirm(question):
        print("nothing was changed")
        raise typer.Exit(code=1)


def print_json(content: Any) -> None:
    """Print `content` as JSON, keys sorted."""
    print(to_json(content), end="")


def _complete(kind: str, incomplete: str) -> list[str]:
    try:
        return [name for name in names(kind, ROOT) if name.startswith(incomplete)]
    except LikenessError:
        return []  # completion must never print an error into the command line


def complete_swap(incomplete: str) -> list[str]:
    """Swaps for shell completion."""
    return _complete("swaps", incomplete)


def complete_model(incomplete: str) -> list[str]:
    """Models for shell completion, continued ones included."""
    return sorted(_complete("models", incomplete) + _complete("finetuned", incomplete))


def complete_identity(incomplete: str) -> list[str]:
    """Identities for shell completion."""
    found = sorted(ROOT.glob("data/identities/*/identity.yaml"))
    return [p.parent.name for p in found if p.parent.name.startswith(incomplete)]


def complete_clip(incomplete: str) -> list[str]:
    """Clips for shell completion."""
    found = sorted(ROOT.glob("data/clips/*/clip.yaml"))
    return [p.parent.name for p in found if p.parent.name.startswith(incomplete)]


def complete_consent(incomplete: str) -> list[str]:
    """Consent records for shell completion."""
    found = sorted(ROOT.glob("data/consents/*.yaml"))
    return [p.stem for p in found if p.stem.startswith(incomplete)]
