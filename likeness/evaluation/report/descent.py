"""The way from footage to this report as inline SVG, from what stage `evaluate` was given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from likeness.contracts.catalog import load_clip
from likeness.contracts.documents import read_json, sha256_of
from likeness.contracts.tables.frames import FRAMES

WIDTH, BOX, GAP_X, GAP_Y, LINE = 384, 176, 14, 22, 15
RIMS = 2 * BOX + GAP_X + 6
"""Where lines run that pass boxes they have nothing to do with."""
MOST_CLIPS, SHORT = 4, 12
ANALYSIS = "frames, detect, filter, align"


@dataclass(frozen=True)
class Node:
    """One box: where it stands, and what it says.

    Attributes:
        key: name among nodes.
        row: from the top.
        lane: 0 source, 1 target, 0.5 between them.
        title, facts: first line and the lines below it.
        above: keys of the nodes that it is made from.
        kind: class of the box.
    """

    key: str
    row: int
    lane: float
    title: str
    facts: tuple[str, ...]
    above: tuple[str, ...] = ()
    kind: str = ""

    @property
    def height(self) -> int:
        """Of the box in px."""
        return 26 + LINE * len(self.facts)


def short(digest: str) -> str:
    """The beginning of a hash, enough to compare by eye."""
    return f"sha256 {digest[:SHORT]}" if digest else "sha256 not recorded"


def _source_nodes(shards: Path, identity: str) -> list[Node]:
    """Clips with their footage's hashes, roster and shards of the source, as the manifest says."""
    path = shards / "manifest.json"
    manifest: dict[str, Any] = read_json(path) if path.is_file() else {}
    clips = sorted(manifest.get("clips", {}).items())
    facts = []
    for name, found in clips[:MOST_CLIPS]:
        facts += [f"{name}: {found['crops']} crops", short(str(found.get("footage_sha256") or ""))]
    if len(clips) > MOST_CLIPS:
        facts.append(f"and {len(clips) - MOST_CLIPS} more clips")
    rows = [manifest.get(split, {}).get("rows", 0) for split in ("train", "val")]
    files = [f for split in ("train", "val") for f in manifest.get(split, {}).get("files", [])]
    hashes = tuple(f"{f['file'].split('-')[0]}: {short(f['sha256'])}" for f in files[:2])
    consent = str(manifest.get("consent_sha256", ""))[:SHORT] or "not recorded"
    return [
        Node("source", 0, 0, f"Footage of {identity}", tuple(facts), kind="footage"),
        Node("source-align", 1, 0, "Analysis", (ANALYSIS,), ("source",)),
        Node("roster", 2, 0, "roster", (f"consent {consent}",), ("source-align",)),
        Node("shard", 3, 0, "shard", (f"{rows[0]} to learn, {rows[1]} held out", *hashes),
             ("roster",)),
    ]  # fmt: skip


def _target_nodes(inputs: Mapping[str, Path]) -> list[Node]:
    """The target clip and its crops."""
    clip = load_clip(inputs["clip"])
    frames, aligned = FRAMES.check(inputs["frames"]), read_json(inputs["aligned"])
    picture = f"{frames.get('width_px')}x{frames.get('height_px')} px"
    facts = (
        f"{frames.get('frames')} frames, {picture}",
        short(str(frames.get("footage_sha256") or "")),
        f"consent {clip.consent}",
    )
    crops = (f"{aligned.get('rows', '?')} crops", short(str(aligned.get("sha256", ""))))
    return [
        Node("target", 0, 1, clip.clip, facts, kind="footage"),
        Node("target-align", 1, 1, "Analysis", (ANALYSIS, *crops), ("target",)),
    ]


def nodes(
    inputs: Mapping[str, Path], about: Mapping[str, Any], model: Mapping[str, Any]
) -> list[Node]:
    """Boxes from footage to report.

    Args:
        inputs: of stage `evaluate`, by name.
        about: facts of converted.parquet.
        model: content of the model's config.json; empty if it has none.
    """
    weights = inputs["model"] / "model.safetensors"
    learned = [f"{about['family']}, {model.get('images') or 0} images"]
    if model.get("continues"):
        before, _, images = str(model["continues"]).partition(" at ")
        learned.append(f"after {before[:8]}, {images}")
    if weights.is_file():
        learned.append(short(sha256_of(weights)))
    other, members = str(model.get("target") or ""), model.get("pools", {}).get("target")
    found = [*_source_nodes(inputs["source"], str(about["source"])), *_target_nodes(inputs)]
    if members is not None:
        # Such a model is shown the source when it swaps; its training may never have seen it.
        people = f"learns from {len(members)}"
        found.append(Node("shard-target", 3, 1, f"pool {other}", (people,), (), "faint"))
    elif other:
        # Read by `train` only: this stage knows its name and nothing else.
        found.append(
            Node("shard-target", 3, 1, f"shard of {other}", (), ("target-align",), "faint")
        )
    above = ("shard", "shard-target") if other else ("shard",)
    given = () if members is None else ("shard",)
    learned_from = above if members is None else ("shard-target",)
    return [
        *found,
        Node("train", 4, 0.5, f"train: {about['model']}", tuple(learned), learned_from),
        Node("convert", 5, 0.5, "convert", (short(sha256_of(inputs["converted"])),),
             ("train", "target-align", *given)),
        Node("blend", 6, 0.5, "blend: render.mp4", (short(sha256_of(inputs["render"])),),
             ("convert", "target")),
        Node("evaluate", 7, 0.5, "evaluate: this report", (), ("blend",), "result"),
    ]  # fmt: skip


def draw(found: list[Node]) -> str:
    """The boxes with their edges, as narrow as a phone."""
    heights = [max((n.height for n in found if n.row == row), default=0) for row in range(8)]
    tops = [sum(heights[:row]) + GAP_Y * row + 2 for row in range(8)]
    places = {n.key: (n.lane * (BOX + GAP_X), tops[n.row]) for n in found}
    by_key = {n.key: n for n in found}
    parts = [_edge(by_key, places, a, n) for n in found for a in n.above]
    parts += [_box(node, *places[node.key]) for node in found]
    bottom = tops[-1] + heights[-1] + 2
    label = "from footage to report"
    return (
        f'<svg viewBox="0 0 {WIDTH} {bottom}" role="img" aria-label="{label}">'
        + "".join(parts)
        + "</svg>"
    )


def _edge(
    by_key: Mapping[str, Node], places: Mapping[str, tuple[float, float]], above: str, node: Node
) -> str:
    """A line from the foot of one box to the head of another; long ones keep to the right rim."""
    (x0, y0), (x1, y1) = places[above], places[node.key]
    start, end = (x0 + BOX / 2, y0 + by_key[above].height), (x1 + BOX / 2, y1)
    kind = "edge faint" if "faint" in (node.kind, by_key[above].kind) else "edge"
    if node.row - by_key[above].row > 2:  # past boxes that have nothing to do with it
        rim = RIMS + (7 if by_key[above].row == 0 else 0)
        foot, side = y0 + by_key[above].height / 2, y1 + node.height / 2
        path = f"M{x0 + BOX:.1f},{foot:.1f}H{rim}V{side:.1f}H{x1 + BOX:.1f}"
    elif node.row - by_key[above].row == 2 and x0 < x1:  # past one box, into the next one's side
        path = f"M{start[0]:.1f},{start[1]:.1f}V{y1 + node.height / 2:.1f}H{x1:.1f}"
    else:
        bend = (start[1] + end[1]) / 2
        path = f"M{start[0]:.1f},{start[1]:.1f}V{bend:.1f}H{end[0]:.1f}V{end[1]:.1f}"
    return f'<path class="{kind}" d="{path}"/>'


def _box(node: Node, x: float, y: float) -> str:
    middle = x + BOX / 2
    at = f'x="{middle:.1f}" y="{y + 17}" text-anchor="middle"'
    texts = [f'<text class="title" {at}>{escape(_cut(node.title, 23))}</text>']
    for place, fact in enumerate(node.facts):
        texts.append(
            f'<text class="fact" x="{middle:.1f}" y="{y + 18 + LINE * (place + 1)}" '
            f'text-anchor="middle">{escape(_cut(fact, 29))}</text>'
        )
    rect = f'<rect x="{x + 1:.1f}" y="{y}" width="{BOX - 2}" height="{node.height}" rx="7"/>'
    full = escape("; ".join((node.title, *node.facts)))
    return f'<g class="{node.kind}"><title>{full}</title>{rect}{"".join(texts)}</g>'


def _cut(text: str, most: int) -> str:
    """`text`, with an ellipsis in its middle where it is too long for a box."""
    if len(text) <= most:
        return text
    half = (most - 1) // 2
    return f"{text[:half]}…{text[-half:]}"
