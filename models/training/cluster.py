"""Ray on this machine or at RAY_ADDRESS, and what its machines have for workers.

A Ray of our own serves one training, listens on the loopback address alone and asks for a token
that only its processes know. A cluster is somebody else's: its token is passed on as Ray documents
(RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH or ~/.ray/auth_token), the code travels to it, and what its
workers take (GPUs, processors) is read from its machines, not from this one.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from likeness.contracts import environment
from likeness.contracts.errors import LikenessError, ModelError

ROOT = Path(__file__).resolve().parents[2]
CODE = ("likeness", "models")
"""Packages that workers import; they are sent to clusters."""
PASSED_ON = ("LIKENESS_", "GOMP_", "OMP_", "NCCL_", "GLOO_")
"""Beginnings of environment variables that hold for the workers, too."""
OURS = ("LIKENESS_WORKERS", "LIKENESS_STATE")
"""Variables that concern this process alone."""
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",  # else each line of a worker comes twice
}
"""Nothing is reported to Ray's makers, and nothing said that nobody can act on."""
START_S = 180.0
"""Time that Ray has to start, or to take us in."""
ANSWER_S = 10.0
"""Time that the head of a cluster has to answer at all."""
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Share:
    """What the workers of a training get.

    Attributes:
        workers: how many at most.
        threads: processors of each.
        gpu: whether each has a GPU of its own.
    """

    workers: int
    threads: int
    gpu: bool


def share_of(
    machines: list[dict[str, float]], wanted: int, threads: int | None, *, gpus: bool
) -> Share:
    """How many workers fit, and what each gets.

    Args:
        machines: "CPU" and "GPU" of each machine.
        wanted: workers asked for.
        threads: processors of each worker; None takes as many as all of them can have.
        gpus: whether GPUs may be used; where there are any, each worker has one.

    Returns:
        At most `wanted` workers; 0 where no machine can hold one.
    """
    able = [m for m in machines if m.get("GPU", 0) >= 1] if gpus else []
    gpu = bool(able)
    sizes = [(int(m.get("CPU", 0)), int(m.get("GPU", 0))) for m in able or machines]
    if gpu:
        each = threads or max(1, min(cpus // count for cpus, count in sizes))
        return Share(min(wanted, sum(min(c // each, g) for c, g in sizes)), each, gpu)
    each = threads or max([1, *(cpus for cpus, _ in sizes)])
    while threads is None and each > 1 and sum(cpus // each for cpus, _ in sizes) < wanted:
        each -= 1
    return Share(min(wanted, sum(cpus // each for cpus, _ in sizes)), each, gpu)


def _reason(error: BaseException) -> str:
    """The last of what an error says, on one line."""
    return " ".join(str(error).split())[-300:] or type(error).__name__


PATIENT = {
    "RAY_agent_register_timeout_ms": "120000",
    "RAY_worker_register_timeout_seconds": "120",
}
"""Ray's defaults (30 and 60 s) end a start on a machine that works at other things, too."""


def _own_environment() -> None:
    """Let the Ray that is about to start here listen on the loopback address, with a token."""
    # Without clusters Ray takes the loopback address for its machine's and binds to nothing else.
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    for name, value in PATIENT.items():
        os.environ.setdefault(name, value)
    # Without a dashboard there is none to look for, among other people's Rays on this machine.
    os.environ["RAY_API_SERVER_ADDRESS"] = "http://127.0.0.1:1"
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def _pass_token() -> None:
    """Pass a token to the cluster, where this user has one and says nothing about it.

    To an address that is given in so many words Ray passes it only if it is told to.
    """
    path = os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token"
    if os.environ.get("RAY_AUTH_TOKEN") or Path(path).is_file():
        os.environ.setdefault("RAY_AUTH_MODE", "token")


def _knock(address: str) -> None:
    """See that somebody listens at an address; Ray itself asks for many minutes.

    Raises:
        ModelError: an address of the kind that Ray Train cannot work with.
        OSError: nobody does.
    """
    if "://" in address:
        step = "name the head itself: RAY_ADDRESS=HOST:6379"
        raise ModelError(f"RAY_ADDRESS={address}", "is of Ray Client, which cannot train", step)
    host, _, port = address.rpartition(":")
    if address != "auto":
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_S).close()


@contextmanager
def _in_time(seconds: float) -> Iterator[None]:
    """End what lasts longer.

    Raises:
        TimeoutError: it does.
    """

    def late(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"not ready after {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def _muffled() -> Iterator[None]:
    """Keep from the terminal what Ray's core says while it tries again and again."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _start(workers: int, threads: int) -> None:
    """Start Ray on this machine for this training alone."""
    import ray

    # Without its dashboard Ray warns every second that it cannot ask it. What goes wrong in a
    # worker comes back as an error, not as its log; the workers' own progress shows.
    quiet = ray.LoggingConfig(log_level="CRITICAL")
    with _muffled():
        ray.init("local", num_cpus=workers * threads, include_dashboard=False, logging_config=quiet)
    heard = {node["NodeManagerAddress"] for node in ray.nodes()}
    if heard != {LOOPBACK}:
        raise ModelError("ray", f"listens at {heard}, not at {LOOPBACK} alone", "report this")


def _join(address: str) -> None:
    """Join a cluster and send it the code."""
    import ray

    passed = {n: v for n, v in os.environ.items() if n.startswith(PASSED_ON) and n not in OURS}
    passed |= QUIET | {"RAY_ADDRESS": address}  # without it Ray's own actors look for clusters
    code = {"py_modules": [str(ROOT / name) for name in CODE], "env_vars": passed}
    with _muffled():
        quiet = ray.LoggingConfig(log_level="CRITICAL")
        ray.init(address, runtime_env=code, logging_config=quiet)


def _refused(address: str, error: Exception) -> ModelError:
    """The error for a person: Ray that could not be started or joined."""
    if not address:
        step = "see the newest folder in /tmp/ray for its logs, or unset LIKENESS_WORKERS"
        return ModelError("ray", f"did not start on this machine ({_reason(error)})", step)
    text = f"{type(error).__name__} {error} {error.__cause__ or ''}".lower()
    if "authenti" in text or "token" in text:
        problem = "asks for a token, and none or another one was given"
        step = (
            "set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH to a file with the cluster's token "
            "(`ray get-auth-token` prints it on the head)"
        )
        return ModelError(f"RAY_ADDRESS={address}", problem, step)
    problem = f"no cluster answers ({_reason(error.__cause__ or error)})"
    step = (
        "start one with `ray start --head`, let this machine join with `ray start --address`, "
        "correct RAY_ADDRESS, or unset it"
    )
    return ModelError(f"RAY_ADDRESS={address}", problem, step)


@contextmanager
def joined(workers: int, threads: int) -> Iterator[bool]:
    """While it lasts, this process belongs to a Ray; gives whether that is its own.

    Args:
        workers: for which a Ray of our own has room.
        threads: processors of each.

    Raises:
        ModelError: Ray does not start, or does not answer at RAY_ADDRESS.
    """
    # Ray reads its environment when it is first imported.
    os.environ.update(QUIET)
    address = os.environ.get("RAY_ADDRESS", "")
    own = address in ("", "local")
    if own:
        _own_environment()
    else:
        _pass_token()
        try:
            _knock(address)
        except (OSError, ValueError) as error:
            raise _refused(address, error) from None
    import ray

    ended = signal.getsignal(signal.SIGTERM)
    try:
        with _in_time(START_S):
            _start(workers, threads) if own else _join(address)
    except LikenessError:
        ray.shutdown()
        raise
    except Exception as error:  # Ray raises a dozen kinds, plain Exception among them
        ray.shutdown()
        raise _refused("" if own else address, error) from None
    signal.signal(signal.SIGTERM, ended)  # Ray takes it for itself
    try:
        yield own
    finally:
        ray.shutdown()


def share(wanted: int, *, own: bool) -> Share:
    """What the workers of a training get from the machines of this Ray.

    Args:
        wanted: workers asked for.
        own: whether Ray runs on this machine alone, for this training.

    Raises:
        ModelError: no machine can hold a worker.
    """
    import ray

    machines: list[dict[str, Any]] = [n["Resources"] for n in ray.nodes() if n["Alive"]]
    given = own or "LIKENESS_THREADS" in os.environ
    threads = max(1, environment.threads() // wanted) if given else None
    found = share_of(machines, wanted, threads, gpus=environment.device() != "cpu")
    if not found.workers:
        having = ", ".join(f"{m.get('CPU', 0):g} CPUs" for m in machines) or "no machines"
        problem = f"no machine has {found.threads} CPUs for a worker ({having})"
        raise ModelError("ray", problem, "lower LIKENESS_THREADS, or start Ray with --num-cpus")
    return found
