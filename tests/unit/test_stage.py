"""The stage runner: one line and code 2 for errors, and no half output under a final name."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from likeness.contracts import atomic
from likeness.contracts.documents import Document
from likeness.contracts.errors import LikenessError
from likeness.contracts.stage import Context, Stage


class Params(Document):
    times: int = 1


def repeat(context: Context[Params]) -> None:
    text = context.inputs["text"].read_text()
    if text == "bad":
        context.outputs["copy"].write_text("half")
        raise LikenessError("text", "is bad", "write another")
    context.outputs["copy"].write_text(text * context.params.times + context.options["mark"])


WITHOUT_PANDAS = """
import sys
import numpy as np
import pyarrow as pa
from likeness.contracts.documents import Document
from likeness.contracts.stage import Stage

def run(context):
    given = pa.array([1.0, None]).to_numpy(zero_copy_only=False)
    back = pa.array(np.arange(3)).to_numpy()
    found = np.isnan(given).sum(), back.sum(), "pandas" in sys.modules
    context.outputs["copy"].write_text(" ".join(map(str, found)))

Stage("repeat", Document, {"text": None}, {"copy": None}, run, options=("mark",)).main()
"""
STAGE = Stage("repeat", Params, {"text": None}, {"copy": None}, repeat, options=("mark",))


def arguments(folder: Path, text: str, params: str = "repeat:\n  times: 2\n") -> list[str]:
    (folder / "text").write_text(text)
    (folder / "params.yaml").write_text(params)
    given = {"mark": "!", "text": folder / "text", "copy": folder / "copy"}
    pairs = [[f"--{k}", str(v)] for k, v in {**given, "params": folder / "params.yaml"}.items()]
    return [part for pair in pairs for part in pair]


def exit_code(folder: Path, *given: str) -> int:
    with pytest.raises(SystemExit) as caught:
        STAGE.main(arguments(folder, *given))
    return int(caught.value.code or 0)


def test_output_appears_under_its_final_name(tmp_path: Path) -> None:
    assert exit_code(tmp_path, "ab") == 0
    assert (tmp_path / "copy").read_text() == "abab!"
    assert not list(tmp_path.glob(".tmp-*"))


def test_failure_keeps_the_old_output_and_prints_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "copy").write_text("old")
    assert exit_code(tmp_path, "bad") == 2
    assert (tmp_path / "copy").read_text() == "old"
    assert not list(tmp_path.glob(".tmp-*"))
    assert capsys.readouterr().err == "error: text: is bad; write another\n"


def test_wrong_parameters_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(tmp_path, "ab", "repeat:\n  tmes: 2\n") == 2
    error = capsys.readouterr().err
    assert "params.yaml:2" in error
    assert "did you mean `times`" in error
    assert error.count("\n") == 1


def test_missing_input_names_it(tmp_path: Path) -> None:
    given = arguments(tmp_path, "ab")
    (tmp_path / "text").unlink()
    with pytest.raises(LikenessError, match=r"text: input of `repeat` is missing; run `dvc repro`"):
        STAGE.execute(given)


def test_full_disk_is_one_line_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(context: Context[Params]) -> None:
        context.outputs["copy"].write_text("half")
        raise OSError(28, "No space left on device", str(context.outputs["copy"]))

    stage = Stage("repeat", Params, {"text": None}, {"copy": None}, full, options=("mark",))
    with pytest.raises(SystemExit) as caught:
        stage.main(arguments(tmp_path, "ab"))
    assert caught.value.code == 2
    assert "No space left" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir() if "copy" in p.name] == []


def test_folders_are_replaced_whole(tmp_path: Path) -> None:
    final = tmp_path / "model"
    final.mkdir()
    (final / "old").touch()
    with atomic.atomic_path(final) as temporary:
        temporary.mkdir()
        (temporary / "new").touch()
        assert (final / "old").exists()
    assert [p.name for p in final.iterdir()] == ["new"]


SLEEPER = """
import sys, time
from pathlib import Path
from likeness.contracts.documents import Document
from likeness.contracts.stage import Stage
def run(context):
    context.outputs["copy"].write_text("half")
    print("ready", flush=True)
    time.sleep(60)
Stage("repeat", Document, {}, {"copy": None}, run).main(sys.argv[1:])
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_killed_stage_leaves_no_final_output(tmp_path: Path, repository: Path, how: int) -> None:
    (tmp_path / "params.yaml").write_text("{}\n")
    command = [sys.executable, "-c", SLEEPER, "--copy", str(tmp_path / "copy")]
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    with subprocess.Popen(
        [*command, "--params", str(tmp_path / "params.yaml")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(how)
        process.wait(timeout=30)
    assert process.returncode == (-9 if how == signal.SIGKILL else 130)
    assert not (tmp_path / "copy").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells a child of its parent's death")
def test_a_stage_ends_with_the_process_that_started_it(tmp_path: Path, repository: Path) -> None:
    (tmp_path / "params.yaml").write_text("{}\n")
    command = [sys.executable, "-c", SLEEPER, "--copy", str(tmp_path / "copy")]
    command += ["--params", str(tmp_path / "params.yaml")]
    starter = "import subprocess, sys; p = subprocess.Popen(sys.argv[1:])"
    starter += "; print(p.pid, flush=True); p.wait()"
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    with subprocess.Popen(
        [sys.executable, "-c", starter, *command], stdout=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        assert process.stdout.readline() == b"ready\n"
        process.kill()
    assert (
        psutil.wait_procs([psutil.Process(child)] if psutil.pid_exists(child) else [], 20)[1] == []
    )
    assert not (tmp_path / "copy").exists()
    assert not list(tmp_path.glob(".tmp-*"))


def test_a_stage_started_from_a_shell_does_not_import_pandas(tmp_path: Path) -> None:
    script = tmp_path / "stage.py"
    script.write_text(WITHOUT_PANDAS)
    subprocess.run([sys.executable, str(script), *arguments(tmp_path, "ab", "{}\n")], check=True)
    assert (tmp_path / "copy").read_text() == "1 3 False"
