"""Section `names` of params.yaml."""

from __future__ import annotations

from likeness.contracts.strict import Section


class NamesParams(Section):
    """Section `names` of params.yaml: there is nothing to set."""
