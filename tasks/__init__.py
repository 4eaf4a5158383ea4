"""One module, one DVC stage, one `python -m tasks.<stage>`."""

from __future__ import annotations

import sys

from likeness.contracts.machine import require_environment, say_memory_in_one_line
from likeness.contracts.orphans import end_with_dvc

# While Python looks for the module of `-m`, this is what stands in place of its name.
if sys.argv[0] == "-m":
    end_with_dvc()
    require_environment()
    say_memory_in_one_line("the stage")
    if "tasks.roster" in sys.orig_argv:
        from likeness.contracts.standing import standing

        if said := standing():
            print(said, file=sys.stderr, flush=True)
            sys.exit(0)
