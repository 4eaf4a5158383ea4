"""What people should know of footage before they spend hours on it, in plain lines."""

from __future__ import annotations

from typing import Any

import av

from likeness.media.probe import is_yuv
from likeness.media.timeline import Timeline

_HDR = {16: "PQ", 18: "HLG"}
"""ITU-T H.273 TransferCharacteristics of high dynamic range."""
_MATRICES = (1, 2, 4, 5, 6, 7, 9, 10)
"""ITU-T H.273 MatrixCoefficients that media.colour knows; 2 is unspecified."""


def remarks(facts: dict[str, Any]) -> list[str]:
    """Lines about what is read with a loss, or in a way that may surprise.

    Args:
        facts: of the footage (`Footage.facts`).
    """
    if facts["kind"] == "stills":
        return []
    found, bits = [], facts.get("bit_depth", 8)
    curve = _HDR.get(facts["colour_tags"]["transfer"])
    if curve:
        found.append(
            f"high dynamic range ({curve}): read and written in 8 bits with its own curve and "
            f"tags, so skin may show bands; for a clean result convert it to BT.709 first"
        )
    elif bits > 8:
        found.append(f"stored with {bits} bits a sample: read and written in 8 bits")
    if _finer(facts["pixel_format"]):
        found.append(
            f"stored as {facts['pixel_format']}, finer in colour than the films made here: crops "
            f"are taken from all of it, films are written in 4:2:0"
        )
    if facts.get("interlaced"):
        found.append("interlaced: both fields of a frame are shown at once; deinterlace it first")
    if facts["colour_tags"]["space"] not in _MATRICES:
        number = facts["colour_tags"]["space"]
        found.append(f"colour matrix {number} (H.273) is not known here and read as BT.601")
    return found


def _finer(pixel_format: str) -> bool:
    """Whether a format stores more colour than 4:2:0 does."""
    stored: Any = av.VideoFormat(pixel_format, 16, 16)
    if not is_yuv(stored):
        return bool(stored.is_rgb or stored.has_palette or stored.is_bayer)
    return bool(stored.chroma_width() > 8 or stored.chroma_height() > 8)


def loss_lines(times: Timeline) -> list[str]:
    """What a file has lost, in one line or none."""
    reasons = []
    if times.cut_bytes:
        reasons.append(f"it is {times.cut_bytes} bytes shorter than it says")
    if times.zero_bytes:
        reasons.append(f"its last {times.zero_bytes} bytes are zeros")
    if times.torn:
        reasons.append("it ends inside a packet, and does not say how much is missing behind")
    if times.short_s and not times.lost:
        reasons.append(f"it ends {times.short_s:g} s earlier than it says")
    why = "; ".join(reasons)
    if times.lost:
        lost = f"{times.lost} of {len(times.expected)} frames are missing from the file"
        return [f"{lost} ({why})" if why else lost]
    return [f"the file is damaged: {why}"] if why else []


def time_lines(times: Timeline, facts: dict[str, Any]) -> list[str]:
    """Where times start again, in one line or none."""
    if not times.breaks:
        return []
    numerator, denominator = facts["time_base"]
    first = times.times[times.breaks[0].packet] - times.times[0]
    at = f"{first * numerator / denominator:.2f} s"
    more = f", and {len(times.breaks) - 1} times after that" if len(times.breaks) > 1 else ""
    return [f"times start again {at} after the beginning{more}: the parts are joined"]
