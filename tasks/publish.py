"""Stage `publish`: the marked video, and the record of everything it was made from.

In: a swap's render and metrics. Out: published.mp4, with a label in a corner that says what it
is, and provenance.json: the hashes of every stage behind it, the code, the parameters, the
weights with their licences, and the consents. The one stage that may look at the clock: consents
must be valid on the day of publication.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

from pydantic import Field

from likeness.contracts.catalog import DATA
from likeness.contracts.documents import Document, read_json, sha256_of, to_json
from likeness.contracts.params import IdentityEntry, SwapEntry, load_entry, swap_overrides
from likeness.contracts.stage import Context, Stage
from likeness.media.encode import PRESETS, VideoWriter
from likeness.media.footage import open_footage
from likeness.provenance import record
from likeness.provenance.lineage import Lineage, Ran, read_locks
from likeness.provenance.marks import Corner, Mark, make_mark, stamp
from likeness.provenance.record import Use

ROOT = Path()
"""Stages run in the root of the repository."""


class PublishParams(Document):
    """`publish:` of params.yaml."""

    visible_mark: bool = Field(default=True, description="false is recorded and said loudly")
    text: str = Field(
        default="AI face swap · likeness", min_length=1, max_length=80, description="of the mark"
    )
    corner: Corner = Field(default="bottom-right", description="where the mark stands")
    size: float = Field(
        default=0.035, ge=0.02, le=0.2, description="letters, share of the frame's shorter side"
    )
    opacity: float = Field(default=0.85, ge=0.4, le=1, description="of the mark; 1 hides the rest")
    crf: int = Field(default=17, ge=0, le=51, description="x264 quality, lower is better")
    preset: str = Field(
        default="veryfast", pattern=f"^({'|'.join(PRESETS)})$", description="x264 speed"
    )


def swap_uses(entry: SwapEntry, context: Context[PublishParams], stages: list[Ran]) -> list[Use]:
    """Every face in the lineage, and the source of the swap, as what they are used."""
    identity = load_entry("identities", entry.source, IdentityEntry, context.params_file)
    own = Use(entry.source, "source", DATA / "consents" / f"{identity.consent}.yaml")
    others = record.uses_of(record.clips_behind(stages, ROOT), ROOT)
    return [own, *(use for use in others if use != own)]


def provenance(
    context: Context[PublishParams],
    lineage: Lineage,
    stages: list[Ran],
    consents: list[dict[str, Any]],
    today: dt.date,
) -> dict[str, Any]:
    """Content of provenance.json."""
    params, inputs = context.params, context.inputs
    entry = load_entry("swaps", context.options["swap"], SwapEntry, context.params_file)
    warning = None if params.visible_mark else "NO VISIBLE MARK: shown without any label"
    return {
        "schema_version": 1,
        "statement": "The face in this video was replaced by software.",
        "digital_source_type": "http://cv.iptc.org/newscodes/digitalsourcetype/"
        "compositeWithTrainedAlgorithmicMedia",
        "published_on": str(today),
        "signed": False,
        "swap": {"name": context.options["swap"], **entry.model_dump()},
        "visible_mark": {"present": params.visible_mark, "text": params.text, "warning": warning},
        "outputs": {
            "published": {"sha256": sha256_of(context.outputs["published"])},
            "render": {"sha256": sha256_of(inputs["render"])},
        },
        "consents": consents,
        "footage": record.footage_entries(record.clips_behind(stages, ROOT), stages),
        "weights": record.weights_entries(stages, ROOT),
        "metrics": read_json(inputs["metrics"]),
        "code": record.code_version(ROOT),
        "parameters": {"publish": params.model_dump()},
        "stages": [stage.as_dict() for stage in stages],
        "leaves": [leaf.as_dict() for leaf in lineage.leaves(stages)],
    }


def write_marked(context: Context[PublishParams]) -> None:
    """Encode the render anew with the mark; times and audio stay."""
    params = context.params
    render = open_footage(context.inputs["render"])
    facts = render.facts
    size = (facts["width_px"], facts["height_px"])
    mark: Mark | None = None
    if params.visible_mark:
        mark = make_mark(params.text, size, params.corner, params.size, params.opacity)
    full = facts["colour_range"] == "full"
    with (
        render,
        VideoWriter(context.outputs["published"], render, params.crf, params.preset) as writer,
        context.progress("frames", facts["frames_hint"]) as advance,
    ):
        for frame in render.frames():
            planes = frame.planes() if mark is None else stamp(frame.planes(), mark, full)
            writer.write(*planes, frame.pts)
            advance(1)


def run(context: Context[PublishParams]) -> None:
    """Check consents and hashes first; then mark; then write down what it was made from."""
    swap, inputs = context.options["swap"], context.inputs
    entry = load_entry("swaps", swap, SwapEntry, context.params_file)
    today = dt.datetime.now(dt.UTC).date()
    lineage = read_locks(ROOT)
    stages = lineage.upstream([str(inputs["render"]), str(inputs["metrics"])])
    record.require_fresh(lineage, stages)
    consents = record.check_uses(swap_uses(entry, context, stages), today)
    write_marked(context)
    if not context.params.visible_mark:
        context.say(f"WARNING: {swap} is published WITHOUT a visible mark (publish.visible_mark)")
    content = provenance(context, lineage, stages, consents, today)
    context.outputs["provenance"].write_text(to_json(content), encoding="utf-8")


STAGE = Stage(
    name="publish",
    params=PublishParams,
    inputs={"render": None, "metrics": None},
    outputs={"published": None, "provenance": None},
    options=("swap",),
    run=run,
    overrides=swap_overrides("publish"),
    description="Mark a swap's video and write down what it was made from.",
)

if __name__ == "__main__":
    STAGE.main()
