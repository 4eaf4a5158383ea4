"""What SECURITY.md promises, held against the code."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from flows.process import environment

ROOMS = ("apps", "flows", "likeness", "models", "tasks", "scripts", "benchmarks")
RUNS_DATA = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}


@cache
def calls(repository: Path) -> list[tuple[str, str, ast.Call]]:
    """(place, dotted name, call) of every call in the project's own code."""
    return list(_calls(repository))


def _calls(repository: Path) -> Iterator[tuple[str, str, ast.Call]]:
    for room in ROOMS:
        for path in sorted((repository / room).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call):
                    place = f"{path.relative_to(repository)}:{node.lineno}"
                    yield place, ast.unparse(node.func), node


def keywords(call: ast.Call) -> dict[str, str]:
    return {word.arg: ast.unparse(word.value) for word in call.keywords if word.arg}


def test_nothing_is_unpickled(repository: Path) -> None:
    """The module may be named where its errors are caught; nothing of it is called."""
    for place, name, _ in calls(repository):
        assert name.partition(".")[0] not in RUNS_DATA, place


def test_weights_are_loaded_as_data_alone(repository: Path) -> None:
    loads = [(place, call) for place, name, call in calls(repository) if name == "torch.load"]
    for place, call in loads:
        assert keywords(call).get("weights_only") == "True", place
    arrays = [(place, call) for place, name, call in calls(repository) if name == "np.load"]
    for place, call in arrays:
        assert keywords(call).get("allow_pickle", "False") == "False", place


def test_no_shell_is_given_a_line(repository: Path) -> None:
    """Commands are lists of words; DVC's own shell reads dvc.yaml, which test_names looks at."""
    for place, name, call in calls(repository):
        assert name not in {"os.system", "os.popen", "eval", "exec"}, place
        assert "shell" not in keywords(call), place


def test_yaml_builds_no_objects(repository: Path) -> None:
    for place, name, call in calls(repository):
        if name == "YAML":
            assert keywords(call).get("typ", "'rt'") in {"'rt'", "'safe'"}, place
        assert name not in {"yaml.load", "yaml.unsafe_load", "yaml.full_load"}, place


def test_nobody_is_told_what_runs(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stages and DVC get telemetry switched off; so does the server, whoever starts it."""
    for name in ("DVC_NO_ANALYTICS", "RAY_USAGE_STATS_ENABLED"):
        monkeypatch.delenv(name, raising=False)
    given = environment()
    assert (given["DVC_NO_ANALYTICS"], given["RAY_USAGE_STATS_ENABLED"]) == ("1", "0")
    make = (repository / "Makefile").read_text(encoding="utf-8")
    for line in ("DVC_NO_ANALYTICS := 1", "PREFECT_SERVER_ANALYTICS_ENABLED := false",
                 "RAY_USAGE_STATS_ENABLED := 0", "DO_NOT_TRACK := 1"):  # fmt: skip
        assert line in make
    assert "analytics = false" in (repository / ".dvc/config").read_text(encoding="utf-8")
    assert "ANALYTICS_ENABLED" in (repository / "flows/server.py").read_text(encoding="utf-8")
