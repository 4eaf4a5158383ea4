"""Execution providers of ONNX Runtime: which processor runs the analysers' networks.

A setting of the machine (LIKENESS_PROVIDERS), never of the result. Another provider rounds in
another order, so the one that runs is said once per process, and nothing falls back in silence.
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import Any

from likeness.contracts import environment
from likeness.contracts.errors import ParamsError

SUFFIX = "ExecutionProvider"
CPU = "CPUExecutionProvider"
NOT_BY_DEFAULT = {
    "AzureExecutionProvider": "sends pictures to a service",
    "TensorrtExecutionProvider": "builds an engine for every size of picture, for minutes each",
    "NvTensorRTRTXExecutionProvider": "likewise",
}
"""Offered by some builds, used by those who ask for it by name."""
OPTIONS = {
    # Networks here take pictures of any size, and Core ML may end the process over those.
    "CoreMLExecutionProvider": {"RequireStaticInputShapes": "1"},
}


def offered() -> list[str]:
    """Providers of the ONNX Runtime that is installed, in its own order of preference."""
    import onnxruntime

    return list(onnxruntime.get_available_providers())


def chosen() -> tuple[list[str], bool]:
    """Providers to use, best first, the CPU at the end; and whether somebody asked for them.

    LIKENESS_PROVIDERS may say `cuda,cpu` for `CUDAExecutionProvider,CPUExecutionProvider`.

    Raises:
        ParamsError: ONNX Runtime does not offer what it asks for; what it offers is listed.
    """
    there, asked = offered(), environment.providers()
    known = {name.removesuffix(SUFFIX).lower(): name for name in there}
    names = []
    for given in asked:
        short = given.lower().removesuffix(SUFFIX.lower())
        if short not in known:
            problem = f"asks for `{given}`, which onnxruntime does not offer here"
            step = f"choose from: {', '.join(sorted(known))}; or install the build that has it"
            raise ParamsError("LIKENESS_PROVIDERS", problem, step)
        names.append(known[short])
    if not asked:
        names = [name for name in there if name not in NOT_BY_DEFAULT]
    return list(dict.fromkeys([*names, CPU])), bool(asked)


def open_session(model: Path | bytes, options: Any) -> Any:
    """ONNX Runtime session on the chosen providers.

    Raises:
        ParamsError: LIKENESS_PROVIDERS asks for one that is not offered, or that did not start.
    """
    import onnxruntime

    names, _ = chosen()
    if "CUDAExecutionProvider" in names:
        onnxruntime.preload_dlls()  # CUDA and cuDNN out of the packages that torch brings
    source = model if isinstance(model, bytes) else str(model)
    with_options = [(name, OPTIONS[name]) if name in OPTIONS else name for name in names]
    session = onnxruntime.InferenceSession(source, options, providers=with_options)
    confirm(session)
    return session


def confirm(session: Any) -> None:
    """Say, once, what runs a session.

    Raises:
        ParamsError: somebody asked for a provider, and it did not start.
    """
    names, asked = chosen()
    running = list(session.get_providers())
    lost = [name for name in names if name not in running]
    if lost and asked:
        problem = f"asks for {lost[0]}, which could not be started"
        step = "see onnxruntime's lines above; install its drivers, or leave it out"
        raise ParamsError("LIKENESS_PROVIDERS", problem, step)
    _say(", ".join(running), ", ".join(lost))


@functools.cache
def _say(running: str, lost: str) -> None:
    without = f"; COULD NOT START {lost}" if lost else ""
    print(f"networks: onnxruntime on {running}{without}", file=sys.stderr, flush=True)
