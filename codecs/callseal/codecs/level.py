"""Levels of a channel, second by second.

Conventions: samples are int16, shape (samples,). Levels are in dBov (ITU-T G.100.1): 0 dBov is the power
of a full-scale square wave, so a full-scale sine is -3.01 dBov. A second without any signal has the level
`FLOOR_DBOV`. Peaks are the largest magnitude on the same scale. A sample is clipped when it stands at
either end of what its coding can express.

This is the simple measure; the active speech level of ITU-T P.56 is another one.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

FLOOR_DBOV: Final = -96.33
"""Half a step of int16 against full scale, 20·log10(2⁻¹⁶): lower levels are given as this one."""

_FULL_SCALE: Final = 32768.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Second:
    """What one second (the last one may be shorter) of one channel measured."""

    samples: int
    rms_dbov: float
    peak_dbov: float
    clipped_samples: int
    zero_samples: int

    @property
    def is_digital_silence(self) -> bool:
        """Whether no sample differed from zero."""
        return self.zero_samples == self.samples


def dbov(mean_square: float) -> float:
    """Give the level of a mean square in int16 units, no lower than `FLOOR_DBOV`."""
    ratio = mean_square / _FULL_SCALE**2
    return FLOOR_DBOV if ratio <= 0.0 else max(FLOOR_DBOV, 10.0 * math.log10(ratio))


class LevelMeter:
    """Measures one channel as it comes, in blocks of any length."""

    def __init__(self, rate_hz: int, clip_at: int) -> None:
        """Measure at `rate_hz`; magnitudes of `clip_at` (int16 units) and more count as clipped."""
        self._rate_hz = rate_hz
        self._clip_at = clip_at
        self._rest: list[NDArray[np.int16]] = []
        self._rest_samples = 0
        self._seconds: list[Second] = []

    def feed(self, samples: NDArray[np.int16]) -> None:
        """Take the next samples, int16, shape (samples,)."""
        self._rest.append(samples)
        self._rest_samples += samples.size
        if self._rest_samples < self._rate_hz:
            return
        joined = np.concatenate(self._rest)
        whole = joined.size // self._rate_hz * self._rate_hz
        for start in range(0, whole, self._rate_hz):
            self._seconds.append(self._measure(joined[start : start + self._rate_hz]))
        # A copy, so that the small rest does not keep the whole joined block alive.
        self._rest = [joined[whole:].copy()]
        self._rest_samples = joined.size - whole

    def finish(self) -> tuple[Second, ...]:
        """Give all seconds, the unfinished one included when it holds a sample."""
        if self._rest_samples:
            self._seconds.append(self._measure(np.concatenate(self._rest)))
            self._rest, self._rest_samples = [], 0
        return tuple(self._seconds)

    def _measure(self, samples: NDArray[np.int16]) -> Second:
        wide = samples.astype(np.int32)
        magnitude = np.abs(wide)
        peak = float(magnitude.max())
        return Second(
            samples=int(samples.size),
            rms_dbov=dbov(float(np.mean(np.square(wide, dtype=np.float64)))),
            peak_dbov=dbov(peak * peak),
            clipped_samples=int(np.count_nonzero(magnitude >= self._clip_at)),
            zero_samples=int(np.count_nonzero(magnitude == 0)),
        )


def clip_threshold(largest_code: int) -> int:
    """Give the magnitude from which a sample counts as clipped, from the coding's largest magnitude.

    One part in a thousand below the end: transcoding moves a clipped sample by less than that.
    """
    return math.floor(largest_code * 0.999)
