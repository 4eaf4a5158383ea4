"""One pyarrow schema per module; `base` reads and writes them."""
