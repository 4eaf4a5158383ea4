"""The clips that an identity has now, and what its person agreed to.

In: the consent record and the folder of clips. Out: data/rosters/<identity>.json. This stage
always runs, since no dependency can say "all clips of this identity"; it reads a few small files,
and while its content stays the same nothing below it runs. It is also where the day matters: an
expired or revoked consent stops the graph here.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

from likeness.contracts.catalog import (
    Clip,
    Consent,
    load_clip,
    require_consent,
    require_slug,
)
from likeness.contracts.documents import Document, sha256_of, to_json
from likeness.contracts.stage import Context, Stage


class RosterParams(Document):
    """Section `roster` of params.yaml: there is nothing to set."""


def roster(identity: str, consent: Consent, consent_sha256: str, clips: list[Clip]) -> Any:
    """Content of the roster: the identity's clips by name, and its consent's hash."""
    return {
        "identity": identity,
        "consent": consent.consent,
        "consent_sha256": consent_sha256,
        "training": consent.training,
        "clips": [
            {"clip": clip.clip, "role": clip.role, "licence": clip.licence}
            for clip in sorted(clips, key=lambda clip: clip.clip)
            if clip.identity == identity
        ],
    }


def require_clip_consents(clips: list[Clip], consents: Path, today: dt.date) -> None:
    """Check the record that each clip names: valid today, for the clip's role.

    Raises:
        ConsentError: the first record that is missing, expired, revoked or of another role.
    """
    for clip in clips:
        path = consents / f"{clip.consent}.yaml"
        require_consent(path, clip.identity, clip.role, today)


def run(context: Context[RosterParams]) -> None:
    """Check consents, list the clips."""
    identity = require_slug("identity", context.options["identity"])
    path = context.inputs["consent"]
    today = dt.datetime.now(tz=dt.UTC).date()
    consent = require_consent(path, identity, today=today)
    found = [load_clip(item) for item in sorted(context.inputs["clips"].glob("*/clip.yaml"))]
    clips = [clip for clip in found if clip.identity == identity]
    require_clip_consents(clips, path.parent, today)
    content = to_json(roster(identity, consent, sha256_of(path), clips))
    context.outputs["roster"].write_text(content, encoding="utf-8")
    context.say(f"roster: {identity} has {len(clips)} clip{'s' * (len(clips) != 1)}")


STAGE = Stage(
    name="roster",
    params=RosterParams,
    inputs={"consent": None, "clips": None},
    outputs={"roster": None},
    run=run,
    options=("identity",),
    description="clips this identity has now, and the hash of its consent",
)

if __name__ == "__main__":
    STAGE.main()
