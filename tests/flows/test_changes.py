"""Whatever ends `add`, `remove`, `replace`, `rename` or `assign`: all of it is done, or nothing."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from flows import additions, assignment, clips, removal, renaming
from flows.changes import Change, documents, recover
from flows.process import environment
from likeness.contracts.catalog import identity_names, list_clips
from likeness.contracts.dvclock import held
from likeness.contracts.errors import CatalogError
from tests.footage import make_clip
from tests.house import change_params, copy_repository, enrol, write_consent

DVC = "outs:\n- md5: 0123456789abcdef0123456789abcdef\n  size: 1\n  hash: md5\n  path: {name}\n"


def note_only(footage: Path, root: Path, say: object = print) -> None:
    """What `dvc add` leaves beside footage, without the second that it takes."""
    footage.with_name(f"{footage.name}.dvc").write_text(DVC.format(name=footage.name))


def everything(root: Path) -> dict[str, bytes]:
    """Content of the documents and data; what git and DVC ignore must be gone, too."""
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() else b""
        for path in sorted((root / "data").rglob("*"))
        if path.is_file() or not any(path.iterdir())
    } | {"params.yaml": (root / "params.yaml").read_bytes()}


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("film")
    make_clip(folder / "better.mp4", frames=3, size=(64, 48))
    return make_clip(folder / "take.mov", frames=2, size=(64, 48))


@pytest.fixture(scope="module")
def empty(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = copy_repository(repository, tmp_path_factory.mktemp("changes") / "repo")
    for name in ("ann", "ben"):
        write_consent(root, name)
    return root


@pytest.fixture
def house(empty: Path, tmp_path: Path, film: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One clip of ann that a swap aims at, with some outputs; one of ben."""
    monkeypatch.setattr(additions, "track", note_only)
    root = tmp_path / "repo"
    for path in ("tasks/clip.dvc.yaml", "tasks/identity.dvc.yaml", "params.yaml"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(empty / path, root / path)
    shutil.copytree(empty / "data/consents", root / "data/consents")
    for clip, name in (("ann-1", "ann"), ("ben-1", "ben"), ("ben-2", "ben")):
        add(root, film, clip, name)
    for path in ("crops/ann/ann-1.parquet", "rosters/ann.json", "appearance/ann/map.json"):
        (root / "data" / path).parent.mkdir(parents=True, exist_ok=True)
        (root / "data" / path).write_text("made")
    model = {"family": "mesh_transfer", "source": "ben", "target": "ben"}
    swap = {"source": "ben", "target": "ben-1", "model": "m"}
    change_params(root, models={"m": model}, swaps={"s": swap})
    return root


def quiet(_text: str) -> None:
    pass


def new_clip(root: Path, film: Path, clip: str, identity: str) -> additions.NewClip:
    consent = f"{identity}-2026"
    return additions.check_new_clip(
        film, root, identity=identity, role="target", consent=consent, clip=clip
    )


def add(root: Path, film: Path, clip: str, identity: str) -> None:
    additions.add_clip(new_clip(root, film, clip, identity), root, quiet)


def prepared(what: str, root: Path, film: Path) -> Callable[[], object]:
    """A command that has passed its checks and is about to write."""
    if what == "add":
        write_consent(root, "cid")
        new = new_clip(root, film, "cid-1", "cid")
        return lambda: additions.add_clip(new, root, quiet)
    if what == "remove":
        gone = removal.check_removal("ann-1", root)
        return lambda: removal.remove_clip(gone, root, quiet)
    if what == "replace":
        take = additions.check_new_take("ben-1", film.with_name("better.mp4"), root)
        return lambda: additions.replace(take, root, quiet)
    if what == "rename":
        return lambda: renaming.rename("ben-1", "ben-front", root, quiet)
    wanted = assignment.check_assignment("ann-1", root, identity="ben")
    return lambda: assignment.assign(wanted, root, quiet)


WRITES = ("os.rename", "os.mkdir", "os.remove", "os.rmdir", "shutil.rmtree", "os.truncate")


def killed_at(moment: int, work: Callable[[], object]) -> bool:
    """Do the work in a child that ends by SIGKILL before its `moment`-th write; False: it ended."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    seen = 0

    def hook(event: str, details: tuple[object, ...]) -> None:
        nonlocal seen
        writing = event == "open" and str(details[1] or "r")[0] in "wax"
        if writing or event in WRITES:
            seen += 1
            if seen == moment:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    with contextlib.suppress(BaseException):
        work()
    os._exit(0)


@pytest.mark.parametrize("what", ["add", "remove", "replace", "rename", "assign"])
def test_a_kill_at_any_write_leaves_all_or_nothing(
    house: Path, film: Path, tmp_path: Path, what: str
) -> None:
    prepared(what, house, film)  # the record that `add` needs
    before = everything(house)
    done = Path(shutil.copytree(house, tmp_path / "done"))
    prepared(what, done, film)()
    after = everything(done)
    assert after != before
    assert not [name for name in after if ".tmp-" in name]
    moment, found = 0, set[str]()
    while True:
        moment += 1
        root = Path(shutil.copytree(house, tmp_path / "killed"))
        killed = killed_at(moment, prepared(what, root, film))
        recover(root, quiet)
        now = everything(root)
        assert now in (before, after), f"killed at write {moment}: {set(now) ^ set(before)}"
        found.add("before" if now == before else "after")
        shutil.rmtree(root)
        if not killed:
            break
    assert found == {"before", "after"}
    assert moment > 8


@pytest.mark.parametrize("what", ["add", "remove", "replace", "rename", "assign"])
def test_a_failure_undoes_its_own_steps_alone(
    house: Path, film: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """What an editor wrote meanwhile stays."""
    work = prepared(what, house, film)
    before = everything(house)

    def fail(self: Change) -> None:
        params = house / "params.yaml"
        params.write_text(params.read_text() + "# by an editor\n")
        enrol(house, "eve")
        raise KeyboardInterrupt

    monkeypatch.setattr(Change, "commit", fail)
    with pytest.raises(KeyboardInterrupt):
        work()
    now = everything(house)
    eve = {name: now.pop(name) for name in list(now) if "/eve/" in name}
    assert len(eve) == 2
    if what != "rename":  # which has written params.yaml itself, for a moment under the lock
        assert now.pop("params.yaml") == before.pop("params.yaml") + b"# by an editor\n"
    assert now == before


def test_a_living_change_is_left_alone(house: Path) -> None:
    with Change(house, quiet) as change:
        change.make_folder(house / "data/clips/new")
        recover(house, quiet)
        assert (house / "data/clips/new").is_dir()
        with pytest.raises(CatalogError, match="just being added by another"):
            clips.require_free("new", house)
    assert not (house / "data/clips/new").exists()


def test_parallel_adds_of_new_people_lose_nobody(
    house: Path, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twelve processes; two of them want one and the same clip."""
    people = [f"p{number}" for number in range(11)]
    for name in people:
        write_consent(house, name)
    children = []
    for name, clip in [(n, f"{n}-1") for n in people] + [("p0", "p0-1")]:
        child = os.fork()
        if not child:
            code = 1
            with contextlib.suppress(CatalogError):
                add(house, film, clip, name)
                code = 0
            os._exit(code)
        children.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert sorted(codes) == [0] * 11 + [1]
    assert set(people) <= set(identity_names(house / "data"))
    assert {f"{n}-1" for n in people} <= {clip.clip for clip in list_clips(house / "data")}
    assert not [name for name in everything(house) if ".tmp-" in name]


def test_who_waits_says_for_whom(house: Path) -> None:
    said: list[str] = []
    ready, go = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        with documents(house):
            os.write(ready[1], b"x")
            os.read(go[0], 1)
        os._exit(0)
    os.read(ready[0], 1)

    def say(text: str) -> None:
        said.append(text)
        os.write(go[1], b"x")

    with documents(house, say):
        pass
    os.waitpid(child, 0)
    assert said == [f"waiting for another `likeness` (process {child})"]


def test_add_waits_for_another_run_and_says_for_whom(
    empty: Path, tmp_path: Path, film: Path
) -> None:
    root = Path(shutil.copytree(empty, tmp_path / "repo"))
    ready, go = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        with held(root):
            os.write(ready[1], b"x")
            os.read(go[0], 1)
        os._exit(0)
    os.read(ready[0], 1)
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        if "waiting" in text:
            os.write(go[1], b"x")

    additions.add_clip(new_clip(root, film, "take", "ann"), root, say)
    os.waitpid(child, 0)
    assert said[1:] == [f"waiting for another run (process {child})"]
    assert (root / "data/clips/take/footage.mov.dvc").is_file()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_add_that_is_ended_while_dvc_works_can_be_run_again(
    empty: Path, tmp_path: Path, film: Path, number: signal.Signals
) -> None:
    """The console command, and DVC itself, which hashes and copies to its cache."""
    root = Path(shutil.copytree(empty, tmp_path / "repo"))
    before = everything(root)
    words = ["add", str(film), "--identity", "ann", "--role", "target", "--consent", "ann-2026"]
    command = [sys.executable, "-m", "flows.cli", *words, "--yes"]
    env = {**environment(), "PYTHONPATH": str(root)}
    child = subprocess.Popen(
        command, cwd=root, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    until = time.monotonic() + 60
    while not (root / "data/clips/take/footage.mov").exists() and time.monotonic() < until:
        time.sleep(0.01)
    child.send_signal(number)
    child.wait(timeout=60)
    assert child.returncode != 0
    if number == signal.SIGTERM:
        assert everything(root) == before
    again = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stdout + again.stderr
    if number == signal.SIGKILL:
        assert "undid what was left half done at data/clips/take" in again.stderr
    assert not [name for name in everything(root) if ".tmp-" in name]
    assert (root / "data/clips/take/footage.mov.dvc").is_file()


def test_two_adds_at_once_beside_a_working_stage(empty: Path, tmp_path: Path, film: Path) -> None:
    """The console command, thrice: DVC runs a stage while two new people come in."""
    root = Path(shutil.copytree(empty, tmp_path / "repo"))
    with (root / "dvc.yaml").open("a") as file:
        file.write("\n  slow:\n    cmd: touch started && sleep 300\n")
    run = [sys.executable, "-m", "dvc", "repro", "slow"]
    env = {**environment(), "PYTHONPATH": str(root)}
    slow = subprocess.Popen(
        run, cwd=root, env=env, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        until = time.monotonic() + 60
        while not (root / "started").exists() and time.monotonic() < until:
            time.sleep(0.05)
        adds = []
        for name in ("ann", "ben"):
            words = ["add", str(film), "--identity", name, "--role", "target"]
            words += ["--consent", f"{name}-2026", "--clip", f"{name}-1", "--yes"]
            command = [sys.executable, "-m", "flows.cli", *words]
            adds.append(subprocess.Popen(command, cwd=root, env=env, stderr=subprocess.PIPE))
        said = [child.communicate(timeout=120)[1].decode() for child in adds]
        assert [child.returncode for child in adds] == [0, 0], said
        assert slow.poll() is None
    finally:
        os.killpg(slow.pid, signal.SIGKILL)
        slow.wait(timeout=60)
    assert identity_names(root / "data") == ["ann", "ben"]
    assert [clip.clip for clip in list_clips(root / "data")] == ["ann-1", "ben-1"]
