"""Stage `train`: a model out of two identities' data sets.

In: the shards of the source and of the target identity. Out: the model's folder with
model.safetensors, config.json, history.parquet and preview.jpg. Families that learn nothing
(mesh_transfer) only take what they need from the data. Resume state lies in LIKENESS_STATE,
under a fingerprint of everything the result depends on.
"""

from __future__ import annotations

import ast
import dataclasses
import hashlib
from pathlib import Path
from typing import Any

from likeness.contracts import environment
from likeness.contracts.documents import load_yaml, sha256_of, validate
from likeness.contracts.errors import ConsentError, ModelError
from likeness.contracts.params import ModelEntry, load_entry
from likeness.contracts.stage import Context, Stage
from models.training.plan import Job, Plan

ENTRY_KEYS = set(ModelEntry.model_fields)


def overrides(options: dict[str, str], params_file: Path) -> dict[str, Any]:
    """Keys of `models.<model>.train`, which replace those of `train:` for this model alone."""
    return dict(load_entry("models", options["model"], ModelEntry, params_file).train)


def check_settings(model: str, params_file: Path) -> dict[str, Any]:
    """The family's settings of `models.<model>`, all keys filled in.

    Raises:
        ParamsError: with the line of a key that the family does not allow.
    """
    from models.swappers.registry import load_class

    entry = load_yaml(params_file)["models"][model]
    config = load_class(entry["family"]).Config
    for key in ENTRY_KEYS & set(entry):
        del entry[key]
    return validate(config, entry, params_file, ("models", model)).model_dump(mode="json")


def require_data(folder: Path, identity: str, family: str) -> None:
    """Check that a data set is of the identity that params.yaml names, and may be learned from.

    Raises:
        ModelError: it belongs to somebody else.
        ConsentError: the family learns, and a consent behind the crops excludes that.
    """
    from models.swappers.base import Swapper
    from models.swappers.registry import load_class
    from models.training.crops import read_manifest

    manifest = read_manifest(folder)
    given = manifest.get("identity", identity)
    if given != identity:
        raise ModelError(folder, f"is of `{given}`, not `{identity}`", "correct params.yaml")
    learns = load_class(family).phases is not Swapper.phases
    if learns and manifest.get("training") is False:
        problem = f"the consent of `{identity}` does not allow training"
        raise ConsentError(folder, problem, "ask for it, or use a family without training")


def _parts(path: Path) -> set[Path]:
    """Layers and losses that a module imports, at any depth, and itself."""
    root = Path(__file__).parents[1]
    found, waiting = set[Path](), [path]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in getattr(node, "names", []) if hasattr(alias, "name")]
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module, *(f"{node.module}.{name}" for name in names)]
            elif not isinstance(node, ast.Import):
                continue
            files = [root.joinpath(*n.split(".")).with_suffix(".py") for n in names
                     if n.startswith(("models.layers.", "models.losses."))]  # fmt: skip
            waiting += [file for file in files if file.is_file()]
    return found


def code_of(family: str) -> str:
    """sha256 of the family's module and of the shared parts that it imports.

    `convert` reads the model's folder and cannot name the family among its dependencies: through
    this line of config.json it runs again when only the way of swapping has changed.
    """
    module = Path(__file__).parents[1] / "models" / "swappers" / f"{family}.py"
    digests = [sha256_of(path) for path in sorted(_parts(module))]
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def run(context: Context[Plan]) -> None:
    """Train, or finish an interrupted training."""
    from models.training.checkpoint import fingerprint
    from models.training.crops import read_manifest
    from models.training.start import start

    model = context.options["model"]
    entry = load_entry("models", model, ModelEntry, context.params_file)
    source, target = context.inputs["source"], context.inputs["target"]
    require_data(source, entry.source, entry.family)
    require_data(target, entry.target, entry.family)
    out = context.outputs["out"]
    out.mkdir()
    job = Job(
        model=model,
        family=entry.family,
        settings=check_settings(model, context.params_file),
        plan=context.params,
        source=source,
        target=target,
        out=out,
        state=Path(),
        facts={"pack": read_manifest(source).get("pack"), "code_sha256": code_of(entry.family)},
    )
    state = environment.state_folder().resolve() / "training" / fingerprint(job)
    start(dataclasses.replace(job, state=state), environment.workers())


STAGE = Stage(
    name="train",
    params=Plan,
    inputs={"source": None, "target": None},
    outputs={"out": None},
    options=("model",),
    run=run,
    overrides=overrides,
    description="Weights, settings, history and preview of one model.",
)

if __name__ == "__main__":
    STAGE.main()
