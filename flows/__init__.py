"""When and where: Prefect flows, the command line, the reader of DVC's graph."""
