"""The curves of a learning-rate range test as one PNG."""

from __future__ import annotations

from pathlib import Path

from likeness.contracts.atomic import atomic_path
from models.training.rates import RateCurve

NAME = "rates.png"
GROUND, INK, LINE, NOW, HINT = "#ffffff", "#333333", "#1f6fb4", "#777777", "#c4471d"


def draw_rates(curves: list[RateCurve], folder: Path) -> Path:
    """Draw loss over rate, one field per phase, into `folder`; gives the picture's path."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.2 * len(curves)), facecolor=GROUND, layout="constrained")
    FigureCanvasAgg(figure)
    fields = figure.subplots(len(curves), 1, squeeze=False)[:, 0]
    for field, curve in zip(fields, curves, strict=True):
        field.semilogx(curve.rates, curve.losses, color=LINE, alpha=0.25, linewidth=1)
        field.semilogx(curve.rates, curve.smoothed, color=LINE, linewidth=2, label="loss, smoothed")
        marks = (("now", curve.present, NOW), ("steepest descent", curve.steepest, HINT))
        for name, rate, colour in marks:
            if rate is not None:
                field.axvline(rate, color=colour, linestyle="--", label=f"{name}: {rate:.1e}")
        if curve.tenth is not None:
            field.axvline(curve.tenth, color=HINT, linestyle=":",
                          label=f"a tenth of the lowest: {curve.tenth:.1e}")  # fmt: skip
        low, high = curve.smoothed.min(), curve.smoothed.max()
        first = max(curve.smoothed[0], low + 1e-6)
        field.set_ylim(low - 0.1 * (first - low), min(high, first + 0.5 * (first - low)))
        field.set(title=f"phase {curve.phase}", xlabel="learning rate", ylabel="loss")
        field.spines[["top", "right"]].set_visible(False)
        field.legend(frameon=False, fontsize=9, labelcolor=INK)
    path = folder / NAME
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110, metadata={"Software": None})
    return path
