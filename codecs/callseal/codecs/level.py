"""Levels, second by second: of one recording as its sound comes, or of a whole bank of recordings at once.

Conventions: frames are G.711 codes (uint8) or linear samples (int16), shape (samples, channels); of a bank
(recordings, samples, channels). Levels are in dBov (ITU-T G.100.1): 0 dBov is the power of a full-scale
square wave, so a full-scale sine is -3.01 dBov. A second without any signal has the level `FLOOR_DBOV`.
Peaks are the largest magnitude on the same scale. A sample is clipped when it stands at either end of what
its coding can express.

G.711 is measured without decoding it: the power of both channels comes from one table over pairs of codes,
and the largest code is the largest sample. A call's second takes 10 µs that way. Sums are float32 by pairs,
exact to about a millionth.

This is the simple measure; the active speech level of ITU-T P.56 is another one.
"""

import math
from dataclasses import dataclass
from typing import Final, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from callseal.codecs import g711
from callseal.codecs.g711 import Law

FLOOR_DBOV: Final = -96.33
"""Half a step of int16 against full scale, 20·log10(2⁻¹⁶): lower levels are given as this one."""
LEVEL: Final = np.dtype([("mean_square", "<f4"), ("peak", "<u2"), ("clipped", "<u2")])
"""One second of one channel, in int16 units; packed, because an hour of a call has 7,200 of them."""
MAX_CLIPPED: Final = 0xFFFF
"""More clipped samples in a second are counted as so many."""
ROWS_AT_ONCE: Final = 8
"""Recordings that are measured in one go: what is made of a second of them stays within a cache of 1 MiB."""

Frames = NDArray[np.uint8] | NDArray[np.int16]

Sample = TypeVar("Sample", np.uint8, np.int16)

_FULL_SCALE: Final = 32768.0
_CODES: Final = 256
_MAGNITUDE: Final = 0x7F
"""The bits of a G.711 code that are its magnitude; the larger they are, the larger it is (G.711 table 2a)."""
_FLIPPED: Final = {Law.MU: 0xFF, Law.A: 0x55}
"""Which bits are inverted on the line."""
_RUN: Final = 128
"""Samples reduced in one go: numpy is fast along the last axis, and for that the channels are too few."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Second:
    """What one second (the first and the last one may be shorter) of one channel measured."""

    samples: int
    rms_dbov: float
    peak_dbov: float
    clipped_samples: int

    @property
    def is_digital_silence(self) -> bool:
        """Whether no sample differed from zero: the smallest that does has a peak of -90.3 dBov."""
        return self.peak_dbov <= FLOOR_DBOV


def dbov(mean_square: float) -> float:
    """Give the level of a mean square in int16 units, no lower than `FLOOR_DBOV`."""
    ratio = mean_square / _FULL_SCALE**2
    return FLOOR_DBOV if ratio <= 0.0 else max(FLOOR_DBOV, 10.0 * math.log10(ratio))


def clip_threshold(largest_code: int) -> int:
    """Give the magnitude from which a sample counts as clipped, from the coding's largest magnitude.

    One part in a thousand below the end: transcoding moves a clipped sample by less than that.
    """
    return math.floor(largest_code * 0.999)


class Gauge:
    """Measures stretches of sound of one coding, many recordings at once; keeps nothing of them."""

    def __init__(self, law: Law | None, clip_at: int) -> None:
        """Measure codes of a law, or linear samples; from `clip_at` (int16 units) on they are clipped."""
        self._law = law
        self._clip_at = clip_at
        if law is None:
            return
        squares = np.square(g711.decode(np.arange(_CODES, dtype=np.uint8), law), dtype=np.float32)
        pairs = np.arange(_CODES * _CODES, dtype=np.uint16).view(np.uint8).reshape(-1, 2)
        self._powers = squares[pairs].view(np.complex64)[:, 0]
        codes = np.arange(_MAGNITUDE + 1, dtype=np.uint8) ^ np.uint8(_FLIPPED[law])
        self._magnitudes = np.abs(g711.decode(codes, law).astype(np.int32)).astype(np.uint16)
        self._clip_code = int(np.searchsorted(self._magnitudes, clip_at))

    def measure(self, frames: Frames) -> NDArray[np.void]:
        """Measure each channel of each recording as a whole.

        frames: shape (recordings, samples, channels); at least one sample, of codes two channels. Result:
        `LEVEL`, shape (recordings, channels).
        """
        found = np.empty((frames.shape[0], frames.shape[2]), LEVEL)
        for start in range(0, frames.shape[0], ROWS_AT_ONCE):
            rows = slice(start, start + ROWS_AT_ONCE)
            if self._law is None:
                self._linear(frames[rows], found[rows])
            else:
                self._coded(frames[rows].astype(np.uint8, copy=False), found[rows])
        return found

    def _coded(self, codes: NDArray[np.uint8], found: NDArray[np.void]) -> None:
        pairs = np.ascontiguousarray(codes).view(np.uint16)[..., 0]
        # The real part is the first channel's power, the imaginary one the second's; "clip" spares a check.
        power = np.take(self._powers, pairs, mode="clip").sum(axis=1)
        magnitude = (codes ^ np.uint8(_FLIPPED[self._law or Law.MU])) & np.uint8(_MAGNITUDE)
        largest = _along_time(np.maximum, magnitude)
        found["mean_square"] = power.view(np.float32).reshape(found.shape) / codes.shape[1]
        found["peak"] = self._magnitudes[largest]
        found["clipped"] = 0
        for row, channel in np.argwhere(largest >= self._clip_code):
            count = np.count_nonzero(magnitude[row, :, channel] >= self._clip_code)
            found["clipped"][row, channel] = min(count, MAX_CLIPPED)

    def _linear(self, samples: Frames, found: NDArray[np.void]) -> None:
        squares = samples.astype(np.float32)
        squares *= squares
        if squares.shape[2] == 2:  # noqa: PLR2004 - pairs are summed along the last axis, as complex numbers
            power = squares.view(np.complex64)[..., 0].sum(axis=1).view(np.float32).reshape(found.shape)
        else:
            power = squares.sum(axis=1)
        found["mean_square"] = power / samples.shape[1]
        contiguous: NDArray[np.int16] = np.ascontiguousarray(samples, np.int16)
        highest = _along_time(np.maximum, contiguous).astype(np.int32)
        lowest = _along_time(np.minimum, contiguous).astype(np.int32)
        peak = np.maximum(np.abs(highest), np.abs(lowest))
        found["peak"] = peak
        found["clipped"] = 0
        for row, channel in np.argwhere(peak >= self._clip_at):
            one = samples[row, :, channel].astype(np.int32)
            found["clipped"][row, channel] = min(np.count_nonzero(np.abs(one) >= self._clip_at), MAX_CLIPPED)


class LevelMeter:
    """Keeps the seconds of one recording: measured here as its sound comes, or elsewhere in a bank."""

    __slots__ = ("_channels", "_gauge", "_levels", "_rate_hz", "_rest", "_rest_samples", "_shorter")

    def __init__(self, rate_hz: int, gauge: Gauge, channels: int = 2) -> None:
        self._rate_hz = rate_hz
        self._gauge = gauge
        self._channels = channels
        self._levels = bytearray()
        self._shorter: dict[int, int] = {}
        self._rest: list[Frames] = []
        self._rest_samples = 0

    @property
    def waits(self) -> bool:
        """Whether part of a second has come, and waits for the rest of it."""
        return self._rest_samples > 0

    @property
    def seconds(self) -> int:
        """How many seconds were measured, shorter ones among them."""
        return len(self._levels) // (LEVEL.itemsize * self._channels)

    def take(self, level: bytes) -> None:
        """Take the next second, a whole one, as a bank has measured it: a `LEVEL` for each channel."""
        self._levels += level

    def feed(self, frames: Frames) -> None:
        """Take the next frames, any number of them, shape (samples, channels)."""
        if not frames.shape[0]:
            return
        # A copy, since whoever gave them may use their memory again.
        self._rest.append(frames.copy())
        self._rest_samples += frames.shape[0]
        if self._rest_samples < self._rate_hz:
            return
        joined = self._joined()
        whole = joined.shape[0] // self._rate_hz
        seconds = joined[: whole * self._rate_hz].reshape(whole, self._rate_hz, self._channels)
        self._levels += self._gauge.measure(seconds).tobytes()
        # Again a copy, so that the small rest does not keep the whole joined block alive.
        self._rest_samples = joined.shape[0] - whole * self._rate_hz
        self._rest = [joined[whole * self._rate_hz :].copy()] if self._rest_samples else []

    def end_second(self) -> None:
        """Let what waits be a second of its own, a shorter one: another grid of seconds begins here."""
        if self._rest_samples:
            self._shorter[self.seconds] = self._rest_samples
            self._levels += self._gauge.measure(self._joined()[np.newaxis]).tobytes()
        self._rest, self._rest_samples = [], 0

    def finish(self) -> tuple[tuple[Second, ...], ...]:
        """Give all seconds of each channel, the unfinished one included when it holds a sample."""
        self.end_second()
        table = np.frombuffer(self._levels, LEVEL).reshape(-1, self._channels)
        return tuple(
            tuple(
                Second(
                    samples=self._shorter.get(number, self._rate_hz),
                    rms_dbov=dbov(float(mean_square)),
                    peak_dbov=dbov(float(peak) ** 2),
                    clipped_samples=int(clipped),
                )
                for number, (mean_square, peak, clipped) in enumerate(table[:, channel].tolist())
            )
            for channel in range(self._channels)
        )

    def _joined(self) -> Frames:
        return cast("Frames", np.concatenate(self._rest))


def _along_time(reduce: np.ufunc, frames: NDArray[Sample]) -> NDArray[Sample]:
    """Reduce contiguous frames, shape (recordings, samples, channels), to (recordings, channels)."""
    rows, samples, channels = frames.shape
    if samples * channels % _RUN == 0 and _RUN % channels == 0:
        frames = reduce.reduce(frames.reshape(rows, -1, _RUN), axis=1).reshape(rows, -1, channels)
    found: NDArray[Sample] = reduce.reduce(frames, axis=1)
    return found
