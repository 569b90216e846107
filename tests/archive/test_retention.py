"""Keeping recordings: protections are renewed and extended, holds put on and lifted, and nothing else."""

from datetime import timedelta
from pathlib import Path

import pytest

from callseal.archive.keeping import NotReceived
from callseal.archive.retention import AGAIN_AFTER, MOST_FAILURES, SURVEY_EVERY, Outcome
from callseal.seal.durable import Step
from callseal.seal.receipt import Receipt
from callseal.seal.retention import Decision, Hold, Release, SetClass
from callseal.store.directory import DirectoryStore
from callseal.store.errors import StoreDenied, StoreUnreachable
from callseal.store.names import receipt_name, retention_name
from support import retention_bench
from support.faulty_store import FaultyStore, Moment
from support.killed_child import killed_at
from support.locking_store import LockingStore
from support.received import custodian, decide, put_receipt, put_recording, receive
from support.retention_bench import DAYS, END, NOW, OBJECTS, TERM_LONG, ends, held, keeper, outcomes

store = retention_bench.store


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
