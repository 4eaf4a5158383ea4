"""A pack of one's own: a folder of ONNX files below data/weights/, as FaceAnalysis accepts it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from likeness.contracts.documents import sha256_of
from likeness.contracts.errors import WeightsError
from models.analysers.weights import load_catalogue
from models.analysers.zoo import TASKS, model_of, open_analysis

MANIFEST = "manifest.json"
MEASURE = "python -m models.analysers.threshold"
LICENCE = "not stated (pack.licence)"


def find_own(name: str, weights: Path) -> Path:
    """Folder of the pack `name`.

    Raises:
        WeightsError: there is none; the known packs are listed.
    """
    folder = weights / name
    if not folder.is_dir():
        known = sorted(load_catalogue().packs)
        there = sorted(path.name for path in weights.iterdir() if path.is_dir())
        step = f"choose from: {', '.join([*known, *there])}; or put its ONNX files into {folder}"
        raise WeightsError(f"pack `{name}`", "is not known", step)
    if folder.resolve() != weights.resolve() / name:
        raise WeightsError(folder, "leads out of the folder", "put the files themselves there")
    return folder


def require_threshold(name: str, threshold: float | None, weights: Path) -> float:
    """The threshold that params.yaml states for a pack of one's own.

    Raises:
        WeightsError: it states none; a threshold belongs to its pack.
    """
    if threshold is None:
        problem = "has no threshold: the cosine from which two embeddings are one person"
        step = (
            f"measure it with `{MEASURE} {weights / name} PHOTOS` (a folder of photos per person) "
            "and state it as `pack.threshold` in params.yaml"
        )
        raise WeightsError(f"pack `{name}`", problem, step)
    return threshold


def _single_file(source: Path, target: Path) -> None:
    """Copy an ONNX file, with the tensors inside that it keeps in files beside it."""
    import onnx

    model = onnx.load(str(source), load_external_data=False)
    if any(tensor.external_data for tensor in model.graph.initializer):
        onnx.save(onnx.load(str(source)), str(target))
    else:
        shutil.copyfile(source, target)


def copy_networks(source: Path, folder: Path) -> dict[str, str]:
    """Copy detector and recogniser of `source` into `folder`, as insightface loads them there.

    Of a folder without a manifest the two files that FaceAnalysis chooses, of one with it the
    manifest and what that names. Returns role -> file.

    Raises:
        WeightsError: insightface does not accept the folder.
    """
    analysis = open_analysis(source)
    models = {role: model_of(analysis, role, source) for role in TASKS}
    paths = {role: Path(model.model_file) for role, model in models.items()}
    package = analysis.model_package
    if package is None:
        for path in paths.values():
            _single_file(path, folder / path.name)
        return {role: path.name for role, path in paths.items()}
    named = [package.manifest_path, package.license_path]
    named += [task.path for task in package.tasks.values()]
    for path in named:
        if path is not None and path.is_file():
            target = folder / path.relative_to(source.resolve())
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    return {role: str(path.relative_to(source.resolve())) for role, path in paths.items()}


def describe_own(
    name: str, folder: Path, files: dict[str, str], licence: str | None
) -> list[dict[str, Any]]:
    """`weights` of pack.json for the networks of one's own."""
    return [
        {
            "name": f"{name}/{file}",
            "role": role,
            "source": f"data/weights/{name}",
            "member": file,
            "sha256": sha256_of(folder / file),
            "licence": licence or LICENCE,
        }
        for role, file in sorted(files.items())
    ]
