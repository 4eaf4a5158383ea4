"""What a rebuild leaves on its run page: stages with hashes, the graph, metrics, pictures."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from flows.graph import StageNode
from flows.pictures import data_address, draw_graph, file_address
from flows.rebuild_state import Board
from flows.report import metrics_rows, swap_outputs


def stage_rows(board: Board) -> list[dict[str, Any]]:
    """One row per stage and output: stage, state, seconds, output, hash, depends_on."""
    return [_row(board, node, output) for node in board.graph.stages for output in node.outputs]


def _row(board: Board, node: StageNode, output: str) -> dict[str, Any]:
    outcome = board.outcomes.get(node.address)
    above = [board.graph.nodes[a].label for a in board.graph.upstream[node.address]]
    return {
        "stage": node.address,
        "state": board.state_of(node.address),
        "seconds": outcome.seconds if outcome else None,
        "output": output,
        "hash": (outcome.hashes.get(output, "") if outcome else "")[:12],
        "depends_on": ", ".join(above),
    }


def _key(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def publish_artifacts(board: Board) -> None:
    """Attach all artifacts to the flow run that is running now.

    Pictures go into Markdown as `data:` addresses: the page of an image artifact prints the
    whole address below the picture.
    """
    create_table_artifact(stage_rows(board), key="stages", description="What became of each stage")
    states = {address: board.state_of(address) for address in board.graph.nodes}
    picture = data_address(draw_graph(board.graph, states), "graph.png")
    create_markdown_artifact(
        f"![the graph]({picture})\n", key="graph", description="The graph, coloured by state"
    )
    swaps = board.graph.swaps()
    rows = [row for swap in swaps for row in metrics_rows(swap, board.root)]
    if rows:
        create_table_artifact(rows, key="metrics", description="metrics.json of each swap")
    for swap in swaps:
        text = swap_page(swap, board.root)
        create_markdown_artifact(text, key=_key(f"swap-{swap}"), description=f"Result of {swap}")


def swap_page(swap: str, root: Path) -> str:
    """Markdown with the contact sheet, the metrics and the files of one swap."""
    parts = [f"# {swap}"]
    sheet = root / "data/swaps" / swap / "report/contact_sheet.jpg"
    if sheet.is_file():
        parts.append(f"![faces]({file_address(sheet)})")
    if rows := metrics_rows(swap, root):
        lines = [f"| {row['metric']} | {row['value']} |" for row in rows]
        parts.append("\n".join(["| metric | value |", "|---|---|", *lines]))
    found = [path for path in swap_outputs(swap) if (root / path).is_file()]
    if found:
        parts.append("Open these files on the machine that ran the rebuild:")
        parts.append("\n".join(f"- `{(root / path).resolve()}`" for path in found))
    return "\n\n".join(parts) + "\n"
