"""`likeness train`: the stage's own command line by another door, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from flows import train_command
from flows.commands import learn
from flows.run import repro
from flows.train_command import Training, find_training
from likeness.contracts.errors import GraphError

PARAMS = "models: {ann-ben: {family: x, source: ann, target: ben}}\n"


def test_the_command_is_that_of_the_stage(built: Path) -> None:
    (built / "params.yaml").write_text(PARAMS)
    found = find_training("ann-ben", built)
    assert (found.address, found.done) == ("train@ann-ben", True)
    assert found.command == "python work.py data/models/ann-ben data/shards/ann data/shards/ben"
    (built / "data/models/ann-ben").unlink()
    assert not find_training("ann-ben", built).done
    words = Training("train@m", "python -m tasks.train --model m --out 'a b'", done=False).arguments
    assert words == ["train", "--model", "m", "--out", "a b"]


def test_data_that_is_missing_names_its_stage(stub: Path) -> None:
    (stub / "params.yaml").write_text(PARAMS)
    with pytest.raises(GraphError, match=r"data/shards/ann: is not there yet; run `dvc repro sh"):
        find_training("ann-ben", stub)
    repro(["shard@ann"], root=stub)
    with pytest.raises(GraphError, match=r"data/shards/ben: .* run `dvc repro shard@ben`"):
        find_training("ann-ben", stub)
    with pytest.raises(GraphError, match="no such model; did you mean `ann-ben`"):
        find_training("ann-bin", stub)


def test_options_reach_the_process_and_its_exit_code_comes_back(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = Training("train@m", "python -m tasks.train --model m", done=False)
    given: list[list[str]] = []
    monkeypatch.setattr(learn, "check_repository", lambda _: None)
    monkeypatch.setattr(learn, "find_training", lambda *_: found)

    def note(command: list[str], *_: object, **how: object) -> int:
        given.append(command[1:])
        assert how["grace_s"] == train_command.GRACE_S
        return 2 if "--images" in command else 0

    monkeypatch.setattr(train_command, "stream", note)
    learn.train("m", minutes=5, images=None, find_rate=False)
    with pytest.raises(typer.Exit) as caught:
        learn.train("m", minutes=None, images=64, find_rate=False)
    assert caught.value.exit_code == 2
    learn.train("m", minutes=None, images=None, find_rate=True)
    door = ["-m", "tasks._train_command", "train"]
    assert given == [
        [*door, "--minutes", "5", "--model", "m"],
        [*door, "--images", "64", "--model", "m"],
        [*door, "--find-rate", ".likeness/trials/m", "--model", "m"],
    ]
    found = Training("train@m", found.command, done=True)
    learn.train("m", minutes=5, images=None, find_rate=False)
    assert "m is trained with these settings: data/models/m" in capsys.readouterr().out
    assert len(given) == 3
