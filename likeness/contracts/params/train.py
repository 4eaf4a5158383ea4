"""Section `train` of params.yaml, which a model's own `train` replaces key by key."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from likeness.contracts.strict import Section


class Augmentation(Section):
    """Random changes of each crop; the defaults are those of deepfakes/faceswap (2018)."""

    rotation_deg: float = Field(default=10, ge=0, le=180, description="uniform in +- this")
    zoom: float = Field(default=0.05, ge=0, lt=1, description="uniform in 1 +- this")
    shift: float = Field(default=0.05, ge=0, lt=1, description="uniform in +- this share of a side")
    flip: float = Field(default=0.4, ge=0, le=1, description="chance of a mirrored crop")
    warp: float = Field(
        default=5 / 160,
        ge=0,
        lt=1,
        description="deviation of the 5x5 warp grid, share of the covered side (5 of 160 px)",
    )


class Snapshots(Section):
    """Which models of a training in progress are kept beside the last one."""

    every_images: int | None = Field(default=None, ge=1, description="one per this many; None: no")
    latest: int | None = Field(default=None, ge=1, description="so many of these; None: all")
    best: bool = Field(default=False, description="the one of the best validation identity")


class Backups(Section):
    """Copies of a training in progress, to go back to."""

    every_hours: float | None = Field(default=6, gt=0, description="one per this long; None: none")
    latest: int = Field(default=3, ge=1, description="so many are kept")


class Plan(Section):
    """`train:` of params.yaml. Batches and budget count crops, so that hardware changes nothing."""

    seed: int = Field(default=0, ge=0, lt=2**31, description="of weights, order and augmentation")
    images: int = Field(default=1_280_000, ge=0, description="budget: crops of both identities")
    batch_images: int = Field(default=64, ge=1, description="crops of each identity per step")
    micro_batches: int = Field(
        default=2, ge=1, description="parts of a batch, summed in order; bounds the workers"
    )
    precision: Literal["bf16", "float32"] = Field(default="bf16", description="of the layers")
    compile: bool = Field(default=False, description="networks through torch.compile")
    clip_gradient: float | None = Field(
        default=None, gt=0, description="largest norm of a phase's gradient; None leaves it"
    )
    ema: float | None = Field(
        default=None, gt=0, lt=1, description="decay per step of the averaged weights; None: none"
    )
    log_every_images: int = Field(default=6_400, ge=1, description="one history row per loss")
    preview_every_images: int = Field(default=64_000, ge=1, description="one picture per this many")
    validation_images: int = Field(
        default=16, ge=0, description="crops of the val split that are swapped at each preview"
    )
    snapshots: Snapshots = Snapshots()
    keep: Literal["last", "best"] = Field(default="last", description="what the model becomes")
    fresh: bool = Field(
        default=False, description="begin anew where anything that decides the weights has changed"
    )
    moments: bool = Field(
        default=True, description="the optimiser's state beside the model, for `finetuned:`"
    )
    backups: Backups = Backups()
    augment: Augmentation = Augmentation()

    @model_validator(mode="after")
    def _parts_fit(self) -> Plan:
        if self.batch_images % self.micro_batches:
            raise ValueError(
                f"batch_images ({self.batch_images}) must be a multiple of micro_batches "
                f"({self.micro_batches})"
            )
        if self.keep == "best" and not self.validation_images:
            raise ValueError("keep: best needs validation_images")
        return self

    @property
    def wants_best(self) -> bool:
        """Whether the best model so far is kept."""
        return self.snapshots.best or self.keep == "best"

    @property
    def step_images(self) -> int:
        """Crops of both identities per step."""
        return 2 * self.batch_images

    @property
    def steps(self) -> int:
        """Steps of the whole budget, the last one begun counted."""
        return -(-self.images // self.step_images)


LOOKS = frozenset(
    [
        "images",
        "log_every_images",
        "preview_every_images",
        "validation_images",
        "snapshots",
        "keep",
        "fresh",
        "moments",
        "backups",
    ]
)
"""Keys of a plan that move no weight: a training goes on under others as if nothing had changed."""
