"""What keeping the proofs costs: rounds are bounded, go on where they ended, and tell if they fall behind."""

import itertools
from datetime import timedelta

import pytest

from callseal.archive.evidence_locks import EvidenceLocks
from callseal.archive.term import Need
from callseal.store.names import ledger_name
from support import protected_central
from support.protected_central import DAYS, DEVICE, DUE, NOW, PERIODS, RECORD, Central, put, put_proofs
from support.received import receive

central = protected_central.central


def test_days_that_are_known_to_be_protected_cost_no_request(central: Central) -> None:
    receive(central.store)
    names = put_proofs(central.store, segments=40)
    first = NOW + 20 * DAYS
    central.whole(first)
    looked = len(central.store.looks)
    central.store.looks.clear()

    for day in range(30, 330, 10):
        central.whole(NOW + day * DAYS)

    assert looked >= len(names)
    assert {name for name, _version in central.store.looks}.isdisjoint(names)


def test_a_round_does_no_more_than_it_may_and_the_next_goes_on(
    central: Central, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callseal.archive.evidence_locks.REQUESTS_A_ROUND", 5)
    names = put_proofs(central.store, segments=30)
    locks = central.locks()
    central.at(DUE)
    counts: list[int] = []

    while sum(counts) < len(names):
        counts.append(sum(one.count for one in locks.renew(DUE)))

    assert max(counts) <= 2
    assert len(counts) >= len(names) / 2
    assert list(locks.renew(DUE)) == []


def test_listing_is_bounded_too_and_goes_on(central: Central, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("callseal.archive.evidence_locks.NAMES_A_ROUND", 4)
    names = put_proofs(central.store, segments=20)
    locks = central.locks()
    central.at(DUE)

    rounds = [sum(one.count for one in locks.renew(DUE)) for _round in range(len(names))]

    assert max(rounds) <= 4
    assert sum(rounds) == len(names)


@pytest.mark.parametrize("limit", [1, 3, 7, 20])
def test_a_custodian_that_is_started_again_after_every_round_gets_to_the_end(
    central: Central, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr("callseal.archive.evidence_locks.REQUESTS_A_ROUND", limit)
    names = put_proofs(central.store, segments=25)
    central.store.push(names[3], b"on top")

    for _round in range(3 * len(names)):
        central.renew(DUE)

    assert all((central.end(name) or NOW) >= DUE + 400 * DAYS for name in names)
    assert central.renew(DUE) == []


def test_a_walk_that_was_broken_off_by_a_restart_takes_nothing_for_done_that_is_not(
    central: Central, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = put_proofs(central.store, segments=25)
    unprotected = names[20]
    ((name, version),) = [one for one in central.store.locks if one[0] == unprotected]
    del central.store.locks[name, version]
    monkeypatch.setattr("callseal.archive.evidence_locks.REQUESTS_A_ROUND", 4)

    for _round in range(len(names)):
        central.renew(NOW + 20 * DAYS)

    assert (central.end(unprotected) or NOW) >= NOW + 420 * DAYS


@pytest.mark.parametrize("after", [timedelta(minutes=1), timedelta(hours=12), timedelta(days=1)])
def test_what_arrives_soon_after_a_walk_is_not_taken_for_protected(
    central: Central, after: timedelta
) -> None:
    put_proofs(central.store)
    central.renew(NOW)
    central.at(NOW + after)
    central.store.lock = None
    name = put(central.store, ledger_name(DEVICE, 5))

    central.renew(NOW + 16 * DAYS)

    assert (central.end(name) or NOW) >= NOW + 416 * DAYS


def test_a_walk_that_was_given_up_half_way_settles_nothing(
    central: Central, monkeypatch: pytest.MonkeyPatch
) -> None:
    central.store.lock = None
    central.recordings.note_survey(NOW)
    names = [put(central.store, ledger_name(DEVICE, 10 * number)) for number in range(20)]
    late = NOW + 20 * DAYS
    with monkeypatch.context() as patch:
        patch.setattr("callseal.archive.evidence_locks.REQUESTS_A_ROUND", 20)
        central.renew(late)
    central.recordings.note(DEVICE, RECORD, look_at=None, newest_record="", need=Need(open=False, until=late))
    central.renew(late + DAYS)
    central.recordings.note(DEVICE, RECORD, look_at=None, newest_record="", need=Need(open=True, until=None))

    central.renew(late + 20 * DAYS)

    assert all((central.end(name) or NOW) > late + 300 * DAYS for name in names)


def test_a_custodian_that_is_told_to_stop_ends_at_once_and_goes_on_later(central: Central) -> None:
    receive(central.store)
    names = put_proofs(central.store, segments=20)
    central.at(DUE)
    asked = itertools.count()
    locks = EvidenceLocks(
        central.store,
        central.recordings,
        periods=PERIODS,
        memory=central.memory,
        stopped=lambda: next(asked) >= len(names) // 2,
    )

    done = sum(one.count for one in locks.renew(DUE))
    rest = sum(one.count for one in central.renew(DUE))

    assert 0 < done < len(names)
    assert done + rest == len(names)


def test_that_renewing_falls_behind_is_told(central: Central, monkeypatch: pytest.MonkeyPatch) -> None:
    put_proofs(central.store, segments=25)
    central.renew(NOW)
    monkeypatch.setattr("callseal.archive.evidence_locks.REQUESTS_A_ROUND", 4)

    told = [one for one in central.renew(DUE) if one.exit_code]

    assert [(one.event, one.exit_code) for one in told] == [("evidence.late", 15)]
    monkeypatch.undo()
    assert all(one.exit_code == 0 for one in central.renew(DUE))
