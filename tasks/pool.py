"""Stage `pool`: who a model for any face learns from, and who is kept from it.

In: who is enrolled, the manifests of everybody's shards, and the pool's entry in params.yaml. Out:
data/shards/<pool>/pool.json. It names the members and the sha256 of what each of them is trained
on: while that stays the same, nothing below runs. Of members held out it says no more than the
name, so that new footage of theirs trains nothing anew.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from likeness.contracts.catalog import read_people
from likeness.contracts.documents import read_json, sha256_of, to_json
from likeness.contracts.errors import ConsentError, ModelError
from likeness.contracts.params.pool import PoolParams
from likeness.contracts.pools import PoolEntry, load_pool, members, named
from likeness.contracts.stage import Context, Stage


def reason_against(manifest: dict[str, Any]) -> str:
    """Why nobody may or can be trained on this data set; empty where nothing speaks against it."""
    if manifest.get("training") is not True:
        return "the consent does not allow training"
    return "" if manifest["train"]["rows"] else "there are no crops to train on"


def choose(name: str, entry: PoolEntry, manifests: dict[str, Path]) -> dict[str, Any]:
    """Content of pool.json.

    Whoever the pool takes in with `all` is left out where the consent excludes training; whoever
    it names is not passed over in silence.

    Args:
        name: of the pool.
        entry: its entry.
        manifests: manifest.json of every identity there is.

    Raises:
        ConsentError: an identity that the pool names, and whose consent excludes training.
        ModelError: nobody is left to train on.
    """
    found, left_out = list[dict[str, Any]](), list[dict[str, str]]()
    for identity in members(entry, list(manifests)):
        if identity in entry.held_out:
            found.append({"identity": identity, "held_out": True})
            continue
        manifest = read_json(manifests[identity])
        reason = reason_against(manifest)
        if manifest.get("training") is not True and identity in named(entry):
            step = f"ask for it, hold `{identity}` out, or take it from pools.{name}"
            raise ConsentError(f"pools.{name}", f"names `{identity}`, but {reason}", step)
        if reason:
            left_out.append({"identity": identity, "reason": reason})
            continue
        digest, rows = sha256_of(manifests[identity]), manifest["train"]["rows"]
        facts = {"held_out": False, "manifest_sha256": digest, "train_rows": rows}
        found.append({"identity": identity, **facts})
    if all(member["held_out"] for member in found):
        problem = "leaves nobody to train on"
        raise ModelError(f"pools.{name}", problem, "add identities, or hold fewer out")
    return {"pool": name, "members": found, "left_out": left_out}


def run(context: Context[PoolParams]) -> None:
    """Choose, write, say who is in and who is not."""
    name = context.options["pool"]
    known = read_people(context.inputs["people"])
    entry = load_pool(name, known, context.params_file)
    manifests = {i: context.inputs["manifests"] / f"{i}.json" for i in known}
    content = choose(name, entry, manifests)
    folder = context.outputs["out"]
    folder.mkdir()
    (folder / "pool.json").write_text(to_json(content), encoding="utf-8")
    for person in content["left_out"]:
        context.say(f"pool: {person['identity']} is left out: {person['reason']}")
    held = [member["identity"] for member in content["members"] if member["held_out"]]
    trained = len(content["members"]) - len(held)
    context.say(f"pool: {name} trains on {trained}, holds out {', '.join(held) or 'nobody'}")


STAGE = Stage(
    name="pool",
    params=PoolParams,
    inputs={"manifests": None, "people": None},
    outputs={"out": None},
    run=run,
    options=("pool",),
    description="who a model for any face learns from, and who is kept from it",
)

if __name__ == "__main__":
    STAGE.main()
