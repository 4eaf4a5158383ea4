"""`likeness gate | benchmark-ff`: commands that judge."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.common import ROOT, Json, complete_swap, print_json
from flows.process import stream
from flows.report import show_table
from flows.verdicts import Verdict, known_swaps, verdicts_of
from likeness.contracts.documents import load_yaml, read_json
from likeness.contracts.errors import LikenessError
from likeness.contracts.places import require_folder

FAILED = 1
"""Exit code where a gate does not hold; 2 is for what keeps it from being judged."""


def gate(
    swaps: Annotated[
        list[str] | None,
        typer.Argument(help="Swaps to judge; else all.", autocompletion=complete_swap),
    ] = None,
    *,
    as_json: Json = False,
) -> None:
    """Say whether the bounds of params.yaml hold; for CI.

    Reads the verdicts that `evaluate` wrote and measures nothing. Exit code 0: all hold. 1: at
    least one does not. 2: a swap with gates was not evaluated yet, or for other bounds.

    [bold]Examples[/bold]

    likeness gate

    likeness gate woman-on-man-mesh --json
    """
    found: dict[str, list[Verdict]] = {}
    faults: dict[str, LikenessError] = {}
    for name in known_swaps(ROOT, swaps or []):
        try:
            found[name] = verdicts_of(ROOT, name)
        except LikenessError as error:  # one swap without a report hides no other's verdict
            faults[name] = error
    failed = [v for listed in found.values() for v in listed if not v.passed]
    if as_json:
        _print(found, faults, failed)
    else:
        _show(found, failed, complete=not faults)
    for fault in faults.values():
        raise fault
    if failed:
        raise typer.Exit(code=FAILED)


def _print(
    found: dict[str, list[Verdict]], faults: dict[str, LikenessError], failed: list[Verdict]
) -> None:
    content = {
        "passed": not failed and not faults,
        "failed": len(failed),
        "not_judged": {name: str(fault) for name, fault in faults.items()},
        "swaps": {name: [v.as_dict() for v in listed] for name, listed in found.items()},
    }
    print_json(content)


def _show(found: dict[str, list[Verdict]], failed: list[Verdict], *, complete: bool) -> None:
    """The table, then the failed lines once more, where a log ends."""
    verdicts = [verdict for listed in found.values() for verdict in listed]
    if verdicts:
        cells = [
            (v.swap, v.metric, v.bound, _measured(v), "holds" if v.passed else "failed")
            for v in verdicts
        ]
        show_table("Gates", ("swap", "metric", "bound", "value", "verdict"), cells, state_column=4)
    for name, listed in found.items():
        if not listed:
            print(f"{name}: no gates; state some under evaluate.gates in params.yaml")
    for v in failed:
        print(f"failed: {v.swap}: {v.metric} is {_measured(v)}, not {v.bound}", file=sys.stderr)
    if verdicts and complete and not failed:
        print("every gate holds" if len(verdicts) > 1 else "the gate holds")


def _measured(verdict: Verdict) -> str:
    return "not measured" if verdict.value is None else f"{verdict.value:g}"


def benchmark_ff(
    folder: Annotated[Path, typer.Argument(help="Data set laid out as FaceForensics++.")],
    *,
    method: Annotated[
        list[str] | None, typer.Option(help="Only this method; may be given several times.")
    ] = None,
    frames: Annotated[int, typer.Option(min=1, help="Frames of each manipulated video.")] = 10,
    gallery_frames: Annotated[
        int, typer.Option(min=0, help="Frames of each original; 0: all, as in the papers.")
    ] = 0,
    compression: Annotated[str, typer.Option(help="raw, c23, c40; where there are several.")] = "",
    out: Annotated[Path, typer.Option(help="Folder for the tables.")] = Path(
        "reports/benchmark-ff"
    ),
    as_json: Json = False,
) -> None:
    """Run the FaceForensics++ protocol: ID retrieval, pose and expression error per method.

    Writes tables as Markdown, CSV and JSON. Videos without a face, broken or misnamed are counted
    with the reason. Interrupted, the same command goes on where it was.

    [bold]Examples[/bold]

    likeness benchmark-ff ~/FaceForensics++ --compression c23

    likeness benchmark-ff set/ --method FaceSwap --gallery-frames 50 --out reports/quick
    """
    pack = (load_yaml(ROOT / "params.yaml").get("pack") or {}).get("name", "embedded")
    if not folder.is_dir():
        raise LikenessError(folder, "is no folder", "name one that is laid out as FaceForensics++")
    require_folder(out, ROOT)
    arguments = [f"--pack=data/packs/{pack}", "--judge=data/packs/judge", f"--frames={frames}"]
    arguments += [f"--compression={compression}"] if compression else []
    arguments += [f"--gallery-frames={gallery_frames}"] if gallery_frames else []
    arguments += [f"--method={name}" for name in method or []]
    arguments += ["--", str(folder), str(out)]  # a name may begin with a dash
    command = [sys.executable, "-m", "apps.protocols.faceforensics", *arguments]
    code = stream(command, _to_stderr if as_json else _nothing, echo=not as_json)
    if code != 0:
        raise typer.Exit(code=code if 0 < code < 128 else 1)
    if as_json:
        print_json(read_json(out / "benchmark.json"))


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr)


def _nothing(_line: str) -> None:
    """What the process says is echoed already."""
