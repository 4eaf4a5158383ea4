"""A window on the screen that shows pictures and hears keys, by OpenCV."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from likeness.contracts.errors import LikenessError
from likeness.media.colour import Planes, yuv420_to_rgb

_SCREENS = ("DISPLAY", "WAYLAND_DISPLAY")
_ESCAPE, _NOTHING = 27, -1
_MARGIN_PX, _LINE_PX = 10, 22
_TRIAL = "import cv2; cv2.namedWindow('likeness'); cv2.waitKey(1); cv2.destroyAllWindows()"
_TRIAL_S = 30.0
"""Time after which a screen that does not answer counts as none."""


def require_screen(environment: Mapping[str, str] | None = None) -> None:
    """Check that a window can be opened; OpenCV would end the process instead of saying so.

    Raises:
        LikenessError: no screen, one that does not answer, or an OpenCV that was built without
            windows.
    """
    given = os.environ if environment is None else environment
    if sys.platform.startswith("linux") and not any(given.get(name) for name in _SCREENS):
        step = "add `--output FILE.mp4`, which needs none"
        raise LikenessError("window", "there is no screen here (DISPLAY is not set)", step)
    gui = [line for line in cv2.getBuildInformation().splitlines() if line.strip()[:4] == "GUI:"]
    if gui and gui[0].split(":")[1].strip() in ("NONE", "NO", ""):
        step = "install opencv-python in the place of the headless build, or add `--output FILE`"
        raise LikenessError("window", "this OpenCV was built without windows", step)
    if not _opens(given):
        step = "correct DISPLAY, or add `--output FILE.mp4`, which needs no screen"
        raise LikenessError("window", "no window opens on this screen", step)


def _opens(environment: Mapping[str, str]) -> bool:
    """Whether another process can open a window: a toolkit without its screen aborts."""
    command = [sys.executable, "-c", _TRIAL]
    try:
        done = subprocess.run(
            command, env=dict(environment), capture_output=True, check=False, timeout=_TRIAL_S
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


class Window:
    """A window of the given title.

    Args:
        title: shown on top.
        screen: OpenCV, or what stands in for it.
    """

    def __init__(self, title: str, screen: Any = cv2) -> None:
        self._title, self._screen = title, screen
        screen.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
        self._sized = False

    def show(self, planes: Planes, space: tuple[str, str], lines: Sequence[str] = ()) -> None:
        """Show a picture with some lines of text over its top left corner.

        Args:
            planes: y (H,W), u and v of half its size, uint8.
            space: colour space and range, names of media.colour.
            lines: such as the frame rate.
        """
        rgb = yuv420_to_rgb(planes, *space)
        bgr = np.ascontiguousarray(np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)))
        for index, line in enumerate(lines):
            place = (_MARGIN_PX, _MARGIN_PX + _LINE_PX * (index + 1) - 6)
            for colour, width in (((0, 0, 0), 3), ((255, 255, 255), 1)):
                font = cv2.FONT_HERSHEY_SIMPLEX
                cv2.putText(bgr, line, place, font, 0.55, colour, width, cv2.LINE_AA)
        if not self._sized:
            self._screen.resizeWindow(self._title, bgr.shape[1], bgr.shape[0])
            self._sized = True
        self._screen.imshow(self._title, bgr)

    def wants_to_quit(self) -> bool:
        """Whether `q` or Esc was pressed, or the window closed, since the last call."""
        key = self._screen.waitKey(1)
        if key != _NOTHING and key & 0xFF in (ord("q"), ord("Q"), _ESCAPE):
            return True
        visible = self._screen.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE)
        return self._sized and visible < 1

    def __enter__(self) -> Window:
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self._screen.destroyWindow(self._title)
