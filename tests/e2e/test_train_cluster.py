"""Training on a Ray cluster of two nodes with Ray's own token authentication."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from models.training.processes import process_records
from tests.stages.test_train import Place


class Cluster:
    """A head and a second node, each with one CPU, a working and a temporary folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.token = folder / "token"
        self.token.write_text(secrets.token_hex(32))
        self._start("head", "--head", "--port=0", "--include-dashboard=false")
        self.address = (folder / "head/ray_current_cluster").read_text().strip()
        self._start("second", f"--address={self.address}")

    def _start(self, name: str, *arguments: str) -> None:
        (self.folder / name / "work").mkdir(parents=True)
        given = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(self.token)}
        patient = {"RAY_agent_register_timeout_ms": "120000", "RAY_USAGE_STATS_ENABLED": "0"}
        done = subprocess.run(
            [str(Path(sys.executable).parent / "ray"), "start", "--num-cpus=1",
             f"--temp-dir={self.folder / name}", *arguments],
            cwd=self.folder / name / "work",
            env={**os.environ, **given, **patient},
            capture_output=True,
            text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def kill(self, name: str) -> None:
        """Take a node away at once, with everything that runs there."""
        for process in psutil.process_iter(["cmdline"]):
            if str(self.folder / name) in " ".join(process.info["cmdline"] or []):
                for one in [*process.children(recursive=True), process]:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        one.kill()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    # Ray's sockets lie there, and their names may not be long.
    folder = Path(tempfile.mkdtemp(prefix="ray-"))
    made = None
    try:
        made = Cluster(folder)
        yield made
    finally:
        for name in ("second", "head") if made else ():
            made.kill(name)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.slow(seconds=119)
@pytest.mark.timeout(900)
def test_a_cluster_trains_and_goes_on_when_a_node_goes(
    cluster: Cluster, tmp_path: Path, repository: Path
) -> None:
    place = Place(tmp_path, repository)
    place.write_params(images=3200)
    asked = {"RAY_ADDRESS": cluster.address, "LIKENESS_WORKERS": "2", "LIKENESS_CHECKPOINT_S": "0"}
    quick = {"RAY_py_gcs_connect_timeout_s": "3", "RAY_AUTH_TOKEN": "0" * 64}
    wrong = place.begin("shared", **asked, **quick)
    said = wrong.communicate()[0]
    assert wrong.returncode == 2
    assert said.startswith(f"error: RAY_ADDRESS={cluster.address}: asks for a token")
    assert "set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH" in said
    assert said.count("\n") == 1
    training = place.begin("shared", **asked, RAY_AUTH_TOKEN_PATH=str(cluster.token))
    place.await_checkpoint("shared", 20, training)
    cluster.kill("second")
    said = training.communicate()[0]
    assert training.returncode == 0, said
    (state,) = {p.parent for p in tmp_path.glob("shared-state/training/*/processes")}
    took = process_records(state)
    assert {record.workers for record in took} == {1, 2}
    assert max(record.last_step for record in took) == 200
    # What one node had begun the other one ended, from the last checkpoint.
    assert next(record for record in took if record.workers == 1).first_step >= 20
    alone = place.begin("alone")
    assert alone.wait() == 0
    assert place.content("alone") == place.content("shared")
