"""Stage `people`: everybody enrolled, by name.

In: data/identities/. Out: data/people.json, which stages read that look over everybody (pools,
retrieval). This stage always runs, since no dependency can say "all identities"; it reads one
small file a person, and while its content stays the same nothing below it runs.
"""

from __future__ import annotations

from likeness.contracts.catalog import identity_names
from likeness.contracts.documents import Document, to_json
from likeness.contracts.params import refuse_identities
from likeness.contracts.stage import Context, Stage


class PeopleParams(Document):
    """Section `people` of params.yaml: there is nothing to set."""


def run(context: Context[PeopleParams]) -> None:
    """List the identities."""
    refuse_identities(context.params_file)
    content = {"identities": identity_names(context.inputs["identities"].parent)}
    context.outputs["people"].write_text(to_json(content), encoding="utf-8")


STAGE = Stage(
    name="people",
    params=PeopleParams,
    inputs={"identities": None},
    outputs={"people": None},
    run=run,
    description="everybody enrolled, by name",
)

if __name__ == "__main__":
    STAGE.main()
