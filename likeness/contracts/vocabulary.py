"""Words that params.yaml may hold and that the code which acts on them lists, too.

They stand below both: a section of params.yaml is read without OpenCV and FFmpeg, and what draws a
mark depends on no section.
"""

from __future__ import annotations

from typing import Literal

TemplateName = Literal[
    "arcface_112",
    "ffhq_512",
    "mtcnn_512",
    "half_face",
    "mid_face",
    "full_face",
    "whole_face",
    "head",
]
"""Canonical places of the five points (likeness/vision/templates.py)."""
Corner = Literal["top-left", "top-right", "bottom-left", "bottom-right"]
"""Where the visible mark stands."""
SoundCodec = Literal["aac", "alac"]
"""What sound becomes that MP4 cannot hold."""
PRESETS = (
    "ultrafast",
    "superfast",
    "veryfast",
    "faster",
    "fast",
    "medium",
    "slow",
    "slower",
    "veryslow",
)
"""Presets of libx264, fastest first."""
