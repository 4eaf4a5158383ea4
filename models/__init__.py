"""Networks: torch in, torch out."""

import os

# OpenMP's threads spin while they wait. By default they spin for long, which costs most of the
# speed on a busy machine (measured with two other jobs on two cores: 9 images/s of training);
# sleeping at once costs a third on an idle one. A short spin loses a tenth there.
# It must be set before torch loads; it changes no result.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
