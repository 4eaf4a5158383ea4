"""Geometry and pixels: templates, alignment, mesh, masks, colour, pasting.

The way of a face: `templates` says where its points belong, `alignment` cuts the crop out of the
frame, `masks` say which part of it is replaced. The way back: `pasting` lays a swapped crop into
the frame; to do so `patch` cuts it down to what shows, `placing` turns that into place, `colour`
gives it the target's colours, and `blending` mixes the two.
"""
