"""Stage `names`: every name in the YAML files is a slug, and who is enrolled.

In: params.yaml and the documents of clips and identities. Out: data/names.txt, which never changes
and on which every stage depends whose outputs bear such a name: DVC deletes outputs before it runs
a stage, and would follow a name like `../../docs`. It also has every value of params.yaml checked,
so that a training does not end in a word that `blend` refuses. And data/people.json, which stages
read that look over everybody. This stage always runs, since no dependency can say "all identities".
"""

from __future__ import annotations

from likeness.contracts.catalog import identity_names
from likeness.contracts.checked import require_settings
from likeness.contracts.documents import to_json
from likeness.contracts.names import check_names
from likeness.contracts.params.names import NamesParams
from likeness.contracts.stage import Context, Stage

CHECKED = "Every name is a slug.\n"


def run(context: Context[NamesParams]) -> None:
    """Check all names and settings, list the identities."""
    data = context.inputs["data"]
    check_names(context.params_file, data)
    require_settings(context.params_file)
    content = {"identities": identity_names(data)}
    context.outputs["people"].write_text(to_json(content), encoding="utf-8")
    context.outputs["names"].write_text(CHECKED, encoding="utf-8")


STAGE = Stage(
    name="names",
    params=NamesParams,
    inputs={"data": None},
    outputs={"names": None, "people": None},
    run=run,
    description="every name is a slug, and who is enrolled",
)

if __name__ == "__main__":
    STAGE.main()
