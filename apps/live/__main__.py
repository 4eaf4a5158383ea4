"""`python -m apps.live MODEL`: a model on a camera or a file, frame by frame.

`likeness live` calls it. stdout gets one line at the end: frames in, shown and dropped, frames per
second, latency. Ctrl-C, `q` and Esc end a run and leave a whole film.
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from apps.live.compose import VIEWS
from apps.live.request import Request, require_film, require_input
from likeness.contracts.commands import ended, positive

INPUTS = "camera, camera:N, a video file, a folder of stills, or - for a video on stdin"


def parser() -> argparse.ArgumentParser:
    """Parser of this command's arguments."""
    made = argparse.ArgumentParser(prog="python -m apps.live", description=__doc__)
    made.add_argument("model", type=Path, help="folder of the model, data/models/<model>")
    made.add_argument("--pack", type=Path, required=True, help="output of stage `pack`")
    made.add_argument("--input", default="camera", help=INPUTS)
    made.add_argument("--output", default="window", help="window, or a file (.mp4)")
    made.add_argument("--source", help="whose face, for a model of any face")
    made.add_argument("--view", choices=VIEWS, help="what is shown")
    made.add_argument("--every-frame", action="store_true", help="drop nothing")
    made.add_argument("--runtime", choices=("auto", "torch", "onnx"), default="auto")
    made.add_argument("--scan-every", type=positive, default=8, help="frames between two scans")
    made.add_argument("--seconds", type=float, help="end after so much of the footage's time")
    return made


def main(arguments: list[str] | None = None) -> int:
    """Run; returns 0, also after Ctrl-C; 2 with one line on a fault."""
    given = parser().parse_args(arguments)

    def work() -> None:
        request = Request(
            model=given.model,
            pack=given.pack,
            taken_from=given.input,
            output=given.output,
            source=given.source,
            view=given.view,
            every_frame=given.every_frame,
            runtime=given.runtime,
            scan_every=given.scan_every,
            seconds=given.seconds,
        )
        # Input and output are checked first: torch takes seconds to import.
        require_film(request)
        require_input(request)
        from apps.live.keys import TerminalKeys
        from apps.live.pipeline import Pipeline
        from apps.live.session import run

        def stoppable(pipeline: Pipeline) -> None:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda *_: pipeline.stop())

        with TerminalKeys(listen=given.input != "-") as keys:
            meter = run(request, [keys.wants_to_quit], stoppable)
        print(meter.summary())
        if request.film is not None and meter.shown:
            print(f"wrote {request.film}")

    return ended(work, given.output, "interrupted before the first frame")


if __name__ == "__main__":
    sys.exit(main())
