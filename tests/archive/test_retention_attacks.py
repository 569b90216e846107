"""Somebody adds to the store what decides nothing: it is told, and no recording is kept any less."""

import hashlib
from datetime import datetime, timedelta

import pytest
from cryptography import x509

from callseal.archive.retention import Outcome, Retention
from callseal.seal.keys import TrustStore
from callseal.seal.retention import Hold, Release, SetClass
from callseal.seal.revocation import Revocations, revoke
from callseal.store.names import receipt_name, retention_name
from support import retention_bench
from support.locking_store import LockingStore
from support.received import OTHERS, custodian, decide, put_receipt, put_recording, receive
from support.retention_bench import (
    DAYS,
    END,
    NOW,
    TERM_LONG,
    keeper,
)
from support.sealed_recordings import organisation

store = retention_bench.store


def test_decisions_by_somebody_who_is_not_trusted_decide_nothing_and_are_told(store: LockingStore) -> None:
    receipt, _manifest = receive(store)
    decide(store, receipt, Hold(name="case-17"), at=NOW)
    decide(
        store,
        receipt,
        Release(name="case-17"),
        SetClass(retention_class="service"),
        at=NOW + timedelta(minutes=1),
        signer=custodian(OTHERS),
    )
    retention = keeper(store)

    done = list(retention.apply(receipt.device, receipt.id, NOW))

    kept = retention.keeping.look(receipt.device, receipt.id)
    assert set(kept.decided.state.holds) == {"case-17"}
    assert kept.term.name == "sales-long"
    assert [one.exit_code for one in done if one.outcome is Outcome.REFUSED] == [14, 14]


def test_a_decision_about_another_recording_put_here_decides_nothing(store: LockingStore) -> None:
    receipt, _manifest = receive(store, 0)
    other, _manifest = receive(store, 1)
    (record,) = decide(store, other, END, at=NOW)
    data = (store.root / retention_name(other.device, other.id, record.record)).read_bytes()
    stolen = retention_name(receipt.device, receipt.id, record.record)
    store.put(stolen, data, hashlib.sha256(data).digest())

    done = list(keeper(store).apply(receipt.device, receipt.id, NOW))

    assert [(one.outcome, one.name, one.exit_code) for one in done] == [(Outcome.REFUSED, stolen, 12)]


def test_junk_among_the_decisions_is_told_and_hides_none(store: LockingStore) -> None:
    receipt, _manifest = receive(store)
    decide(store, receipt, END, at=NOW)
    junk = retention_name(receipt.device, receipt.id, receipt.id)
    store.put(junk, b"{}", hashlib.sha256(b"{}").digest())
    retention = keeper(store)

    done = list(retention.apply(receipt.device, receipt.id, NOW))

    assert [one.name for one in done if one.outcome is Outcome.REFUSED] == [junk]
    assert retention.keeping.look(receipt.device, receipt.id).term.until == TERM_LONG


def test_more_decisions_than_people_make_are_told_and_nothing_is_done_on_a_part(
    store: LockingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    receipt, _manifest = receive(store, 0)
    other, _manifest = receive(store, 1)
    monkeypatch.setattr("callseal.archive.decisions.MAX_RECORDS", 3)
    decide(store, receipt, *[Hold(name="case-17")] * 4, at=NOW)
    due = NOW + 350 * DAYS

    done = list(keeper(store).renew(due))

    assert [(one.recording, one.exit_code) for one in done if one.problem is not None] == [(receipt.id, 12)]
    assert {one.recording for one in done if one.outcome is Outcome.EXTENDED} == {other.id}


def test_a_forged_receipt_protects_nothing(store: LockingStore) -> None:
    receipt, _manifest = put_recording(store)
    put_receipt(store, receipt, custodian(OTHERS))

    done = list(keeper(store).renew(NOW + 350 * DAYS))

    assert [(one.outcome, one.exit_code) for one in done] == [(Outcome.FAILED, 14)]
    assert store.locked_until(receipt.objects[0].name, receipt.objects[0].version) == (
        NOW.replace(microsecond=0) + 400 * DAYS
    )


def test_the_receipt_of_another_recording_protects_nothing(store: LockingStore) -> None:
    receipt, _manifest = put_recording(store, 0)
    other, _manifest = receive(store, 1)
    data = (store.root / receipt_name(other.device, other.id)).read_bytes()
    store.put(receipt_name(receipt.device, receipt.id), data, hashlib.sha256(data).digest())

    done = [one for one in keeper(store).renew(NOW) if one.recording == receipt.id]

    assert [(one.outcome, one.exit_code) for one in done] == [(Outcome.FAILED, 12)]


def test_what_a_revoked_custodian_decided_before_that_day_still_counts(store: LockingStore) -> None:
    owner, signer = organisation(), custodian()
    receipt, _manifest = receive(store)
    decide(store, receipt, Hold(name="case-17"), at=NOW)

    def kept_with(since: datetime) -> Retention:
        return keeper(store, trust=TrustStore([owner.root], _revoked(signer.chain[0], since)))

    known = kept_with(NOW + DAYS).keeping.look(receipt.device, receipt.id)

    assert set(known.decided.state.holds) == {"case-17"}
    done = list(kept_with(NOW - DAYS).renew(NOW))
    assert [(one.outcome, one.exit_code) for one in done] == [(Outcome.FAILED, 14)]


def _revoked(leaf: bytes, since: datetime) -> Revocations:
    owner = organisation()
    made = revoke(
        owner.root_key,
        owner.root,
        [],
        [x509.load_der_x509_certificate(leaf)],
        since=since,
        reason=x509.ReasonFlags.key_compromise,
        now=NOW + 2 * DAYS,
    )
    return Revocations([made])
