"""Keeping recordings: their protections in one store are extended as long as their terms last.

For each recording that a custodian received, the objects of its receipt (by version), the receipt itself and
the decisions about it are protected together. While the end of its term is not known, the protection is
renewed for a while each time it is about to end; once it is known, it is extended to it. Holds are put on and
lifted as the decisions say (`holds`).

Conventions: nothing is ever shortened. What is to be done follows from receipt, manifest, decisions and what
the store says of each object, read when it is done: so it can be repeated, broken off anywhere, and done by
two custodians at once. The memory says only when to look at which recording; a `survey` of the whole store,
every `SURVEY_EVERY` and whenever the memory is new, finds what others received or decided, and what a crash
left half done. A round looks at no more than `LOOKS_A_ROUND` recordings and passes over no more than
`NAMES_A_ROUND` names; the next one goes on there, and where that is too slow it is told. A store that can't
protect objects is told of once. What is wrong with one recording stops no other; a store that does not answer
ends the round. Where our clock and the store's differ (`store_clock`), nothing is done at all.

Not done here: destroying what may be destroyed.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import groupby, islice
from typing import ClassVar, Final
from uuid import UUID

from callseal.archive.cache_file import EPOCH
from callseal.archive.decisions import Decided
from callseal.archive.extending import extend
from callseal.archive.holds import HoldStep, Object, bring_holds
from callseal.archive.keeping import Keeping, Kept, earliest
from callseal.archive.lock_memory import LockMemory
from callseal.archive.store_clock import Clock, ClocksDiffer, StoreClock
from callseal.archive.term import Need, Periods, Term, look_again_at, protection
from callseal.config.terms import Terms
from callseal.seal.errors import RemoteError
from callseal.seal.keys import TrustStore
from callseal.seal.manifest import Manifest
from callseal.seal.receipt import Receipt
from callseal.seal.timestamp import write_time
from callseal.store.errors import StoreDenied, StoreError, StoreUnreachable
from callseal.store.interface import CentralStore
from callseal.store.names import RECEIPTS, parse_receipt_site

SURVEY_EVERY: Final = timedelta(hours=24)
AGAIN_AFTER: Final = timedelta(hours=1)
"""How soon a recording is looked at again with which something is wrong."""
AGAIN_SOON: Final = timedelta(minutes=5)
"""The same, where the store could not be reached."""
MOST_FAILURES: Final = 3
"""After as many recordings in a row that the store did not answer for, the round ends."""
LOOKS_A_ROUND: Final = 200
"""Recordings that are looked at in one round: about 12 requests each, half a minute of most stores' time."""
NAMES_A_ROUND: Final = 20_000
"""Names of receipts and decisions that a survey passes over in one round: 1,000 a request."""
NOT_DONE: Final = "?"
"""Stands for the newest decision in the memory where something went wrong: it is due by its time."""
NOT_THERE: Final = 12
"""Exit code for an object that a receipt vouches for and that is gone: as altered."""


class RenewalsLate(StoreError):  # noqa: N818 - says what is wrong better than "...Error" would
    """What is due for renewal is done more slowly than it falls due; nothing has ended yet."""

    exit_code: ClassVar[int] = 15
    permanent: ClassVar[bool] = False


class Outcome(StrEnum):
    """What was done, or found."""

    EXTENDED = "extended"
    HELD = "held"
    RELEASED = "released"
    HELD_BY_OTHERS = "held-by-others"
    MISSING = "missing"
    REFUSED = "refused"
    FAILED = "failed"
    UNPROTECTED = "unprotected"
    CLOCKS_DIFFER = "clocks-differ"
    LATE = "late"


_STEPS: Final = {
    HoldStep.HELD: Outcome.HELD,
    HoldStep.RELEASED: Outcome.RELEASED,
    HoldStep.STRANGE: Outcome.HELD_BY_OTHERS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """What came of one object, of a recording as a whole (no `name`), or of the store (no `recording`).

    `before` and `until` are the ends of the protection; `problem` says what is wrong.
    """

    outcome: Outcome
    device: str = ""
    recording: UUID | None = None
    name: str = ""
    version: str = ""
    before: datetime | None = None
    until: datetime | None = None
    problem: StoreError | RemoteError | None = None

    @property
    def exit_code(self) -> int:
        """0 where nothing is wrong; 12 to 15 for what is not to be believed, 20 and 21 for the store."""
        if self.outcome is Outcome.MISSING:
            return NOT_THERE
        return 0 if self.problem is None else self.problem.exit_code

    @property
    def event(self) -> str:
        """The name under which it is logged."""
        return f"retention.{self.outcome.value}"

    def fields(self) -> dict[str, str]:
        """Return what is logged with it; nothing of a call's content is among it."""
        values = {
            "device": self.device,
            "recording": "" if self.recording is None else str(self.recording),
            "object": self.name,
            "version": self.version,
            "before": "" if self.before is None else write_time(self.before),
            "until": "" if self.until is None else write_time(self.until),
            "problem": "" if self.problem is None else str(self.problem),
        }
        return {name: value for name, value in values.items() if value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a state asks for: the objects whose protection is extended, from when and until when."""

    term: Term
    extensions: tuple[tuple[Object, datetime | None, datetime], ...]


class Retention:
    """Keeps what lies in one store.

    `periods` is None where the settings say that the store protects nothing. Without a `memory` everything is
    looked up each time. `clock` is asked before anything is done; else it is the store's. `stopped` ends a
    round between two recordings.
    """

    def __init__(
        self,
        store: CentralStore,
        trust: TrustStore,
        terms: Terms,
        *,
        periods: Periods | None,
        now: Callable[[], datetime],
        memory: LockMemory | None = None,
        clock: Clock | None = None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self._store = store
        self._periods = periods if store.capabilities.lock else None
        self._now = now
        self._memory = memory if memory is not None else LockMemory()
        self._clock = clock if clock is not None else StoreClock(store)
        self._stopped = stopped
        self._told = False
        self._surveying: Iterator[tuple[str, UUID] | None] | None = None
        self._survey_begun_at = EPOCH
        self.keeping = Keeping(store, trust, terms, protects=self.protects)

    @property
    def protects(self) -> bool:
        """Whether the store protects objects from deletion."""
        return self._periods is not None

    @property
    def holds(self) -> bool:
        """Whether the store can put objects on hold."""
        return self.protects and self._store.capabilities.holds

    def received(self, receipt: Receipt, manifest: Manifest | None = None) -> tuple[Renewal, ...]:
        """Take note of a recording that was received just now, and of what was decided about it before.

        What went wrong is among what it returns, and is tried again by `renew`; it raises only ScratchFailed.
        """
        if not self.protects:
            return ()
        now = self._now()
        try:
            self._clock.check(now)
        except StoreError as problem:
            # Due at once, whatever the clock says then.
            self._memory.note(receipt.device, receipt.id, look_at=EPOCH, newest_record=NOT_DONE)
            return (_of_clock(problem),)
        return tuple(self._guarded(receipt.device, receipt.id, now, manifest))

    def renew(self, now: datetime) -> Iterator[Renewal]:
        """Extend what is due, as much as one round may; yield what was done and what is wrong.

        Doing it again does nothing. Ends early where the store can't be reached or denies the right. Raises
        only ScratchFailed.
        """
        if not self.protects:
            if not self._told:
                self._told = True
                yield Renewal(outcome=Outcome.UNPROTECTED)
            return
        if self._surveying is None and not self._survey_is_due(now) and not any(self._memory.due(now)):
            return
        try:
            self._clock.check(now)
        except StoreError as problem:
            yield _of_clock(problem)
            return
        failures = 0
        try:
            for device, recording in self._to_look_at(now):
                silent = False
                for one in self._guarded(device, recording, now):
                    silent = isinstance(one.problem, StoreUnreachable | StoreDenied)
                    yield one
                failures = failures + 1 if silent else 0
                if failures == MOST_FAILURES or self._stopped():
                    return
        except StoreError as problem:  # of the survey's listing, which is begun again
            self._surveying = None
            yield Renewal(outcome=Outcome.FAILED, problem=problem)
        yield from self._late(now)

    def apply(self, device: str, recording: UUID, now: datetime) -> Iterator[Renewal]:
        """Do at once what the decisions about one recording ask for, as after a new one.

        Raises NotReceived, StoreError (ClocksDiffer is one), RemoteError and ScratchFailed.
        """
        if self.protects:
            self._clock.check(now)
            yield from self._bring(self.keeping.look(device, recording), now)

    def plan(self, kept: Kept, decided: Decided, now: datetime) -> Plan:
        """Return what `apply` would extend if `decided` were what was decided; nothing is done."""
        term = self.keeping.term(decided, kept.manifest)
        extensions = []
        for one, locked_until in kept.locks:
            until = self._extension(term, locked_until, now, decided)
            if until is not None:
                extensions.append((one, locked_until, until))
        return Plan(term=term, extensions=tuple(extensions))

    def _extension(
        self, term: Term, locked_until: datetime | None, now: datetime, decided: Decided
    ) -> datetime | None:
        if self._periods is None:
            return None
        # What somebody decided is done at once; what only follows from the call can wait until it is due.
        at_once = decided.state.concerns_term
        return protection(term, locked_until=locked_until, now=now, periods=self._periods, at_once=at_once)

    def _survey_is_due(self, now: datetime) -> bool:
        surveyed_at = self._memory.surveyed_at
        return surveyed_at is None or not timedelta() <= now - surveyed_at < SURVEY_EVERY

    def _to_look_at(self, now: datetime) -> Iterator[tuple[str, UUID]]:
        """Yield what is due, and what a survey finds, as much as one round may.

        A survey that goes on over many rounds, as the first one does, leaves half of each to what is due.
        """
        if self._surveying is None and self._survey_is_due(now):
            self._surveying, self._survey_begun_at = self._survey(), now
        due = self._memory.due(now)
        left = LOOKS_A_ROUND
        for one in islice(due, left if self._surveying is None else left // 2):
            left -= 1
            yield one
        for passed, found in enumerate(self._surveying or (), start=1):
            if found is not None:
                left -= 1
                yield found
            if not left or passed == NAMES_A_ROUND:
                return
        if self._surveying is not None:
            self._surveying = None
            self._memory.note_survey(self._survey_begun_at)
        yield from islice(due, left)

    def _survey(self) -> Iterator[tuple[str, UUID] | None]:
        """Yield what has to be looked at, and None for what was passed over."""
        # Also receipts that somebody hid by a delete marker: what they vouch for is kept all the same.
        sites = (parse_receipt_site(item.name) for item in self._store.versions(RECEIPTS))
        known = (item for item in sites if item is not None)
        for (device, recording), group in groupby(known, lambda item: item[:2]):
            names = [site for _device, _recording, site in group]
            noted = self._memory.noted(device, recording)
            # What only receipts about other stores speak of is not kept here.
            new = "" in names if noted is None else noted.receipts != len(names)
            failed = noted is not None and noted.newest_record == NOT_DONE
            yield (device, recording) if new and not failed else None
        for device, recording, newest in self.keeping.decisions.recordings():
            # Decisions about what nobody received yet are seen once it is.
            noted = self._memory.noted(device, recording)
            new = noted is not None and noted.newest_record not in {NOT_DONE, newest}
            yield (device, recording) if new else None

    def _late(self, now: datetime) -> Iterator[Renewal]:
        """Tell where half of the time is gone in which protections are to be renewed."""
        since = self._memory.due_since
        if self._periods is not None and since is not None and since < now - self._periods.window / 2:
            problem = RenewalsLate("protections of recordings are renewed more slowly than they fall due")
            yield Renewal(outcome=Outcome.LATE, problem=problem)

    def _guarded(
        self, device: str, recording: UUID, now: datetime, manifest: Manifest | None = None
    ) -> Iterator[Renewal]:
        """Look at one recording and do what is due; what goes wrong is yielded."""
        try:
            yield from self._bring(self.keeping.look(device, recording, manifest), now)
        except (StoreUnreachable, StoreDenied) as problem:
            self._memory.note(device, recording, look_at=now + AGAIN_SOON, newest_record=NOT_DONE)
            yield Renewal(outcome=Outcome.FAILED, device=device, recording=recording, problem=problem)
        except (StoreError, RemoteError) as problem:
            self._memory.note(device, recording, look_at=now + AGAIN_AFTER, newest_record=NOT_DONE)
            yield Renewal(outcome=Outcome.FAILED, device=device, recording=recording, problem=problem)

    def _bring(self, kept: Kept, now: datetime) -> Iterator[Renewal]:
        """Do what is due to one recording; yield what was done and what is wrong."""
        device, recording = kept.receipt.device, kept.receipt.id
        well, ends = True, []
        for refused in kept.decided.refused:
            yield Renewal(
                outcome=Outcome.REFUSED,
                device=device,
                recording=recording,
                name=refused.name,
                version=refused.version,
                problem=refused.problem,
            )
        for name, version in kept.missing:
            well = False
            yield Renewal(
                outcome=Outcome.MISSING, device=device, recording=recording, name=name, version=version
            )
        for (name, version), before in kept.locks:
            until = self._extension(kept.term, before, now, kept.decided)
            if until is None:
                ends.append(before)
                continue
            one = Renewal(
                outcome=Outcome.EXTENDED,
                device=device,
                recording=recording,
                name=name,
                version=version,
                before=before,
                until=until,
            )
            problem = extend(self._store, name, version, until)
            if problem is not None:
                well = False
                one = Renewal(
                    outcome=Outcome.FAILED,
                    device=device,
                    recording=recording,
                    name=name,
                    version=version,
                    before=before,
                    problem=problem,
                )
            ends.append(until)
            yield one
        if self.holds:
            present = [one for one, _until in kept.locks]
            for change in bring_holds(self._store, present, kept.decided.state):
                well = well and change.problem is None
                yield Renewal(
                    outcome=Outcome.MISSING if change.step is None else _STEPS[change.step],
                    device=device,
                    recording=recording,
                    name=change.name,
                    version=change.version,
                )
        self._note(kept, ends, now, well=well)

    def _note(self, kept: Kept, ends: list[datetime | None], now: datetime, *, well: bool) -> None:
        newest = max((_record_of(name) for name, _version in kept.decided.objects), default="")
        newest = max([newest, *(_record_of(refused.name) for refused in kept.decided.refused)])
        look_at: datetime | None = now + AGAIN_AFTER
        if well and self._periods is not None:
            look_at = look_again_at(kept.term, locked_until=earliest(ends), now=now, periods=self._periods)
        known = (end for end in (*ends, kept.term.until) if end is not None)
        self._memory.note(
            kept.receipt.device,
            kept.receipt.id,
            look_at=look_at,
            newest_record=newest,
            receipts=kept.receipts,
            need=Need(open=kept.term.until is None or kept.term.held, until=max(known, default=None)),
        )


def _of_clock(problem: StoreError) -> Renewal:
    differ = isinstance(problem, ClocksDiffer)
    return Renewal(outcome=Outcome.CLOCKS_DIFFER if differ else Outcome.FAILED, problem=problem)


def _record_of(name: str) -> str:
    return name.rpartition("/")[2].removesuffix(".json")
