"""What a live run takes from params.yaml and from the model: the same knobs as the stages have.

The keys are those of sections `align`, `convert`, `blend` and `publish`; keys that live has no use
for are passed over (`publish.visible_mark` among them: the mark of a live run has no switch).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from likeness.contracts.documents import read_json
from likeness.contracts.errors import ModelError
from likeness.contracts.sections import PARAMS_FILE, load_section
from likeness.provenance.marks import Corner
from likeness.vision.templates import TemplateName

MARK_TEXT = "AI face swap · likeness"


class _Section(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class AlignSettings(_Section):
    """Of section `align`; the template and the crop's side are the model's."""

    mask_size_px: int = Field(default=128, ge=16, le=2048)
    forehead: float = Field(default=0.0, ge=0, le=0.5)
    person: bool = True
    max_mesh_error: float | None = Field(default=0.2, gt=0)
    smooth_cutoff_hz: float = Field(default=3.0, gt=0)
    smooth_beta: float = Field(default=20.0, ge=0)


class ConvertSettings(_Section):
    """Of section `convert`."""

    precision: Literal["bf16", "float32"] = "bf16"
    mask: Literal["both", "family", "aligned"] = "both"


class LaySettings(_Section):
    """Of section `blend`; a live face is always feathered, a clone takes too long."""

    erode: float = Field(default=0.0, ge=0, le=0.3)
    feather: float = Field(default=0.045, ge=0, le=0.3)
    colour: Literal["lab", "none"] = "lab"
    colour_strength: float = Field(default=1.0, ge=0, le=1)
    colour_memory: float = Field(default=0.8, ge=0, lt=1)


class MarkSettings(_Section):
    """Of section `publish`."""

    text: str = Field(default=MARK_TEXT, max_length=80)
    corner: Corner = "bottom-right"
    size: float = Field(default=0.035, ge=0.02, le=0.2)
    opacity: float = Field(default=0.85, ge=0.4, le=1)

    @field_validator("text")
    @classmethod
    def _says_something(cls, text: str) -> str:
        return text if any(letter.isalnum() for letter in text) else MARK_TEXT


class Settings(_Section):
    """All of them."""

    align: AlignSettings = AlignSettings()
    convert: ConvertSettings = ConvertSettings()
    lay: LaySettings = LaySettings()
    mark: MarkSettings = MarkSettings()


def load_settings(path: Path = PARAMS_FILE) -> Settings:
    """Settings of params.yaml.

    Raises:
        ParamsError: a value that is not allowed, with its line.
    """
    return Settings(
        align=load_section("align", AlignSettings, path),
        convert=load_section("convert", ConvertSettings, path),
        lay=load_section("blend", LaySettings, path),
        mark=load_section("publish", MarkSettings, path),
    )


class ModelFacts(BaseModel):
    """Of a model's config.json what a live run needs.

    Attributes:
        source, target: identities or pools.
        size_px, coverage: of the family's crops.
        template, crop_size_px: of the crops that it learned from.
        pools: side -> identities, where a side is a pool.
        pack: analysers that the crops came from.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, protected_namespaces=())

    model: str
    family: str
    source: str
    target: str
    size_px: int
    coverage: float = 1.0
    template: TemplateName = "ffhq_512"
    crop_size_px: int = 256
    pools: dict[str, list[str]] = {}
    pack: str | None = None


def load_facts(folder: Path) -> ModelFacts:
    """Facts of the model in `folder`.

    Raises:
        ModelError: config.json is missing or lacks a key.
    """
    path = folder / "config.json"
    if not path.is_file():
        step = "name a model of params.yaml that is trained (`dvc repro`)"
        raise ModelError(folder, "is no trained model", step)
    content: dict[str, Any] = read_json(path)
    try:
        return ModelFacts.model_validate(content)
    except ValueError as error:
        problem = f"is damaged ({str(error).splitlines()[0]})"
        raise ModelError(path, problem, "run `dvc repro`") from None
