"""A model made ready to run live: consents first, then weights, analysers and the runtime."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from apps.live.consent import require_consents, source_of
from apps.live.export import cached_runner, sample_crops
from apps.live.request import Request
from apps.live.runners import Runner, TorchRunner, choose
from apps.live.settings import ModelFacts, Settings, load_facts, load_settings
from apps.live.shard_crops import source_crops
from apps.live.show import say
from likeness.contracts import environment
from likeness.contracts.errors import ModelError
from models.analysers.pack import Pack, load_pack
from models.conversion import load_swapper
from models.swappers import registry
from models.swappers.base import Swapper


@dataclass(frozen=True)
class Allowed:
    """A model that may be run, whose face it shows, and the consents behind it."""

    facts: ModelFacts
    source: str
    consents: list[dict[str, Any]]


@dataclass(frozen=True)
class Opened:
    """The same, ready to run.

    Attributes:
        allowed: what was checked.
        needs: columns that the family reads.
        mode: of the family.
        runner: runs it.
        pack: analysers.
        settings: of params.yaml.
    """

    allowed: Allowed
    needs: tuple[str, ...]
    mode: str
    runner: Runner
    pack: Pack
    settings: Settings

    @property
    def facts(self) -> ModelFacts:
        """Of the model."""
        return self.allowed.facts


def allow(request: Request) -> Allowed:
    """Ask for everybody's consent, before anything is opened.

    Raises:
        LikenessError: no such model, or a consent that does not hold.
    """
    facts = load_facts(request.model)
    source = source_of(facts, request.source)
    mode = registry.load_class(facts.family).mode
    driver = mode == "reenact" and request.shown(mode) == "crop"
    consents = require_consents(facts, source, request.root, driver=driver)
    return Allowed(facts, source, consents)


def open_model(request: Request, allowed: Allowed) -> Opened:
    """Load what is needed, and choose the runtime.

    Raises:
        LikenessError: model or pack that is not as it must be.
    """
    facts, settings = allowed.facts, load_settings(request.root / "params.yaml")
    pack = load_pack(request.pack)
    if facts.pack not in (None, pack.name):
        problem = f"learned from crops of pack {facts.pack}, not {pack.name}"
        raise ModelError(request.model, problem, f"set `pack: {{name: {facts.pack}}}`")
    precision = settings.convert.precision
    swapper = load_swapper(request.model, precision)
    runner = _runner(request, allowed, swapper, precision)
    return Opened(allowed, swapper.needs, swapper.mode, runner, pack, settings)


def _runner(request: Request, allowed: Allowed, swapper: Swapper, precision: str) -> Runner:
    """The runtime asked for, or the faster one."""
    data, state = request.root / "data", environment.state_folder()
    given = source_crops(data, allowed.source, swapper)
    ours = TorchRunner(swapper, precision, given)
    try:
        crops = sample_crops(data, allowed.facts, swapper, allowed.source)
    except ModelError as error:  # a model that came without its shards: nothing to try it on
        if request.runtime == "onnx":
            raise
        say(f"{ours.name}; not timed: {error.problem}")
        return ours
    return choose(
        request.runtime,
        ours,
        lambda: cached_runner(request.model, state, request.source, request.root),
        {name: column[:1] for name, column in crops.items()},
        say,
    )
