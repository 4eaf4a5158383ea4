"""Views of the source on the mesh, redrawn by a small network."""
