"""Geometry and pixels with NumPy and OpenCV: templates, alignment, mesh, masks, colour, blending."""
