"""judge.json, and the rule that nobody judges what it has chosen itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from likeness.contracts.documents import read_json
from likeness.contracts.errors import WeightsError
from models.analysers.pack import load_pack

JUDGE_FILE = "judge.json"


def read_judge(folder: Path) -> dict[str, Any]:
    """Content of judge.json.

    Raises:
        WeightsError: the folder is no output of stage `judge`.
    """
    if not (folder / JUDGE_FILE).is_file():
        raise WeightsError(folder, f"holds no {JUDGE_FILE}", "run `dvc repro judge`")
    content: dict[str, Any] = read_json(folder / JUDGE_FILE)
    return content


def embedder_facts(pack_folder: Path, judge_folder: Path) -> dict[str, Any]:
    """Who looks faces up: the second embedder, or else the pack's, which chose them (circular).

    Returns name, independent and circular, without loading a network.

    Raises:
        WeightsError: a folder is no output of its stage.
    """
    second = read_judge(judge_folder)["name"]
    name = second or f"{load_pack(pack_folder).name} (pack)"
    return {"name": name, "independent": second is not None, "circular": second is None}


def embedders_of(pack: dict[str, Any]) -> set[str]:
    """sha256 of everything that recognises faces in a pack (content of pack.json)."""
    weights = {w["sha256"] for w in pack["weights"] if w["role"] == "embedder"}
    return weights | {pack["sha256"][pack["files"]["embedder"]]}


def refuse_circular(
    name: str, sha256: str, pack: dict[str, Any], trained_with: tuple[str, ...] = ()
) -> None:
    """Check that a judge is no network which the pipeline itself uses.

    Args:
        name: of the judge, for the error.
        sha256: of its weights.
        pack: content of pack.json, whose embedder `filter` uses.
        trained_with: sha256 of networks that a training loss looks at.

    Raises:
        WeightsError: it would judge its own choice.
    """
    if sha256 in embedders_of(pack):
        who = f"pack `{pack['name']}` (stage `filter`)"
    elif sha256 in trained_with:
        who = "a training loss"
    else:
        return
    problem = f"is the embedder that {who} uses: its verdict would be circular"
    raise WeightsError(f"judge.embedder {name}", problem, "name another one, or `none`")
