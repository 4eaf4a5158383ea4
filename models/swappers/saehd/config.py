"""Settings of family saehd; the defaults are those that DeepFaceLab proposes."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from models.swappers.base import SwapperConfig
from models.swappers.saehd.colour_transfer import Mode

PRESETS: dict[str, dict[str, Any]] = {
    "sae": {},
    "quick": {
        "size_px": 96,
        "architecture": "df-ud",
        "ae_dims": 128,
        "e_dims": 64,
        "d_dims": 64,
        "d_mask_dims": 16,
        "optimiser": "rmsprop",
        "learning_rate": 2e-4,
        "lr_dropout": 0.3,
        "unwarped": 1 / 3,
    },
}


class SaehdConfig(SwapperConfig):
    """Settings of the family; the defaults are those that DeepFaceLab proposes."""

    preset: Literal["sae", "quick"] = Field(
        default="sae", description="quick: defaults of Quick96 for what is not stated"
    )
    size_px: int = Field(
        default=128, ge=32, le=640, multiple_of=16, description="side of the crops; 32 x n by d, t"
    )
    architecture: str = Field(
        default="liae-ud",
        pattern=r"^(df|liae)(-[udt]{1,3})?$",
        description="df or liae; -u unit code, -d doubled at the end, -t one more halving",
    )
    ae_dims: int = Field(default=256, ge=8, le=1024, description="length of the code")
    e_dims: int = Field(default=64, ge=4, le=256, description="channels of the encoder")
    d_dims: int = Field(default=64, ge=4, le=256, description="channels of the decoder")
    d_mask_dims: int = Field(default=22, ge=4, le=256, description="channels of the mask's branch")
    coverage: float = Field(default=1.0, gt=0, le=1, description="share of align's crop, centred")
    border: float = Field(
        default=0.05, ge=0, le=0.5, description="soft edge of the mask, share of the side"
    )
    learned_mask: Literal["swapped", "target", "both"] = Field(
        default="both", description="the mask drawn with the swap, with the target, or both times"
    )
    masked_training: bool = Field(default=True, description="the picture counts inside the mask")
    eyes_mouth: bool = Field(default=False, description="eyes and mouth count 300 times their L1")
    random_warp_until: float = Field(
        default=1.0, ge=0, le=1, description="share of the budget with warped crops; then as wanted"
    )
    unwarped: float = Field(
        default=0.0, ge=0, le=1, description="share of crops that are shown unwarped before that"
    )
    colour_transfer: Mode = Field(
        default="none", description="the source's crops get colours of the target's, every time"
    )
    face_style: float = Field(default=0.0, ge=0, le=100, description="power in percent")
    background_style: float = Field(default=0.0, ge=0, le=100, description="power in percent")
    true_face: float = Field(default=0.0, ge=0, le=1, description="df: power of the code's critic")
    gan: float = Field(default=0.0, ge=0, le=5, description="power of the picture's critic")
    gan_patch_px: int | None = Field(
        default=None, ge=3, le=640, description="what a verdict sees; None: an eighth of the side"
    )
    gan_dims: int = Field(default=16, ge=4, le=512, description="channels of the picture's critic")
    gan_from: float = Field(default=0.0, ge=0, le=1, description="share of the budget before it")
    optimiser: Literal["adabelief", "rmsprop"] = Field(default="adabelief", description="by name")
    learning_rate: float = Field(default=5e-5, gt=0, description="step size, all networks")
    lr_dropout: float = Field(
        default=1.0, gt=0, le=1, description="share of weights that a step moves; 0.3 to finish"
    )
    lr_cos_images: int = Field(
        default=0, ge=0, description="period of the step size's cosine; 0: none (500 steps of it)"
    )
    clip_gradient: float | None = Field(default=None, gt=0, description="largest norm; 1 is usual")
    pretrain: bool = Field(
        default=False, description="on a pool, on both sides; then continue with a pair"
    )

    @model_validator(mode="before")
    @classmethod
    def _preset(cls, given: Any) -> Any:
        """Fill in what a preset says and the entry does not."""
        if not isinstance(given, dict):
            return given
        return {**PRESETS.get(str(given.get("preset", "sae")), {}), **given}

    @model_validator(mode="after")
    def _fits(self) -> SaehdConfig:
        if len(set(self.options)) < len(self.options):
            raise ValueError(f"architecture {self.architecture} has a letter twice")
        multiple = 32 if {"d", "t"} & set(self.options) else 16
        if self.size_px % multiple:
            raise ValueError(
                f"size_px {self.size_px} with {self.architecture} must be a multiple of {multiple}"
            )
        if self.true_face and self.kind != "df":
            raise ValueError("true_face needs a df architecture")
        return self

    @property
    def kind(self) -> str:
        """Either df or liae."""
        return self.architecture.partition("-")[0]

    @property
    def options(self) -> str:
        """Letters after the dash."""
        return self.architecture.partition("-")[2]
