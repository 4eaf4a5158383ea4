"""data/appearance/<identity>/map.json: which views of a face stand for which angles."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from likeness.contracts.documents import Document, read_json, validate

CORNERS = ((-1.0, -1.0), (-1.0, 1.0), (1.0, -1.0), (1.0, 1.0))
"""Signs of yaw and pitch of the four empty corners, which follow the views in this order."""


class MapView(Document):
    """One crop of the identity's data set that stands for the angles around its own."""

    clip: str
    frame_index: int
    track_index: int
    yaw_deg: float = Field(description="> 0 turns to the image's right")
    pitch_deg: float = Field(description="> 0 looks up")
    crops: int = Field(ge=1, description="that it stands for, itself included")


class AppearanceMap(Document):
    """Views over yaw and pitch, and the triangles between them and four empty corners.

    `points` and `triangles` are what `models.layers.appearance_map.barycentric` asks for.
    """

    identity: str
    radius_deg: float = Field(description="views lie farther apart than this")
    corner_deg: float = Field(description="yaw and pitch of the empty corners, plus or minus")
    crops: int = Field(description="that were looked at")
    beyond: int = Field(description="of these, crops turned as far as the corners, or farther")
    views: tuple[MapView, ...]
    triangles: tuple[tuple[int, int, int], ...] = Field(
        description="indices into `points`; the last four are the corners"
    )

    def points(self) -> list[tuple[float, float]]:
        """Yaw and pitch of the views in order, then of the corners, degrees."""
        corners = [(self.corner_deg * x, self.corner_deg * y) for x, y in CORNERS]
        return [(view.yaw_deg, view.pitch_deg) for view in self.views] + corners


def load_map(path: Path) -> AppearanceMap:
    """Read map.json.

    Raises:
        LikenessError: missing, not JSON, or not such a map.
    """
    return validate(AppearanceMap, read_json(path), path)
