"""Arrays in, numbers out: what a person judges a swap by."""
