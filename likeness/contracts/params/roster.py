"""Section `roster` of params.yaml."""

from __future__ import annotations

from likeness.contracts.strict import Section


class RosterParams(Section):
    """Section `roster` of params.yaml: there is nothing to set."""
