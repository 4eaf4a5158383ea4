"""One module, one DVC stage, one `python -m tasks.<stage>`."""

from __future__ import annotations

import sys

from likeness.contracts.machine import require_environment

# While Python looks for the module of `-m`, this is what stands in place of its name.
if sys.argv[0] == "-m":
    require_environment()
