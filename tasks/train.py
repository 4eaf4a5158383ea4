"""Stage `train`: a model out of two identities' data sets, or out of a pool's.

In: the shards of the source and of the target, each an identity's or a pool's, and the frozen
networks that some families' losses look at. Out: the model's folder with model.safetensors,
config.json, history.parquet and preview.jpg. Families that learn nothing (mesh_transfer) only take
what they need from the data. The state of a training lies in LIKENESS_STATE under the model's name
and outlives it: whatever trains the model next goes on from there (docs/how-to/train.md).
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from likeness.contracts import environment
from likeness.contracts.closure import family_list
from likeness.contracts.documents import load_yaml, sha256_of, validate
from likeness.contracts.errors import ConsentError, ModelError
from likeness.contracts.listed_code import require_listed
from likeness.contracts.params.train import Plan
from likeness.contracts.pools import FinetuneEntry, load_model
from likeness.contracts.sections import ModelEntry
from likeness.contracts.stage import Context, Stage
from models.training.job import Job


def overrides(options: dict[str, str], params_file: Path) -> dict[str, Any]:
    """Keys of the model's `train`, which replace those of `train:` for this model alone."""
    return dict(load_model(options["model"], params_file).train)


def check_settings(model: str, params_file: Path) -> dict[str, Any]:
    """The family's settings of `models.<model>` or `finetuned.<model>`, all keys filled in.

    Raises:
        ParamsError: with the line of a key that the family does not allow.
    """
    from models.swappers.registry import load_class

    entry = load_model(model, params_file)
    kind = "finetuned" if isinstance(entry, FinetuneEntry) else "models"
    # The mapping as it was read knows its lines; what is inherited was checked with its own model.
    content = load_yaml(params_file)[kind][model]
    for key in set(type(entry).model_fields) & set(content):
        del content[key]
    for key, value in entry.settings.items():
        content.setdefault(key, value)
    config = load_class(entry.family).Config
    return validate(config, content, params_file, (kind, model)).model_dump(mode="json")


def require_data(folder: Path, name: str, family: str) -> None:
    """Check that a data set is the one that params.yaml names, and may be learned from.

    Raises:
        ModelError: it belongs to somebody else, or is not the one that a pool was made of.
        ConsentError: the family learns, and a consent behind the crops excludes that.
    """
    from models.swappers.base import Swapper
    from models.swappers.registry import load_class
    from models.training.crops import read_manifest
    from models.training.identities import read_pool

    pool = read_pool(folder)
    if pool is not None:
        require_pool(folder, name, pool)
        return
    manifest = read_manifest(folder)
    given = manifest.get("identity", name)
    if given != name:
        raise ModelError(folder, f"is of `{given}`, not `{name}`", "correct params.yaml")
    learns = load_class(family).phases is not Swapper.phases
    if learns and manifest.get("training") is False:
        problem = f"the consent of `{name}` does not allow training"
        raise ConsentError(folder, problem, "ask for it, or use a family without training")


def require_pool(folder: Path, name: str, pool: dict[str, Any]) -> None:
    """Check that pool.json is of this pool, and its members' shards are those it was made of.

    The pool's stage asked for consents; a manifest that has changed since would say so.

    Raises:
        ModelError: another pool, or shards that changed or are missing.
    """
    if pool["pool"] != name:
        raise ModelError(folder, f"is pool `{pool['pool']}`, not `{name}`", "correct params.yaml")
    for member in pool["members"]:
        if member["held_out"]:
            continue
        path = folder.parent / member["identity"] / "manifest.json"
        if not path.is_file() or sha256_of(path) != member["manifest_sha256"]:
            problem = f"is not the data set that {folder} was made of"
            raise ModelError(path, problem, "run `dvc repro`")


def code_of(family: str) -> str:
    """sha256 of the family's list of code, as stage `code` writes it.

    `convert` reads the model's folder and cannot name the family among its dependencies: through
    this line of config.json it runs again when only the way of swapping has changed.
    """
    from models.training.code import ROOT

    return hashlib.sha256(family_list(family, ROOT).encode()).hexdigest()


def pack_of(folder: Path) -> str | None:
    """The analyser pack behind the shards of an identity, or of a pool's first member."""
    from models.training.crops import read_manifest
    from models.training.identities import folders_of

    found: str | None = read_manifest(folders_of(folder)[0]).get("pack")
    return found


def job_of(context: Context[Plan], init: Path | None = None) -> Job:
    """The training that the arguments and params.yaml describe.

    Args:
        init: folder of the model whose weights are the first ones.

    Raises:
        ModelError, ParamsError: data or settings that do not belong together.
        ConsentError: a consent that excludes training.
    """
    model = context.options["model"]
    entry: ModelEntry = load_model(model, context.params_file)
    require_listed(f"families/{entry.family}")
    source, target = context.inputs["source"], context.inputs["target"]
    require_data(source, entry.source, entry.family)
    require_data(target, entry.target, entry.family)
    return Job(
        model=model,
        family=entry.family,
        settings=check_settings(model, context.params_file),
        plan=context.params,
        source=source,
        target=target,
        out=context.outputs["out"],
        state=environment.state_folder().resolve() / "training" / model,
        facts={"pack": pack_of(source), "code_sha256": code_of(entry.family)},
        init=init,
        recogniser=context.inputs["recogniser"],
        perceptual=context.inputs["perceptual"],
    )


def train_model(context: Context[Plan], init: Path | None = None) -> None:
    """Train the model that the option names, or finish an interrupted training.

    Args:
        init: folder of the model whose weights are the first ones.
    """
    from models.training import trainer

    workers, _, _ = environment.workers(), environment.threads(), environment.checkpoint_s()
    job = job_of(context, init)
    job.out.mkdir()
    trainer.train_model(job, workers)


def run(context: Context[Plan]) -> None:
    """Train from random weights."""
    train_model(context)


STAGE = Stage(
    name="train",
    params=Plan,
    inputs={"source": None, "target": None, "recogniser": None, "perceptual": None},
    outputs={"out": None},
    options=("model",),
    run=run,
    overrides=overrides,
    description="Weights, settings, history and preview of one model.",
)

if __name__ == "__main__":
    STAGE.main()
