"""The sections of params.yaml: one module each, pydantic alone, read by stages and programs."""
