"""The texts that repeat the catalogue: tables of the docs, and the template of `dvc plots`.

    python -m likeness.metrics.catalogue.docs            # exit code 1 if a text differs
    python -m likeness.metrics.catalogue.docs --write    # writes what differs

A table stands between `<!-- metrics: NAME -->` and `<!-- end -->`.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from likeness.metrics import catalogue
from likeness.metrics.catalogue.metric import Metric

MARKED = re.compile(r"(<!-- metrics: (?P<name>[\w ]+) -->\n).*?(<!-- end -->)", re.DOTALL)
PAGES = (Path("docs/evaluation.md"), Path("docs/how-to/gate.md"))
TEMPLATE = Path(".dvc/plots/curves.json")
SHORT = "short names"
WORDS = {"higher": "higher", "lower": "lower", "target": "as the target's own", "": ""}


def explained(group: str, rows: Sequence[Metric]) -> str:
    """The table of one section: what every row's figure means."""
    lines = ["| metric | better | formula, unit | source | known answer | cannot tell |"]
    lines.append("|---|---|---|---|---|---|")
    for row in rows:
        if row.group == group and row.meaning is not None:
            said = row.meaning
            cells = [written(row), WORDS[row.better], said.formula, said.source]
            lines.append(f"| {' | '.join([*cells, said.answer, said.blind])} |".replace("  ", " "))
    return "\n".join(lines) + "\n"


def written(row: Metric) -> str:
    """How the docs name a row: where its figure stands."""
    if row.stage != "evaluate":
        return f"`{row.name}` (`data/{row.stage}/metrics.json`)"
    path = row.path or row.column
    for centre in catalogue.CENTRES:
        path = path.removesuffix(f".{centre}")
    return f"`{path}`"


def short_names() -> str:
    """The table of short names that gates know."""
    lines = ["| short name | path in metrics.json |", "|---|---|"]
    lines += [f"| `{name}` | `{path}` |" for name, path in catalogue.short_names().items()]
    return "\n".join(lines) + "\n"


def filled(text: str, rows: Sequence[Metric]) -> str:
    """A page with its tables as the rows say."""

    def table(found: re.Match[str]) -> str:
        name = found["name"]
        return found[1] + (short_names() if name == SHORT else explained(name, rows)) + found[3]

    return MARKED.sub(table, text)


def template(text: str) -> str:
    """The plots template with the columns of curves.csv, the ones people ask for first."""
    content: dict[str, Any] = json.loads(text)
    for step in content["transform"]:
        if "fold" in step:
            step["fold"] = list(reversed(catalogue.plotted()))
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def texts(root: Path) -> dict[Path, str]:
    """Path below `root` -> what should stand there."""
    rows = (*catalogue.METRICS, *catalogue.ELSEWHERE.values())
    found = {path: filled((root / path).read_text(encoding="utf-8"), rows) for path in PAGES}
    return found | {TEMPLATE: template((root / TEMPLATE).read_text(encoding="utf-8"))}


def main() -> int:
    """Compare or write; 1 if something differs and was not written."""
    parser = argparse.ArgumentParser(prog="python -m likeness.metrics.catalogue.docs")
    parser.add_argument("--write", action="store_true", help="write what differs")
    write, root = parser.parse_args().write, Path()
    differing = [p for p, text in texts(root).items() if (root / p).read_text("utf-8") != text]
    for path in differing:
        if write:
            path.write_text(texts(root)[path], encoding="utf-8")
        print(f"{'written' if write else 'differs'}: {path}")
    return 1 if differing and not write else 0


if __name__ == "__main__":
    sys.exit(main())
