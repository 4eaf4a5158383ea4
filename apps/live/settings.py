"""What a live run takes from params.yaml and from the model: the very sections of the stages.

Keys that live has no use for are passed over: the template and the crop's side are the model's, a
live face is always feathered, since a clone takes too long, and the mark has no switch.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from likeness.contracts.documents import read_json
from likeness.contracts.errors import ModelError
from likeness.contracts.params.align import AlignParams
from likeness.contracts.params.blend import BlendParams
from likeness.contracts.params.convert import ConvertParams
from likeness.contracts.params.publish import MARK_TEXT, PublishParams
from likeness.contracts.sections import PARAMS_FILE, load_section
from likeness.contracts.vocabulary import TemplateName


@dataclass(frozen=True)
class Settings:
    """All of them, by the sections that they stand in."""

    align: AlignParams
    convert: ConvertParams
    blend: BlendParams
    publish: PublishParams


def readable(params: PublishParams) -> PublishParams:
    """The same with a mark that says something: a live picture is never without one."""
    if any(letter.isalnum() for letter in params.text):
        return params
    return params.model_copy(update={"text": MARK_TEXT})


def load_settings(path: Path = PARAMS_FILE) -> Settings:
    """Settings of params.yaml.

    Raises:
        ParamsError: a value that is not allowed, with its line.
    """
    return Settings(
        align=load_section("align", AlignParams, path),
        convert=load_section("convert", ConvertParams, path),
        blend=load_section("blend", BlendParams, path),
        publish=readable(load_section("publish", PublishParams, path)),
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
