"""One-Euro filter: steadies landmarks at rest and lets them go when they move."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]


class OneEuro:
    """Low-pass filter whose cut-off grows with speed (Casiez, Roussel and Vogel 2012).

    Args:
        min_cutoff_hz: cut-off at rest; lower is steadier and later.
        beta: how much the cut-off grows per unit of speed (units of the values per second).
        speed_cutoff_hz: cut-off of the speed itself.
    """

    def __init__(
        self, min_cutoff_hz: float = 1.0, beta: float = 0.0, speed_cutoff_hz: float = 1.0
    ) -> None:
        self._min_cutoff_hz = min_cutoff_hz
        self._beta = beta
        self._speed_cutoff_hz = speed_cutoff_hz
        self._last_s: float | None = None
        self._value: Values = np.zeros(0)
        self._speed: Values = np.zeros(0)

    def __call__(self, values: npt.ArrayLike, time_s: float) -> Values:
        """Filtered values of the same shape; `time_s` must grow from call to call.

        The first call returns its values. A time that does not grow starts afresh, so that a
        faulty timestamp costs one sample of smoothing and no wrong value.
        """
        given = np.asarray(values, np.float64)
        if self._last_s is None or time_s <= self._last_s or given.shape != self._value.shape:
            self._value, self._speed = given.copy(), np.zeros(given.shape)
        else:
            passed_s = time_s - self._last_s
            speed = (given - self._value) / passed_s
            self._speed += _weight(np.float64(self._speed_cutoff_hz), passed_s) * (
                speed - self._speed
            )
            cutoff_hz = self._min_cutoff_hz + self._beta * np.abs(self._speed)
            self._value = self._value + _weight(cutoff_hz, passed_s) * (given - self._value)
        self._last_s = time_s
        return self._value.copy()


def _weight(cutoff_hz: Values | np.float64, passed_s: float) -> Values:
    """Share of the new sample in an exponential low-pass of that cut-off."""
    return np.asarray(1.0 / (1.0 + 1.0 / (2.0 * np.pi * cutoff_hz * passed_s)))


def smooth_track(
    values: npt.ArrayLike,
    times_s: npt.ArrayLike,
    min_cutoff_hz: float = 1.0,
    beta: float = 0.0,
    speed_cutoff_hz: float = 1.0,
) -> Values:
    """Filter a whole track (T,...) with times (T,) in seconds."""
    one_euro = OneEuro(min_cutoff_hz, beta, speed_cutoff_hz)
    stacked, times = np.asarray(values, np.float64), np.asarray(times_s, np.float64)
    smoothed = [one_euro(row, float(t)) for row, t in zip(stacked, times, strict=True)]
    return np.array(smoothed).reshape(stacked.shape)


class TrackFilter:
    """One-Euro filters of one kind of points, one for each track of the shot in hand.

    Args:
        min_cutoff_hz: cut-off at rest.
        beta: growth of the cut-off in Hz per face width per second, so that near and far faces
            are treated alike.
    """

    def __init__(self, min_cutoff_hz: float, beta: float) -> None:
        self._min_cutoff_hz = min_cutoff_hz
        self._beta = beta
        self._filters: dict[int, OneEuro] = {}
        self._shot_index = -1

    def __call__(
        self, points: npt.ArrayLike, time_s: float, track: tuple[int, int], face_px: float
    ) -> Values:
        """Filtered points of the same shape.

        Args:
            points: frame px.
            time_s: of the frame.
            track: shot_index and track_index; a new shot forgets the tracks of the last.
            face_px: width of the face.
        """
        shot_index, track_index = track
        if shot_index != self._shot_index:
            self._filters, self._shot_index = {}, shot_index
        if track_index not in self._filters:
            beta = self._beta / max(face_px, 1.0)
            self._filters[track_index] = OneEuro(self._min_cutoff_hz, beta)
        return self._filters[track_index](points, time_s)
