"""Nothing is protected by a clock that differs from the store's, and all goes on once it is right."""

from datetime import timedelta

import pytest

from callseal.archive.evidence_locks import EvidenceOutcome
from callseal.archive.retention import Outcome
from callseal.archive.store_clock import CLOCK_NAME, TOLERANCE, ClocksDiffer, StoreClock
from callseal.archive.wiring import RetentionKeeper
from support import protected_central
from support.faulty_store import FaultyStore
from support.protected_central import DAYS, DUE, END, NOW, Central, outcomes, put_proofs
from support.received import decide, receive

central = protected_central.central


@pytest.mark.parametrize("wrong", [TOLERANCE + DAYS, -TOLERANCE - DAYS, 3650 * DAYS])
def test_a_clock_that_differs_from_the_stores_protects_nothing(central: Central, wrong: timedelta) -> None:
    receive(central.store)
    put_proofs(central.store)
    central.at(DUE)
    before = dict(central.store.locks)

    recordings = list(central.retention().renew(DUE + wrong))
    proofs = list(central.locks().renew(DUE + wrong))

    assert [(one.outcome, one.exit_code) for one in recordings] == [(Outcome.CLOCKS_DIFFER, 15)]
    assert [(one.outcome, one.exit_code) for one in proofs] == [(EvidenceOutcome.CLOCKS_DIFFER, 15)]
    assert recordings[0].fields() == proofs[0].fields()
    assert central.store.locks == before


def test_after_a_wrong_clock_was_set_right_all_goes_on_as_if_nothing_had_been(central: Central) -> None:
    receive(central.store)
    names = put_proofs(central.store)
    central.at(DUE)
    retention, locks = central.retention(), central.locks()
    list(retention.renew(DUE + 3650 * DAYS))
    list(locks.renew(DUE + 3650 * DAYS))

    extended = [one.outcome for one in retention.renew(DUE)]
    list(locks.renew(DUE))

    assert extended
    assert set(extended) == {Outcome.EXTENDED}
    assert all(DUE + 400 * DAYS <= (central.end(name) or NOW) < DUE + 401 * DAYS for name in names)


def test_what_is_received_while_the_clock_is_wrong_is_protected_once_it_is_right(central: Central) -> None:
    central.store.lock = None
    central.recordings.note_survey(NOW)
    receipt, manifest = receive(central.store)
    retention = central.retention()
    central.ahead = 3650 * DAYS

    told = retention.received(receipt, manifest)
    unprotected = dict(central.store.locks)
    done = list(retention.renew(NOW + timedelta(hours=1)))

    assert [one.outcome for one in told] == [Outcome.CLOCKS_DIFFER]
    assert unprotected == {}
    assert {one.outcome for one in done} == {Outcome.EXTENDED}


def test_a_decision_is_not_carried_out_by_a_clock_that_is_wrong(central: Central) -> None:
    receipt, _manifest = receive(central.store)
    decide(central.store, receipt, END, at=NOW)
    before = dict(central.store.locks)

    with pytest.raises(ClocksDiffer, match="365 days ahead"):
        list(central.retention().apply(receipt.device, receipt.id, NOW + 365 * DAYS + timedelta(hours=1)))

    assert central.store.locks == before


def test_a_clock_is_compared_again_once_it_leaps_and_not_each_time(central: Central) -> None:
    faulty = FaultyStore(central.store)
    clock = StoreClock(faulty)

    for minutes in range(0, 60, 5):
        clock.check(NOW + timedelta(minutes=minutes))
    with pytest.raises(ClocksDiffer):
        clock.check(NOW + 30 * DAYS)
    with pytest.raises(ClocksDiffer):
        clock.check(NOW - 30 * DAYS)

    assert faulty.asked("replace") == [CLOCK_NAME] * 3


def test_a_store_that_does_not_tell_its_time_is_not_relied_on(central: Central) -> None:
    central.store.timeless = True
    names = put_proofs(central.store)
    before = {central.end(name) for name in names}

    told = central.renew(DUE)

    assert outcomes(told) == [EvidenceOutcome.CLOCKS_DIFFER]
    assert {central.end(name) for name in names} == before


def test_the_custodian_renews_both_and_tells_a_wrong_clock_once(central: Central) -> None:
    receipt, _manifest = receive(central.store)
    names = put_proofs(central.store)
    keeper = RetentionKeeper(central.retention(), central.locks(), "central")
    central.at(DUE)

    wrong = keeper.renew(DUE + 30 * DAYS)
    right = keeper.renew(DUE)

    assert [one.code for one in dict.fromkeys(wrong)] == ["retention-clocks-differ"]
    assert right == ()
    assert all((central.end(name) or NOW) >= DUE + 400 * DAYS for name in names)
    assert (central.end(receipt.objects[0].name) or NOW) >= DUE + 400 * DAYS
