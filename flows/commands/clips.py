"""`likeness add | remove | list | sync`: the clips and the people in them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.additions import NewClip, add_clip, check_new_clip
from flows.changes import documents
from flows.clips import stages_of
from flows.commands.common import (
    ROOT,
    Json,
    Yes,
    complete_clip,
    complete_consent,
    complete_identity,
    confirm,
    print_json,
)
from flows.commands.runs import end_like_ctrl_c
from flows.graph import Graph
from flows.identities import listed_in_params, move_identities
from flows.listing import idle_pools, list_everything, pools_losing
from flows.merging import teach_git
from flows.remarks import say_remarks
from flows.removal import check_removal, out_of_date, remove_clip, say_out_of_date, sync
from flows.report import show_table
from flows.status import read_state, will_run

CLIP_NAME = typer.Argument(help="Name of the clip.", autocompletion=complete_clip)


def describe(new: NewClip) -> str:
    """One line on what was found in new footage."""
    facts, record = new.footage.facts, new.record
    size = f"{facts['width_px']}x{facts['height_px']}"
    frames = f"about {facts['frames_hint']} frames" if facts.get("frames_hint") else "frames"
    known = "a new identity" if new.new_identity else "a known identity"
    first = (
        f"{record.clip}: {frames} of {size}, {facts['codec']}; {record.role} `{record.identity}` "
        f"({known}), consent {record.consent}"
    )
    return "\n".join([first, *(f"sound: {line}" for line in new.footage.sound)])


def warn(new: NewClip) -> None:
    """Print what is worth knowing of new footage before it is taken in, to stderr."""
    lines = list(new.footage.warnings)
    lines += [f"the same footage as clip {clip}" for clip in new.same_as]
    for line in lines:
        print(f"note: {new.source.name}: {line}", file=sys.stderr)


def say_what_runs(addresses: list[str], first: str = "`likeness swap` will then run:") -> None:
    """Print the addresses of stages, one a line, below a first line."""
    print("\n".join([first, *(f"  {address}" for address in addresses)]))


def added_stages(graph: Graph, stale: dict[str, tuple[str, ...]], clip: str) -> list[str]:
    """Stages that run because of a new clip: its own, its identity's, and all that follows.

    Other stages that are out of date for reasons of their own are left out.
    """
    own = stages_of(clip, graph)
    below = set(graph.below(*own, stop=idle_pools(clip, ROOT)))
    shards = {graph.nodes[a].key for a in below if graph.nodes[a].name == "shard"}
    rosters = {a for a, n in graph.nodes.items() if n.name == "roster" and n.key in shards}
    stale_above = set(graph.above(*own)) & set(will_run(graph, stale))
    return [a for a in graph.nodes if a in below | rosters | stale_above]


def add(
    file: Annotated[Path, typer.Argument(help="A video, or a folder of stills.")],
    *,
    identity: Annotated[
        str,
        typer.Option(help="Slug of the person (a-z, 0-9, -).", autocompletion=complete_identity),
    ],
    role: Annotated[str, typer.Option(help="source: gives the face; target: receives one.")],
    consent: Annotated[
        str,
        typer.Option(
            help="Record in data/consents; a known identity has one.",
            autocompletion=complete_consent,
        ),
    ] = "",
    licence: Annotated[
        str, typer.Option(help="Licence of the footage; else the consent's basis.")
    ] = "",
    clip: Annotated[str, typer.Option(help="Name of the clip; else made from FILE.")] = "",
    yes: Yes = False,
) -> None:
    """Add footage: check it, track it, and say what will run.

    Nothing is written unless names, consent record and footage are all in order.

    [bold]Examples[/bold]

    likeness add take3.mp4 --identity ann --role source --consent ann-2026 --yes

    likeness add stills/ --identity ben --role target --consent ben-2026 --clip ben-stills
    """
    end_like_ctrl_c()
    new = check_new_clip(
        file, ROOT, identity=identity, role=role, consent=consent, licence=licence, clip=clip
    )
    print(describe(new))
    warn(new)
    confirm(f"Add it as data/clips/{new.record.clip}?", yes)
    teach_git(ROOT)
    add_clip(new, ROOT)
    graph, stale = read_state(ROOT)
    runs = added_stages(graph, stale, new.record.clip)
    say_what_runs(runs, f"added {new.record.clip}; `likeness swap` will run:")


def remove(clip: Annotated[str, CLIP_NAME], yes: Yes = False) -> None:
    """Remove a clip, its crops, and its identity when this was its last clip.

    Also removes an identity that has no clips, by its name.

    Refused, with their names, while a model or swap uses it. DVC's cache keeps old versions
    until `dvc gc --workspace`.

    [bold]Example[/bold]

    likeness remove take3 --yes
    """
    end_like_ctrl_c()
    removal = check_removal(clip, ROOT)
    for path in removal.paths:
        print(f"removes {path}")
    if removal.identity:
        print(f"`{removal.identity}` is left without clips and goes as well")
        for pool in pools_losing(removal.identity, ROOT):
            print(f"takes {removal.identity} out of pools.{pool}: its models will be trained anew")
    confirm(f"Remove {clip}?", yes)
    remove_clip(removal, ROOT)
    print(f"removed {clip}; old versions stay in DVC's cache until `dvc gc --workspace`")


def list_clips(as_json: Json = False) -> None:
    """List clips and identities (frames, faces, whether they are up to date), pools and models.

    [bold]Examples[/bold]

    likeness list

    likeness list --json
    """
    if not as_json:
        say_out_of_date(ROOT)  # first: it may be why the next line fails
    content: dict[str, list[dict[str, Any]]] = list_everything(ROOT)
    if as_json:
        print_json(content)
        return
    say_remarks(ROOT)
    for kind, rows in content.items():
        if not rows:
            print(f"no {kind} yet; add footage with `likeness add`", file=sys.stderr)
            continue
        columns = list(rows[0])
        cells = [["" if row[c] is None else row[c] for c in columns] for row in rows]
        show_table(kind.capitalize(), columns, cells)
        print()


def sync_clips(yes: Yes = False) -> None:
    """Copy the stages' templates beside every clip and identity again, after a change of them.

    Moves the people of an older params.yaml to folders of their own.

    [bold]Example[/bold]

    likeness sync --yes
    """
    people, changed = listed_in_params(ROOT), out_of_date(ROOT)
    if not people and not changed:
        move_identities(ROOT)  # an empty section of an older file goes, too
        print("every clip and identity has the current stages")
        return
    for person in people:
        print(f"moves `{person.identity}` from params.yaml to data/identities/{person.identity}/")
    for path in changed:
        print(f"rewrites {path}")
    confirm(f"Write {len(people) + len(changed)} documents?", yes)
    with documents(ROOT):
        moved, rewritten = move_identities(ROOT), sync(ROOT)
    print(f"moved {len(moved)} identities, rewrote {len(rewritten)} files")
