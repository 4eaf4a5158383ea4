"""`likeness status | graph | query`: commands that only look."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.commands.common import ROOT, Json, complete_identity, print_json
from flows.graph_layout import reduce
from flows.remarks import say_remarks
from flows.removal import say_out_of_date
from flows.report import show_table
from flows.status import brief, read_state, will_run
from likeness.contracts.catalog import find_identity
from likeness.contracts.errors import GraphError


def status(as_json: Json = False) -> None:
    """Say what is out of date, why, and what will run.

    [bold]Examples[/bold]

    likeness status

    likeness status --json
    """
    if not as_json:
        say_out_of_date(ROOT)  # first: it may be why the next line fails
    graph, stale = read_state(ROOT)
    runs = will_run(graph, stale)
    if as_json:
        print_json({"stale": {a: list(why) for a, why in stale.items()}, "will_run": runs})
        return
    say_remarks(ROOT)
    if not runs:
        print("everything is up to date")
        return
    rows = [(a, brief(stale.get(a, ("if its input changes",)))) for a in runs]
    show_table("Will run", ("stage", "because"), rows)


def graph(
    picture: Annotated[Path | None, typer.Option(help="Write a .png or .svg instead.")] = None,
    as_json: Json = False,
) -> None:
    """Show the graph: every stage with what it reads from, or a picture of it.

    [bold]Examples[/bold]

    likeness graph

    likeness graph --picture graph.png
    """
    found, stale = read_state(ROOT)
    if picture is not None:
        kind = picture.suffix.lstrip(".").lower()
        if kind not in {"png", "svg"}:
            raise GraphError(picture, "is neither .png nor .svg", "choose one of them")
        from flows.pictures import draw_graph

        runs = set(will_run(found, stale))
        states = {
            a: "tracked" if n.footage else "stale" if a in runs else "cached"
            for a, n in found.nodes.items()
        }
        picture.write_bytes(draw_graph(found, states, kind))
        print(f"wrote {picture}")
        return
    if as_json:
        print_json([{"stage": n.address, "resource": n.resource,
                     "upstream": list(found.upstream[n.address])}
                    for n in found.stages])  # fmt: skip
        return
    # What a longer path implies is left out, as in the picture: `names` stands before everything.
    above = reduce({address: set(up) for address, up in found.upstream.items()})
    rows = [(n.address, n.resource, ", ".join(sorted(above[n.address]))) for n in found.stages]
    show_table("Stages", ("stage", "resource", "reads from"), rows)


def query(
    expression: Annotated[str, typer.Argument(help="A condition on the columns of faces.")] = "",
    *,
    identity: Annotated[
        str, typer.Option(help="Only this identity.", autocompletion=complete_identity)
    ] = "",
    limit: Annotated[int, typer.Option(min=1, help="Rows to print; --json prints all.")] = 40,
    as_json: Json = False,
) -> None:
    """Find faces by what the tables say of them: pose, sharpness, similarity, time.

    [bold]Examples[/bold]

    likeness query "yaw > 10 and sharpness > 50"

    likeness query "abs(yaw) < 5" --identity woman --json
    """
    from likeness.contracts.query import query as ask

    if identity:
        find_identity(identity, ROOT / "data")
    tables = sorted((ROOT / "data/crops").glob(f"{identity or '*'}/*.parquet"))
    if not tables:
        where = f"data/crops/{identity}".rstrip("/")
        raise GraphError(where, "holds no crops yet", "run `likeness swap` first")
    rows = ask(expression, tables)
    if as_json:
        print(rows.to_json(orient="records", indent=2))
        return
    columns = [str(column) for column in rows.columns]
    cells = [[_short(value) for value in row] for row in rows.head(limit).itertuples(index=False)]
    show_table("Faces", columns, cells)
    more = f", the first {limit} shown" if len(rows) > limit else ""
    print(f"\n{len(rows)} faces in {len(tables)} tables{more}")


def _short(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)
