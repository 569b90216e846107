"""Three taps of one call on one time line.

pjmedia connects taps one after the other, so each may begin some ticks of 20 ms later than the one
before. Before any talk is let in, all taps hear the same ramp 1, 2, 3, … once: the first value that a tap
shows tells at which sample of the ramp it began, which aligns the taps to the sample.

Conventions: track 0 agent, 1 customer, 2 announcement; int16 at `rate_hz`. Positions count from the
ramp's sample 0.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

TRACKS: Final = 3
RAMP_SAMPLES: Final = 8000
"""Length of the ramp; the taps must be connected within it (1 s at 8 kHz, far more than it takes)."""
_PROOF_SAMPLES: Final = 8
_TOO_LATE: Final = 2 * RAMP_SAMPLES
"""A track that was silent for so long has missed the ramp; the others do not wait for it any longer."""
_MAX_BEFORE_START: Final = 10 * 48_000
"""What is kept of each track while nobody has said where the recording begins."""


def ramp() -> NDArray[np.int16]:
    """Give the ramp that the taps are synchronised with."""
    return np.arange(1, RAMP_SAMPLES + 1, dtype=np.int16)


class Tracks:
    """Aligns what the taps deliver."""

    def __init__(self) -> None:
        self._waiting: list[NDArray[np.int16]] = [np.zeros(0, np.int16) for _ in range(TRACKS)]
        self._next: list[int | None] = [None] * TRACKS
        self._dropped = [0] * TRACKS  # of a track that has not shown the ramp
        self._start: int | None = None
        self._proven = True
        self._in_ramp = [False] * TRACKS

    @property
    def proven(self) -> bool:
        """Whether every track that was aligned was aligned by the ramp."""
        return self._proven

    def feed(self, track: int, samples: NDArray[np.int16]) -> None:
        """Take the next samples of one track."""
        unchecked = self._waiting[track].size
        self._waiting[track] = np.concatenate([self._waiting[track], samples])
        if self._next[track] is None:
            unchecked = self._find_ramp(track)
        if self._in_ramp[track]:
            self._blank_ramp(track, unchecked)
        surplus = self._waiting[track].size - _MAX_BEFORE_START
        if self._start is None and surplus > 0:
            self._drop(track, surplus)

    def start_at(self, position: int) -> None:
        """Say where the recording begins; what lies before is dropped, what is not there is silence."""
        self._start = position

    def take(self, *, last: bool = False) -> NDArray[np.int16] | None:
        """Give what all tracks have by now, int16, shape (tracks, samples), or None.

        The first samples given stand at the start position. With `last`, tracks that ended earlier than
        the longest are filled up with silence, and no track is waited for that has not shown the ramp.
        """
        if self._start is None:
            return None
        self._stop_waiting(last=last)
        positions = [at for at in self._next if at is not None]
        if len(positions) < TRACKS:
            return None
        for track, at in enumerate(positions):
            if at < self._start:
                self._drop(track, min(self._start - at, self._waiting[track].size))
            elif at > self._start:
                silence = np.zeros(at - self._start, np.int16)
                self._waiting[track] = np.concatenate([silence, self._waiting[track]])
                self._next[track] = self._start
        if any(at != self._start for at in self._next) and not last:
            return None
        sizes = [samples.size for samples in self._waiting]
        length = max(sizes) if last else min(sizes)
        if not length:
            return None
        block = np.zeros((TRACKS, length), np.int16)
        for track, samples in enumerate(self._waiting):
            part = samples[:length]
            block[track, : part.size] = part
            self._waiting[track] = samples[length:].copy()
        self._start += length
        self._next = [self._start] * TRACKS
        return block

    def _find_ramp(self, track: int) -> int:
        """Look for the ramp; gives the index where it begins in what waits, once it is found."""
        waiting = self._waiting[track]
        nonzero = np.flatnonzero(waiting)
        if not nonzero.size:
            return 0
        first = int(nonzero[0])
        seen = waiting[first : first + _PROOF_SAMPLES].astype(np.int32)
        if seen.size < _PROOF_SAMPLES:
            return 0
        if np.array_equal(seen, seen[0] + np.arange(_PROOF_SAMPLES)):
            self._next[track] = int(seen[0]) - 1 - first
            self._in_ramp[track] = True
        else:
            # Sound but no ramp: the child stood still for a whole ramp between two lines of code. The
            # track is taken to begin with the ramp, at worst a second off, and `proven` says so.
            self._assume_begin(track)
        return first

    def _stop_waiting(self, *, last: bool) -> None:
        for track, waiting in enumerate(self._waiting):
            received = self._dropped[track] + waiting.size
            if self._next[track] is None and (last or received >= _TOO_LATE):
                self._assume_begin(track)

    def _assume_begin(self, track: int) -> None:
        self._next[track] = self._dropped[track]
        self._proven = False

    def _blank_ramp(self, track: int, index: int) -> None:
        """Silence the ramp from `index` on, up to where it ends: no talk is ever mixed into it."""
        at = self._next[track]
        if at is None:
            return
        part = self._waiting[track][index:]
        value = at + index + 1
        other = np.flatnonzero(part != np.arange(value, value + part.size))
        part[: int(other[0]) if other.size else part.size] = 0
        self._in_ramp[track] = not other.size

    def _drop(self, track: int, count: int) -> None:
        self._waiting[track] = self._waiting[track][count:].copy()
        at = self._next[track]
        if at is None:
            self._dropped[track] += count
        else:
            self._next[track] = at + count
