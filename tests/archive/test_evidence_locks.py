"""What proves recordings is protected as long as they are, whatever goes wrong meanwhile."""

import dataclasses
import hashlib
import itertools
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from callseal.archive.evidence_locks import EvidenceLocks, EvidenceOutcome
from callseal.archive.evidence_memory import EvidenceMemory
from callseal.archive.lock_memory import LockMemory
from callseal.archive.retention import SURVEY_EVERY
from callseal.archive.term import Need, proof_protection
from callseal.seal.durable import Step
from callseal.seal.retention import Hold
from callseal.store.directory import DirectoryStore
from callseal.store.errors import StoreDenied, StoreRefused
from callseal.store.names import access_name, ledger_name, receipt_name
from support import protected_central
from support.faulty_store import FaultyStore, Moment
from support.killed_child import killed_at
from support.locking_store import LockingStore
from support.protected_central import (
    DAYS,
    DEVICE,
    DUE,
    END,
    NOW,
    OTHER,
    PERIODS,
    RECORD,
    TERM_LONG,
    Central,
    outcomes,
    put,
    put_proofs,
)
from support.received import decide, receive

central = protected_central.central


# The rule.


@pytest.mark.parametrize(
    ("need", "locked_until", "expected"),
    [
        (Need(open=True, until=None), NOW + 30 * DAYS, NOW + 400 * DAYS),
        (Need(open=True, until=NOW + 900 * DAYS), NOW + 30 * DAYS, NOW + 900 * DAYS),
        (Need(open=True, until=NOW + 90 * DAYS), None, NOW + 400 * DAYS),
        (Need(open=True, until=None), NOW + 61 * DAYS, None),
        (Need(open=False, until=NOW + 900 * DAYS), NOW + 30 * DAYS, NOW + 900 * DAYS),
        (Need(open=False, until=NOW + 30 * DAYS), NOW + 30 * DAYS, None),
        (Need(open=False, until=NOW + 20 * DAYS), NOW + 30 * DAYS, None),
        (Need(open=False, until=NOW), None, None),
        (Need(open=False, until=None), None, None),
    ],
)
def test_a_proof_is_protected_as_long_as_what_it_proves_and_never_shorter(
    need: Need, locked_until: datetime | None, expected: datetime | None
) -> None:
    wanted = proof_protection(need, locked_until=locked_until, now=NOW, periods=PERIODS)

    assert wanted == (None if expected is None else expected.replace(microsecond=0) + timedelta(seconds=1))


# What is kept, and how long.


def test_while_a_recording_is_open_all_that_proves_it_is_renewed(central: Central) -> None:
    receive(central.store)
    names = put_proofs(central.store)

    early = central.whole(NOW)
    done = central.whole(DUE)

    assert early == []
    assert outcomes(done) == [EvidenceOutcome.EXTENDED] * 3
    assert sum(one.count for one in done) == len(names)
    assert all((central.end(name) or NOW) >= DUE + 400 * DAYS for name in names)


def test_renewing_for_years_never_lets_the_protection_of_a_proof_end(central: Central) -> None:
    receive(central.store)
    names = put_proofs(central.store)

    for day in range(0, 2000, 7):
        done = central.whole(NOW + day * DAYS)
        names.append(put(central.store, ledger_name(DEVICE, 1000 + day)))
        assert all(one.exit_code == 0 for one in done)
        assert all((central.end(name) or NOW) > NOW + day * DAYS for name in names)


def test_once_all_ends_are_known_proofs_are_kept_to_the_last_of_them(central: Central) -> None:
    receipt, _manifest = receive(central.store)
    receive(central.store, 1, retention_class="service")
    decide(central.store, receipt, END, at=NOW)
    names = put_proofs(central.store)

    central.whole(DUE)
    again = central.whole(DUE + 400 * DAYS)

    assert {central.end(name) for name in names} == {TERM_LONG}
    assert again == []


def test_a_recording_on_hold_keeps_its_proofs_though_its_term_is_over(central: Central) -> None:
    receipt, _manifest = receive(central.store, retention_class="service")
    decide(central.store, receipt, Hold(name="case-17"), at=NOW)
    names = put_proofs(central.store)
    late = NOW + 1500 * DAYS

    central.whole(late)

    assert all((central.end(name) or NOW) >= late + 400 * DAYS for name in names)


def test_what_proves_nothing_that_is_still_kept_is_left_to_its_end(central: Central) -> None:
    receive(central.store, retention_class="service")
    names = put_proofs(central.store)
    before = {central.end(name) for name in names}
    central.whole(NOW)
    central.store.looks.clear()

    done = central.whole(NOW + 1500 * DAYS)

    looked = {name for name, _version in central.store.looks}
    assert done == []
    assert {central.end(name) for name in names} == before
    assert looked.isdisjoint(names)


def test_a_device_whose_recordings_ended_does_not_take_anothers_proofs_along(central: Central) -> None:
    receive(central.store, retention_class="service")
    names = put_proofs(central.store)
    central.whole(NOW)
    central.recordings.note(OTHER, RECORD, look_at=None, newest_record="")
    theirs = put(central.store, ledger_name(OTHER, 0))
    late = NOW + 1500 * DAYS

    central.renew(late)

    assert (central.end(theirs) or NOW) >= late + 400 * DAYS
    # Who opened what is kept with any recording of the store.
    assert (central.end(names[-1]) or NOW) >= late + 400 * DAYS
    assert all((central.end(name) or late) < late for name in names[:-1])


def test_a_ledger_of_which_no_recording_was_received_is_kept(central: Central) -> None:
    (name,) = [put(central.store, ledger_name(OTHER, 0))]
    central.recordings.note_survey(NOW)

    central.renew(DUE)

    assert (central.end(name) or NOW) >= DUE + 400 * DAYS


def test_before_all_recordings_are_known_none_is_thought_to_be_the_last(central: Central) -> None:
    central.recordings.note(
        DEVICE, RECORD, look_at=None, newest_record="", need=Need(open=False, until=NOW + 90 * DAYS)
    )
    names = put_proofs(central.store)

    central.renew(DUE)

    assert all((central.end(name) or NOW) >= DUE + 400 * DAYS for name in names)


def test_every_version_is_kept_also_what_was_hidden_or_put_on_top(central: Central) -> None:
    names = put_proofs(central.store)
    central.store.push(names[0], b"on top")
    central.store.hide(names[1])

    central.renew(DUE)

    versions = [item for name in names for item in central.store.versions(name)]
    assert len(versions) == len(names) + 1
    assert all(central.store.locks[one.name, one.version] >= DUE + 400 * DAYS for one in versions)


def test_what_is_called_like_no_proof_is_left_alone(central: Central) -> None:
    strange = [
        put(central.store, name)
        for name in (f"ledger/{DEVICE}/check-0", "ledger/other/0.jsonl", "access/check-0", f"stamps/{DEVICE}")
    ]
    before = {central.end(name) for name in strange}

    done = central.renew(DUE)

    assert done == []
    assert {central.end(name) for name in strange} == before


def test_a_proof_without_any_protection_is_given_one(central: Central) -> None:
    central.store.lock = None
    names = put_proofs(central.store)

    central.renew(NOW)

    assert all((central.end(name) or NOW) >= NOW + 400 * DAYS for name in names)


def test_receipts_about_other_stores_are_kept_with_the_recording(central: Central) -> None:
    receipt, _manifest = receive(central.store)
    central.whole(NOW)
    name = put(central.store, receipt_name(receipt.device, receipt.id, "second"))
    central.store.push(name, b"on top")
    decide(central.store, receipt, END, Hold(name="case-17"), at=NOW)

    list(central.retention().apply(receipt.device, receipt.id, central.at(NOW)))

    assert central.end(name) == TERM_LONG


def test_a_receipt_about_another_store_that_comes_late_is_found(central: Central) -> None:
    receipt, _manifest = receive(central.store)
    decide(central.store, receipt, END, at=NOW)
    central.whole(NOW)
    name = put(central.store, receipt_name(receipt.device, receipt.id, "second"))

    central.whole(NOW + SURVEY_EVERY)

    assert central.end(name) == TERM_LONG


def test_what_only_receipts_about_other_stores_speak_of_is_no_trouble(central: Central) -> None:
    put(central.store, receipt_name(DEVICE, RECORD, "second"))

    assert list(central.retention().renew(central.at(NOW))) == []


def test_a_store_that_protects_nothing_is_left_alone(tmp_path: Path) -> None:
    store = DirectoryStore.create(tmp_path / "store")

    done = list(EvidenceLocks(store, LockMemory(), periods=PERIODS).renew(NOW))

    assert done == []
    assert list(store.list("")) == []


# What goes wrong.


def test_a_memory_that_is_lost_is_read_from_the_store_again(central: Central, tmp_path: Path) -> None:
    names = put_proofs(central.store)
    central.memory = EvidenceMemory.for_store(tmp_path, "central")
    central.renew(NOW)
    central.memory.close()
    (path,) = tmp_path.glob("*.sqlite3")
    path.write_bytes(b"no database" * 500)
    central.memory = EvidenceMemory.for_store(tmp_path, "central")

    done = central.renew(DUE)

    assert sum(one.count for one in done) == len(names)
    central.memory.close()


def test_a_store_that_fails_anywhere_is_told_and_finished_later(central: Central) -> None:
    names = put_proofs(central.store)
    operations = ("folders", "replace", "list", "versions", "locked_until", "lock_until")
    for number, operation in enumerate(operations):
        now = DUE + number * 500 * DAYS
        for name in names:
            for item in central.store.versions(name):
                central.store.locks[name, item.version] = now.replace(microsecond=0)
        central.memory = EvidenceMemory()
        faulty = FaultyStore(central.store)
        central.front = faulty
        faulty.fail(operation, Moment.BEFORE)

        failed = central.renew(now)
        faulty.mend()
        for minutes in (6, 12, 70):
            central.renew(now + timedelta(minutes=minutes))

        assert [one.exit_code for one in failed if one.problem is not None] == [20], operation
        assert all((central.end(name) or NOW) >= now + 400 * DAYS for name in names), operation


def test_one_folder_that_can_not_be_read_keeps_no_other_waiting(central: Central) -> None:
    others = [put(central.store, ledger_name(OTHER, 0)), *put_proofs(central.store)[:-1]]
    faulty = FaultyStore(central.store)
    central.front = faulty
    faulty.fail("versions", Moment.BEFORE, error=StoreDenied("no right to read this one"))

    failed = central.renew(DUE)
    central.renew(DUE + timedelta(minutes=1))

    assert [one.exit_code for one in failed] == [21]
    assert faulty.asked("versions") == ["access/2026/", *sorted(_folders(others))]
    assert all((central.end(name) or NOW) >= DUE + 400 * DAYS for name in others)


def test_an_object_that_the_store_will_not_protect_stops_no_other_and_is_tried_again(
    central: Central,
) -> None:
    names = put_proofs(central.store)
    faulty = FaultyStore(central.store)
    central.front = faulty
    faulty.fail("lock_until", Moment.BEFORE, error=StoreRefused("not this one"))

    done = central.renew(DUE)
    (refused,) = [one for one in done if one.outcome is EvidenceOutcome.FAILED]
    left = [name for name in names if (central.end(name) or NOW) < DUE + 400 * DAYS]
    central.renew(DUE + timedelta(hours=2))

    assert refused.exit_code == 21
    assert left == [refused.name]
    assert (central.end(refused.name) or NOW) >= DUE + 400 * DAYS


def test_what_was_refused_is_tried_again_also_after_a_restart(
    central: Central, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = put_proofs(central.store, segments=20)
    faulty = FaultyStore(central.store)
    central.front = faulty
    faulty.fail("lock_until", None, None, Moment.BEFORE, error=StoreRefused("not this one"))
    with monkeypatch.context() as patch:
        patch.setattr("callseal.archive.evidence_locks.REQUESTS_A_ROUND", 10)
        told = [one for _round in range(20) for one in central.renew(DUE) if one.name]

    central.renew(DUE + timedelta(hours=2))

    assert len(told) == 1
    assert all((central.end(name) or NOW) >= DUE + 400 * DAYS for name in names)


def test_a_store_that_takes_the_order_and_does_nothing_is_found_out(central: Central) -> None:
    names = put_proofs(central.store, segments=20)
    central.store.deaf = True

    told = central.renew(DUE)

    assert {one.exit_code for one in told} == {21}
    assert all("took the order" in str(one.problem) for one in told)
    assert len(told) < len(names)


def test_two_custodians_at_once_do_no_harm(central: Central) -> None:
    names = put_proofs(central.store)
    other = dataclasses.replace(central, memory=EvidenceMemory())
    central.at(DUE)

    for _one, _other in itertools.zip_longest(central.locks().renew(DUE), other.locks().renew(DUE)):
        pass

    assert all((central.end(name) or NOW) >= DUE + 400 * DAYS for name in names)
    assert other.renew(DUE) == []


def test_a_custodian_that_was_killed_anywhere_is_finished_by_the_next_round(tmp_path: Path) -> None:
    steps = 0
    while True:
        folder = tmp_path / str(steps)
        store = LockingStore(folder / "store", now=NOW)
        names = [ledger_name(DEVICE, 0), ledger_name(DEVICE, 10), access_name(NOW.date(), RECORD)]
        for name in names:
            store.put(name, b"proof", hashlib.sha256(b"proof").digest())

        def work(step: Step, store: LockingStore = store, folder: Path = folder) -> None:
            store.step = step
            list(_kept_on_disk(store, folder).renew(DUE))

        killed = killed_at(steps, work)
        list(_kept_on_disk(store, folder).renew(DUE))
        ends = [
            store.locked_until(item.name, item.version) for name in names for item in store.versions(name)
        ]
        assert len(ends) == len(names)
        assert all(end is not None and end >= DUE + 400 * DAYS for end in ends)
        if not killed:
            break
        steps += 1

    assert steps == len(names)


class _RightClock:
    """The clock of a store that is always that of the test."""

    def check(self, now: datetime) -> None:
        """Find nothing wrong."""


def _kept_on_disk(store: LockingStore, folder: Path) -> EvidenceLocks:
    memory = EvidenceMemory.for_store(folder, "central")
    return EvidenceLocks(store, LockMemory(), periods=PERIODS, memory=memory, clock=_RightClock())


def _folders(names: Iterable[str]) -> set[str]:
    return {name.rpartition("/")[0] + "/" for name in names}
