"""Keeping recordings: their protections in one store are extended as long as their terms last.

For each recording that a custodian received, the objects of its receipt (by version), the receipt itself and
the decisions about it are protected together. While the end of its term is not known, the protection is
renewed for a while each time it is about to end; once it is known, it is extended to it. Holds are put on and
lifted as the decisions say (`holds`).

Conventions: nothing is ever shortened. What is to be done follows from receipt, manifest, decisions and what
the store says of each object, read when it is done: so it can be repeated, broken off anywhere, and done by
two custodians at once. The memory says only when to look at which recording; a `survey` of the whole store,
every `SURVEY_EVERY` and whenever the memory is new, finds what others received or decided, and what a crash
left half done. A store that can't protect objects is told of once. What is wrong with one recording stops no
other; a store that does not answer ends the round.

Not done here: destroying what may be destroyed.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from callseal.archive.decisions import Decided
from callseal.archive.holds import HoldStep, Object, bring_holds
from callseal.archive.keeping import Keeping, Kept, earliest
from callseal.archive.lock_memory import LockMemory
from callseal.archive.term import Periods, Term, look_again_at, protection
from callseal.config.terms import Terms
from callseal.seal.errors import RemoteError
from callseal.seal.keys import TrustStore
from callseal.seal.manifest import Manifest
from callseal.seal.receipt import Receipt
from callseal.seal.timestamp import write_time
from callseal.store.errors import StoreDenied, StoreError, StoreRefused, StoreUnreachable
from callseal.store.interface import CentralStore
from callseal.store.names import RECEIPTS, parse_receipt_name

SURVEY_EVERY: Final = timedelta(hours=24)
AGAIN_AFTER: Final = timedelta(hours=1)
"""How soon a recording is looked at again with which something is wrong."""
AGAIN_SOON: Final = timedelta(minutes=5)
"""The same, where the store could not be reached."""
MOST_FAILURES: Final = 3
"""After as many recordings in a row that the store did not answer for, the round ends."""
NOT_DONE: Final = "?"
"""Stands for the newest decision in the memory where something went wrong: it is due by its time."""
NOT_THERE: Final = 12
"""Exit code for an object that a receipt vouches for and that is gone: as altered."""


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
        """0 where nothing is wrong; 12 to 14 for what is not to be believed, 20 and 21 for the store."""
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
    looked up each time.
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
    ) -> None:
        self._store = store
        self._periods = periods if store.capabilities.lock else None
        self._now = now
        self._memory = memory if memory is not None else LockMemory()
        self._told = False
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
        return tuple(self._guarded(receipt.device, receipt.id, self._now(), manifest))

    def renew(self, now: datetime) -> Iterator[Renewal]:
        """Extend whatever is due; yield what was done and what is wrong. Doing it again does nothing.

        Ends early where the store can't be reached or denies the right. Raises only ScratchFailed.
        """
        if not self.protects:
            if not self._told:
                self._told = True
                yield Renewal(outcome=Outcome.UNPROTECTED)
            return
        failures = 0
        try:
            for device, recording in self._to_look_at(now):
                silent = False
                for one in self._guarded(device, recording, now):
                    silent = isinstance(one.problem, StoreUnreachable | StoreDenied)
                    yield one
                failures = failures + 1 if silent else 0
                if failures == MOST_FAILURES:
                    return
        except StoreError as problem:  # of the survey's listing
            yield Renewal(outcome=Outcome.FAILED, problem=problem)

    def apply(self, device: str, recording: UUID, now: datetime) -> Iterator[Renewal]:
        """Do at once what the decisions about one recording ask for, as after a new one.

        Raises NotReceived, StoreError, RemoteError and ScratchFailed.
        """
        if self.protects:
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

    def _to_look_at(self, now: datetime) -> Iterator[tuple[str, UUID]]:
        """Yield what a survey finds new, if one is due, and then what is due."""
        surveyed_at = self._memory.surveyed_at
        if surveyed_at is None or not timedelta() <= now - surveyed_at < SURVEY_EVERY:
            yield from self._survey()
            self._memory.note_survey(now)
        yield from self._memory.due(now)

    def _survey(self) -> Iterator[tuple[str, UUID]]:
        # Also receipts that somebody hid by a delete marker: what they vouch for is kept all the same.
        for item in self._store.versions(RECEIPTS):
            parsed = parse_receipt_name(item.name)
            if parsed is not None and self._memory.newest_record(*parsed) is None:
                yield parsed
        for device, recording, newest in self.keeping.decisions.recordings():
            # Decisions about what nobody received yet are seen once it is.
            if self._memory.newest_record(device, recording) not in {None, NOT_DONE, newest}:
                yield device, recording

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
            problem = self._extend(name, version, until)
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
        self._memory.note(kept.receipt.device, kept.receipt.id, look_at=look_at, newest_record=newest)

    def _extend(self, name: str, version: str, until: datetime) -> StoreRefused | None:
        """Extend one protection, and see that it is so; return what the store has against it.

        Raises StoreUnreachable, StoreDenied and StoreMissing.
        """
        refused: StoreRefused | None = None
        try:
            self._store.lock_until(name, version, until)
        except StoreDenied:
            raise
        except StoreRefused as problem:
            refused = problem
        # Another custodian may have extended it further meanwhile. And a store that takes the order and does
        # nothing would be found out on the day on which somebody deletes.
        found = self._store.locked_until(name, version)
        if found is not None and found >= until:
            return None
        return refused or StoreRefused(
            f"{name}: the store took the order to protect it until {write_time(until)}, and protects it"
            f" {'not at all' if found is None else 'until ' + write_time(found)}"
        )


def _record_of(name: str) -> str:
    return name.rpartition("/")[2].removesuffix(".json")
