"""When the segments of a ledger came, beside when their entries say that they were written.

A store notes by its own clock when it took a segment; the entries carry the device's. An entry from the time
after its arrival was written by a clock that is *ahead*. That entries are older than their arrival proves
nothing alone: a desk without a network keeps its segments and brings them later. But such a backlog comes in
a burst, and its delay shrinks down to nothing, for the desk brings its newest segment too. A clock that is
*behind* looks otherwise: segment after segment comes as it is written, and all of them are late by the same
time. So that is told only of a delay that stays the same, within `STEADY`, over `LIVE_SEGMENTS` and
`LIVE_SPAN`. Whatever holds segments back by always the same time looks like that too, and the words say so;
a shorter time than that is for time stamps to tell (`seal.ledger.comparison`).

Conventions: the store's clock is another machine's: which of the two is wrong can't be told from here, so all
of this is "not checked". Arrivals come in the order of their entries. Pure.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from callseal.seal.ledger.comparison import CLOCK_TOLERANCE
from callseal.seal.timestamp import write_time
from callseal.seal.verify.findings import Check, Finding, unchecked

AHEAD: Final = "clock-ahead"
BEHIND: Final = "clock-behind"

STEADY: Final = timedelta(minutes=1)
"""A segment is finished every minute, and brought at once."""
LIVE_SEGMENTS: Final = 10
LIVE_SPAN: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A segment's newest entry, when it says that it was written, and when the store took the segment."""

    sequence: int
    at: datetime
    arrived_at: datetime

    @property
    def delay(self) -> timedelta:
        """How much later it came than it says."""
        return self.arrived_at - self.at


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """Arrivals one behind the other that are late by the same time."""

    first: Arrival
    last: Arrival
    count: int
    least: timedelta
    most: timedelta

    def with_next(self, arrival: Arrival) -> "_Run | None":
        least, most = min(self.least, arrival.delay), max(self.most, arrival.delay)
        if most - least > STEADY:
            return None
        return _Run(first=self.first, last=arrival, count=self.count + 1, least=least, most=most)

    @property
    def live(self) -> bool:
        return (
            self.least > CLOCK_TOLERANCE
            and self.count >= LIVE_SEGMENTS
            and self.last.arrived_at - self.first.arrived_at >= LIVE_SPAN
        )


def clock_findings(arrivals: Sequence[Arrival]) -> tuple[Finding, ...]:
    """Tell of a clock that is, or was, ahead or behind: of each the worst."""
    found: list[Finding] = []
    foremost = min(arrivals, key=lambda arrival: arrival.delay, default=None)
    if foremost is not None and -foremost.delay > CLOCK_TOLERANCE:
        words = (
            f"it claims to be of {write_time(foremost.at)}, and the store took it at"
            f" {write_time(foremost.arrived_at)}: the device's clock is ahead, or the store's behind"
        )
        found.append(unchecked(f"entry {foremost.sequence}", Check.LEDGER, words, AHEAD))
    worst = max(_live_runs(arrivals), key=lambda run: run.least, default=None)
    if worst is not None:
        since, until = write_time(worst.first.arrived_at), write_time(worst.last.arrived_at)
        words = (
            f"from {since} to {until} all segments came {worst.least.total_seconds():.0f} s or more after"
            " they say that they were written, always by the same time: the device's clock is behind, or"
            " something holds them back"
        )
        found.append(unchecked(f"entry {worst.first.sequence}", Check.LEDGER, words, BEHIND))
    return tuple(found)


def heard_at(newest: Arrival, arrivals: Sequence[Arrival]) -> datetime:
    """Return when a device was last heard of, whose newest entry this is."""
    # What a clock that is behind says of its entries makes no device silent that is heard.
    wrong = any(run.last.sequence == newest.sequence for run in _live_runs(arrivals))
    return newest.arrived_at if wrong else min(newest.at, newest.arrived_at)


def _live_runs(arrivals: Sequence[Arrival]) -> Iterator[_Run]:
    run: _Run | None = None
    for arrival in arrivals:
        longer = None if run is None else run.with_next(arrival)
        if longer is None:
            if run is not None and run.live:
                yield run
            longer = _Run(first=arrival, last=arrival, count=1, least=arrival.delay, most=arrival.delay)
        run = longer
    if run is not None and run.live:
        yield run
