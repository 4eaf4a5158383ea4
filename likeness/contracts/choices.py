"""What to answer to a name that nobody knows: the nearest one, and a few of those there are."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

MOST = 12
"""Names that a line lists; more of them hide what it says."""


def choices(given: object, known: Iterable[object], *, none: str = "none", word: str = "") -> str:
    """The next step for an unknown name: "did you mean `x`? known: w, x, y".

    Args:
        given: what was written.
        known: what there is; shown in this order.
        none: shown where there is nothing.
        word: stands before the names; "known" by default.
    """
    names = [str(name) for name in known]
    by_lower = {name.lower(): name for name in reversed(names)}
    close = difflib.get_close_matches(str(given).lower(), by_lower, n=1)
    hint = f"did you mean `{by_lower[close[0]]}`? " if close else ""
    more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    return f"{hint}{word or 'known'}: {', '.join(names[:MOST]) or none}{more}"
