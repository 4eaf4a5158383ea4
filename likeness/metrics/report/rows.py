"""The table on top of the report: every number with its baselines and which way is better."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Tree = Mapping[str, Any]


@dataclass(frozen=True)
class Line:
    """One metric as the table shows it.

    Attributes:
        label: its name.
        hint: what it means, in a few words.
        better: "higher", "lower" or "target" (as near to the target's own as can be).
        path: where its value stands in metrics.json, dotted.
        copied, pasted: the same for the baselines; empty where there is none.
        format: of the value.
    """

    label: str
    hint: str
    better: str
    path: str
    copied: str = ""
    pasted: str = ""
    format: str = ".3f"


def _with_baselines(label: str, hint: str, better: str, path: str, form: str) -> Line:
    copied, pasted = f"{path}.target_copied", f"{path}.source_pasted"
    return Line(label, hint, better, f"{path}.mean", copied, pasted, form)


LINES = (
    Line(
        "Identity: source",
        "cosine to the source's gallery",
        "higher",
        "identity_cosine.source",
        "identity_cosine.target_copied.source",
        "identity_cosine.source_pasted.source",
    ),
    Line(
        "Identity: target",
        "cosine to the target's own face",
        "lower",
        "identity_cosine.target",
        "identity_cosine.target_copied.target",
        "identity_cosine.source_pasted.target",
    ),
    _with_baselines("Head pose", "degrees from the target's", "lower", "pose_error_deg", ".2f"),
    _with_baselines(
        "Landmarks", "eye distances from the target's", "lower", "landmark_error", ".3f"
    ),
    _with_baselines(
        "Expression", "the same without pose, place, size", "lower", "expression_error", ".3f"
    ),
    _with_baselines(
        "Border, colour", "step across it, ΔE 2000", "target", "seams.boundary_delta_e", ".2f"
    ),
    _with_baselines(
        "Border, edges",
        "gradient energy against both sides",
        "target",
        "seams.gradient_ratio",
        ".2f",
    ),
    Line("Colour", "mean inside the mask, ΔE 2000 to the target's", "lower", "colour_shift"),
    Line("Outside: SSIM", "where nothing should change", "higher", "outside.ssim", format=".4f"),
    Line("Outside: PSNR", "dB", "higher", "outside.psnr_db", format=".1f"),
    Line("Outside: largest", "grey levels of 255", "lower", "outside.max_difference", format="d"),
    Line(
        "Identity over time",
        "variance of the cosine to the source",
        "lower",
        "flicker.identity_variance",
        format=".4f",
    ),
    Line(
        "Jitter",
        "of the mesh, above the target's",
        "lower",
        "flicker.landmark_jitter",
        format=".4f",
    ),
    Line("Colour flicker", "Lab, above the target's", "lower", "flicker.colour"),
    Line("Warping error", "above the target's", "lower", "flicker.warping_error", format=".5f"),
    Line("Flow", "px from the target's motion", "lower", "flicker.flow_difference_px"),
)
NOTHING, MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"
BETTER = {"higher": "↑", "lower": "↓", "target": "≈"}


def value_at(tree: Tree, path: str) -> float | None:
    """Value at a dotted path; None where there is none."""
    node: Any = tree
    for key in path.split(".") if path else ():
        node = node.get(key) if isinstance(node, Mapping) else None
    return node if isinstance(node, int | float) else None


def shown(value: float | None, form: str) -> str:
    """A number as the table writes it; a dash for none."""
    return NOTHING if value is None else format(value, form).replace("-", MINUS)


def table(metrics: Tree) -> list[dict[str, str]]:
    """Rows for the template: label, hint, arrow, better, value, copied, pasted."""
    return [
        {
            "label": line.label,
            "hint": line.hint,
            "better": line.better,
            "arrow": BETTER[line.better],
            "value": shown(value_at(metrics, line.path), line.format),
            "copied": shown(value_at(metrics, line.copied), line.format),
            "pasted": shown(value_at(metrics, line.pasted), line.format),
        }
        for line in LINES
    ]


def verdict(metrics: Tree) -> list[str]:
    """Two or three sentences that say what the numbers mean."""
    faces = metrics["frames"]["with_face"]
    if not faces:
        return [
            "No face was found in the target clip, so nothing was replaced: the render is a copy."
        ]
    who = metrics["identity_cosine"]
    source, target = shown(who["source"], ".2f"), shown(who["target"], ".2f")
    copied, pasted = (
        shown(who[name]["source"], ".2f") for name in ("target_copied", "source_pasted")
    )
    share = f"{100 * (who['nearer_to_source'] or 0.0):.0f} %"
    nearer = (
        f"In {share} of the measured frames the face is nearer to the source than to the target"
    )
    beside = f"The target untouched reaches {copied} to the source, a plain paste {pasted}, the"
    sentences = [
        f"{nearer} ({source} against {target}).",
        f"{beside} source's own footage {shown(who['source_itself'], '.2f')}.",
    ]
    ssim = metrics["outside"]["ssim"]
    if ssim is not None:
        sentences.append(f"Outside the mask the picture keeps an SSIM of {ssim:.4f}.")
    return sentences
