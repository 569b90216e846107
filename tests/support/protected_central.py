"""A store that protects, and a custodian that renews what lies in it; a test sets their clocks.

A test file takes the fixture by name: `central = protected_central.central`.
"""

import dataclasses
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Final
from uuid import UUID

import pytest

from callseal.archive.evidence_locks import EvidenceLocks, EvidenceOutcome, EvidenceRenewal
from callseal.archive.evidence_memory import EvidenceMemory
from callseal.archive.lock_memory import LockMemory
from callseal.archive.retention import Retention
from callseal.archive.term import Periods
from callseal.config.terms import shipped_terms
from callseal.seal.retention import ContractEnd
from callseal.store.interface import CentralStore
from callseal.store.names import access_name, ledger_name, stamp_name
from support.sealed_recordings import STARTED_AT, organisation
from support.versioned_store import CAPABILITIES, VersionedStore

DAYS: Final = timedelta(days=1)
NOW: Final = STARTED_AT + timedelta(hours=2)
PERIODS: Final = Periods(lock=400 * DAYS, renew=60 * DAYS)
DUE: Final = NOW + 350 * DAYS
END: Final = ContractEnd(day=date(2030, 6, 30))
TERM_LONG: Final = datetime(2040, 7, 1, 12, tzinfo=UTC)
DEVICE: Final = organisation().device
OTHER: Final = "dev-aaaaaaaaaaaa"
RECORD: Final = UUID("019a9b7c-0000-7000-8000-000000000001")
LOCKING: Final = dataclasses.replace(CAPABILITIES, lock=True)


@dataclass(slots=True, kw_only=True)
class Central:
    """A store that protects, and a custodian with its memories; `at` moves both clocks."""

    store: VersionedStore
    recordings: LockMemory = field(default_factory=LockMemory)
    memory: EvidenceMemory = field(default_factory=EvidenceMemory)
    ahead: timedelta = timedelta()
    """How much the custodian's clock is ahead where it looks at it by itself."""
    front: CentralStore | None = None
    """What stands before the store, if anything."""

    def locks(self) -> EvidenceLocks:
        return EvidenceLocks(self.front or self.store, self.recordings, periods=PERIODS, memory=self.memory)

    def retention(self) -> Retention:
        return Retention(
            self.front or self.store,
            organisation().trust,
            shipped_terms(),
            periods=PERIODS,
            now=lambda: self.store.clock + self.ahead,
            memory=self.recordings,
        )

    def at(self, now: datetime) -> datetime:
        self.store.clock = now
        return now

    def renew(self, now: datetime) -> list[EvidenceRenewal]:
        """Do one round of a custodian that was started again, as the recordings are known."""
        self.at(now)
        return list(self.locks().renew(now))

    def whole(self, now: datetime) -> list[EvidenceRenewal]:
        """Do a round for the recordings, and one for their proofs."""
        self.at(now)
        assert all(one.exit_code == 0 for one in self.retention().renew(now))
        return self.renew(now)

    def end(self, name: str) -> datetime | None:
        """Return the earliest end of a protection of all versions of a name."""
        ends = [self.store.locks.get((name, item.version)) for item in self.store.versions(name)]
        known = [one for one in ends if one is not None]
        return min(known) if len(known) == len(ends) else None


@pytest.fixture
def central() -> Central:
    return Central(store=VersionedStore(capabilities=LOCKING, clock=NOW, lock=400 * DAYS))


def put(store: VersionedStore, name: str, data: bytes = b"proof") -> str:
    store.put(name, data, hashlib.sha256(data).digest())
    return name


def put_proofs(store: VersionedStore, device: str = DEVICE, segments: int = 3) -> list[str]:
    """Put a ledger, a stamp and an access record; return their names."""
    names = [ledger_name(device, 10 * number) for number in range(segments)]
    names += [stamp_name(device, 10), access_name(NOW.date(), RECORD)]
    return [put(store, name) for name in names]


def outcomes(renewals: Iterable[EvidenceRenewal]) -> list[EvidenceOutcome]:
    return [one.outcome for one in renewals]
