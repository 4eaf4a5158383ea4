"""Stage `finetune`: a model that begins where another one ended.

In: as stage `train`, and the folder of the model `init_from`. Out: a model folder of its own. What
`finetuned.<model>` does not say (settings of the family, keys of `train`) is as the first model has
it; the budget counts the images of this training alone.
"""

from __future__ import annotations

from likeness.contracts.params.train import Plan
from likeness.contracts.stage import Context, Stage
from tasks.train import overrides, train_model


def run(context: Context[Plan]) -> None:
    """Train on from the weights of the first model."""
    train_model(context, context.inputs["init"])


STAGE = Stage(
    name="train",  # the section of params.yaml that both stages read
    params=Plan,
    inputs={"source": None, "target": None, "recogniser": None, "perceptual": None, "init": None},
    outputs={"out": None},
    options=("model",),
    run=run,
    overrides=overrides,
    description="A model that begins where another one ended.",
)

if __name__ == "__main__":
    STAGE.main()
