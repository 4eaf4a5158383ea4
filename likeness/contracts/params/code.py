"""Section `code` of params.yaml."""

from __future__ import annotations

from likeness.contracts.strict import Section


class CodeParams(Section):
    """Section `code` of params.yaml: there is nothing to set."""
