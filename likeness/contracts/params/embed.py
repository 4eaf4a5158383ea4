"""Section `embed` of params.yaml."""

from __future__ import annotations

from likeness.contracts.params.thinning import Thinning


class EmbedParams(Thinning):
    """Section `embed` of params.yaml."""
