"""Frame by frame: a camera's picture in, the swapped one out (docs/how-to/live.md)."""
