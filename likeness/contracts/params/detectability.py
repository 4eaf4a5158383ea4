"""Section `detectability` of params.yaml."""

from __future__ import annotations

from pydantic import Field

from likeness.contracts.strict import Section


class DetectabilityParams(Section):
    """`detectability:` of params.yaml."""

    l2: float = Field(default=0.1, gt=0, description="penalty on the weights, beside a mean loss")
