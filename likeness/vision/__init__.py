"""Geometry and pixels: templates, alignment, mesh, masks, colour, blending."""
