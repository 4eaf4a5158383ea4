"""What a stage has read so far; a module of its own, since stages without tables load no Arrow."""

from collections import Counter

READ: Counter[str] = Counter()
"""Rows read by this process, by kind of table; each pass over a row counts."""
