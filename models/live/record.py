"""What is written beside a live film: that it is no camera's picture, by what, and who agreed."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any

from likeness.contracts.documents import read_json, sha256_of, write_json
from likeness.provenance import record
from models.swappers import registry

if TYPE_CHECKING:
    from models.live.meter import Meter
    from models.live.opening import Opened
    from models.live.request import Request

COMPOSITE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"


def record_path(film: Path) -> Path:
    """`take.mp4` -> `take.provenance.json`."""
    return film.with_suffix(".provenance.json")


def write_record(
    film: Path, opened: Opened, request: Request, meter: Meter, began_s: float
) -> None:
    """Write the record of a finished film.

    Args:
        film: what was written.
        opened: the model and the consents behind it.
        request: how it was run.
        meter: what was shown.
        began_s: time of the first frame, seconds since 1970.
    """
    mark = opened.settings.mark
    began = dt.datetime.fromtimestamp(began_s, dt.UTC)
    weights = request.model / registry.WEIGHTS
    content: dict[str, Any] = {
        "schema_version": 1,
        "statement": "The face in this video was replaced by software, while it was filmed.",
        "digital_source_type": COMPOSITE,
        "made_on": began.isoformat(timespec="seconds"),
        "signed": False,
        "visible_mark": {"present": True, "text": mark.text},
        "outputs": {"film": {"sha256": sha256_of(film)}},
        "source": opened.allowed.source,
        "consents": opened.allowed.consents,
        "model": {"sha256": sha256_of(weights), **read_json(request.model / registry.CONFIG)},
        "analysers": opened.pack.facts,
        "runtime": opened.runner.name,
        "frames": {"in": meter.captured, "shown": meter.shown, "dropped": meter.dropped},
        "code": record.code_version(request.root),
    }
    write_json(record_path(film), content)
