"""Every section of params.yaml that a stage reads, and the class of its values."""

from __future__ import annotations

from likeness.contracts.params.align import AlignParams
from likeness.contracts.params.appearance import AppearanceParams
from likeness.contracts.params.baselines import BaselinesParams
from likeness.contracts.params.blend import BlendParams
from likeness.contracts.params.code import CodeParams
from likeness.contracts.params.convert import ConvertParams
from likeness.contracts.params.detect import DetectParams
from likeness.contracts.params.detectability import DetectabilityParams
from likeness.contracts.params.embed import EmbedParams
from likeness.contracts.params.evaluate import EvaluateParams
from likeness.contracts.params.filter import FilterParams
from likeness.contracts.params.frames import FramesParams
from likeness.contracts.params.judge import JudgeParams
from likeness.contracts.params.names import NamesParams
from likeness.contracts.params.pack import PackParams
from likeness.contracts.params.perceptual import PerceptualParams
from likeness.contracts.params.pool import PoolParams
from likeness.contracts.params.probes import ProbesParams
from likeness.contracts.params.publish import PublishParams
from likeness.contracts.params.retrieval import RetrievalParams
from likeness.contracts.params.roster import RosterParams
from likeness.contracts.params.shard import ShardParams
from likeness.contracts.params.traces import TracesParams
from likeness.contracts.params.train import Plan
from likeness.contracts.params.views import ViewsParams
from likeness.contracts.strict import Section

SECTIONS: dict[str, type[Section]] = {
    "align": AlignParams,
    "appearance": AppearanceParams,
    "baselines": BaselinesParams,
    "blend": BlendParams,
    "code": CodeParams,
    "convert": ConvertParams,
    "detect": DetectParams,
    "detectability": DetectabilityParams,
    "embed": EmbedParams,
    "evaluate": EvaluateParams,
    "filter": FilterParams,
    "frames": FramesParams,
    "judge": JudgeParams,
    "names": NamesParams,
    "pack": PackParams,
    "perceptual": PerceptualParams,
    "pool": PoolParams,
    "probes": ProbesParams,
    "publish": PublishParams,
    "retrieval": RetrievalParams,
    "roster": RosterParams,
    "shard": ShardParams,
    "traces": TracesParams,
    "train": Plan,
    "views": ViewsParams,
}
"""Section -> class. Stage `finetune` reads `train`, too."""
