"""Networks: torch in, torch out."""

import os

# OpenMP's threads spin while they wait, which costs nothing on an idle machine and most of the
# speed on a busy one (measured: 9 against 165 images/s with two other jobs on two cores).
# It must be set before torch loads; it changes no result.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
