"""`likeness replace | rename | assign`: what becomes of a clip that is here already."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows import additions, assignment, renaming
from flows.clips import reached
from flows.commands.clips import CLIP_NAME, describe, say_what_runs, warn
from flows.commands.common import (
    ROOT,
    Yes,
    complete_consent,
    complete_identity,
    confirm,
)
from flows.commands.runs import end_like_ctrl_c
from flows.graph import read_graph


def replace(
    clip: Annotated[str, CLIP_NAME],
    file: Annotated[Path, typer.Argument(help="The better take: a video, or a folder of stills.")],
    yes: Yes = False,
) -> None:
    """Put another take in the place of a clip's footage; name, person, role and swaps stay.

    DVC's cache keeps the old take until `dvc gc --workspace`.

    [bold]Example[/bold]

    likeness replace take3 take3-again.mp4 --yes
    """
    end_like_ctrl_c()
    new = additions.check_new_take(clip, file, ROOT)
    print(describe(new))
    warn(new)
    say_what_runs(reached(clip, read_graph(ROOT), new.record.identity))
    confirm(f"Replace the footage of {clip}?", yes)
    additions.replace(new, ROOT)
    print(f"replaced the footage of {clip}")


def rename(
    clip: Annotated[str, CLIP_NAME],
    name: Annotated[str, typer.Argument(help="Its new name (a-z, 0-9, -).")],
    yes: Yes = False,
) -> None:
    """Give a clip another name, also in the swaps that aim at it.

    Its tables hold its name, so that its stages run once more.

    [bold]Example[/bold]

    likeness rename take3 studio-front --yes
    """
    end_like_ctrl_c()
    person = renaming.check_rename(clip, name, ROOT).identity
    addresses = reached(clip, read_graph(ROOT), person)
    say_what_runs(
        [address.replace(f"data/clips/{clip}/", f"data/clips/{name}/") for address in addresses]
    )
    confirm(f"Rename {clip} to {name}?", yes)
    for swap in renaming.rename(clip, name, ROOT):
        print(f"swaps.{swap} aims at {name} now")
    print(f"renamed {clip} to {name}")


def assign(
    clip: Annotated[str, CLIP_NAME],
    *,
    identity: Annotated[
        str, typer.Option(help="Who is in it.", autocompletion=complete_identity)
    ] = "",
    role: Annotated[str, typer.Option(help="source, target or driver.")] = "",
    consent: Annotated[
        str,
        typer.Option(
            help="Record in data/consents; else the identity's.", autocompletion=complete_consent
        ),
    ] = "",
    yes: Yes = False,
) -> None:
    """Say that a clip shows somebody else, in another role, or by another consent record.

    Checked like `likeness add`. An identity that is left without clips goes, as with `remove`;
    refused while a model, pool or swap needs it.

    [bold]Examples[/bold]

    likeness assign take3 --identity ben --yes

    likeness assign take3 --role target --consent ann-2027 --yes
    """
    end_like_ctrl_c()
    wanted = assignment.check_assignment(clip, ROOT, identity, role, consent)
    before, after = wanted.before, wanted.after
    for key in ("identity", "role", "consent"):
        if getattr(before, key) != getattr(after, key):
            print(f"{key}: {getattr(before, key)} -> {getattr(after, key)}")
    if wanted.orphan:
        print(f"removes identity `{wanted.orphan}`, whose last clip this is, and its data set")
    people = {before.identity, after.identity} - {wanted.orphan}
    say_what_runs(reached(clip, read_graph(ROOT), *people))
    confirm(f"Change {clip}?", yes)
    assignment.assign(wanted, ROOT)
    print(f"changed {clip}")
