"""Triangles of the face mesh carried from views of the source, without training."""
