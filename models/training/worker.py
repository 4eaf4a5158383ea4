"""One worker of a training: joins the others, checks that it sees what they see, and trains.

Workers talk to each other through torch.distributed. Its meeting point is a socket that listens on
the address under which Ray knows the machine, so on the loopback address where Ray is our own.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from likeness.contracts.errors import ModelError
from likeness.contracts.memory import keep_freed_memory
from models.training import loop
from models.training.job import Job
from models.training.process_group import DistributedGroup

GROUP = "group"
"""File in the state folder by which workers know that they see the same one."""
BEGUN = "begun"
"""File in the state folder by which the driver knows that a worker runs."""
SILENCE_S = 1800.0
"""After so long without a word from another worker, one gives up."""
ASKED_EVERY_S = 2.0


class PreemptibleGroup(DistributedGroup):
    """Workers that Ray warns before a machine is taken away."""

    def __init__(self, device: torch.device) -> None:
        super().__init__(device)
        self._asked = time.monotonic()
        self._leaving = False

    def leaving(self) -> bool:
        """Whether a machine of this group is about to go; all workers ask at the same steps.

        To ask Ray takes all workers, too, and longer than a small step: the first one says when.
        """
        import ray.train

        due = torch.tensor(float(time.monotonic() - self._asked >= ASKED_EVERY_S))
        due = due.to(self.device)
        self.broadcast(due, 0)
        if bool(due):
            self._leaving = ray.train.get_preemption_info() is not None
            self._asked = time.monotonic()
        return self._leaving


def interface_of(address: str) -> str | None:
    """Name of the network interface that has an IPv4 address; None where the system says nothing.

    Gloo otherwise takes the one to which the machine's name leads, which may be another.
    """
    try:
        import fcntl

        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plug:
            for _, name in socket.if_nameindex():
                try:  # SIOCGIFADDR of linux/sockios.h; the address stands in bytes 20 to 24
                    found = fcntl.ioctl(plug, 0x8915, name.encode()[:15].ljust(256, b"\0"))
                except OSError:
                    continue
                if socket.inet_ntoa(found[20:24]) == address:
                    return name
    except (ImportError, OSError):
        pass
    return None


@contextmanager
def together(device: torch.device, address: str) -> Iterator[None]:
    """While it lasts, torch.distributed connects the workers of this group.

    Args:
        device: of this worker.
        address: of its machine, as Ray knows it.
    """
    import ray.train
    import ray.train.collective

    context = ray.train.get_context()
    rank, size = context.get_world_rank(), context.get_world_size()
    name = interface_of(address)
    for variable in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME") if name else ():
        os.environ.setdefault(variable, str(name))
    place: tuple[str, int] | None = None
    if rank == 0:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.bind((address, 0))
        listening.listen(2 * size)
        place = (address, listening.getsockname()[1])
    host, port = ray.train.collective.broadcast_from_rank_zero(place)
    options: dict[str, Any] = {"wait_for_workers": False, "timeout": timedelta(seconds=300)}
    if rank == 0:
        options |= {"is_master": True, "master_listen_fd": listening.detach()}
    store = torch._C._distributed_c10d.TCPStore(host, port, size, **options)
    backend = "nccl" if device.type == "cuda" else "gloo"
    wait = timedelta(seconds=SILENCE_S)
    dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=wait)
    yield
    # Only after the end: a worker that has failed must not wait for those that wait for it.
    dist.destroy_process_group()


def check_sight(job: Job, group: str, host: str) -> None:
    """Check that this worker sees the data and the state that its training has.

    Raises:
        ModelError: names what it does not see, and where.
    """
    paths = [job.source, job.target, job.init, job.recogniser, job.perceptual]
    missing = [path for path in paths if path is not None and not path.exists()]
    mark = job.state / GROUP
    if not mark.is_file() or mark.read_text() != group:
        missing.append(job.state)
    if missing:
        problem = f"is not seen by the worker on {host}"
        step = (
            "data/ and LIKENESS_STATE must lie on storage that all machines mount at the same "
            "path (docs/how-to/train-on-a-cluster.md)"
        )
        raise ModelError(missing[0], problem, step)


def check_torch(given: str, host: str) -> None:
    """Check that this worker computes with the torch that its training was begun with.

    Raises:
        ModelError: another version.
    """
    if torch.__version__.partition("+")[0] != given.partition("+")[0]:
        problem = f"{torch.__version__} is installed on {host}, {given} here"
        raise ModelError("torch", problem, "install requirements.lock on all machines")


def work(config: dict[str, Any]) -> int:
    """One worker: train its share; gives the images seen by the whole group.

    Raises:
        LikenessError: as `models.training.loop.train`; or the worker does not see what it must.
    """
    import ray
    import ray.train.torch

    job: Job = config["job"]
    host, address = socket.gethostname(), ray.util.get_node_ip_address()
    check_torch(config["torch"], host)
    check_sight(job, config["group"], host)
    (job.state / BEGUN).touch()
    keep_freed_memory()
    device = ray.train.torch.get_device() if config["gpu"] else torch.device("cpu")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    with together(device, address):
        run = loop.train(job, PreemptibleGroup(device), device, threads=config["threads"])
        if dist.get_rank() == 0:
            run.save()
        dist.barrier()
    return run.images


def mark(state: Path, group: str) -> None:
    """Leave in the state folder what `check_sight` looks for."""
    state.mkdir(parents=True, exist_ok=True)
    (state / BEGUN).unlink(missing_ok=True)
    (state / GROUP).write_text(group)


def has_begun(state: Path) -> bool:
    """Whether a worker has begun since `mark`."""
    return (state / BEGUN).exists()
