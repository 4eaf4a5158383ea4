"""`dvc repro` watched: what ran, what was cached, what failed; nothing is left running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from flows.process import end_all, group_members, plain, stream
from flows.run import ReproError, Transcript, is_chatter, repro, repro_once
from tests.flows.commands import await_file, lives

ORDER = [
    "pack",
    "data/clips/ann-1/dvc.yaml:align",
    "shard@ann",
    "data/clips/ben-1/dvc.yaml:align",
    "shard@ben",
    "train@ann-ben",
    "convert@ann-on-ben",
    "blend@ann-on-ben",
    "publish@ann-on-ben",
]


def test_a_second_run_does_nothing(built: Path) -> None:
    runs = repro(root=built)
    assert [r.address for r in runs] == ORDER
    assert {(r.state, r.seconds) for r in runs} == {("cached", 0.0)}


def test_a_new_take_runs_what_depends_on_it(built: Path) -> None:
    (built / "data/clips/ben-1/footage.txt").write_text("another take")
    ran = [r.address for r in repro(root=built) if r.state == "ran"]
    assert ran == ORDER[3:]


def test_failure_names_the_stage_and_its_own_reason(built: Path) -> None:
    (built / "data/clips/ben-1/footage.txt").write_text("fail")
    with pytest.raises(ReproError) as caught:
        repro(root=built)
    error = caught.value
    assert error.subject == "data/clips/ben-1/dvc.yaml:align"
    assert error.problem == "this input is bad; replace it"
    assert {r.address for r in error.runs if r.state == "failed"} == {error.subject}


# DVC's process may write no file above 8 MB; the stage lifts that for itself and writes more.
BIG = """\
import pathlib, resource, sys
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
out = pathlib.Path(sys.argv[1])
out.parent.mkdir(parents=True, exist_ok=True)
out.write_bytes(bytes(20_000_000))
"""
CRAMPED = """\
import pathlib, resource, sys
from flows.run import ReproError, repro
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (8_000_000, hard))
try:
    repro(["pack"], root=pathlib.Path(sys.argv[1]))
except ReproError as error:
    print(error, [(run.address, run.state) for run in error.runs])
"""


def test_an_output_that_the_cache_did_not_take_is_a_failure(stub: Path) -> None:
    """DVC says it, goes on and exits with 0, as on a full disk; the next run makes it again."""
    (stub / "work.py").write_text(BIG)
    done = subprocess.run(
        [sys.executable, "-c", CRAMPED, str(stub)], capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("pack: DVC's cache did not take its output (File too large); ")
    assert "[('pack', 'failed')]" in done.stdout
    assert [run.state for run in repro(["pack"], root=stub)] == ["ran"]


def test_two_runs_at_once_both_end_well(stub: Path) -> None:
    """DVC refuses a path that another run holds even under --wait-for-lock; we try again."""
    (stub / "tag").write_text("nap")
    results: list[list[str]] = []

    def one() -> None:
        results.append([r.state for r in repro(root=stub)])

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 2
    assert all(len(states) == len(ORDER) for states in results)
    assert "failed" not in [state for states in results for state in states]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_swap_ends_every_process_when_it_is_stopped(
    built: Path, repository: Path, number: int
) -> None:
    (built / "data/clips/ben-1/footage.txt").write_text("sleep")
    child = subprocess.Popen(
        [sys.executable, "-m", "flows.cli", "swap"],
        cwd=built,
        env={**os.environ, "PYTHONPATH": str(repository)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    sleeper = int(await_file(built / "child.pid"))
    assert lives(sleeper)
    child.send_signal(number)
    output = child.communicate(timeout=30)[0]
    assert child.returncode == 130
    assert "interrupted; run the same command again to go on" in output
    assert not lives(sleeper)
    (built / "data/clips/ben-1/footage.txt").write_text("well")
    assert [r.state for r in repro(root=built)].count("ran") == 6


def test_end_all_ends_what_ignores_the_first_signal(tmp_path: Path) -> None:
    stubborn = (
        "import os, signal, time, pathlib; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "pathlib.Path('pid').write_text(str(os.getpgrp())); time.sleep(60)"
    )
    codes: list[int] = []
    command = [sys.executable, "-c", stubborn]
    thread = threading.Thread(target=lambda: codes.append(stream(command, print, folder=tmp_path)))
    thread.start()
    group = int(await_file(tmp_path / "pid"))
    end_all(grace_s=0.5)
    thread.join(timeout=20)
    assert codes == [-signal.SIGKILL]
    assert group_members(group) == []


def test_stages_find_this_interpreter(tmp_path: Path) -> None:
    said: list[str] = []
    code = stream(["sh", "-c", "command -v python; exit 3"], said.append, folder=tmp_path)
    assert code == 3
    assert said == [str(Path(sys.executable).parent / "python")]


def test_transcript_reads_dvc_lines() -> None:
    now = iter([0.0, 1.5, 2.0, 9.0])
    transcript = Transcript(clock=lambda: next(now))
    for line in (
        "'data/clips/a/footage.mp4.dvc' didn't change, skipping",
        "Running stage 'pack':",
        "> python -m tasks.pack",
        "Stage 'data/clips/a/dvc.yaml:frames' is cached - skipping run, checking out outputs",
        "Running stage 'shard@a':",
        "error: data/rosters/a.json: is empty; add a clip",
        "ERROR: failed to reproduce 'shard@a': failed to run: python, exited with 2",
    ):
        transcript.line(line)
    transcript.end(255)
    assert [(r.address, r.state, r.seconds) for r in transcript.runs.values()] == [
        ("pack", "ran", 1.5),
        ("data/clips/a/dvc.yaml:frames", "cached", 0.0),
        ("shard@a", "failed", 7.0),
    ]
    assert transcript.error == "data/rosters/a.json: is empty; add a clip"


def test_plain_shows_what_a_terminal_shows_last() -> None:
    assert plain("\x1b[32m10 %\r\x1b[K100 %\x1b[0m\n") == "100 %"
    assert is_chatter("\tgit add dvc.lock")
    assert not is_chatter("Running stage 'pack':")


def test_one_stage_alone(built: Path) -> None:
    (built / "tag").write_text("two")
    done = repro_once(["pack"], single=True, root=built)
    assert [(r.address, r.state) for r in done.runs.values()] == [("pack", "ran")]
