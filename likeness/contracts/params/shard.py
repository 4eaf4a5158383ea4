"""Section `shard` of params.yaml."""

from __future__ import annotations

from pydantic import Field

from likeness.contracts.params.thinning import Thinning
from likeness.contracts.tables.sizes import ROWS_PER_GROUP


class ShardParams(Thinning):
    """Section `shard` of params.yaml."""

    val_share: float = Field(default=0.1, ge=0.0, lt=1.0, description="share of the seconds")
    min_sharpness: float = Field(default=0.0, ge=0.0, description="0 keeps all")
    pose_bin_deg: float = Field(default=10.0, gt=0.0, description="cell of the pose histogram")
    balance: float = Field(
        default=0.75, ge=0.0, le=1.0, description="0: as filmed, 1: every pose equally often"
    )
    max_weight_ratio: float = Field(
        default=10.0, ge=1.0, description="heaviest crop against the lightest"
    )
    rows_per_shard: int = Field(default=4096, ge=ROWS_PER_GROUP, description="rows per file")
