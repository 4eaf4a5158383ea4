"""Metrics that people know by name: where their values and baselines stand in metrics.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Tree = Mapping[str, Any]
BASELINES = {
    "target_copied": "Target copied",
    "target_reencoded": "Target re-encoded",
    "source_pasted": "Source pasted",
    "mesh_transfer": "mesh_transfer",
}
"""Keys of baselines in metrics.json, in the order of their columns."""
CENTRES = ("mean", "value")
"""Leaves that stand for their metric."""
NOTHING, MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"


def value_at(tree: Tree, path: str) -> float | None:
    """Number at a dotted path; None where there is none."""
    node: Any = tree
    for key in path.split(".") if path else ():
        node = node.get(key) if isinstance(node, Mapping) else None
    is_number = isinstance(node, int | float) and not isinstance(node, bool)
    return node if is_number else None


def shown(value: float | None, form: str) -> str:
    """A number as the table writes it; a dash for none."""
    return NOTHING if value is None else format(value, form).replace("-", MINUS)


@dataclass(frozen=True)
class Line:
    """One metric as the table shows it.

    Attributes:
        label: its name.
        hint: what it means, in a few words.
        better: "higher", "lower", "target" (as near to the target copied as can be), "" unknown.
        path: where its value stands in metrics.json, dotted.
        format: of the value.
        least: smallest difference between two runs that anybody would see or act on.
    """

    label: str
    hint: str
    better: str
    path: str
    format: str = ".3f"
    least: float = 0.005

    def value(self, metrics: Tree) -> float | None:
        """Its value; None where nothing was measured."""
        return value_at(metrics, self.path)

    def baseline(self, metrics: Tree, name: str) -> float | None:
        """The same of a baseline; None where there is none.

        It stands beside the value, as a number or with the same leaf below it.
        """
        parent, _, leaf = self.path.rpartition(".")
        beside = f"{parent}.{name}" if parent else name
        below = value_at(metrics, f"{beside}.{leaf}")
        return value_at(metrics, beside) if below is None and leaf in CENTRES else below

    def interval(self, metrics: Tree) -> tuple[float, float] | None:
        """Its 95 % interval of confidence; None where there is none."""
        parent = self.path.rpartition(".")[0]
        low, high = (value_at(metrics, f"{parent}.{end}") for end in ("low", "high"))
        return None if low is None or high is None else (low, high)

    def aside(self, metrics: Tree) -> str:
        """What belongs to the hint: the target's own value, or the interval of confidence."""
        own = value_at(metrics, f"{self.path}_target")
        if own is not None:
            return f"{self.hint} ({shown(own, self.format)})"
        ends = self.interval(metrics)
        if ends is None:
            return self.hint
        return f"{self.hint}; 95 %: {' to '.join(shown(end, self.format) for end in ends)}"


LINES = (
    Line(
        "Identity: source",
        "cosine to the source's gallery",
        "higher",
        "identity_cosine.source",
        least=0.01,
    ),
    Line(
        "Identity: target",
        "cosine to the target's own face",
        "lower",
        "identity_cosine.target",
        least=0.01,
    ),
    Line(
        "Second opinion: source",
        "the same by an embedder that nothing else uses",
        "higher",
        "identity_independent.source",
        least=0.01,
    ),
    Line(
        "Second opinion: target",
        "the same by an embedder that nothing else uses",
        "lower",
        "identity_independent.target",
        least=0.01,
    ),
    Line(
        "Head pose", "degrees from the target's", "lower", "pose_error_deg.mean", ".2f", least=0.2
    ),
    Line(
        "Landmarks", "eye distances from the target's", "lower", "landmark_error.mean", least=0.002
    ),
    Line(
        "Expression",
        "the same without pose, place, size",
        "lower",
        "expression_error.mean",
        least=0.002,
    ),
    Line(
        "Gaze", "eye widths from the target's, by the iris", "lower", "gaze_error.mean", least=0.005
    ),
    Line(
        "Border, colour",
        "step across it, ΔE 2000",
        "target",
        "seams.boundary_delta_e.mean",
        ".2f",
        least=0.3,
    ),
    Line(
        "Border, edges",
        "gradient energy against both sides",
        "target",
        "seams.gradient_ratio.mean",
        ".2f",
        least=0.05,
    ),
    Line(
        "Colour",
        "mean inside the mask, ΔE 2000 to the target's",
        "lower",
        "colour_shift.mean",
        least=0.3,
    ),
    Line(
        "Light, mean",
        "Lab inside the mask",
        "lower",
        "illumination.lab_mean_error.mean",
        ".2f",
        least=0.3,
    ),
    Line(
        "Light, contrast",
        "deviation of Lab inside the mask",
        "lower",
        "illumination.lab_deviation_error.mean",
        ".2f",
        least=0.3,
    ),
    Line(
        "Light, shading",
        "correlation of soft shading with the target's",
        "higher",
        "illumination.shading_correlation.mean",
        least=0.01,
    ),
    Line(
        "Perceptual distance",
        "features of the pack's recogniser, not LPIPS",
        "lower",
        "perceptual_distance.mean",
        least=0.01,
    ),
    Line(
        "FID",
        "crops against the target's, by those features",
        "lower",
        "fid.value",
        ".2f",
        least=0.2,
    ),
    Line("KID", "the same, unbiased", "lower", "kid.value", ".4f", least=0.002),
    Line(
        "Outside: SSIM", "where nothing should change", "higher", "outside.ssim", ".4f", least=0.001
    ),
    Line("Outside: PSNR", "dB", "higher", "outside.psnr_db", ".1f", least=0.3),
    Line("Outside: largest", "grey levels of 255", "lower", "outside.max_difference", "g", least=4),
    Line(
        "Identity over time",
        "variance of the cosine to the source",
        "lower",
        "flicker.identity_variance",
        ".4f",
        least=0.0005,
    ),
    Line(
        "Jitter",
        "of the mesh, above the target's",
        "lower",
        "flicker.landmark_jitter",
        ".4f",
        least=0.0005,
    ),
    Line("Colour flicker", "Lab, above the target's", "lower", "flicker.colour", least=0.02),
    Line(
        "Warping error", "above the target's", "lower", "flicker.warping_error", ".5f", least=0.0002
    ),
    Line("Flow", "px from the target's motion", "lower", "flicker.flow_difference_px", least=0.02),
)
"""The lines that people know by name, in the order in which they read them."""
KEY_PATHS = (
    "identity_cosine.source",
    "identity_independent.source",
    "pose_error_deg.mean",
    "expression_error.mean",
    "outside.ssim",
    "flicker.warping_error",
)
"""The few of them that stand on the index."""
