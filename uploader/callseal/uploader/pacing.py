"""How fast what goes out may go, and whether anything may go at all: bandwidth by the hours, calls first.

A store tells its `Pacer` of bytes before it sends them, and waits until they may go. One pacer is shared by
everything that a process sends, to all stores: the limit is that of the line.

Conventions: a limit is in kilobits (1,000 bits) a second of payload; what TLS, TCP and retransmissions add is
not counted. Hours are those of this machine's clock, looked up again at each piece, so that a clock that is
set, or an hour that begins, counts at once. Waiting runs on a clock that never goes back. The bytes let
through in any span of time are at most rate × span, and `BURST_S` of the rate, and one piece; a store's
pieces are small (64 KiB to 1 MiB). What waits is served one at a time, the longest wait first as a rule.

`stop` ends every waiting at once, with `Stopped`: it is no error, but the way out of a put that is half sent.
This module sleeps, and `RunningCalls` reads a folder; the rest is pure.
"""

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Self

from callseal.seal.spool import AUDIO_NAME, TAIL_NAME, VCON_NAME
from callseal.seal.state import STATE_NAME

BURST_S: Final = 0.1
"""How much of the rate may go at once after a pause: enough to keep a line busy, too little to be heard."""
LOOK_AGAIN_S: Final = 0.5
"""The longest sleep in one piece, and how long an answer about running calls holds."""
AT_ONCE_S: Final = 0.001
"""What is due so soon goes now: a shorter sleep costs more than it lasts, and may not even move a clock."""
QUIET_S: Final = 120.0
"""A recording that nothing was written to for so long is no running call: an agent died and left it."""

_BITS: Final = 8
_KILO: Final = 1000
_MINUTES: Final = 60
_DAY_MINUTES: Final = 24 * _MINUTES
_GROWING: Final = (AUDIO_NAME, TAIL_NAME, STATE_NAME, VCON_NAME)


class Stopped(Exception):  # noqa: N818 - no error: what was asked for
    """The service is to end; what was being sent is sent again next time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """From when until when, in minutes since midnight, at most so much goes out; 0 is no limit.

    An end at or before the beginning is that time on the next day: a beginning that is also the end is the
    whole day. ValueError for what is no time of a day, and for a negative limit.
    """

    begin_minute: int
    end_minute: int
    kbit_s: int

    def __post_init__(self) -> None:
        if not (0 <= self.begin_minute < _DAY_MINUTES and 0 <= self.end_minute < _DAY_MINUTES):
            raise ValueError("a time of day is from 0 to 1439 minutes after midnight")
        if self.kbit_s < 0:
            raise ValueError("a limit is 0 (none) or more kilobits a second")

    @classmethod
    def between(cls, begin: str, end: str, kbit_s: int) -> Self:
        """Return the limit between two times as the settings write them ("08:00"); ValueError for others."""
        return cls(begin_minute=_minute(begin), end_minute=_minute(end), kbit_s=kbit_s)

    def holds(self, minute: int) -> bool:
        """Tell whether the limit holds in this minute of a day; in the minute of its end it does not."""
        if self.begin_minute < self.end_minute:
            return self.begin_minute <= minute < self.end_minute
        return minute >= self.begin_minute or minute < self.end_minute


def rate_bytes_s(limits: Iterable[Limit], otherwise_kbit_s: int, at: datetime) -> float | None:
    """Return how many bytes a second may go at a local time; None for any number. The first limit counts."""
    minute = at.hour * _MINUTES + at.minute
    kbit_s = next((item.kbit_s for item in limits if item.holds(minute)), otherwise_kbit_s)
    return kbit_s * _KILO / _BITS if kbit_s else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """A token bucket at one moment: `saved_bytes` may go at once; less than 0 is what went ahead of its time.

    `at_s` is when that was so, on a clock that never goes back.
    """

    saved_bytes: float
    at_s: float

    def at(self, now_s: float, rate: float | None) -> Self:
        """Return the bucket as it is later, filled at `rate` bytes a second; without one nothing is owed."""
        if rate is None:
            return type(self)(saved_bytes=0.0, at_s=now_s)
        filled = self.saved_bytes + max(0.0, now_s - self.at_s) * rate
        return type(self)(saved_bytes=min(filled, rate * BURST_S), at_s=now_s)

    def wait_s(self, rate: float | None) -> float:
        """Return how long to wait before the next piece may go."""
        return 0.0 if rate is None else max(0.0, -self.saved_bytes / rate)

    def less(self, size_bytes: int) -> Self:
        """Return the bucket after a piece went."""
        return type(self)(saved_bytes=self.saved_bytes - size_bytes, at_s=self.at_s)


class Pacer:
    """Lets bytes go as the limits say; a `store.interface.Pace`, used from any number of threads."""

    def __init__(
        self,
        limits: Sequence[Limit],
        default_kbit_s: int,
        *,
        clock: Callable[[], float],
        now_local: Callable[[], datetime],
        stop: threading.Event,
        is_paused: Callable[[], bool] = lambda: False,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        """`sleep` is told at most `LOOK_AGAIN_S` at a time; without one, waiting ends when `stop` is set."""
        self._limits = tuple(limits)
        self._default_kbit_s = default_kbit_s
        self._clock = clock
        self._now_local = now_local
        self._stop = stop
        self._is_paused = is_paused
        self._sleep = sleep or stop.wait
        self._bucket = Bucket(saved_bytes=0.0, at_s=clock())
        # Held while its holder waits for its turn: those behind wait for the lock, and owe nothing meanwhile.
        self._turn = threading.Lock()

    def __call__(self, size_bytes: int) -> None:
        """Return once `size_bytes` more may go; raises Stopped as soon as the service is to end."""
        with self._turn:
            while True:
                self.wait_for_quiet()
                rate = rate_bytes_s(self._limits, self._default_kbit_s, self._now_local())
                self._bucket = self._bucket.at(self._clock(), rate)
                wait_s = self._bucket.wait_s(rate)
                if wait_s < AT_ONCE_S:
                    if rate is not None:
                        self._bucket = self._bucket.less(size_bytes)
                    return
                self._sleep(min(wait_s, LOOK_AGAIN_S))

    def wait_for_quiet(self) -> None:
        """Return once no call is in the way; raises Stopped as soon as the service is to end.

        To be asked before a put begins: a store gives up a connection on which nothing comes for the length
        of a call, and that would look like a store that can't be reached.
        """
        while True:
            if self._stop.is_set():
                raise Stopped
            if not self._is_paused():
                return
            self._sleep(LOOK_AGAIN_S)

    @property
    def paused(self) -> bool:
        """Whether nothing goes because of a call."""
        return self._is_paused()


class RunningCalls:
    """Tells whether a call is being recorded in any of some spools; looks at most twice a second.

    A call is a folder in ``open/`` that was written to in the last `QUIET_S`: one that an agent left when it
    died must not keep everything else on this machine for ever. A folder that can't be read is no call, for
    the same reason.
    """

    def __init__(
        self, spool_roots: Iterable[Path], *, clock: Callable[[], float], now_s: Callable[[], float]
    ) -> None:
        """`clock` never goes back; `now_s` is seconds since 1970, by the clock of the files' times."""
        self._folders = tuple(root / "open" for root in spool_roots)
        self._clock = clock
        self._now_s = now_s
        self._lock = threading.Lock()
        self._looked_at_s: float | None = None
        self._found = False

    def __call__(self) -> bool:
        """Tell whether a call is being recorded, by a look that is at most `LOOK_AGAIN_S` old."""
        with self._lock:
            now_s = self._clock()
            if self._looked_at_s is None or now_s - self._looked_at_s >= LOOK_AGAIN_S:
                self._looked_at_s = now_s
                self._found = any(map(self._has_call, self._folders))
            return self._found

    def _has_call(self, folder: Path) -> bool:
        try:
            with os.scandir(folder) as entries:
                return any(entry.is_dir(follow_symlinks=False) and self._grows(entry) for entry in entries)
        except OSError:
            return False

    def _grows(self, entry: "os.DirEntry[str]") -> bool:
        paths = (entry.path, *(f"{entry.path}/{name}" for name in _GROWING))
        return any(abs(self._now_s() - time_s) < QUIET_S for time_s in map(_modified_s, paths))


def _modified_s(path: str) -> float:
    try:
        return os.lstat(path).st_mtime
    except OSError:
        return float("-inf")


def _minute(text: str) -> int:
    hours, _colon, minutes = text.partition(":")
    return int(hours) * _MINUTES + int(minutes)
