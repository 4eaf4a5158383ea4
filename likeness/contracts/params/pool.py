"""Section `pool` of params.yaml."""

from __future__ import annotations

from likeness.contracts.strict import Section


class PoolParams(Section):
    """Section `pool` of params.yaml: there is nothing to set; see `pools:`."""
