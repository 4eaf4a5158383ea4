"""What people should know of footage before they spend hours on it, in plain lines."""

from __future__ import annotations

from typing import Any

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
    if facts.get("interlaced"):
        found.append("interlaced: both fields of a frame are shown at once; deinterlace it first")
    if facts["colour_tags"]["space"] not in _MATRICES:
        number = facts["colour_tags"]["space"]
        found.append(f"colour matrix {number} (H.273) is not known here and read as BT.601")
    return found
