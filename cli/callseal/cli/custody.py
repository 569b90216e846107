"""What commands do in the custodian's name: its stores, its identity, and one recording in all of them.

Conventions: such a command runs where the custodian does, with its settings, its key and its credentials. A
store that can't be reached stops no other, and is told; its exit code is that of the command. A recording is
known by device *and* id: whoever may add to a store could put something under the id of another device's
recording, and a hold on that would hold nothing.
This module touches files and stores.
"""

import os
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Self
from uuid import UUID

from callseal.archive import identity
from callseal.archive.decisions import Decided, make_records
from callseal.archive.identity import CustodianIdentity
from callseal.archive.keeping import Kept, NotReceived
from callseal.archive.retention import Outcome, Renewal, Retention
from callseal.archive.term import periods_of
from callseal.cli import lookup, output, places
from callseal.cli.access import Visitor
from callseal.cli.disk import readable
from callseal.cli.errors import Ambiguous, NotFound, UsageFault
from callseal.cli.i18n import _
from callseal.cli.places import Copy, StorePlace
from callseal.config.central import Custodian
from callseal.config.errors import ConfigValueError, Problem
from callseal.config.load import load
from callseal.config.terms import shipped_terms
from callseal.seal.errors import RemoteError
from callseal.seal.keys import TrustStore
from callseal.seal.retention import Decision, RetentionRecord
from callseal.seal.uuid7 import RANDOM_SIZE_BYTES
from callseal.store.errors import StoreError
from callseal.store.interface import CentralStore
from callseal.store.names import RecordingName, parse_recording_name
from callseal.store.opening import open_store


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """One store, and how recordings are kept in it."""

    name: str
    store: CentralStore
    retention: Retention


@dataclass(slots=True, kw_only=True)
class Stand:
    """A recording in one store: how it is kept, or, where no receipt can be believed, why nobody can say."""

    shelf: Shelf
    decided: Decided
    kept: Kept | None = None
    doubt: RemoteError | None = None


@dataclass(slots=True, kw_only=True)
class Found:
    """A recording, and the stores that it lies in; `codes` are the exit codes of what went wrong so far.

    `away` is what a store said that could not be asked.
    """

    recording: RecordingName
    stands: list[Stand]
    codes: list[int] = field(default_factory=list)
    away: StoreError | None = None

    @property
    def code(self) -> int:
        """The exit code: the smallest of what went wrong."""
        return min((code for code in self.codes if code), default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Custody:
    """The custodian's side of a command."""

    custodian: Custodian
    trust: TrustStore
    shelves: tuple[Shelf, ...]
    now: datetime

    @classmethod
    def open(cls, config: Path | None) -> Self:
        """Open what the settings name. Raises ConfigError, KeyFileError and UsageFault."""
        loaded = load(config, os.environ)
        settings = loaded.settings
        custodian = settings.custodian
        if custodian is None:
            allowed = "missing: must be a table. This command runs where the custodian does, with its key"
            raise ConfigValueError(
                Problem(file=str(loaded.path), key="custodian", value=None, allowed=allowed)
            )
        if not settings.stores:
            raise UsageFault(_("the settings name no store"))
        with readable(settings.trust.roots_file):
            trust = TrustStore.from_files(settings.trust.roots_file, settings.trust.revocations_file)
        now = datetime.now(UTC)
        shelves = []
        for item in settings.stores:
            store = open_store(item)
            retention = Retention(
                store, trust, shipped_terms(), periods=periods_of(item, custodian), now=lambda: now
            )
            shelves.append(Shelf(name=item.name, store=store, retention=retention))
        return cls(custodian=custodian, trust=trust, shelves=tuple(shelves), now=now)

    def identity(self) -> CustodianIdentity:
        """Read the custodian's key and certificate. Raises KeyFileError and UntrustedSigner."""
        return identity.load(self.custodian.key_file, self.custodian.certificate_file, self.trust, self.now)

    def find(self, name: str) -> Found:
        """Return the recording that a name means. Raises NotFound, Ambiguous and StoreError."""
        looked = [StorePlace(name=one.name, store=one.store, trust=self.trust) for one in self.shelves]
        copies = _copies(name, looked)
        by_recording: dict[RecordingName, list[str]] = {}
        for copy in copies:
            parsed = parse_recording_name(copy.prefix)
            if parsed is not None:
                by_recording.setdefault(parsed[0], []).append(copy.place)
        found = [self._stands(recording, by_recording[recording]) for recording in by_recording]
        received = [one for one in found if any(stand.kept is not None for stand in one.stands)]
        chosen = received if len(found) > 1 else found
        if len(chosen) != 1:
            lines = "\n".join(f"  {one.recording.prefix}" for one in found)
            words = _("{name} means recordings of several devices, and no receipt says which is the one:")
            raise Ambiguous(f"{words.format(name=name)}\n{lines}")
        if chosen[0].away is not None and not chosen[0].stands:
            raise chosen[0].away
        for other in found:
            if other is not chosen[0]:
                words = _("{prefix}: something else lies under the same id, without a receipt")
                output.warning(words.format(prefix=other.recording.prefix))
        return chosen[0]

    def _stands(self, recording: RecordingName, stores: Sequence[str]) -> Found:
        found = Found(recording=recording, stands=[])
        for shelf in self.shelves:
            try:
                # A store that could not be listed is asked again here, so that it is told.
                if shelf.name not in stores and next(iter(shelf.store.list(recording.prefix)), None) is None:
                    continue
                found.stands.append(look(shelf, recording))
            except StoreError as problem:
                found.away = problem
                found.codes.append(tell(shelf.name, problem))
        return found

    def decide(
        self, found: Found, decisions: Sequence[Decision], reason: str, signer: CustodianIdentity
    ) -> list[RetentionRecord]:
        """Sign decisions and put them into every store that the recording lies in, before anything is done.

        Raises UsageFault for a reason that no record can hold, and UntrustedSigner.
        """
        who = Visitor.here(os.environ)
        account = who.account
        by = f"{account.name}{f' ({account.sudo_from})' if account.sudo_from else ''} @ {who.machine}"
        try:
            made = make_records(
                decisions,
                device=found.recording.device,
                recording=found.recording.id,
                by=by,
                reason=reason,
                signer=signer,
                trust=self.trust,
                after=[stand.decided.state for stand in found.stands],
                now=self.now,
                random=[secrets.token_bytes(RANDOM_SIZE_BYTES) for _decision in decisions],
            )
        except ValueError as problem:
            raise UsageFault(_("this can't be noted: {problem}").format(problem=problem)) from problem
        for stand in found.stands:
            try:
                for record, data in made:
                    stand.shelf.retention.keeping.decisions.put(record, data)
            except StoreError as problem:
                found.codes.append(tell(stand.shelf.name, problem))
                output.warning(
                    _("{store}: the decision is not there; give the command again later").format(
                        store=stand.shelf.name
                    )
                )
        return [record for record, _data in made]

    def apply(self, found: Found) -> list[Renewal]:
        """Do what was decided, in every store; tell what is wrong. What was found is read anew."""
        done: list[Renewal] = []
        stands = []
        for stand in found.stands:
            shelf, recording = stand.shelf, found.recording
            try:
                if stand.kept is not None:
                    for one in shelf.retention.apply(recording.device, recording.id, self.now):
                        done.append(one)
                        self._tell(found, shelf, one)
                stand = look(shelf, recording)  # noqa: PLW2901 - the same one, as it is now
            except (StoreError, RemoteError) as problem:
                found.codes.append(tell(shelf.name, problem))
            stands.append(stand)
        found.stands = stands
        return done

    def _tell(self, found: Found, shelf: Shelf, one: Renewal) -> None:
        found.codes.append(one.exit_code)
        if one.outcome is Outcome.REFUSED:
            return  # told when the decisions were first read
        if one.problem is not None:
            tell(shelf.name, one.problem)
        elif one.outcome is Outcome.MISSING:
            words = _("{store}: {object} is gone, and a receipt says that it was there")
            output.warning(words.format(store=shelf.name, object=one.name))
        elif one.outcome is Outcome.HELD_BY_OTHERS:
            words = _("{store}: {object} is on hold by other means; that is left as it is")
            output.warning(words.format(store=shelf.name, object=one.name))


def look(shelf: Shelf, recording: RecordingName) -> Stand:
    """Return how a recording is kept in one store. Raises StoreError."""
    keeping = shelf.retention.keeping
    try:
        kept = keeping.look(recording.device, recording.id)
    except RemoteError as problem:
        decided = keeping.decisions.of(recording.device, recording.id)
        return Stand(shelf=shelf, decided=decided, doubt=problem)
    return Stand(shelf=shelf, decided=kept.decided, kept=kept)


def tell(store: str, problem: StoreError | RemoteError) -> int:
    """Warn of what is wrong with a store; return the exit code that goes with it."""
    output.warning(f"{store}: {problem}")
    return problem.exit_code


def warn_of_doubts(found: Found) -> None:
    """Say in which stores nothing protects the recording yet, and which decisions count for nothing."""
    for stand in found.stands:
        if isinstance(stand.doubt, NotReceived):
            words = _(
                "{store}: the custodian has not received it there yet; its objects are protected once it has"
            )
            output.note(words.format(store=stand.shelf.name))
        elif stand.doubt is not None:
            found.codes.append(tell(stand.shelf.name, stand.doubt))
        for refused in stand.decided.refused:
            words = _("{store}: {name} counts for nothing: {problem}")
            output.warning(words.format(store=stand.shelf.name, name=refused.name, problem=refused.problem))
            found.codes.append(refused.problem.exit_code)


def _copies(name: str, looked: Sequence[StorePlace]) -> list[Copy]:
    """Return all copies, in all stores, of the recording that a name means."""
    days = lookup.days_of(name)
    scan = places.scan(looked, days)
    try:
        chosen = lookup.find(name, scan)
    except NotFound:
        if days.all:
            raise
        # An id may lie about its day: what was imported, or recorded by a clock that stood wrong.
        scan = places.scan(looked)
        chosen = lookup.find(name, scan)
    return [copy for copy in scan.copies if copy.id == chosen.id]


def recordings_with_decisions(shelf: Shelf) -> Iterator[tuple[str, UUID]]:
    """Yield the recordings about which something was decided: device and id. Raises StoreError."""
    return ((device, one) for device, one, _newest in shelf.retention.keeping.decisions.recordings())
