"""What report.html says that hangs on no measurement: made while frames are still being judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from likeness.evaluation.report import html
from likeness.evaluation.report.coverage import coverage
from likeness.evaluation.report.scatter import Scatter
from likeness.evaluation.report.training import training

TEMPLATE = "template.html.j2"


@dataclass(frozen=True)
class Ground:
    """Parts of the page that are known before anything is measured.

    Attributes:
        learned: training curves, preview and settings of the model, see `training`.
        points: pose and expression of the target over those of the source.
    """

    learned: dict[str, Any]
    points: list[Scatter]


def prepare(inputs: Mapping[str, Path]) -> Ground:
    """Read what the model and the faces say, and compile the template.

    Args:
        inputs: of stage `evaluate`, by name.
    """
    html.template(TEMPLATE)
    return Ground(training(inputs["model"]), coverage(inputs["source"], inputs["aligned"]))
