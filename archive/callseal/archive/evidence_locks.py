"""Keeping proofs: ledgers, their stamps, and access records are protected as long as what they prove.

::

    ledger/<device>/  stamps/<device>/    as long as any recording of that device in this store
    access/<yyyy>/                        as long as any recording in this store

"As long as" means: to the latest end of a term or protection among those recordings, and where any of them
is open or on hold, for a while each time the protection is about to end, as a recording's is (`term`). Where
none is known it counts as open: a ledger whose recordings nobody has received yet proves what became of them.
What lies under a recording's own name, its receipts and the decisions about it, is kept with it (`keeping`).

A walk goes through all versions in a folder, in the order of their names, and looks at those whose day of
arrival it does not know to be protected for longer; it costs a request for each thousand names, one for each
object that is new, and some three more for each that is extended. Each folder has its walk every quarter of
the time in which protections are renewed.

Conventions: nothing is ever shortened. All versions of such a name are protected, also what somebody put on
top; what is called otherwise is left alone. A round makes no more than `REQUESTS_A_ROUND` and lists no more
than `NAMES_A_ROUND`; the next goes on there, also after a crash, and where that is too slow it is told. Doing
it again, or two custodians at once, does no harm. Where our clock and the store's differ (`store_clock`),
nothing is done at all.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final

from callseal.archive.cache_file import EPOCH
from callseal.archive.evidence_memory import BEGINNING, EvidenceMemory, Position, Walk
from callseal.archive.extending import extend
from callseal.archive.lock_memory import LockMemory
from callseal.archive.retention import AGAIN_AFTER, AGAIN_SOON, MOST_FAILURES, SURVEY_EVERY, RenewalsLate
from callseal.archive.store_clock import Clock, ClocksDiffer, StoreClock
from callseal.archive.term import Need, Periods, proof_protection
from callseal.seal.timestamp import write_time
from callseal.store.errors import StoreError, StoreMissing, StoreRefused
from callseal.store.interface import CentralStore, ObjectInfo
from callseal.store.names import (
    ACCESS,
    LEDGER,
    STAMPS,
    fleet_name,
    parse_access_name,
    parse_ledger_name,
    parse_stamp_name,
)

REQUESTS_A_ROUND: Final = 1000
"""About single objects: half a minute of most stores' time."""
NAMES_A_ROUND: Final = 50_000
"""Versions that are listed in one round, 1,000 a request."""
LOOK_EVERY: Final = 50
"""Of so many extensions the first is looked at afterwards: a store keeps all its promises or none."""
WALKS_A_WINDOW: Final = 4
"""So that what one walk just passes over is extended by the next, with most of the time still left."""
SETTLED_AFTER: Final = timedelta(days=2)
"""A day of the store's is over after that, by a clock that is no more than a day off."""

_LOOK: Final = 1
_EXTEND: Final = 2  # a store looks before it writes
_ALL: Final = (LEDGER, STAMPS, ACCESS)
_YEAR_LENGTH: Final = 4


class EvidenceOutcome(StrEnum):
    """What was done, or found."""

    EXTENDED = "evidence.extended"
    FAILED = "evidence.failed"
    LATE = "evidence.late"
    CLOCKS_DIFFER = "retention.clocks-differ"
    """One and the same for recordings and proofs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceRenewal:
    """What came of a folder in one round, of one object (`name`), or of the store (neither).

    `count` objects were extended, to `until` at least.
    """

    outcome: EvidenceOutcome
    folder: str = ""
    name: str = ""
    version: str = ""
    count: int = 0
    until: datetime | None = None
    problem: StoreError | None = None

    @property
    def exit_code(self) -> int:
        """0 where nothing is wrong; 15 where it is not known or late, 20 and 21 for the store."""
        return 0 if self.problem is None else self.problem.exit_code

    @property
    def event(self) -> str:
        """The name under which it is logged."""
        return self.outcome.value

    def fields(self) -> dict[str, str]:
        """Return what is logged with it."""
        values = {
            "folder": self.folder,
            "object": self.name,
            "version": self.version,
            "count": str(self.count or ""),
            "until": "" if self.until is None else write_time(self.until),
            "problem": "" if self.problem is None else str(self.problem),
        }
        return {name: value for name, value in values.items() if value}


@dataclass(slots=True, kw_only=True)
class _Round:
    """A round, and what it may still do."""

    now: datetime
    periods: Periods
    requests: int
    names: int
    failures: int
    stopped: Callable[[], bool]

    @property
    def over(self) -> bool:
        return min(self.requests, self.names, self.failures) <= 0 or self.stopped()

    def wanted(self, need: Need, locked_until: datetime | None) -> datetime | None:
        return proof_protection(need, locked_until=locked_until, now=self.now, periods=self.periods)


@dataclass(slots=True, kw_only=True)
class _Going:
    """A walk under way: `come` is the version that came last, `position` the last one that is done.

    `need` is that of this round; `count`, `until` and `refused` are what it did.
    """

    folder: str
    items: Iterator[ObjectInfo]
    begun_at: datetime
    position: Position
    known: Mapping[date, datetime]
    found: dict[date, datetime]
    need: Need
    come: Position = BEGINNING
    count: int = 0
    until: datetime | None = None
    refused: list[EvidenceRenewal] = field(default_factory=list)

    def settle(self, day: date | None, until: datetime | None) -> None:
        """Note until when something that arrived that day is protected; None where that failed."""
        if day is not None:
            self.found[day] = min(until or EPOCH, self.found.get(day, until or EPOCH))

    def take_done(self) -> tuple[EvidenceRenewal, ...]:
        """Return what was done since this was last asked for."""
        done = list(self.refused)
        if self.count:
            outcome = EvidenceOutcome.EXTENDED
            done.insert(
                0, EvidenceRenewal(outcome=outcome, folder=self.folder, count=self.count, until=self.until)
            )
        self.count, self.until, self.refused = 0, None, []
        return tuple(done)

    def walk(self) -> Walk:
        return Walk(begun_at=self.begun_at, position=self.position, known=self.known, found=self.found)


class EvidenceLocks:
    """Keeps the proofs in one store; `recordings` is what is known of the recordings there.

    `periods` is None where the settings say that the store protects nothing. Without a `memory` everything is
    looked at when a process begins. `clock` is asked before anything is done; else it is the store's.
    `stopped` ends a round between two objects.
    """

    def __init__(
        self,
        store: CentralStore,
        recordings: LockMemory,
        *,
        periods: Periods | None,
        memory: EvidenceMemory | None = None,
        clock: Clock | None = None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self._store = store
        self._recordings = recordings
        self._periods = periods if store.capabilities.lock else None
        self._memory = memory if memory is not None else EvidenceMemory()
        self._clock = clock if clock is not None else StoreClock(store)
        self._stopped = stopped
        self._going: _Going | None = None

    def renew(self, now: datetime) -> Iterator[EvidenceRenewal]:
        """Extend what is due, as much as one round may; yield what was done and what is wrong.

        Ends early where the store fails; raises only ScratchFailed.
        """
        if self._periods is None:
            return
        survey = self._survey_is_due(now)
        if not survey and self._next(now) is None:
            return
        try:
            self._clock.check(now)
            if survey:
                self._survey(now)
            yield from self._work(
                _Round(
                    now=now,
                    periods=self._periods,
                    requests=REQUESTS_A_ROUND,
                    names=NAMES_A_ROUND,
                    failures=MOST_FAILURES,
                    stopped=self._stopped,
                )
            )
        except StoreError as problem:
            differ = isinstance(problem, ClocksDiffer)
            outcome = EvidenceOutcome.CLOCKS_DIFFER if differ else EvidenceOutcome.FAILED
            yield EvidenceRenewal(outcome=outcome, problem=problem)
            if differ:
                return
        due = self._memory.next_due()
        if due is not None and due[0] < now - self._periods.window / 2:
            words = "protections of ledgers and access records are renewed more slowly than they fall due"
            yield EvidenceRenewal(outcome=EvidenceOutcome.LATE, problem=RenewalsLate(words))

    def _survey_is_due(self, now: datetime) -> bool:
        at = self._memory.surveyed_at
        return at is None or not timedelta() <= now - at < SURVEY_EVERY

    def _survey(self, now: datetime) -> None:
        """Look for folders that are new."""
        for prefix in _ALL:
            for folder in self._store.folders(prefix):
                if _is_ours(prefix, folder):
                    self._memory.add(f"{prefix}{folder}/", now)
        self._memory.note_survey(now)

    def _next(self, now: datetime) -> str | None:
        due = self._memory.next_due()
        return due[1] if due is not None and due[0] <= now else None

    def _work(self, one: _Round) -> Iterator[EvidenceRenewal]:
        while not one.over:
            if self._going is None:
                folder = self._next(one.now)
                if folder is None:
                    return
                self._going = self._begin(folder, one.now)
            going = self._going
            going.need = self._need(going.folder)
            if going.need.is_over(one.now):
                # Nothing of it is settled: some of it may not have been looked at.
                self._going = None
                self._memory.finish(going.folder, {}, one.now + one.periods.window / WALKS_A_WINDOW)
                continue
            try:
                self._go_on(going, one)
            except StoreError:
                # The others need not wait for this one.
                self._going = None
                self._memory.put_off(going.folder, one.now + AGAIN_SOON)
                yield from going.take_done()
                raise
            yield from going.take_done()

    def _begin(self, folder: str, now: datetime) -> _Going:
        walk = self._memory.walk(folder, now)
        return _Going(
            folder=folder,
            items=self._store.versions(folder),
            begun_at=walk.begun_at,
            position=walk.position,
            known=walk.known,
            found=dict(walk.found),
            need=self._need(folder),
        )

    def _need(self, folder: str) -> Need:
        """Return how long what lies in a folder is needed."""
        device = None if folder.startswith(ACCESS) else folder.split("/")[1]
        need = self._recordings.need(device)
        if need is None:
            return Need(open=True, until=None)
        # Before the first survey is through, there may be others.
        return need if self._recordings.surveyed_at is not None else Need(open=True, until=need.until)

    def _go_on(self, going: _Going, one: _Round) -> None:
        """Walk on through a folder, up to its end or as far as this round may."""
        try:
            for item in going.items:
                one.names -= 1
                going.come = (item.name, 1 if item.name != going.come[0] else going.come[1] + 1)
                if going.come > going.position:
                    if _is_proof(item.name):
                        self._bring(going, item, one)
                    going.position = going.come
                if one.over:
                    break
            else:
                self._end(going, one)
        finally:
            if self._going is not None:
                self._memory.pause(going.folder, going.walk())

    def _bring(self, going: _Going, item: ObjectInfo, one: _Round) -> None:
        """Look at one version, and extend its protection if that is due."""
        day = None if item.modified_at is None else item.modified_at.date()
        known = None if day is None else going.known.get(day)
        if known is not None and one.wanted(going.need, known) is None:
            return
        one.requests -= _LOOK
        try:
            until = self._store.locked_until(item.name, item.version)
            wanted = one.wanted(going.need, until)
            if wanted is None:
                going.settle(day, until)
                return
            look = going.count % LOOK_EVERY == 0
            one.requests -= _EXTEND + (_LOOK if look else 0)
            refused = extend(self._store, item.name, item.version, wanted, look=look)
        except StoreMissing:
            return  # removed since it was listed
        if refused is None:
            going.settle(day, wanted)
            going.count += 1
            going.until = wanted if going.until is None else min(going.until, wanted)
            return
        going.settle(day, None)
        one.failures -= 1
        going.refused.append(_refused(going.folder, item, refused))

    def _end(self, going: _Going, one: _Round) -> None:
        """Settle what a walk found."""
        self._going = None
        newest = (going.begun_at - SETTLED_AFTER).date()
        settled = {day: until for day, until in going.found.items() if day < newest}
        wait = one.periods.window / WALKS_A_WINDOW
        if EPOCH in going.found.values():
            wait = min(wait, AGAIN_AFTER)
        self._memory.finish(going.folder, settled, one.now + wait)


def _refused(folder: str, item: ObjectInfo, problem: StoreRefused) -> EvidenceRenewal:
    return EvidenceRenewal(
        outcome=EvidenceOutcome.FAILED, folder=folder, name=item.name, version=item.version, problem=problem
    )


def _is_ours(prefix: str, folder: str) -> bool:
    """Tell whether there are proofs in such a folder."""
    if prefix == ACCESS:
        return len(folder) == _YEAR_LENGTH and folder.isdecimal()
    try:
        fleet_name(folder)
    except ValueError:
        return False
    return True


def _is_proof(name: str) -> bool:
    return any(parse(name) is not None for parse in (parse_ledger_name, parse_stamp_name, parse_access_name))
