"""Gates: short names, both forms, and bounds that can fail."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from likeness.contracts.errors import ParamsError
from likeness.evaluation import gates

METRICS = {
    "identity_cosine": {"source": 0.4, "target_copied": {"source": 0.06}},
    "outside": {"ssim": 0.995, "max_difference": 20},
    "expression_error": {"mean": 0.03},
    "fid": {"value": None, "reason": "37 images, 50 are needed"},
    "seams": {"gradient_ratio": {"mean": 1.5}},
    "embedder": {"name": "embedded (pack)", "circular": True},
}
SHORT = {
    "identity_cosine": "identity_cosine.source",
    "ssim_outside": "outside.ssim",
    "expression_error": "expression_error.mean",
    "fid": "fid.value",
    "gradient_ratio": "seams.gradient_ratio.mean",
    "outside.max_difference": "outside.max_difference",
    "identity_cosine.target_copied.source": "identity_cosine.target_copied.source",
}


@pytest.mark.parametrize(("name", "path"), SHORT.items())
def test_short_names(name: str, path: str) -> None:
    assert gates.path_of(name, gates.numbers(METRICS)) == path


def test_both_forms_give_the_same_verdicts() -> None:
    lines = ["identity_cosine >= 0.35", "ssim_outside>=0.999", "expression_error < 3e-1"]
    mapping = {name: bound for line in lines for name, bound in [_split(line)]}
    found = gates.verdicts(METRICS, lines)
    assert found == gates.verdicts(METRICS, mapping)
    assert {path: entry["passed"] for path, entry in found.items()} == {
        "expression_error.mean": True,
        "identity_cosine.source": True,
        "outside.ssim": False,
    }


def _split(line: str) -> tuple[str, str]:
    at = min(line.index(sign) for sign in "<>" if sign in line)
    return line[:at].strip(), line[at:]


def test_two_bounds_on_one_metric_must_both_hold() -> None:
    lines = ["identity_cosine >= 0.3", "identity_cosine.source < 0.4"]
    assert gates.verdicts(METRICS, lines) == {
        "identity_cosine.source": {"bound": "< 0.4 and >= 0.3", "value": 0.4, "passed": False}
    }


def test_what_was_not_measured_holds_nothing() -> None:
    assert not gates.verdicts(METRICS, ["fid < 1000"])["fid.value"]["passed"]


@pytest.mark.parametrize("name", ["identity", "embedder.name", "embedder.circular", "fid.reason"])
def test_words_and_switches_are_no_metrics(name: str) -> None:
    with pytest.raises(ParamsError, match="is no metric"):
        gates.verdicts(METRICS, {name: ">= 0"})


@given(st.floats(-5, 5), st.floats(-5, 5), st.sampled_from([">=", "<=", ">", "<"]))
def test_a_bound_says_what_python_says(value: float, limit: float, sign: str) -> None:
    want = {">=": value >= limit, "<=": value <= limit, ">": value > limit, "<": value < limit}
    assert gates.holds(value, f"{sign} {limit!r}") is want[sign]
