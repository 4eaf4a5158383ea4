"""Who must have agreed before a model runs live or leaves the project; asked anew each time."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

from apps.live.settings import ModelFacts
from likeness.contracts.catalog import DATA, find_identity, list_clips
from likeness.contracts.errors import ModelError
from likeness.provenance import record
from likeness.provenance.record import Use


def source_of(facts: ModelFacts, named: str | None) -> str:
    """The identity whose face is shown.

    Args:
        facts: of the model.
        named: by `--source`; needed where the model is for anybody's face.

    Raises:
        ModelError: nobody named for a pool's model, or somebody whom the model does not know.
    """
    if "source" in facts.pools:
        if named is None:
            problem = f"is for any face: its source is the pool `{facts.source}`"
            raise ModelError(facts.model, problem, "add `--source IDENTITY`")
        return named
    if named is not None and named != facts.source:
        problem = f"shows `{facts.source}`, not `{named}`"
        raise ModelError(facts.model, problem, f"leave out --source, or name a model of {named}")
    return facts.source


def uses_of(facts: ModelFacts, source: str, root: Path, *, driver: bool = False) -> list[Use]:
    """Everybody in the model as what their face is used: the two sides, members of pools, clips.

    Args:
        facts: of the model.
        source: identity whose face is shown.
        root: the repository.
        driver: True where the target moves the source and nothing of their picture is shown.

    Raises:
        CatalogError: an identity that data/identities does not know, so that nobody can be asked.
    """

    def named(identity: str, role: Any) -> Use:
        entry = find_identity(identity, root / DATA)
        return Use(identity, role, root / DATA / "consents" / f"{entry.consent}.yaml")

    uses = [named(source, "source")]
    if "target" not in facts.pools:
        uses.append(named(facts.target, "driver" if driver else "target"))
    people = {use.identity for use in uses}.union(*facts.pools.values())
    clips = [clip for clip in list_clips(root / DATA) if clip.identity in people]
    covered = {clip.identity for clip in clips} | {use.identity for use in uses}
    # A member whose clips are gone may have been removed for a reason: the record must still be.
    uses += [named(identity, "source") for identity in sorted(people - covered)]
    uses += [use for use in record.uses_of(clips, root) if use not in uses]
    return uses


def require_consents(
    facts: ModelFacts,
    source: str,
    root: Path,
    today: dt.date | None = None,
    *,
    driver: bool = False,
) -> list[dict[str, Any]]:
    """The consents behind a model, each valid today, for the record of what was made.

    `driver` as for `uses_of`.

    Raises:
        ConsentError: one that is missing, revoked, expired, or does not allow the role.
    """
    day = today or dt.datetime.now(dt.UTC).date()
    return record.check_uses(uses_of(facts, source, root, driver=driver), day)
