"""Rows of a table that are read and written as one; a module of its own, which loads no Arrow."""

ROWS_PER_GROUP, PICTURES_PER_GROUP = 512, 64
