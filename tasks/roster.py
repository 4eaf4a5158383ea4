"""The clips that an identity has now, and what its person agreed to.

In: identity.yaml, the consent record and the folder of clips. Out: data/rosters/<identity>.json.
This stage always runs, since no dependency can say "all clips of this identity"; it reads a few
small files (and works out nothing if none of them changed this day: `standing`), and while its
content stays the same nothing below it runs. It is also where the day matters: an expired or
revoked consent stops the graph here.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

from likeness.contracts.catalog import (
    Clip,
    Consent,
    load_clip,
    load_identity,
    require_consent,
)
from likeness.contracts.documents import sha256_of, to_json
from likeness.contracts.errors import CatalogError
from likeness.contracts.params.roster import RosterParams
from likeness.contracts.stage import Context, Stage
from likeness.contracts.standing import identity_here, note, state


def roster(consent: Consent, consent_sha256: str, clips: list[Clip], *, training: bool) -> Any:
    """Content of the roster: the identity's clips by name, and its consent's hash.

    `training` says whether every consent involved allows to train a model on these crops.
    """
    return {
        "identity": consent.identity,
        "consent": consent.consent,
        "consent_sha256": consent_sha256,
        "training": training,
        "clips": [
            {"clip": clip.clip, "role": clip.role, "licence": clip.licence}
            for clip in sorted(clips, key=lambda clip: clip.clip)
        ],
    }


def clip_consents(clips: list[Clip], consents: Path, today: dt.date) -> list[Consent]:
    """The record that each clip names, valid today and for the clip's role.

    Raises:
        ConsentError: the first record that is missing, expired, revoked or of another role.
    """
    return [
        require_consent(consents / f"{clip.consent}.yaml", clip.identity, clip.role, today)
        for clip in clips
    ]


def run(context: Context[RosterParams]) -> None:
    """Check consents, list the clips; without consent, nothing below finds the roster of before.

    Raises:
        ConsentError, CatalogError: what is missing, expired, revoked or misplaced.
    """
    started = identity_here()
    before = state(started) if started else ""
    try:
        content, clips = listed(context)
    except CatalogError:
        # DVC keeps this output, so that an interpreter that cannot start loses nothing.
        context.final_outputs["roster"].unlink(missing_ok=True)
        raise
    context.outputs["roster"].write_text(content, encoding="utf-8")
    context.say(f"roster: {clips}")
    if started:
        note(started, before, content, f"roster: {clips}")


def listed(context: Context[RosterParams]) -> tuple[str, str]:
    """(text of the roster, what to say of it) of an identity whose consents hold today."""
    identity = load_identity(context.inputs["identity"]).identity
    path = context.inputs["consent"]
    today = dt.datetime.now(tz=dt.UTC).date()
    consent = require_consent(path, identity, today=today)
    found = [load_clip(item) for item in sorted(context.inputs["clips"].glob("*/clip.yaml"))]
    clips = [clip for clip in found if clip.identity == identity]
    consents = [consent, *clip_consents(clips, path.parent, today)]
    training = all(record.training for record in consents)
    content = to_json(roster(consent, sha256_of(path), clips, training=training))
    return content, f"{identity} has {len(clips)} clip{'s' * (len(clips) != 1)}"


STAGE = Stage(
    name="roster",
    params=RosterParams,
    inputs={"identity": None, "consent": None, "clips": None},
    outputs={"roster": None},
    run=run,
    description="clips this identity has now, and the hash of its consent",
)

if __name__ == "__main__":
    STAGE.main()
