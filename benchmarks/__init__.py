"""Speed, memory and bytes, each beside a named baseline in the same run."""

import models  # noqa: F401  # says how OpenMP waits, before any benchmark loads torch
