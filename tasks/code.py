"""Stage `code`: what code each stage and each family runs.

In: the rooms of code, as folders. Out: data/code, with a list for each stage (`train.txt`) and each
family (`families/fsgan.txt`): sorted lines `sha256  path` of everything that it imports, which
`sha256sum -c` reads as well. Stages depend on their list, so that a change of code runs those that
use it. DVC takes the hashes of what a stage read once it has ended; a list lies still meanwhile,
where a module may be edited.
"""

from __future__ import annotations

from pathlib import Path

from likeness.contracts.closure import lists, still
from likeness.contracts.params.code import CodeParams
from likeness.contracts.stage import Context, Stage

ROOT = Path()
"""Stages run in the root of the repository."""


def run(context: Context[CodeParams]) -> None:
    """Write the lists, again if a module is saved meanwhile."""
    texts = lists(ROOT)
    while not still(texts, ROOT):
        texts = lists(ROOT)
    for name, text in texts.items():
        path = context.outputs["out"] / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


STAGE = Stage(
    name="code",
    params=CodeParams,
    inputs={},
    outputs={"out": None},
    run=run,
    description="What code each stage and each family runs.",
)

if __name__ == "__main__":
    STAGE.main()
