"""`likeness report | compare | experiments`: where people judge swaps."""

from __future__ import annotations

import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.common import ROOT, Json, complete_swap, print_json
from flows.comparison import compare_swaps
from flows.report import show_table
from flows.reports import find_swaps, write_reports
from likeness.contracts.places import require_folder

Open = Annotated[bool, typer.Option("--open", help="Show it in a browser.")]


def _tell(paths: Sequence[Path], first: Path, *, as_json: bool, show: bool) -> None:
    """Print what was written, one path a line; open `first` if asked to."""
    if as_json:
        print_json([str(path) for path in paths])
    else:
        print("\n".join(map(str, paths)))
    if show and not webbrowser.open((ROOT / first).resolve().as_uri()):
        print("no browser answers here; open the page by hand", file=sys.stderr)


def report(
    swaps: Annotated[
        list[str] | None, typer.Argument(help="Swaps; else all.", autocompletion=complete_swap)
    ] = None,
    *,
    show: Open = False,
    as_json: Json = False,
) -> None:
    """Write a page per swap and an index over all of them to reports/.

    A page holds everything, needs no network, and says what changed since the last commit.

    [bold]Examples[/bold]

    likeness report --open

    likeness report woman-on-man-mesh
    """
    names = swaps or []
    written = write_reports(ROOT, names)
    first = written[0] if len(names) == 1 else written[-1]
    _tell(written, first, as_json=as_json, show=show)


def compare(
    swaps: Annotated[
        list[str], typer.Argument(help="Two to six swaps.", autocompletion=complete_swap)
    ],
    *,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write to; reports/compare-... by default.")
    ] = None,
    show: Open = False,
    as_json: Json = False,
) -> None:
    """Put swaps of one target side by side: a page, a film of the same frames, and tables.

    [bold]Example[/bold]

    likeness compare woman-on-man-mesh woman-on-man-autoencoder --open
    """
    if out is not None:
        require_folder(out, ROOT)
    written = compare_swaps(ROOT, swaps, out)
    _tell(written, written[0], as_json=as_json, show=show)


def experiments(
    swaps: Annotated[
        list[str] | None, typer.Argument(help="Swaps; else all.", autocompletion=complete_swap)
    ] = None,
    *,
    commits: Annotated[int, typer.Option(min=1, help="Commits to look back.")] = 1,
    as_json: Json = False,
) -> None:
    """Show experiments with the key metrics of each swap: `dvc exp show`, made to fit a screen.

    [bold]Examples[/bold]

    likeness experiments

    likeness experiments woman-on-man-mesh --commits 5
    """
    from flows import experiments as known

    names = [swap.name for swap in find_swaps(ROOT, swaps or [])]
    judged = [swap.name for swap in find_swaps(ROOT) if swap.metrics is not None]
    lone = judged[0] if len(judged) == 1 else None
    found = known.lines(known.experiments(ROOT, commits), names, lone)
    if as_json:
        print_json(found)
        return
    show_table("Experiments", known.heading(), [known.cells(line) for line in found])


def report_after_run(swaps: Sequence[str]) -> None:
    """Refresh the reports at the end of a run and say where they are; never fails the run."""
    try:
        written = write_reports(ROOT)
    except Exception as error:  # whatever is wrong with a page, the run was good
        print(f"the reports were not written: {error}", file=sys.stderr)
        return
    mine = [path for path in written if path.stem in swaps]
    print(f"\nreports: {', '.join(map(str, [written[-1], *mine]))}")
