"""Networks: torch in, torch out."""

import os
import sys

# OpenMP's threads spin while they wait. By default they spin for long, which costs most of the
# speed on a busy machine (measured with two other jobs on two cores: 9 images/s of training);
# sleeping at once costs a third on an idle one. A short spin loses a tenth there.
# It must be set before torch loads; it changes no result. Training and `convert` do without such
# threads (models/crew.py) and keep their speed in whatever order modules are imported.
LATE = "torch" in sys.modules and not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & set(os.environ)
"""Whether it is too late for that; `models.crew.take_threads` then refuses."""
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
# MKL keeps a list of its buffers by thread. Where threads come and go beside each other, the list
# was once seen to run in a circle: the training hung in mm_account_ptr_by_tid with all processors
# busy. With plain allocation there is no list. MKL reads this at its first product.
os.environ.setdefault("MKL_DISABLE_FAST_MM", "1")
