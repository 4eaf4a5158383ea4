"""What the networks of a pack expect and give, as insightface found it (models.analysers.zoo)."""

from __future__ import annotations

from pydantic import Field

from likeness.contracts.documents import Document


class DetectorFacts(Document):
    """A detector of the SCRFD kind: scores, boxes and five points per level."""

    strides: tuple[int, ...] = Field(default=(8, 16, 32), description="px per cell of each level")
    anchors: int = Field(default=2, description="candidates per cell")
    mean: float = Field(default=127.5, description="of (x - mean) / std, its input")
    std: float = 128.0
    whole_numbers: bool = Field(default=False, description="takes uint8, not float32")
    fixed_px: tuple[int, int] | None = Field(
        default=None, description="width and height of its only input; null: any"
    )


class EmbedderFacts(Document):
    """An embedder of the ArcFace kind: one vector of an aligned face."""

    mean: float = 127.5
    std: float = 127.5
    whole_numbers: bool = False
    size_px: int = Field(default=112, description="side of the face it takes, a multiple of 112")
    bgr: bool = Field(default=False, description="was trained on BGR pictures")
    dimension: int = Field(default=0, description="numbers per face; 0: as its file says")


class Networks(Document):
    """Both of a pack, in its pack.json."""

    detector: DetectorFacts
    embedder: EmbedderFacts
