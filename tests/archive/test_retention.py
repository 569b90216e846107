"""Keeping recordings: protections are renewed and extended, holds put on and lifted, and nothing else."""

import hashlib
import secrets
import sqlite3
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

import pytest
from cryptography import x509

from callseal.archive.keeping import NotReceived
from callseal.archive.lock_memory import LockMemory, Noted
from callseal.archive.retention import AGAIN_AFTER, MOST_FAILURES, SURVEY_EVERY, Outcome, Renewal, Retention
from callseal.archive.term import Periods
from callseal.config.terms import shipped_terms
from callseal.seal.durable import Step
from callseal.seal.keys import TrustStore
from callseal.seal.receipt import Receipt
from callseal.seal.retention import ContractEnd, Decision, Hold, Release, SetClass
from callseal.seal.revocation import Revocations, revoke
from callseal.store.directory import DirectoryStore
from callseal.store.errors import StoreDenied, StoreUnreachable
from callseal.store.names import receipt_name, retention_name
from support.faulty_store import FaultyStore, Moment
from support.killed_child import killed_at
from support.locking_store import LockingStore
from support.received import OTHERS, custodian, decide, put_receipt, put_recording, receive
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


def test_while_a_term_is_open_its_protection_is_renewed_before_it_ends(store: LockingStore) -> None:
    receipt, _manifest = receive(store)
    retention = keeper(store)

    early = list(retention.renew(NOW + 339 * DAYS))
    due = NOW + 341 * DAYS
    done = list(retention.renew(due))
    again = list(retention.renew(due + timedelta(minutes=1)))

    assert (early, again) == ([], [])
    assert outcomes(done) == [Outcome.EXTENDED] * (OBJECTS + 1)
    assert {one.before for one in done} == {NOW.replace(microsecond=0) + 400 * DAYS}
    assert ends(retention, receipt) == {one.until for one in done}
    assert all(one.until is not None and one.until >= due + 400 * DAYS for one in done)


def test_renewing_year_after_year_never_lets_a_protection_end(store: LockingStore) -> None:
    receipt, _manifest = receive(store)
    retention = keeper(store)

    for day in range(0, 4000, 7):
        now = NOW + day * DAYS
        assert all(until is not None and until > now for until in ends(retention, receipt))
        assert all(one.problem is None for one in retention.renew(now))


def test_the_receipt_and_the_decisions_are_kept_as_long_as_what_they_prove(store: LockingStore) -> None:
    receipt, _manifest = receive(store)
    (record,) = decide(store, receipt, END, at=NOW)

    done = list(keeper(store).apply(receipt.device, receipt.id, NOW))

    names = {one.name for one in done}
    assert receipt_name(receipt.device, receipt.id) in names
    assert retention_name(receipt.device, receipt.id, record.record) in names


def test_a_contracts_end_extends_every_object_at_once_to_the_end_of_the_term(store: LockingStore) -> None:
    receipt, _manifest = receive(store)
    decide(store, receipt, END, at=NOW)
    retention = keeper(store)

    done = list(retention.apply(receipt.device, receipt.id, NOW))
    again = list(retention.apply(receipt.device, receipt.id, NOW))

    assert outcomes(done) == [Outcome.EXTENDED] * (OBJECTS + 2)
    assert ends(retention, receipt) == {TERM_LONG}
    assert again == []


def test_a_term_that_became_shorter_shortens_no_protection(store: LockingStore) -> None:
    receipt, _manifest = receive(store)
    retention = keeper(store)
    decide(store, receipt, END, at=NOW)
    list(retention.apply(receipt.device, receipt.id, NOW))
    decide(store, receipt, SetClass(retention_class="sales-short"), at=NOW + timedelta(minutes=1))

    done = list(retention.apply(receipt.device, receipt.id, NOW))

    kept = retention.keeping.look(receipt.device, receipt.id)
    assert kept.term.until is not None
    assert kept.term.until < TERM_LONG
    assert kept.destroyable_from == TERM_LONG
    # Only the new decision itself, which is there for the first time, was protected longer.
    assert [one.until for one in done] == [kept.term.until]


def test_what_only_follows_from_the_call_is_extended_when_it_is_due_and_then_no_more(
    store: LockingStore,
) -> None:
    receipt, _manifest = receive(store, retention_class="service")
    retention = keeper(store)

    assert list(retention.renew(NOW)) == []
    done = list(retention.renew(NOW + 350 * DAYS))
    later = list(retention.renew(NOW + 2000 * DAYS))

    term = retention.keeping.look(receipt.device, receipt.id).term
    assert {one.until for one in done} == {term.until}
    assert later == []


def test_an_object_without_protection_is_given_one(tmp_path: Path) -> None:
    store = LockingStore(tmp_path / "store", now=NOW, lock=None)
    receipt, manifest = receive(store)
    retention = keeper(store)

    done = retention.received(receipt, manifest)

    assert outcomes(done) == [Outcome.EXTENDED] * (OBJECTS + 1)
    assert {one.before for one in done} == {None}


def test_a_decision_made_before_the_recording_was_received_is_done_then(store: LockingStore) -> None:
    receipt, manifest = put_recording(store)
    decide(store, receipt, END, Hold(name="case-17"), at=NOW)
    retention = keeper(store)
    with pytest.raises(NotReceived):
        list(retention.apply(receipt.device, receipt.id, NOW))
    put_receipt(store, receipt, custodian())

    retention.received(receipt, manifest)

    assert ends(retention, receipt) == {TERM_LONG}
    assert held(store, retention, receipt) == {True}


def test_what_was_decided_elsewhere_is_found_by_the_next_survey(store: LockingStore) -> None:
    receipt, _manifest = receive(store)
    retention = keeper(store)
    list(retention.renew(NOW))
    decide(store, receipt, END, at=NOW)

    before = list(retention.renew(NOW + SURVEY_EVERY / 2))
    after = list(retention.renew(NOW + SURVEY_EVERY))
    again = list(retention.renew(NOW + 2 * SURVEY_EVERY))

    assert (before, again) == ([], [])
    assert outcomes(after) == [Outcome.EXTENDED] * (OBJECTS + 2)


def test_a_recording_that_another_custodian_received_is_found_by_the_next_survey(
    store: LockingStore,
) -> None:
    retention = keeper(store)
    list(retention.renew(NOW))
    receipt, _manifest = receive(store)
    store.unlock(receipt.objects[0].name)

    done = list(retention.renew(NOW + SURVEY_EVERY))

    assert [one.name for one in done] == [receipt.objects[0].name]


@pytest.mark.parametrize("damage", ["lost", "junk", "other version"])
def test_a_memory_that_is_lost_is_read_from_the_store_again(
    store: LockingStore, tmp_path: Path, damage: str
) -> None:
    receipt, manifest = receive(store)
    first = LockMemory.for_store(tmp_path / "memory", "central")
    keeper(store, memory=first).received(receipt, manifest)
    first.close()
    (path,) = (tmp_path / "memory").glob("*.sqlite3")
    if damage == "junk":
        path.write_bytes(secrets.token_bytes(8192))
    elif damage == "lost":
        path.unlink()
    else:
        path.write_bytes(_of_other_version(tmp_path))

    memory = LockMemory.for_store(tmp_path / "memory", "central")
    done = list(keeper(store, memory=memory).renew(NOW + 350 * DAYS))
    memory.close()

    assert outcomes(done) == [Outcome.EXTENDED] * (OBJECTS + 1)


def test_a_memory_that_is_kept_outlives_the_process(store: LockingStore, tmp_path: Path) -> None:
    receipt, manifest = receive(store)
    first = LockMemory(tmp_path / "memory.sqlite3")
    keeper(store, memory=first).received(receipt, manifest)
    first.note_survey(NOW)
    first.close()

    second = LockMemory(tmp_path / "memory.sqlite3")

    assert second.noted(receipt.device, receipt.id) == Noted(newest_record="", receipts=1)
    assert second.surveyed_at == NOW
    assert list(second.due(NOW + 300 * DAYS)) == []
    assert list(second.due(NOW + 350 * DAYS)) == [(receipt.device, receipt.id)]
    second.close()


def test_all_that_is_due_is_given_out_once_however_many_there_are() -> None:
    memory = LockMemory()
    ids = [UUID(int=number) for number in range(2500)]
    for number, one in enumerate(ids):
        memory.note("dev-a", one, look_at=NOW - (number % 7) * DAYS, newest_record="")

    found = [one for _device, one in memory.due(NOW)]

    assert sorted(found) == ids
    memory.close()


def test_a_hold_is_put_on_every_object_and_lifted_with_the_last_name(store: LockingStore) -> None:
    receipt, _manifest = receive(store)
    retention = keeper(store)
    steps: list[tuple[Decision, set[bool]]] = [
        (Hold(name="case-17"), {True}),
        (Hold(name="audit"), {True}),
        (Release(name="case-17"), {True}),
        (Release(name="audit"), {False}),
    ]

    for number, (decision, expected) in enumerate(steps):
        decide(store, receipt, decision, at=NOW + timedelta(minutes=number))
        list(retention.apply(receipt.device, receipt.id, NOW))
        assert held(store, retention, receipt) == expected


def test_a_hold_that_nobody_here_decided_is_left_and_told(store: LockingStore) -> None:
    receipt, _manifest = receive(store)
    one = receipt.objects[0]
    store.hold(one.name, one.version, on=True)

    done = list(keeper(store).apply(receipt.device, receipt.id, NOW))

    assert [(item.outcome, item.name) for item in done] == [(Outcome.HELD_BY_OTHERS, one.name)]
    assert store.is_held(one.name, one.version)


def test_a_hold_alone_extends_no_protection(store: LockingStore) -> None:
    receipt, _manifest = receive(store, retention_class="service")
    decide(store, receipt, Hold(name="case-17"), at=NOW)

    done = list(keeper(store).apply(receipt.device, receipt.id, NOW))

    assert set(outcomes(done)) == {Outcome.HELD}


def test_a_store_that_protects_nothing_is_told_of_once(tmp_path: Path) -> None:
    store = DirectoryStore.create(tmp_path / "store")
    receipt, manifest = receive(store)
    decide(store, receipt, END, Hold(name="case-17"), at=NOW)
    retention = keeper(store)

    assert retention.received(receipt, manifest) == ()
    assert outcomes(retention.renew(NOW)) == [Outcome.UNPROTECTED]
    assert list(retention.renew(NOW)) == []
    assert list(retention.apply(receipt.device, receipt.id, NOW)) == []
    assert set(retention.keeping.look(receipt.device, receipt.id).decided.state.holds) == {"case-17"}


def test_a_store_without_holds_still_protects(tmp_path: Path) -> None:
    store = LockingStore(tmp_path / "store", now=NOW, holds=False)
    receipt, _manifest = receive(store)
    decide(store, receipt, END, Hold(name="case-17"), at=NOW)
    retention = keeper(store)

    done = list(retention.apply(receipt.device, receipt.id, NOW))

    assert not retention.holds
    assert set(outcomes(done)) == {Outcome.EXTENDED}


def test_a_store_that_takes_the_order_and_does_nothing_is_found_out(store: LockingStore) -> None:
    receipt, _manifest = receive(store)
    decide(store, receipt, END, at=NOW)
    store.deaf = True
    retention = keeper(store)

    done = list(retention.apply(receipt.device, receipt.id, NOW))

    assert set(outcomes(done)) == {Outcome.FAILED}
    assert all("took the order" in str(one.problem) for one in done)
    assert {one.exit_code for one in done} == {21}
    store.deaf = False
    assert set(outcomes(retention.renew(NOW + AGAIN_AFTER))) == {Outcome.EXTENDED}


def test_an_object_that_is_gone_is_told_and_the_others_are_protected(store: LockingStore) -> None:
    receipt, _manifest = receive(store)
    decide(store, receipt, END, at=NOW)
    lost = receipt.objects[0].name
    (store.root / lost).unlink()

    done = list(keeper(store).apply(receipt.device, receipt.id, NOW))

    assert [(one.name, one.exit_code) for one in done if one.outcome is Outcome.MISSING] == [(lost, 12)]
    assert outcomes(done).count(Outcome.EXTENDED) == OBJECTS + 1


def test_a_store_that_does_not_answer_ends_the_round_and_nothing_is_forgotten(store: LockingStore) -> None:
    receipts = [receive(store, number)[0] for number in range(MOST_FAILURES + 2)]
    faulty = FaultyStore(store)
    retention = keeper(faulty)
    due = NOW + 350 * DAYS
    faulty.fail("locked_until", *[Moment.BEFORE] * 100)

    failed = list(retention.renew(due))
    faulty.mend()
    done = list(retention.renew(due + AGAIN_AFTER))

    assert outcomes(failed) == [Outcome.FAILED] * MOST_FAILURES
    assert {one.exit_code for one in failed} == {20}
    assert outcomes(done) == [Outcome.EXTENDED] * (OBJECTS + 1) * len(receipts)


@pytest.mark.parametrize("error", [StoreUnreachable("away"), StoreDenied("no right")])
def test_one_recording_that_can_not_be_looked_at_stops_no_other(
    store: LockingStore, error: StoreUnreachable | StoreDenied
) -> None:
    receipts = [receive(store, number)[0] for number in range(3)]
    faulty = FaultyStore(store)
    faulty.fail("locked_until", Moment.BEFORE, error=error)

    done = list(keeper(faulty).renew(NOW + 350 * DAYS))

    assert [one.recording for one in done if one.outcome is Outcome.FAILED] == [receipts[0].id]
    assert {one.recording for one in done if one.outcome is Outcome.EXTENDED} == {
        one.id for one in receipts[1:]
    }


def test_a_listing_that_fails_is_told_and_done_again(store: LockingStore) -> None:
    receive(store)
    faulty = FaultyStore(store)
    retention = keeper(faulty)
    faulty.fail("versions", Moment.BEFORE)

    failed = list(retention.renew(NOW + 350 * DAYS))
    done = list(retention.renew(NOW + 350 * DAYS))

    assert outcomes(failed) == [Outcome.FAILED]
    assert set(outcomes(done)) == {Outcome.EXTENDED}


def test_two_custodians_at_once_do_no_harm(store: LockingStore) -> None:
    receipt, _manifest = receive(store)
    decide(store, receipt, END, Hold(name="case-17"), at=NOW)
    one, other = keeper(store), keeper(store)

    for _first, _second in zip(one.apply(receipt.device, receipt.id, NOW), other.renew(NOW), strict=False):
        pass
    list(one.renew(NOW))
    list(other.renew(NOW))

    assert ends(one, receipt) == {TERM_LONG}
    assert held(store, one, receipt) == {True}


def test_a_custodian_that_was_killed_anywhere_is_finished_by_the_next_round(tmp_path: Path) -> None:
    steps = 0
    while True:
        store = LockingStore(tmp_path / f"store-{steps}", now=NOW)
        receipt, _manifest = receive(store)

        def work(step: Step, store: LockingStore = store, receipt: Receipt = receipt) -> None:
            store.step = step
            decide(store, receipt, END, Hold(name="case-17"), at=NOW)
            list(keeper(store).apply(receipt.device, receipt.id, NOW))

        killed = killed_at(steps, work)
        retention = keeper(store)
        list(retention.renew(NOW + SURVEY_EVERY))
        state = retention.keeping.look(receipt.device, receipt.id).decided.state
        expected = TERM_LONG if state.concerns_term else NOW.replace(microsecond=0) + 400 * DAYS
        assert ends(retention, receipt) == {expected}
        assert held(store, retention, receipt) == {bool(state.holds)}
        if not killed:
            break
        steps += 1

    # Two decisions put, and for each object a protection and a hold.
    assert steps == 2 + 2 * (OBJECTS + 3)


# Attacks: somebody may add to the store, and does.


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


def _of_other_version(folder: Path) -> bytes:
    path = folder / "later.sqlite3"
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
        database.execute("CREATE TABLE recording (something TEXT)")
    database.close()
    return path.read_bytes()
