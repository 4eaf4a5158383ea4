"""Traces of a swap that a machine can find, and the small detector that looks for them.

It reports; nothing that learns or makes pictures may import it (pyproject.toml, tests/graph).
"""
