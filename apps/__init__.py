"""Programs beside the graph: a model live, published protocols. Each is a process of its own."""

import models  # noqa: F401  # it says how torch's threads wait, which must come before torch
