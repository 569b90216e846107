"""Who keeps recordings, with a store that protects, and what is seen of it there.

A test file takes the fixture by name: `store = retention_bench.store`.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from callseal.archive.lock_memory import LockMemory
from callseal.archive.retention import Outcome, Renewal, Retention
from callseal.archive.term import Periods
from callseal.config.terms import shipped_terms
from callseal.seal.keys import TrustStore
from callseal.seal.receipt import Receipt
from callseal.seal.retention import ContractEnd
from callseal.store.directory import DirectoryStore
from support.faulty_store import FaultyStore
from support.locking_store import LockingStore
from support.sealed_recordings import STARTED_AT, organisation

DAYS: Final = timedelta(days=1)
NOW: Final = STARTED_AT + timedelta(hours=2)
PERIODS: Final = Periods(lock=400 * DAYS, renew=60 * DAYS)
END: Final = ContractEnd(day=date(2030, 6, 30))
TERM_LONG: Final = datetime(2040, 7, 1, 12, tzinfo=UTC)
OBJECTS: Final = 4  # audio, call, manifest.sig, manifest.json; then the receipt, then each decision


@pytest.fixture
def store(tmp_path: Path) -> LockingStore:
    return LockingStore(tmp_path / "store", now=NOW)


class RightClock:
    """A store whose clock is always that of the test."""

    def check(self, now: datetime) -> None:
        """Find nothing wrong."""


def keeper(
    store: LockingStore | FaultyStore | DirectoryStore,
    *,
    memory: LockMemory | None = None,
    trust: TrustStore | None = None,
) -> Retention:
    return Retention(
        store,
        trust or organisation().trust,
        shipped_terms(),
        periods=PERIODS,
        now=lambda: NOW,
        memory=memory,
        clock=RightClock(),
    )


def outcomes(renewals: Iterable[Renewal]) -> list[Outcome]:
    return [one.outcome for one in renewals]


def ends(retention: Retention, receipt: Receipt) -> set[datetime | None]:
    """Return the ends of the protections of all that belongs to a recording."""
    return {until for _object, until in retention.keeping.look(receipt.device, receipt.id).locks}


def held(store: LockingStore, retention: Retention, receipt: Receipt) -> set[bool]:
    return {store.is_held(*one) for one in retention.keeping.look(receipt.device, receipt.id).objects}
