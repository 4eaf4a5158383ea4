"""Stage publish: the mark, the record, and whom it refuses to publish."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import json
import os
import subprocess
import threading
import time
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from likeness.contracts.documents import sha256_of
from likeness.contracts.errors import ConsentError, GraphError, LikenessError
from likeness.media.footage import open_footage
from likeness.provenance.marks import make_mark
from tasks.publish import STAGE
from tests.footage import audio_packets, packet_times
from tests.marked import only_the_mark_changed
from tests.swapcase import CLIP, FRAME_PX, PARAMS, PTS, SWAP, Case, make_case, write_consent

STAGES = {  # name -> what it read, what it wrote; hashes are made of the names
    f"data/clips/{CLIP}": {
        "frames": (["/data/code/frames.txt", "clip.yaml", "footage.mp4"], ["frames.parquet"]),
        "align": (["frames.parquet"], ["aligned.json", "/data/crops/ben/ben-walks.parquet"]),
    },
    ".": {
        "code": (["likeness"], ["data/code"]),
        "pack": (["data/code/pack.txt", "data/weights"], ["data/packs/embedded"]),
        "shard@ben": (["data/crops/ben"], ["data/shards/ben"]),
        "train@ann-ben": (["data/shards/ben"], ["data/models/ann-ben"]),
        f"blend@{SWAP}": (
            [f"data/clips/{CLIP}/aligned.json", "data/models/ann-ben", "data/packs/embedded"],
            [f"data/swaps/{SWAP}/render.mp4"],
        ),
        f"evaluate@{SWAP}": (
            [f"data/swaps/{SWAP}/render.mp4"],
            [f"data/swaps/{SWAP}/report/metrics.json"],
        ),
    },
}


def write_list(name: str, **files: str) -> Path:
    """A list as stage `code` writes it: sha256 of each file."""
    path = Path("data/code", f"{name}.txt")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{digest}  tasks/{file}.py\n" for file, digest in files.items()))
    return path


def hash_of(path: str) -> str:
    """As it stands in a lock: of a list the real one, of all else one made of its name."""
    if path.startswith("data/code/"):
        return hashlib.md5(Path(path).read_bytes(), usedforsecurity=False).hexdigest()
    return f"md5 {path}"


def write_locks(changed: str = "") -> None:
    """Lock files of a small graph; the writer of `changed` has written it anew."""
    for folder, stages in STAGES.items():
        lock: dict[str, object] = {}
        for name, (deps, outs) in stages.items():
            lock[name] = {
                "cmd": f"python -m tasks.{name}",
                "params": {"params.yaml": {name.partition("@")[0]: {"seed": 0}}},
                "deps": [{"path": p, "md5": hash_of(p)} for p in placed(folder, deps)],
                "outs": [
                    {"path": p, "md5": f"md5 {p}" + "!" * (p == changed)}
                    for p in placed(folder, outs)
                ],
            }
        wdir = "." if folder == "." else "../../.."
        content = {
            "stages": {
                name.partition("@")[0]: {"wdir": wdir, "outs": placed(folder, outs)}
                for name, (_, outs) in stages.items()
            }
        }
        Path(folder, "dvc.yaml").write_text(json.dumps(content))
        Path(folder, "dvc.lock").write_text(json.dumps({"schema": "2.0", "stages": lock}))


def as_yaml(content: dict[str, object]) -> str:
    """A lock in lines, as DVC writes it."""
    buffer = io.StringIO()
    YAML().dump(content, buffer)
    return buffer.getvalue()


def placed(folder: str, paths: list[str]) -> list[str]:
    """Paths relative to the repository; a leading "/" says that they are already."""
    here = "" if folder == "." else f"{folder}/"
    return [path[1:] if path.startswith("/") else here + path for path in paths]


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    monkeypatch.chdir(tmp_path)
    found = make_case(tmp_path)
    (found.swap / "report").mkdir(parents=True)
    (found.swap / "render.mp4").write_bytes(found.footage.read_bytes())
    (found.swap / "report/metrics.json").write_text('{"identity_source": 0.5}')
    pack = Path("data/packs/embedded")
    pack.mkdir(parents=True)
    weights = [{"name": "detector", "sha256": "d0", "licence": "MIT", "source": "somewhere"}]
    (pack / "pack.json").write_text(json.dumps({"name": "embedded", "weights": weights}))
    (found.model / "model.safetensors").write_bytes(b"weights")
    write_list("pack", pack="p1", shared="s1")
    write_list("frames", frames="f1", shared="s1")
    write_list("code", code="c1")
    write_locks()
    return found


def publish(case: Case, settings: str = "") -> dict[str, object]:
    Path("params.yaml").write_text(PARAMS + settings)
    STAGE.execute(case.publish_arguments())
    record: dict[str, object] = json.loads((case.swap / "provenance.json").read_text())
    return record


def test_the_mark_is_in_its_corner_and_nowhere_else(case: Case) -> None:
    publish(case, "publish: {crf: 0, preset: ultrafast}\n")
    mark = make_mark("AI face swap · likeness", FRAME_PX)
    rows, columns = mark.plate.shape
    shown = list(open_footage(case.swap / "published.mp4").frames())
    for frame, before in zip(shown, open_footage(case.footage).frames(), strict=True):
        luma = frame.luma()[mark.y0 : mark.y0 + rows, mark.x0 : mark.x0 + columns]
        assert luma[mark.letters > 0.8].min() > 170
        assert only_the_mark_changed(frame.planes(), before.planes(), mark)


@pytest.mark.parametrize(
    ("file", "stage", "named"),
    [
        (f"data/clips/{CLIP}/dvc.lock", "align", f"data/clips/{CLIP}/aligned.json"),
        (f"data/clips/{CLIP}/dvc.lock", "frames", f"data/clips/{CLIP}/frames.parquet"),
        ("dvc.lock", "train@ann-ben", "data/models/ann-ben"),
        ("dvc.lock", f"evaluate@{SWAP}", f"data/swaps/{SWAP}/report/metrics.json"),
    ],
)
def test_a_record_never_lacks_an_ancestor(case: Case, file: str, stage: str, named: str) -> None:
    """What a kill while DVC rewrote a lock leaves behind it."""
    lock = json.loads(Path(file).read_text())
    del lock["stages"][stage]
    Path(file).write_text(json.dumps(lock))
    for old in (f"data/clips/{CLIP}/dvc.lock", "dvc.lock"):
        os.utime(old, (0, 0))  # nobody is writing them
    with pytest.raises(GraphError) as caught:
        publish(case)
    assert str(caught.value) == f"{named}: no dvc.lock knows who wrote it; run `dvc repro`"
    assert not (case.swap / "provenance.json").exists()


def test_a_lock_that_is_being_rewritten_is_read_whole(case: Case) -> None:
    """As DVC does it: emptied, then written part by part, here with pauses between the parts."""
    lock = Path("dvc.lock")
    text = as_yaml(json.loads(lock.read_text()))
    middle = text.index("  train@")  # up to there it parses, and lacks what is asked for
    lock.write_text(text[:middle])

    def rest() -> None:
        time.sleep(1)
        with lock.open("a") as handle:
            handle.write(text[middle : middle + 200])
            handle.flush()
            time.sleep(1)
            handle.write(text[middle + 200 :])

    writer = threading.Thread(target=rest)
    writer.start()
    record = publish(case)
    writer.join()
    assert len(record["stages"]) == 8  # type: ignore[arg-type]


def test_times_and_sound_are_kept(case: Case) -> None:
    publish(case)
    published = case.swap / "published.mp4"
    assert packet_times(published) == PTS
    assert audio_packets(published) == audio_packets(case.footage)


def test_the_record_names_everything_behind_the_video(case: Case) -> None:
    record = publish(case)
    addresses = [stage["address"] for stage in record["stages"]]  # type: ignore[attr-defined, index]
    clip = f"data/clips/{CLIP}/dvc.yaml"
    assert sorted(addresses) == sorted(
        [
            *(f"{clip}:frames", f"{clip}:align", "code", "pack", "shard@ben", "train@ann-ben"),
            *(f"blend@{SWAP}", f"evaluate@{SWAP}"),
        ]
    )
    text = json.dumps(record)
    assert f"md5 data/clips/{CLIP}/footage.mp4" in text
    weights = record["weights"]
    assert weights["analysers"][0]["weights"][0]["licence"] == "MIT"  # type: ignore[index]
    model = weights["models"][0]  # type: ignore[index]
    assert model["model"] == "ann-ben"
    assert model["sha256"] == sha256_of(case.model / "model.safetensors")
    assert record["metrics"] == {"identity_source": 0.5}
    footage = record["footage"][0]  # type: ignore[index]
    assert (footage["clip"], footage["licence"], footage["role"]) == (CLIP, "none", "target")
    published = sha256_of(case.swap / "published.mp4")
    assert record["outputs"]["published"]["sha256"] == published  # type: ignore[index]
    assert record["visible_mark"]["present"] is True  # type: ignore[index]
    assert record["stages"][0]["params"]["params.yaml"]  # type: ignore[index]


def test_the_record_holds_every_file_of_code_by_list(case: Case) -> None:
    """The lists of the stages behind the video, and that of `code`, which reads none."""
    write_list("convert", never="t1")  # of a stage that is not behind the video
    code = publish(case)["code"]
    assert code["files"] == {  # type: ignore[index]
        "tasks/code.py": "c1",
        "tasks/frames.py": "f1",
        "tasks/pack.py": "p1",
        "tasks/shared.py": "s1",
    }
    lists = code["lists"]  # type: ignore[index]
    assert set(lists) == {f"data/code/{name}.txt" for name in ("code", "frames", "pack")}
    for path, entry in lists.items():
        lines = "".join(f"{code['files'][file]}  {file}\n" for file in entry["files"])  # type: ignore[index]
        assert lines == Path(path).read_text()
        assert entry["md5"] == hash_of(path)


def test_code_that_changed_since_a_stage_ran_stops_it(case: Case) -> None:
    path = write_list("frames", frames="f2", shared="s1")
    message = refused(case, GraphError)
    assert message == (
        f"data/clips/{CLIP}/dvc.yaml:frames: was made from an earlier {path}; run `dvc repro` first"
    )
    path.unlink()
    assert f"an earlier {path}" in refused(case, GraphError)


def test_consents_are_recorded_by_hash_with_the_roles_used(case: Case) -> None:
    consents = publish(case)["consents"]
    found = {entry["identity"]: entry for entry in consents}  # type: ignore[attr-defined]
    assert set(found) == {"ann", "ben"}
    assert found["ann"]["used_as"] == ["source"]
    assert found["ben"]["used_as"] == ["target"]
    assert found["ben"]["record_sha256"] == sha256_of(Path("data/consents/ben-test.yaml"))


def test_without_a_mark_it_is_said_loudly(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    record = publish(case, "publish: {visible_mark: false}\n")
    assert record["visible_mark"]["present"] is False  # type: ignore[index]
    assert "NO VISIBLE MARK" in record["visible_mark"]["warning"]  # type: ignore[index]
    assert "WITHOUT a visible mark" in capsys.readouterr().err


def refused(case: Case, kind: type[LikenessError]) -> str:
    with pytest.raises(kind) as caught:
        STAGE.execute(case.publish_arguments())
    left = {path.name for path in case.swap.iterdir()}
    assert left == {"render.mp4", "report"}
    return str(caught.value)


YESTERDAY = str(dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1))


@pytest.mark.parametrize("identity", ["ann", "ben"])
@pytest.mark.parametrize(
    ("keys", "word"), [({"revoked": YESTERDAY}, "revoked"), ({"expires": YESTERDAY}, "expired")]
)
def test_a_revoked_or_expired_consent_stops_it(
    case: Case, identity: str, keys: dict[str, object], word: str
) -> None:
    write_consent(f"{identity}-test", identity, **keys)
    assert word in refused(case, ConsentError)


@pytest.mark.parametrize(("identity", "role"), [("ann", "target"), ("ben", "source")])
def test_a_role_that_was_not_allowed_stops_it(case: Case, identity: str, role: str) -> None:
    write_consent(f"{identity}-test", identity, roles=[role])
    assert f"allows {role}" in refused(case, ConsentError)


@pytest.mark.parametrize(
    ("picture", "role", "roles", "used"),
    [
        ("crop", "driver", ["driver"], "driver"),
        ("crop", "driver", ["target"], "driver"),
        ("crop", "driver", ["source"], None),
        ("crop", "target", ["driver"], None),
        ("frame", "driver", ["target"], "target"),
        ("frame", "driver", ["driver"], None),
        ("frame", "source", ["source", "target"], "target"),
        ("frame", "source", ["source"], None),
        ("crop", "source", ["source", "driver"], "driver"),
        ("crop", "source", ["source"], None),
    ],
)
def test_who_is_shown_agrees_to_be_a_target_and_who_moves_to_drive(
    case: Case, picture: str, role: str, roles: list[str], used: str | None
) -> None:
    clip = case.clip / "clip.yaml"
    clip.write_text(clip.read_text().replace("role: target", f"role: {role}"))
    write_consent("ben-test", "ben", roles=roles)
    (case.swap / "report/metrics.json").write_text(json.dumps({"picture": picture}))
    if used is None:
        assert f"allows {roles[0]}" in refused(case, ConsentError)
        return
    record = publish(case)
    found = {entry["identity"]: entry["used_as"] for entry in record["consents"]}  # type: ignore[attr-defined]
    assert found["ben"] == [used]
    whole = str(record["digital_source_type"]).endswith("/trainedAlgorithmicMedia")
    assert whole == (picture == "crop")
    assert ("nobody in it did" in str(record["statement"])) == whole


def test_a_missing_record_stops_it(case: Case) -> None:
    Path("data/consents/ann-test.yaml").unlink()
    refused(case, ConsentError)


def test_a_render_of_older_inputs_stops_it(case: Case) -> None:
    write_locks(changed="data/models/ann-ben")
    message = refused(case, GraphError)
    assert "data/models/ann-ben" in message
    assert f"blend@{SWAP}" in message


def test_a_render_that_no_stage_wrote_stops_it(case: Case) -> None:
    Path("dvc.lock").unlink()
    refused(case, GraphError)


def test_the_commit_and_changed_code_are_recorded(case: Case) -> None:
    def git(*arguments: str) -> str:
        command = ["git", "-c", "user.name=test", "-c", "user.email=test@localhost", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    assert publish(case)["code"]["commit"] is None  # type: ignore[index]
    git("init", "-q")
    git("add", "params.yaml")
    git("commit", "-q", "-m", "first")
    code = publish(case)["code"]
    assert code["commit"] == git("rev-parse", "HEAD")  # type: ignore[index]
    assert "params.yaml" not in code["changed_since_commit"]  # type: ignore[index]
    code = publish(case, "publish: {crf: 30}\n")["code"]
    assert "params.yaml" in code["changed_since_commit"]  # type: ignore[index]
    assert code["dirty"] is True  # type: ignore[index]
