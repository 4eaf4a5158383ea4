"""Stage `views`: which head poses everybody's footage shows, from the appearance maps.

In: data/appearance/ and people.json. Out: metrics.json with, by identity, the crops that were
looked at, the views that stand for them, and the range of their angles: what to film next. It
reads the small maps alone, no crop, and since it asks for those of everybody, `dvc repro` at the
root brings each identity's shards and map up to date, whether a swap uses them or not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from likeness.contracts.appearance import AppearanceMap, load_map
from likeness.contracts.catalog import read_people
from likeness.contracts.documents import to_json
from likeness.contracts.params.views import ViewsParams
from likeness.contracts.stage import Context, Stage


def described(found: AppearanceMap) -> dict[str, Any]:
    """What one map shows: counts, and ranges of angles in degrees (None without views)."""
    about: dict[str, Any] = {
        "crops": found.crops,
        "views": len(found.views),
        "turned_farther": found.beyond,
    }
    for name in ("yaw_deg", "pitch_deg"):
        angles = [getattr(view, name) for view in found.views]
        about[name] = {"from": min(angles), "to": max(angles)} if angles else None
    return about


def describe(folder: Path, names: list[str]) -> dict[str, Any]:
    """By identity, what its map shows.

    Raises:
        LikenessError: a map is missing or damaged.
    """
    return {name: described(load_map(folder / name / "map.json")) for name in sorted(names)}


def run(context: Context[ViewsParams]) -> None:
    """Read everybody's map and write the table."""
    names = list(read_people(context.inputs["people"]))
    content = {"identities": describe(context.inputs["appearance"], names)}
    context.outputs["metrics"].write_text(to_json(content), encoding="utf-8")


STAGE = Stage(
    name="views",
    params=ViewsParams,
    inputs={"appearance": None, "people": None},
    outputs={"metrics": None},
    run=run,
    description="which head poses everybody's footage shows",
)

if __name__ == "__main__":
    STAGE.main()
