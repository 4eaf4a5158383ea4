"""insightface at work: packs are opened by FaceAnalysis, stills analysed, networks described.

Whatever folder of ONNX files FaceAnalysis accepts is a pack here. Single pictures go through it as
it is. For films, `networks_of` hands what it found of both networks to a runner of our own, since
insightface takes one square picture at a time.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from likeness.contracts.errors import LikenessError, WeightsError
from models.analysers import providers
from models.analysers.faces import Face
from models.analysers.interfaces import DetectorFacts, EmbedderFacts, Networks
from models.analysers.sessions import session_options

Image = npt.NDArray[np.uint8]
TASKS = {"detector": "detection", "embedder": "recognition"}
"""Role in a pack here -> what insightface calls it."""
SIZE_PX = (640, 640)
"""What FaceAnalysis fills a picture up to."""
SCORE = 0.5
TEMPLATE_PX = 112
"""Embedders take the ArcFace template at this side, or at a multiple of it."""
ACCEPTED = "docs/how-to/use-another-pack.md says what a pack must hold"


@contextlib.contextmanager
def _told(folder: Path) -> Iterator[None]:
    """Make one line of what insightface, onnxruntime and protobuf raise over a folder.

    Raises:
        WeightsError: instead of theirs.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of scikit-image, at insightface
            yield
    except LikenessError:
        raise
    except AssertionError:
        raise WeightsError(folder, "insightface finds no face detector in it", ACCEPTED) from None
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise WeightsError(folder, f"insightface cannot load it ({reason})", ACCEPTED) from None


def open_analysis(folder: Path, threads: int | None = None) -> Any:
    """insightface's FaceAnalysis over a folder: its detector and recogniser.

    Raises:
        ParamsError: LIKENESS_PROVIDERS asks for what cannot be had.
        WeightsError: no such folder, or insightface does not accept it.
    """
    if not folder.is_dir():  # FaceAnalysis would try to download one of this name
        raise WeightsError(folder, "does not exist", ACCEPTED)
    with _told(folder):
        from insightface.app import FaceAnalysis

        analysis = FaceAnalysis(
            name=str(folder.resolve()),
            allowed_modules=list(TASKS.values()),
            providers=providers.chosen()[0],
            sess_options=session_options(threads),
        )
        analysis.prepare(ctx_id=0, det_thresh=SCORE, det_size=SIZE_PX)
    for model in analysis.models.values():
        providers.confirm(model.session)
    return analysis


def model_of(analysis: Any, role: str, folder: Path) -> Any:
    """insightface's model of a role ("detector", "embedder").

    Raises:
        WeightsError: the pack has none.
    """
    model = analysis.models.get(TASKS[role])
    if model is None:
        problem = f"insightface finds no network for {TASKS[role]} in it"
        raise WeightsError(folder, problem, ACCEPTED)
    return model


def networks_of(analysis: Any, folder: Path) -> Networks:
    """What both networks expect and give.

    Raises:
        WeightsError: without five points, or of another template, they are of no use here.
    """
    detector = model_of(analysis, "detector", folder)
    embedder = model_of(analysis, "embedder", folder)
    if not detector.use_kps:
        problem = "its detector gives no five points, which faces are aligned by"
        raise WeightsError(folder, problem, "use one that does (a name with `bnkps`, such as)")
    side = int(embedder.input_size[0])
    if embedder.input_size[0] != embedder.input_size[1] or side % TEMPLATE_PX:
        problem = f"its recogniser takes faces of {side} px, not of a multiple of {TEMPLATE_PX}"
        raise WeightsError(folder, problem, "use one for the ArcFace template")
    with _told(folder):
        vector = embedder.get_feat(np.full((side, side, 3), 127, np.uint8))
    if vector.ndim != 2 or not np.isfinite(vector).all():
        problem = "its recogniser does not give one vector of numbers per face"
        raise WeightsError(folder, problem, ACCEPTED)
    whole = [getattr(model, "input_dtype", None) is np.uint8 for model in (detector, embedder)]
    return Networks(
        detector=DetectorFacts(
            strides=tuple(detector._feat_stride_fpn),  # insightface has no other name
            anchors=detector._num_anchors,
            mean=float(detector.input_mean),
            std=float(detector.input_std),
            whole_numbers=whole[0],
            fixed_px=detector.static_input_size,
        ),
        embedder=EmbedderFacts(
            mean=float(embedder.input_mean),
            std=float(embedder.input_std),
            whole_numbers=whole[1],
            size_px=side,
            dimension=int(vector.shape[1]),
        ),
    )


class Stills:
    """Faces of single pictures, by insightface's FaceAnalysis; for one thread.

    Args:
        folder: of a pack.
        threads: of its sessions; None: what the environment allows.

    Raises:
        WeightsError: insightface does not accept the folder.
    """

    def __init__(self, folder: Path, threads: int | None = None) -> None:
        self._folder = folder
        self._analysis = open_analysis(folder, threads)
        for role in TASKS:
            model_of(self._analysis, role, folder)

    def faces(self, rgb: Image) -> list[Face]:
        """Faces of a picture (H,W,3) uint8 RGB, best score first, in its px."""
        bgr = np.ascontiguousarray(rgb[..., ::-1])
        with _told(self._folder):
            found = self._analysis.get(bgr)
        return [
            Face(
                bbox=np.asarray(face.bbox, np.float32),
                det_score=float(face.det_score),
                landmarks_5=np.asarray(face.kps, np.float32),
                embedding=np.asarray(face.normed_embedding, np.float32),
                embedding_norm=float(face.embedding_norm),
            )
            for face in found
        ]
