"""`likeness`: the command line. `python -m flows.cli` is the same.

Commands that change anything take `--yes`, commands that list or report take `--json`.
"""

from __future__ import annotations

import io
import sys
from typing import NoReturn

import typer
from typer.exceptions import TyperException

from flows.changes import recover
from flows.commands import clips, edits, judge, learn, live, look, runs, verdicts
from flows.commands.common import ROOT, require_root
from likeness.contracts.errors import LikenessError

INTERRUPTED = 130
"""Exit code after Ctrl-C; Typer turns the exception into it."""

app = typer.Typer(
    name="likeness",
    help="Rebuild face replacements from versioned footage, with consent and lineage.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
app.command("swap", rich_help_panel="Rebuild")(runs.swap)
app.command("rebuild", rich_help_panel="Rebuild")(runs.rebuild)
app.command("ui", rich_help_panel="Rebuild")(runs.ui)
app.command("fetch", rich_help_panel="Rebuild")(runs.fetch)
app.command("add", rich_help_panel="Footage")(clips.add)
app.command("remove", rich_help_panel="Footage")(clips.remove)
app.command("replace", rich_help_panel="Footage")(edits.replace)
app.command("rename", rich_help_panel="Footage")(edits.rename)
app.command("assign", rich_help_panel="Footage")(edits.assign)
app.command("list", rich_help_panel="Footage")(clips.list_clips)
app.command("sync", rich_help_panel="Footage")(clips.sync_clips)
app.command("export-frames", rich_help_panel="Footage")(runs.export_frames)
app.command("live", rich_help_panel="Use")(live.live)
app.command("export", rich_help_panel="Use")(live.export)
app.command("gate", rich_help_panel="Judge")(verdicts.gate)
app.command("benchmark-ff", rich_help_panel="Judge")(verdicts.benchmark_ff)
app.command("train", rich_help_panel="Learn")(learn.train)
app.command("families", rich_help_panel="Learn")(learn.families)
app.command("status", rich_help_panel="Look")(look.status)
app.command("query", rich_help_panel="Look")(look.query)
app.command("graph", rich_help_panel="Look")(look.graph)
app.command("report", rich_help_panel="Judge")(judge.report)
app.command("compare", rich_help_panel="Judge")(judge.compare)
app.command("experiments", rich_help_panel="Judge")(judge.experiments)


@app.callback()
def _at_the_root() -> None:
    require_root()
    recover(ROOT, lambda text: print(text, file=sys.stderr))


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run a command and exit: 0, 1 for "no", 2 with one line for an error, 130 for Ctrl-C."""
    for out in (sys.stdout, sys.stderr):
        if isinstance(out, io.TextIOWrapper):  # a file's name need not be UTF-8
            out.reconfigure(errors="backslashreplace")
    try:
        code = app(arguments, standalone_mode=False, prog_name="likeness")
    except LikenessError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except TyperException as error:
        print(
            f"error: {error.format_message().rstrip('.')}; see `likeness --help`", file=sys.stderr
        )
        sys.exit(2)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except OSError as error:
        where = error.filename or "likeness"
        print(f"error: {where}: {error.strerror or error}; correct that", file=sys.stderr)
        sys.exit(2)
    if code == INTERRUPTED:
        print("interrupted; run the same command again to go on", file=sys.stderr)
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
