"""Runtimes of frozen networks: onnxruntime sessions and TFLite interpreters, threads as asked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from likeness.contracts import environment
from likeness.contracts.errors import LikenessError, WeightsError
from models.analysers import providers

Floats = npt.NDArray[np.float32]
Image = npt.NDArray[np.uint8]
MIDDLE = 127.5


def planar(
    pictures: Sequence[Image], divisor: float, *, middle: float = MIDDLE, bgr: bool = False
) -> Floats:
    """Network input (B,3,H,W) as (x - middle) / divisor from pictures (H,W,3) uint8 RGB.

    Ten times as fast as OpenCV's blobFromImages on one thread, with the same values.
    """
    height, width = pictures[0].shape[:2]
    blob = np.empty((len(pictures), 3, height, width), np.float32)
    less, scale = np.float32(middle), np.float32(1.0 / divisor)
    for picture, planes in zip(pictures, blob, strict=True):
        for channel, plane in enumerate(cv2.split(picture)):
            out = planes[2 - channel if bgr else channel]
            np.subtract(plane, less, out=out)
            np.multiply(out, scale, out=out)
    return blob


def session_options(threads: int | None = None) -> Any:
    """Settings of a session: so many threads, or what the environment allows.

    They sleep when idle: two pools that spin on few cores cost each other a third.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or environment.threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def onnx_session(path: Path, threads: int | None = None, model: bytes | None = None) -> Any:
    """Session of an ONNX file, or of `model`, what became of it; on LIKENESS_PROVIDERS.

    Raises:
        ParamsError: a provider that cannot be had.
        WeightsError: the file is missing or is no ONNX model.
    """
    try:
        return providers.open_session(path if model is None else model, session_options(threads))
    except LikenessError:
        raise
    except Exception as error:
        # onnxruntime raises its own unrelated classes for a missing and for a damaged file.
        reason = str(error).splitlines()[0][:120]
        raise WeightsError(path, f"cannot be loaded ({reason})", "run `dvc repro pack`") from None


class LiteNetwork:
    """A TFLite network with a fixed input, run one sample at a time.

    Batches bring nothing on a CPU here; one thread per network and several networks side by side
    bring more than several threads in one.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        from ai_edge_litert.interpreter import Interpreter

        try:
            self._interpreter = Interpreter(str(path), num_threads=threads)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            reason = str(error).splitlines()[0][:120]
            step = "run `dvc repro pack`"
            raise WeightsError(path, f"cannot be loaded ({reason})", step) from None
        details = self._interpreter.get_input_details()[0]
        self._input = details["index"]
        self.size_px = int(details["shape"][1])
        self._outputs = [o["index"] for o in self._interpreter.get_output_details()]

    def run(self, image: Floats) -> list[Floats]:
        """(S,S,3) float32 RGB in [0,1] -> copies of all outputs, flattened."""
        self._interpreter.set_tensor(self._input, image[None])
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(index).reshape(-1) for index in self._outputs]
