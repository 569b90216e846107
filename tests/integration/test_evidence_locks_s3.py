"""What proves recordings, on a real S3 store: what was extended can't be deleted, every version of it."""

import dataclasses
import hashlib
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

import pytest
from botocore.exceptions import ClientError

from callseal.archive.evidence_locks import EvidenceLocks, EvidenceOutcome
from callseal.archive.evidence_memory import EvidenceMemory
from callseal.archive.lock_memory import LockMemory
from callseal.archive.retention import Outcome, Retention
from callseal.archive.store_clock import CLOCK_NAME, ClocksDiffer, StoreClock
from callseal.archive.term import Periods
from callseal.config.terms import shipped_terms
from callseal.seal.retention import ContractEnd
from callseal.store.interface import CentralStore
from callseal.store.names import access_name, ledger_name, receipt_name, stamp_name
from callseal.store.opening import open_store
from support.received import decide, receive
from support.sealed_recordings import organisation
from support.seaweed import S3Server

pytest_plugins = ("support.seaweed_fixture",)
pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("seaweed")]

DAYS: Final = timedelta(days=1)
PERIODS: Final = Periods(lock=400 * DAYS, renew=60 * DAYS)
LOCKED: Final = datetime(2041, 6, 1, 12, tzinfo=UTC)
DEVICE: Final = organisation().device
RECORD: Final = UUID("019a9b7c-0000-7000-8000-000000000001")
PROOFS: Final = (
    *(ledger_name(DEVICE, first) for first in (0, 7, 70, 100)),
    stamp_name(DEVICE, 7),
    access_name(date(2026, 11, 21), RECORD),
)


@pytest.fixture
def bucket(s3_server: S3Server) -> str:
    return s3_server.bucket()


@pytest.fixture
def store(s3_server: S3Server, bucket: str) -> CentralStore:
    return open_store(s3_server.settings(bucket))


def put_proofs(store: CentralStore) -> None:
    for name in PROOFS:
        store.put(name, b"proof", hashlib.sha256(b"proof").digest())


def ends(store: CentralStore) -> list[datetime | None]:
    return [store.locked_until(item.name, item.version) for name in PROOFS for item in store.versions(name)]


def retention(store: CentralStore, memory: LockMemory) -> Retention:
    return Retention(
        store,
        organisation().trust,
        shipped_terms(),
        periods=PERIODS,
        now=lambda: datetime.now(UTC),
        memory=memory,
    )


def test_what_proves_an_open_recording_can_not_be_deleted_by_anybody(
    store: CentralStore, s3_server: S3Server, bucket: str
) -> None:
    put_proofs(store)
    client = s3_server.client()
    client.put_object(Bucket=bucket, Key=PROOFS[0], Body=b"on top")
    client.delete_object(Bucket=bucket, Key=PROOFS[1])
    now = datetime.now(UTC)

    done = list(EvidenceLocks(store, LockMemory(), periods=PERIODS).renew(now))

    found = ends(store)
    kept = 0
    for item in (item for name in PROOFS for item in store.versions(name)):
        try:
            client.delete_object(
                Bucket=bucket, Key=item.name, VersionId=item.version, BypassGovernanceRetention=True
            )
        except ClientError:
            kept += 1
    assert {one.outcome for one in done} == {EvidenceOutcome.EXTENDED}
    assert len(found) == kept == len(PROOFS) + 1
    assert all(end is not None and end >= now + 400 * DAYS for end in found)


def test_it_is_kept_to_the_last_known_end_and_done_once(store: CentralStore, tmp_path: Path) -> None:
    put_proofs(store)
    receipt, _manifest = receive(store)
    other = receipt_name(receipt.device, receipt.id, "second")
    version = store.put(other, b"{}", hashlib.sha256(b"{}").digest())
    now = datetime.now(UTC)
    decide(store, receipt, ContractEnd(day=date(2031, 5, 31)), at=now)
    recordings, memory = LockMemory(), EvidenceMemory.for_store(tmp_path, "central")
    renewed = list(retention(store, recordings).renew(now))

    done = list(EvidenceLocks(store, recordings, periods=PERIODS, memory=memory).renew(now))
    again = list(EvidenceLocks(store, recordings, periods=PERIODS, memory=memory).renew(now))

    assert {one.outcome for one in renewed} == {Outcome.EXTENDED}
    assert store.locked_until(other, version) == LOCKED
    assert sum(one.count for one in done) == len(PROOFS)
    assert set(ends(store)) == {LOCKED}
    assert again == []
    memory.close()


def test_the_stores_clock_is_read_and_a_wrong_one_of_ours_protects_nothing(store: CentralStore) -> None:
    put_proofs(store)
    receive(store)
    wrong = datetime.now(UTC) + 3650 * DAYS

    StoreClock(store).check(datetime.now(UTC))
    with pytest.raises(ClocksDiffer):
        StoreClock(store).check(wrong)
    recordings = list(retention(store, LockMemory()).renew(wrong))
    proofs = list(EvidenceLocks(store, LockMemory(), periods=PERIODS).renew(wrong))

    assert [one.outcome for one in recordings] == [Outcome.CLOCKS_DIFFER]
    assert [one.outcome for one in proofs] == [EvidenceOutcome.CLOCKS_DIFFER]
    assert set(ends(store)) == {None}
    assert [item.name for item in store.list("fleet/")] == [CLOCK_NAME]


def test_two_custodians_at_once_do_no_harm(store: CentralStore) -> None:
    put_proofs(store)
    now = datetime.now(UTC)
    one, other = (EvidenceLocks(store, LockMemory(), periods=PERIODS) for _number in range(2))

    for _one, _other in zip(one.renew(now), other.renew(now + timedelta(minutes=1)), strict=False):
        pass
    told = [*one.renew(now), *other.renew(now + timedelta(minutes=1))]

    assert all(item.exit_code == 0 for item in told)
    assert all(end is not None and end >= now + 400 * DAYS for end in ends(store))


def test_a_store_that_went_away_is_told_and_finished_when_it_is_back(
    store: CentralStore, s3_server: S3Server
) -> None:
    put_proofs(store)
    locks = EvidenceLocks(store, LockMemory(), periods=dataclasses.replace(PERIODS, renew=10 * DAYS))
    now = datetime.now(UTC)
    s3_server.seaweed.kill()
    away = list(locks.renew(now))
    s3_server.seaweed.start()

    done = list(locks.renew(now))

    assert [one.exit_code for one in away] == [20]
    assert sum(one.count for one in done) == len(PROOFS)
