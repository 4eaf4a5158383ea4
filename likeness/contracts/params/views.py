"""Section `views` of params.yaml."""

from __future__ import annotations

from likeness.contracts.strict import Section


class ViewsParams(Section):
    """Section `views` of params.yaml: there is nothing to set."""
