"""`likeness gate`: what CI reads, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flows.cli import main

METRICS = {
    "identity_cosine": {"source": 0.4, "target": 0.2},
    "expression_error": {"mean": 0.03, "source_pasted": 0.06},
    "outside": {"ssim": 0.995},
    "gaze_error": {"mean": None},
    "embedder": {"name": "embedded (pack)"},
}
SWAP = "ann-on-ben"


def write(root: Path, gates: object, judged: dict[str, object] | None, own: object = None) -> None:
    """A repository with one swap; `gates` of all swaps, `own` of this one, `judged` as reported."""
    entry = {"source": "ann", "target": "ben-1", "model": "m"}
    other = dict(entry)
    if own is not None:
        entry["evaluate"] = {"gates": own}  # type: ignore[assignment]  # a nested mapping
    content = {"evaluate": {"gates": gates}, "swaps": {SWAP: entry, "other": other}}
    (root / "dvc.yaml").write_text("stages: {}\n")
    (root / "params.yaml").write_text(json.dumps(content))
    if judged is not None:
        path = root / "data/swaps" / SWAP / "report/metrics.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({**METRICS, **judged}))


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(["gate", *arguments])
    assert isinstance(caught.value.code, int)
    return caught.value.code


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def judged(bound: str, *, passed: bool) -> dict[str, object]:
    entry = {"bound": bound, "value": 0.4, "passed": passed}
    return {"gates": {"identity_cosine.source": entry}, "gates_passed": passed}


def test_a_gate_that_holds_is_0(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(root, ["identity_cosine >= 0.35"], judged(">= 0.35", passed=True))
    assert run(SWAP) == 0
    assert "the gate holds" in capsys.readouterr().out


def test_a_failed_gate_is_1_and_its_line_comes_last(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(root, {"identity_cosine.source": ">= 0.5"}, judged(">= 0.5", passed=False))
    assert run(SWAP) == 1
    said = capsys.readouterr()
    assert said.err == f"failed: {SWAP}: identity_cosine.source is 0.4, not >= 0.5\n"
    assert "identity_cosine.source" in said.out


def test_json_names_swap_metric_bound_and_value(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(root, {}, judged(">= 0.5", passed=False), own=["identity_cosine >= 0.5"])
    assert run("--json") == 1
    content = json.loads(capsys.readouterr().out)
    assert (content["passed"], content["failed"]) == (False, 1)
    assert content["swaps"]["other"] == []
    assert content["swaps"][SWAP] == [
        {
            "swap": SWAP,
            "metric": "identity_cosine.source",
            "bound": ">= 0.5",
            "value": 0.4,
            "passed": False,
        }
    ]


def test_a_swap_without_report_is_2_with_the_next_step(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(root, ["identity_cosine >= 0.35"], None)
    assert run(SWAP) == 2
    assert f"run `likeness swap {SWAP}`" in capsys.readouterr().err


def test_one_missing_report_hides_no_other_verdict(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(root, ["identity_cosine >= 0.5"], judged(">= 0.5", passed=False))
    assert run() == 2
    said = capsys.readouterr()
    assert "identity_cosine.source" in said.out
    assert f"failed: {SWAP}" in said.err
    assert "run `likeness swap other`" in said.err.splitlines()[-1]
    assert run("--json") == 2
    content = json.loads(capsys.readouterr().out)
    assert content["passed"] is False
    assert "does not exist" in content["not_judged"]["other"]


@pytest.mark.parametrize("gates", [["identity_cosine >= 0.3"], [], ["ssim_outside >= 0.9"]])
def test_verdicts_of_other_bounds_are_not_taken_for_these(
    root: Path, capsys: pytest.CaptureFixture[str], gates: list[str]
) -> None:
    write(root, gates, judged(">= 0.35", passed=True))
    assert run(SWAP) == 2
    assert "other gates" in capsys.readouterr().err


def test_nothing_stated_is_0_and_said(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(root, {}, {})
    assert run() == 0
    assert "no gates" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("gates", "words"),
    [
        (["identity is fine"], "no bound on a metric"),
        (["embedder.name >= 1"], "is no metric"),
        ("identity_cosine >= 0.3", "no list of bounds"),
    ],
)
def test_a_gate_that_cannot_be_read_is_2(
    root: Path, capsys: pytest.CaptureFixture[str], gates: object, words: str
) -> None:
    write(root, gates, {})
    assert run(SWAP) == 2
    assert words in capsys.readouterr().err


def test_an_unknown_swap_is_2(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(root, {}, {})
    assert run("nobody") == 2
    assert f"known: {SWAP}, other" in capsys.readouterr().err
