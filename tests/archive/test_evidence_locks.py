"""What proves recordings is protected as long as they are, at a bounded cost, by a clock that is right."""

import dataclasses
import hashlib
import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

import pytest

from callseal.archive.evidence_locks import EvidenceLocks, EvidenceOutcome, EvidenceRenewal
from callseal.archive.evidence_memory import EvidenceMemory
from callseal.archive.lock_memory import LockMemory
from callseal.archive.retention import SURVEY_EVERY, Outcome, Retention
from callseal.archive.store_clock import CLOCK_NAME, TOLERANCE, ClocksDiffer, StoreClock
from callseal.archive.term import Need, Periods, proof_protection
from callseal.archive.wiring import RetentionKeeper
from callseal.config.terms import shipped_terms
from callseal.seal.durable import Step
from callseal.seal.retention import ContractEnd, Hold
from callseal.store.directory import DirectoryStore
from callseal.store.errors import StoreDenied, StoreRefused
from callseal.store.interface import CentralStore
from callseal.store.names import access_name, ledger_name, receipt_name, stamp_name
from support.faulty_store import FaultyStore, Moment
from support.killed_child import killed_at
from support.locking_store import LockingStore
from support.received import decide, receive
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


# What it costs.


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


# Clocks.


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


# Recordings, round by round.


def test_a_first_survey_of_many_recordings_is_spread_over_rounds(
    central: Central, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callseal.archive.retention.LOOKS_A_ROUND", 4)
    receipts = [receive(central.store, number)[0] for number in range(10)]
    retention = central.retention()
    central.at(DUE)
    rounds = [_recordings(retention.renew(DUE)) for _round in range(6)]

    assert max(len(one) for one in rounds) <= 4
    assert set().union(*rounds) == {one.id for one in receipts}
    assert central.recordings.surveyed_at == DUE.replace(microsecond=DUE.microsecond // 1000 * 1000)


def test_what_is_due_does_not_wait_for_a_long_survey(
    central: Central, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = receive(central.store)[0]
    list(central.retention().renew(central.at(NOW)))
    for number in range(1, 20):
        receive(central.store, number)
    monkeypatch.setattr("callseal.archive.retention.LOOKS_A_ROUND", 4)

    first = _recordings(central.retention().renew(central.at(DUE)))

    assert known.id in first
    assert len(first) == 4


def test_a_survey_that_only_passes_over_names_is_bounded_too(
    central: Central, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(9):
        receive(central.store, number)
    list(central.retention().renew(central.at(NOW)))
    monkeypatch.setattr("callseal.archive.retention.NAMES_A_ROUND", 2)
    retention = central.retention()
    later = central.at(NOW + 2 * SURVEY_EVERY)
    surveyed = []

    for _round in range(5):
        surveyed.append(central.recordings.surveyed_at)
        assert list(retention.renew(later)) == []

    assert surveyed[1:4] == [surveyed[0]] * 3
    assert central.recordings.surveyed_at != surveyed[0]


def test_that_recordings_are_renewed_too_slowly_is_told(
    central: Central, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(9):
        receive(central.store, number)
    list(central.retention().renew(central.at(NOW)))
    monkeypatch.setattr("callseal.archive.retention.LOOKS_A_ROUND", 4)
    late = NOW + 380 * DAYS
    retention = central.retention()

    told = [list(retention.renew(central.at(late)))[-1].outcome for _round in range(2)]
    done = list(retention.renew(late))

    assert told == [Outcome.LATE] * 2
    assert {one.outcome for one in done} == {Outcome.EXTENDED}


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


class _RightClock:
    """The clock of a store that is always that of the test."""

    def check(self, now: datetime) -> None:
        """Find nothing wrong."""


def _kept_on_disk(store: LockingStore, folder: Path) -> EvidenceLocks:
    memory = EvidenceMemory.for_store(folder, "central")
    return EvidenceLocks(store, LockMemory(), periods=PERIODS, memory=memory, clock=_RightClock())


def _folders(names: Iterable[str]) -> set[str]:
    return {name.rpartition("/")[0] + "/" for name in names}


def _recordings(renewals: Iterable[object]) -> set[UUID]:
    ids = {getattr(one, "recording", None) for one in renewals}
    return {one for one in ids if isinstance(one, UUID)}
