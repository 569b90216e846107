"""How full the spool's disk is, and how long it lasts if it goes on filling as it did today.

Conventions: "today" is the last 24 hours. What counts is the disk, whoever fills it, and "full" is where the
agent takes no more recordings (`spool.full_percent`, `spool.min_free_mb`). Samples are kept in memory, one a
minute; what was before the start is made up from the recordings that lie in ``ready/``: each came when its
folder says. Of those that have left since, nothing is known, so that a machine that was just started errs on
the side of filling. A disk that is not filling, or lasts longer than `LONGEST_S`, has no answer.

`Growth` is pure; `Room` asks the disk.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from callseal.seal.disk import Disk
from callseal.seal.errors import SpoolError
from callseal.seal.spool import Bundle, Spool

WINDOW_S: Final = 24 * 3600.0
SAMPLE_EVERY_S: Final = 60.0
BEGUN_EVERY_S: Final = 900.0
"""How far apart the samples are that stand for the time before the start."""
LONGEST_S: Final = 10 * 365 * 24 * 3600.0
"""Nobody plans a disk for longer; a byte a day would be said to last for centuries."""

_BLOCK_BYTES: Final = 512  # stat(2), st_blocks


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """How much of a disk was used, at a time on a clock that never goes back."""

    at_s: float
    used_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A recording that lies in the spool: how long ago it came, and its size."""

    age_s: float
    size_bytes: int


class Growth:
    """How a disk filled in the last 24 hours; at most `WINDOW_S` / `SAMPLE_EVERY_S` samples and a few."""

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque()

    def begin(self, now: Sample, arrivals: Iterable[Arrival]) -> None:
        """Begin with what is used now, less what came in the last 24 hours and is still here."""
        came = [0] * int(WINDOW_S / BEGUN_EVERY_S)
        for item in arrivals:
            if 0 <= item.age_s < WINDOW_S:
                came[int(item.age_s / BEGUN_EVERY_S)] += item.size_bytes
        samples, used_bytes = [now], now.used_bytes
        for number, size_bytes in enumerate(came, start=1):
            used_bytes = max(0, used_bytes - size_bytes)
            samples.append(Sample(at_s=now.at_s - number * BEGUN_EVERY_S, used_bytes=used_bytes))
        self._samples = deque(reversed(samples))

    def add(self, sample: Sample) -> None:
        """Take a sample; the newest replaces one that is younger than a minute."""
        samples = self._samples
        if len(samples) > 1 and sample.at_s - samples[-2].at_s < SAMPLE_EVERY_S:
            samples.pop()
        samples.append(sample)
        # The last one from before the window stays: it says how full the disk was when the window began.
        while len(samples) > 1 and samples[1].at_s <= sample.at_s - WINDOW_S:
            samples.popleft()

    @property
    def count(self) -> int:
        """How many samples are kept."""
        return len(self._samples)

    def bytes_s(self) -> float | None:
        """Return by how much the disk filled each second; None if it did not, or nothing is known yet."""
        if not self._samples:
            return None
        first, last = self._samples[0], self._samples[-1]
        # A machine that slept has a first sample from long before the window: it fills while it is awake.
        span_s = min(WINDOW_S, last.at_s - first.at_s)
        grown_bytes = last.used_bytes - first.used_bytes
        return grown_bytes / span_s if span_s > 0 and grown_bytes > 0 else None


def lasts_s(growth: Growth, room_bytes: int) -> float | None:
    """Return how long that much room lasts; 0 for none, None if the disk is not filling."""
    if room_bytes <= 0:
        return 0.0
    rate = growth.bytes_s()
    if rate is None or room_bytes / rate > LONGEST_S:
        return None
    return room_bytes / rate


class Room:
    """The disk under one spool. One thread asks."""

    def __init__(
        self, spool: Spool, *, full_percent: int, min_free_bytes: int, clock: Callable[[], float]
    ) -> None:
        """`clock` is in seconds, never goes back, and had best count the time asleep (CLOCK_BOOTTIME)."""
        self._spool = spool
        self._full_percent = full_percent
        self._min_free_bytes = min_free_bytes
        self._clock = clock
        self._growth = Growth()
        self._disk: Disk | None = None

    def begin(self, now_s: float) -> None:
        """Take the first sample, with what lies in ``ready/``; `now_s` is the wall clock, seconds since 1970.

        It looks at the size of each recording of the last 24 hours once. Raises SpoolError.
        """
        disk = Disk.of(self._spool.root)
        arrivals = _arrivals(list(self._spool.ready()), now_s)
        self._growth.begin(Sample(at_s=self._clock(), used_bytes=disk.used_bytes), arrivals)
        self._disk = disk

    def take_sample(self) -> None:
        """Ask the disk; of several times a minute one is kept. Raises SpoolError, and knows nothing then."""
        self._disk = None
        disk = Disk.of(self._spool.root)
        self._growth.add(Sample(at_s=self._clock(), used_bytes=disk.used_bytes))
        self._disk = disk

    @property
    def fill_percent(self) -> int | None:
        """How full the disk was at the last sample, rounded up; None if it did not say."""
        return None if self._disk is None else self._disk.used_percent

    @property
    def lasts_s(self) -> int | None:
        """How many seconds are left until it counts as full, at today's rate; None if it is not filling."""
        if self._disk is None:
            return None
        left = self._disk.room_bytes(full_percent=self._full_percent, min_free_bytes=self._min_free_bytes)
        found = lasts_s(self._growth, left)
        return None if found is None else int(found)


def _arrivals(bundles: Sequence[Bundle], now_s: float) -> Iterable[Arrival]:
    for bundle in bundles:
        try:
            age_s = now_s - bundle.ready_at_s()
            if 0 <= age_s <= WINDOW_S:
                yield Arrival(age_s=age_s, size_bytes=_size_bytes(bundle))
        except (SpoolError, OSError):
            continue  # it left the spool meanwhile


def _size_bytes(bundle: Bundle) -> int:
    """Return what a recording takes of the disk, in whole blocks."""
    with os.scandir(bundle.path) as entries:
        return sum(entry.stat(follow_symlinks=False).st_blocks * _BLOCK_BYTES for entry in entries)
