"""Samples at one rate to samples at another, packet by packet: 8, 16 and 48 kHz.

Conventions: int16, shape (samples,). A packet gives exactly its share of samples; what comes out is late by
half a filter, 1 to 2 ms, which is nothing beside what a network does. Source: a sinc under a Kaiser window.
"""

from math import gcd
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

_ZERO_CROSSINGS: Final = 16
"""On each side of the middle, at the lower of both rates."""
_KAISER_BETA: Final = 7.0
"""70 dB of attenuation (Kaiser's formula), below the noise of any telephone codec."""
_PASS: Final = 0.94
"""Cut-off, of half the lower rate: the middle of a slope that ends below half the rate."""


class Resampler:
    """Converts one stream; what went before is remembered."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        common = gcd(from_hz, to_hz)
        self._up, self._down = to_hz // common, from_hz // common
        widest = max(self._up, self._down)
        taps = -(-2 * _ZERO_CROSSINGS * widest // self._up)
        size = taps * self._up
        at = (np.arange(size) - (size - 1) / 2) / widest
        prototype = np.sinc(_PASS * at) * np.kaiser(size, _KAISER_BETA)
        # One row a phase, each with a sum of 1, so that silence stays silent and a level stays the same.
        phases = prototype.reshape(taps, self._up).T[:, ::-1]
        self._phases: NDArray[np.float32] = (phases / phases.sum(axis=1, keepdims=True)).astype(np.float32)
        self._history = np.zeros(taps - 1, np.float32)

    def convert(self, samples: NDArray[np.int16]) -> NDArray[np.int16]:
        """Give len(samples) x to / from samples, rounded down."""
        joined = np.concatenate((self._history, samples.astype(np.float32)))
        self._history = joined[len(joined) - len(self._history) :]
        steps = np.arange(len(samples) * self._up // self._down) * self._down
        windows = sliding_window_view(joined, self._phases.shape[1])[steps // self._up]
        sums = np.einsum("ij,ij->i", windows, self._phases[steps % self._up])
        rounded: NDArray[np.int16] = np.clip(np.rint(sums), -32768, 32767).astype(np.int16)
        return rounded
