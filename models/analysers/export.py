"""Write a pack's folder: networks exported to ONNX, other parts copied, pack.json beside them.

insightface opens every pack that is written, and pack.json says what it found.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from likeness.contracts.atomic import write_bytes
from likeness.contracts.documents import sha256_of, write_json
from likeness.contracts.errors import WeightsError
from models.analysers.own import copy_networks, describe_own
from models.analysers.weights import Catalogue, load_catalogue
from models.analysers.zoo import networks_of, open_analysis

if TYPE_CHECKING:
    from torch import nn

DETECTOR_FILE = "det_retinaface.onnx"
EMBEDDER_FILE = "rec_mobilefacenet.onnx"
MESH_FILE = "canonical_mesh.json"
RECOGNISER, RECOGNISER_FILE = "mobilefacenet", "rec_mobilefacenet.safetensors"
RECOGNISER_FACTS = "recogniser.json"
OPSET = 17


def _export(
    network: nn.Module,
    size_px: int,
    path: Path,
    outputs: list[str],
    axes: dict[str, dict[int, str]],
) -> None:
    import torch

    example = torch.zeros(1, 3, size_px, size_px)
    with torch.inference_mode(), warnings.catch_warnings():
        # The tracing exporter is deprecated in favour of one that needs another package.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (example,),
            str(path),
            input_names=["input"],
            output_names=outputs,
            dynamic_axes=axes,
            opset_version=OPSET,
            do_constant_folding=True,
            dynamo=False,
        )


def export_detector(weights: Path, path: Path) -> None:
    """RetinaFace -> ONNX with SCRFD's interface; batch, height and width stay free."""
    from models.analysers.retinaface import STRIDES, SCRFDHead, load_retinaface

    outputs = [f"{kind}_{stride}" for kind in ("score", "bbox", "kps") for stride in STRIDES]
    axes = {"input": {0: "batch", 2: "height", 3: "width"}}
    axes |= {name: {0: "batch", 1: f"anchors_{name.rsplit('_')[-1]}"} for name in outputs}
    _export(SCRFDHead(load_retinaface(weights)).eval(), 640, path, outputs, axes)


def export_embedder(weights: Path, path: Path) -> None:
    """MobileFaceNet -> ONNX with ArcFace's interface; the batch stays free."""
    from models.layers.mobilefacenet import ArcFaceInput, load_mobilefacenet

    axes = {"input": {0: "batch"}, "embedding": {0: "batch"}}
    _export(ArcFaceInput(load_mobilefacenet(weights)).eval(), 112, path, ["embedding"], axes)


def write_canonical_mesh(vertices: Path, triangles: Path, path: Path) -> None:
    """The canonical face (MediaPipe's, 468 vertices in cm) and its triangles, as one JSON."""
    import torch

    points = torch.load(vertices, map_location="cpu", weights_only=True)
    faces = json.loads(triangles.read_text(encoding="utf-8"))["triangles"]
    content = {
        "vertices": [[round(float(v), 6) for v in point] for point in points],
        "triangles": [[int(v) for v in face] for face in faces],
    }
    write_bytes(path, (json.dumps(content, separators=(",", ":")) + "\n").encode())


def _copy(source: Path, path: Path) -> None:
    write_bytes(path, source.read_bytes())


EXPORTERS: dict[str, tuple[str, Callable[[Path, Path], None]]] = {
    "retinaface-mobilenet025": (DETECTOR_FILE, export_detector),
    "mobilefacenet": (EMBEDDER_FILE, export_embedder),
}
"""Weights that are no ready ONNX or TFLite file -> file name in the pack, and what writes it."""


def _describe(name: str, catalogue: Catalogue) -> dict[str, str]:
    weight = catalogue.weights[name]
    source = catalogue.sources[weight.source]
    return {
        "name": name,
        "role": weight.role,
        "source": f"{source.package}=={source.version}",
        "member": weight.member,
        "sha256": weight.sha256,
        "licence": weight.licence,
    }


def write_recogniser(weights: Path, folder: Path) -> None:
    """Write into `folder` (made by this call) the network that training losses look at.

    It is the embedded pack's, whichever pack finds the faces: as tensors, since a loss needs its
    gradients, with what `evaluate` must know in order not to judge by it.

    Raises:
        RuntimeError: keys or shapes differ from the architecture.
    """
    from models import tensorfile
    from models.layers.mobilefacenet import load_mobilefacenet

    folder.mkdir(parents=True)
    tensorfile.write(folder / RECOGNISER_FILE, load_mobilefacenet(weights).state_dict())
    write_json(folder / RECOGNISER_FACTS, _describe(RECOGNISER, load_catalogue()))


def _shared_parts(names: Iterable[str], paths: dict[str, Path], folder: Path) -> dict[str, str]:
    """Write those parts of a pack into `folder`; returns role -> file."""
    catalogue = load_catalogue()
    files: dict[str, str] = {}
    for part in names:
        role = catalogue.weights[part].role
        if role.startswith("canonical_"):
            continue
        file, write = EXPORTERS.get(part, (paths[role].name, _copy))
        write(paths[role], folder / file)
        files[role] = file
    write_canonical_mesh(
        paths["canonical_vertices"], paths["canonical_triangles"], folder / MESH_FILE
    )
    return files | {"canonical_mesh": MESH_FILE}


def _write_facts(
    name: str,
    threshold: float,
    files: dict[str, str],
    weights: list[dict[str, Any]],
    folder: Path,
) -> int:
    """Write pack.json, with what insightface finds in the folder; returns the dimension.

    Raises:
        WeightsError: insightface does not accept it.
    """
    networks = networks_of(open_analysis(folder), folder)
    content = {
        "name": name,
        "embedding_dim": networks.embedder.dimension,
        "threshold": threshold,
        "networks": networks.model_dump(mode="json"),
        "files": files,
        "sha256": {file: sha256_of(folder / file) for file in sorted(files.values())},
        "weights": weights,
    }
    write_json(folder / "pack.json", content)
    return networks.embedder.dimension


def write_pack(name: str, paths: dict[str, Path], folder: Path) -> None:
    """Write pack `name` into `folder` (made by this call) from fetched files (role -> path).

    The bytes depend on the weights and on the versions of torch and this file alone.

    Raises:
        WeightsError: insightface does not accept what was written, or finds another network.
    """
    catalogue = load_catalogue()
    entry = catalogue.pack(name)
    folder.mkdir(parents=True)
    files = _shared_parts(entry.parts, paths, folder)
    weights = [_describe(part, catalogue) for part in sorted(entry.parts)]
    found = _write_facts(name, entry.threshold, files, weights, folder)
    if found != entry.embedding_dim:
        problem = f"its embeddings have {found} numbers, not {entry.embedding_dim}"
        raise WeightsError(f"pack `{name}`", problem, "correct weights.toml")


def write_own_pack(
    source: Path, threshold: float, licence: str | None, paths: dict[str, Path], folder: Path
) -> None:
    """Write a pack of one's own into `folder` (made by this call).

    Args:
        source: folder of ONNX files.
        threshold: cosine from which two of its embeddings are one person.
        licence: of its weights, for the record.
        paths: fetched files of the parts that all packs share (role -> path).
        folder: where to.

    Raises:
        WeightsError: insightface does not accept it.
    """
    catalogue = load_catalogue()
    folder.mkdir(parents=True)
    own = copy_networks(source, folder)
    shared = catalogue.shared_parts()
    files = own | _shared_parts(shared, paths, folder)
    weights = describe_own(source.name, folder, own, licence)
    weights += [_describe(part, catalogue) for part in sorted(shared)]
    _write_facts(source.name, threshold, files, weights, folder)
