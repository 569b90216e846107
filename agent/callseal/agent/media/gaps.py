"""Stretches for which nothing came, found in what a bank of recordings has received.

Conventions: a *slot* is a recording's place in its bank. Positions are samples of the bank's own count; a
cell is `CELL_MS` of one channel. Whole seconds of all recordings are looked at together: only a gap's
beginning and end cost anything by itself.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from callseal.agent.call import CELL_MS

MIN_GAP_MS: Final = 200
"""Shorter ones are lost packets, and counted as such."""
MERGE_MS: Final = 200
"""Gaps with less sound than this between them are told as one."""
START_GRACE_MS: Final = 3000
"""A recording begins up to two seconds before its first packet may come; that is no gap."""
END_GRACE_MS: Final = 1000
"""Sound may end a little before signalling says that the call has."""
MAX_GAPS: Final = 200
"""Told of one recording; what is beyond is only counted, as samples that never came."""
CHANNELS: Final = 2

_NONE: Final = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """A gap of one channel of the recording in a slot."""

    slot: int
    channel: int
    start_samples: int
    end_samples: int


class GapFinder:
    """What is missing in the recordings of a bank."""

    def __init__(self, slots: int, rate_hz: int) -> None:
        self._cell = rate_hz * CELL_MS // 1000
        self._least = MIN_GAP_MS // CELL_MS
        self._grace = rate_hz * START_GRACE_MS // 1000
        self._merge = rate_hz * MERGE_MS // 1000
        self._begun: NDArray[np.int64] = np.full((slots, CHANNELS), _NONE, np.int64)
        """Where a stretch without sound that still lasts began."""
        self._is_new: NDArray[np.bool_] = np.ones((slots, CHANNELS), np.bool_)
        """Nothing has come yet."""
        self._ended: dict[tuple[int, int], Silence] = {}
        """The last gap of each channel, in case it goes on."""
        self._left: NDArray[np.int64] = np.zeros(slots, np.int64)

    def begin(self, slot: int, at_samples: int) -> None:
        """Look after a recording that begins here."""
        self._begun[slot] = at_samples
        self._is_new[slot] = True
        self._left[slot] = MAX_GAPS
        for channel in range(CHANNELS):
            self._ended.pop((slot, channel), None)

    def see(self, slots: NDArray[np.int64], start_samples: int, present: NDArray[np.bool_]) -> list[Silence]:
        """Take the next stretch, and give the gaps that are over for good.

        slots: shape (recordings,); present: shape (recordings, CHANNELS, cells).
        """
        cells = present.shape[2]
        begun = self._begun[slots]
        if not cells or (present.all() and (begun == _NONE).all()):
            return []
        some = present.any(2)
        first = np.where(some, present.argmax(2), cells)
        last = np.where(some, cells - 1 - present[:, :, ::-1].argmax(2), _NONE)
        since = np.where(begun == _NONE, start_samples, begun)
        until = start_samples + first * self._cell
        least = np.where(self._is_new[slots], self._grace, self._least * self._cell)
        found: list[Silence] = []
        for index, channel in zip(*np.nonzero(some & (until - since >= least)), strict=True):
            slot = int(slots[index])
            found += self._over(slot, int(channel), int(since[index, channel]), int(until[index, channel]))
        missing = np.where(some, last - first + 1 - present.sum(2), 0)
        for index, channel in zip(*np.nonzero(missing >= self._least), strict=True):
            for begin, end in self._within(present[index, channel], int(first[index, channel])):
                found += self._over(
                    int(slots[index]),
                    int(channel),
                    start_samples + begin * self._cell,
                    start_samples + end * self._cell,
                )
        after = np.where(last == cells - 1, _NONE, start_samples + (last + 1) * self._cell)
        self._begun[slots] = np.where(some, after, since)
        self._is_new[slots] &= ~some
        return found

    def end(self, slot: int, at_samples: int) -> list[Silence]:
        """Give what is left of a recording that ends here."""
        found: list[Silence] = []
        for channel in range(CHANNELS):
            begun = int(self._begun[slot, channel])
            if begun != _NONE and at_samples - begun >= END_GRACE_MS * self._cell // CELL_MS:
                found += self._over(slot, channel, begun, at_samples)
            last = self._ended.pop((slot, channel), None)
            if last is not None:
                found += self._told(last)
            self._begun[slot, channel] = _NONE
        return found

    def _within(self, present: NDArray[np.bool_], first: int) -> list[tuple[int, int]]:
        """Find the long stretches between cells that came, as (begin, end) in cells."""
        here = np.flatnonzero(present[first:]) + first
        long = np.flatnonzero(np.diff(here) > self._least)
        return [(int(here[at]) + 1, int(here[at + 1])) for at in long]

    def _over(self, slot: int, channel: int, start: int, end: int) -> list[Silence]:
        """Note a gap that is over; gives the one before it unless both are one."""
        key = (slot, channel)
        last = self._ended.get(key)
        if last is not None and start - last.end_samples < self._merge:
            start, last = last.start_samples, None
        self._ended[key] = Silence(slot=slot, channel=channel, start_samples=start, end_samples=end)
        return [] if last is None else self._told(last)

    def _told(self, gap: Silence) -> list[Silence]:
        self._left[gap.slot] -= 1
        return [gap] if self._left[gap.slot] >= 0 else []
