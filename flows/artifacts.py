"""What a rebuild leaves on its run page: stages with hashes, the graph, metrics, pictures."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from flows.graph import StageNode
from flows.pictures import data_address, draw_graph, file_address
from flows.rebuild_state import RebuildState
from flows.report import metrics_rows, swap_outputs


def stage_rows(rebuild_state: RebuildState) -> list[dict[str, Any]]:
    """One row per stage and output: stage, state, seconds, output, hash, depends_on."""
    return [
        _row(rebuild_state, node, output)
        for node in rebuild_state.graph.stages
        for output in node.outputs
    ]


def _row(rebuild_state: RebuildState, node: StageNode, output: str) -> dict[str, Any]:
    outcome = rebuild_state.outcomes.get(node.address)
    above = [rebuild_state.graph.nodes[a].label for a in rebuild_state.graph.upstream[node.address]]
    return {
        "stage": node.address,
        "state": rebuild_state.state_of(node.address),
        "seconds": outcome.seconds if outcome else None,
        "output": output,
        "hash": (outcome.hashes.get(output, "") if outcome else "")[:12],
        "depends_on": ", ".join(above),
    }


def _key(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def publish_artifacts(rebuild_state: RebuildState) -> None:
    """Attach all artifacts to the flow run that is running now.

    Pictures go into Markdown as `data:` addresses: the page of an image artifact prints the
    whole address below the picture.
    """
    create_table_artifact(
        stage_rows(rebuild_state), key="stages", description="What became of each stage"
    )
    states = {address: rebuild_state.state_of(address) for address in rebuild_state.graph.nodes}
    picture = data_address(draw_graph(rebuild_state.graph, states), "graph.png")
    create_markdown_artifact(
        f"![the graph]({picture})\n", key="graph", description="The graph, coloured by state"
    )
    swaps = rebuild_state.graph.swaps()
    rows = [row for swap in swaps for row in metrics_rows(swap, rebuild_state.root)]
    if rows:
        create_table_artifact(rows, key="metrics", description="metrics.json of each swap")
    for swap in swaps:
        text = swap_page(swap, rebuild_state.root)
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
