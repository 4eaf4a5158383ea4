"""When and where: Prefect flows, the command line, the reader of DVC's graph."""

from likeness.contracts.machine import refuse_windows

# Before any module that Windows lacks is asked for.
refuse_windows()
