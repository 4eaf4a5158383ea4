"""Stage `perceptual`: the network whose features the losses of some families compare.

In: section `perceptual` of params.yaml. Out: a folder with perceptual.json, which says which
network it is, and with vgg19.safetensors where that is VGG-19: its weights up to conv5_1, fetched
from the address that the section names. `embedded` means the recogniser that stage `pack` wrote.
"""

from __future__ import annotations

from likeness.contracts.documents import line_of, load_yaml, write_json
from likeness.contracts.errors import ParamsError
from likeness.contracts.params.perceptual import PerceptualParams
from likeness.contracts.stage import Context, Stage

FACTS_FILE, VGG_FILE = "perceptual.json", "vgg19.safetensors"


def _given(context: Context[PerceptualParams], key: str) -> str:
    """The value of a key that VGG-19 needs.

    Raises:
        ParamsError: it is null; with the line.
    """
    value: str | None = getattr(context.params, key)
    if value:
        return value
    line = line_of(load_yaml(context.params_file), ("perceptual", key))
    subject = f"{context.params_file}:{line}" if line else context.params_file
    problem = f"key `perceptual.{key}` is missing, which `network: vgg19` needs"
    raise ParamsError(subject, problem, "add it (docs/how-to/perceptual-network.md)")


def run(context: Context[PerceptualParams]) -> None:
    """Fetch what is asked for, or say that nothing is needed."""
    params, folder = context.params, context.outputs["out"]
    if params.network == "embedded":
        folder.mkdir()
        write_json(folder / FACTS_FILE, {"network": "embedded"})
        return
    url, sha256 = _given(context, "url"), _given(context, "sha256").lower()
    from models import tensorfile
    from models.analysers.perceptual import fetch_url, shown, vgg19_weights

    weights = vgg19_weights(fetch_url(url, sha256), shown(url))
    folder.mkdir()
    tensorfile.write(folder / VGG_FILE, weights)
    facts = {"name": "vgg19", "sha256": sha256, "licence": params.licence, "input": params.input}
    write_json(folder / FACTS_FILE, {"network": "vgg19", "file": VGG_FILE, **facts})
    size = sum(weight.nbytes for weight in weights.values())
    context.say(f"perceptual: VGG-19, {size / 1e6:.1f} MB, sha256 checked")


STAGE = Stage(
    name="perceptual",
    params=PerceptualParams,
    inputs={},
    outputs={"out": None},
    run=run,
    description="the network whose features losses compare",
)

if __name__ == "__main__":
    STAGE.main()
