"""Networks through torch.compile, where the plan asks for it.

Each network of a family is compiled by itself; losses stay as they are, names of weights too.
Pictures and settling run without it: their batches have other shapes, and each would be compiled
anew. Fused kernels round differently, so that `compile` is part of what a result depends on.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import nn

from likeness.contracts.errors import ModelError
from likeness.contracts.params.train import Plan
from models.training.job import Job

COMPILERS = ("g++", "clang++", "c++")


def require_compiler(model: str) -> None:
    """Check that torch finds what it writes its kernels for.

    Raises:
        ModelError: there is no C++ compiler.
    """
    if not any(shutil.which(name) for name in (os.environ.get("CXX", ""), *COMPILERS) if name):
        problem = f"train.compile needs a C++ compiler ({', '.join(COMPILERS)})"
        raise ModelError(model, problem, "install one, set CXX, or set `train.compile: false`")


def compile_networks(swapper: nn.Module, job: Job) -> None:
    """Compile every child of `swapper` that learns, at its first use, if the plan says so.

    Raises:
        ModelError: there is no C++ compiler.
    """
    if not job.plan.compile:
        return
    require_compiler(job.model)
    for child in swapper.children():
        if any(parameter.requires_grad for parameter in child.parameters()):
            child.compile(dynamic=False)


def uncompiled(plan: Plan) -> AbstractContextManager[object]:
    """While it lasts, networks run as they were written."""
    # Asking torch for it imports its compiler, which takes longer than a small training's step.
    return torch.compiler.set_stance("force_eager") if plan.compile else nullcontext()


@contextmanager
def reporting(job: Job) -> Iterator[None]:
    """While it lasts, an error of torch's compiler becomes one for a person.

    Raises:
        ModelError: networks that cannot be compiled.
    """
    if not job.plan.compile:
        yield
        return
    from torch._dynamo.exc import TorchDynamoException

    try:
        yield
    except TorchDynamoException as error:
        reason = " ".join(str(error).split())[:200]
        problem = f"cannot be compiled ({reason})"
        raise ModelError(job.model, problem, "set `train.compile: false`") from None
