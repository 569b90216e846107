"""Whoever fills up a store, and a store that fails in part, keep nobody else's recordings waiting."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO

import pytest

from callseal.archive import lane
from callseal.archive.custodian import State
from callseal.archive.memory import Memory
from callseal.archive.turns import PIECES_A_TURN, Turns
from callseal.seal.receipt import Receipt
from callseal.store.errors import StoreUnreachable
from callseal.store.interface import ObjectInfo
from callseal.store.names import RecordingName
from callseal.store.probe_names import ProbeNames
from support.custody import (
    LIMITS,
    PRIMARY,
    SECOND,
    Custody,
    bring,
    bring_ledger,
    directory,
    office,
    put,
)
from support.kept_ledgers import Sealed
from support.sealed_recordings import STARTED_AT, organisation, recording_id
from support.versioned_store import VersionedStore

DAY = timedelta(days=1)


@dataclass(slots=True)
class Failing(VersionedStore):
    """A store in which some objects can't be read, and some folders can't be listed."""

    unreadable: set[str] = field(default_factory=set)
    unlisted: set[str] = field(default_factory=set)

    def get(self, name: str, version: str | None = None) -> BinaryIO:
        if name in self.unreadable:
            raise StoreUnreachable(f"{name}: 500 InternalError")
        return VersionedStore.get(self, name, version)

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
        if prefix in self.unlisted:
            raise StoreUnreachable(f"{prefix}: 500 InternalError")
        return VersionedStore.list(self, prefix, after)

    def versions(self, prefix: str) -> Iterator[ObjectInfo]:
        if prefix in self.unlisted:
            raise StoreUnreachable(f"{prefix}: 500 InternalError")
        return VersionedStore.versions(self, prefix)


@pytest.fixture
def store() -> Failing:
    return Failing()


@pytest.fixture
def custody(store: Failing, tmp_path: Path) -> Custody:
    return Custody(folder=tmp_path, stores={PRIMARY: store})


def audio_of(sealed: Sealed) -> str:
    return sealed.prefix + next(last for last in sealed.files if last.startswith("audio"))


def junk(store: VersionedStore, device: str, count: int) -> None:
    """Put beginnings of recordings that never come."""
    for number in range(count):
        put(store, f"recordings/{device}/2026/11/21/{recording_id(1000 + number)}/x", b"junk")


def test_an_object_that_can_t_be_read_is_told_and_stops_no_other(custody: Custody, store: Failing) -> None:
    _writer, recorded = office([store], calls=3)
    store.unreadable.add(audio_of(recorded[0]))

    custody.round()

    assert custody.totals() == {"received": 2, "waiting": 1}
    assert custody.told() == [("recording-waiting", 15)]
    assert "500 InternalError" in custody.words()


def test_what_could_not_be_read_is_received_once_it_can(custody: Custody, store: Failing) -> None:
    _writer, recorded = office([store], calls=3)
    store.unreadable.add(audio_of(recorded[0]))
    custody.round()
    store.unreadable.clear()

    custody.now += timedelta(minutes=20)
    custody.round()

    assert (custody.totals(), custody.told()) == ({"received": 3}, [])


def test_several_in_a_row_that_can_t_be_read_are_the_stores_failure(custody: Custody, store: Failing) -> None:
    _writer, recorded = office([store], calls=4)
    store.unreadable |= {audio_of(sealed) for sealed in recorded}

    with pytest.raises(StoreUnreachable, match="500"):
        custody.round()


def test_also_behind_many_that_can_t_be_read_the_last_one_has_its_turn(
    custody: Custody, store: Failing
) -> None:
    _writer, recorded = office([store], calls=8)
    store.unreadable |= {audio_of(sealed) for sealed in recorded[:-1]}

    for _round in range(4):
        try:
            custody.round()
        except StoreUnreachable:
            custody.now += timedelta(seconds=1)

    assert custody.receipt(recorded[-1]) is not None


def test_a_device_whose_names_can_t_be_listed_is_told_and_the_others_are_received(
    custody: Custody, store: Failing
) -> None:
    _writer, (sealed,) = office([store])
    other = "dev-aaaaaaaaaaaa"
    junk(store, other, 1)
    store.unlisted.add(f"recordings/{other}/")

    custody.round()
    told = custody.told()
    store.unlisted.clear()
    custody.now += DAY + timedelta(minutes=1)
    custody.round()

    assert custody.receipt(sealed) is not None
    assert told == [("recording-waiting", 15)]
    assert ("recording-waiting", 15) not in custody.told()


def test_an_object_that_can_t_be_read_again_keeps_no_other_from_being_read(
    custody: Custody, store: Failing
) -> None:
    _writer, recorded = office([store], calls=3)
    custody.round()
    custody.limits = replace(LIMITS, scrub_share=1.0)
    store.unreadable.add(audio_of(recorded[0]))

    done = custody.round()
    told = custody.told()
    store.unreadable.clear()
    custody.now += DAY + timedelta(minutes=1)
    custody.round()

    assert done.read_again == 2
    assert told == [("recording-waiting", 15)]
    assert custody.told() == []


class Keeper:
    """Counts how often protections were to be renewed."""

    def __init__(self) -> None:
        self.renewed = 0

    def received(self, _receipt: Receipt, _manifest: object) -> tuple[()]:
        return ()

    def renew(self, _now: object) -> tuple[()]:
        self.renewed += 1
        return ()


def test_protections_are_renewed_even_where_the_rest_of_the_round_fails(
    custody: Custody, store: Failing
) -> None:
    _writer, recorded = office([store], calls=4)
    store.unreadable |= {audio_of(sealed) for sealed in recorded}
    keeper = Keeper()

    with Memory(custody.memory_folder) as memory, pytest.raises(StoreUnreachable):
        custody.lane(PRIMARY, memory, keeper=keeper).round()

    assert keeper.renewed == 1


def test_a_copy_that_can_t_be_made_keeps_no_other_from_being_made(store: Failing, tmp_path: Path) -> None:
    second = Failing()
    custody = Custody(folder=tmp_path, stores={PRIMARY: store, SECOND: second}, filled=frozenset({SECOND}))
    _writer, recorded = office([store], calls=3, stores_named=(PRIMARY, SECOND))
    first = min(recorded, key=lambda sealed: sealed.prefix)
    second.unlisted.add(audio_of(first))

    custody.rounds()

    received = [custody.receipt(sealed, SECOND) is not None for sealed in recorded]
    assert sorted(received) == [False, True, True]
    assert [code for code, _exit_code in custody.told(SECOND)] == ["copy-failed"]


def test_devices_have_their_turns() -> None:
    done: list[str] = []

    def work(device: str, count: int) -> Iterator[None]:
        for _number in range(count):
            done.append(device)
            yield

    turns = Turns([("thief", work("thief", 5 * PIECES_A_TURN)), ("desk", work("desk", 2))])

    while turns.next() is not None:
        pass

    assert done[PIECES_A_TURN : PIECES_A_TURN + 2] == ["desk", "desk"]
    assert (done.count("thief"), done.count("desk")) == (5 * PIECES_A_TURN, 2)


def test_a_thief_who_fills_up_his_folder_keeps_no_other_device_waiting(
    custody: Custody, store: Failing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """His device's name comes first, and a round has its limit."""
    monkeypatch.setattr(lane, "MAX_LOOKED", 3 * PIECES_A_TURN)
    junk(store, "dev-aaaaaaaaaaaa", 4 * PIECES_A_TURN)
    _writer, (sealed,) = office([store])

    with Memory(custody.memory_folder) as memory:
        custody.lane(PRIMARY, memory).round()

    assert custody.receipt(sealed) is not None


def test_a_scan_that_is_too_long_for_one_round_goes_on_in_the_next(
    custody: Custody, store: Failing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "MAX_LOOKED", 5)
    _writer, recorded = office([store], calls=9)

    with Memory(custody.memory_folder) as memory:
        working = custody.lane(PRIMARY, memory)
        rounds = [working.round()]
        while working.unfinished:
            rounds.append(working.round())

    assert sum(done.received for done in rounds) == 9
    assert [done.full for done in rounds] == [False] * (len(rounds) - 1) + [True]
    assert all(custody.receipt(sealed) is not None for sealed in recorded)


def test_what_waits_comes_before_what_only_began(tmp_path: Path) -> None:
    with Memory(tmp_path) as memory:
        for number in range(50):
            state = State.WAITING if number == 49 else State.INCOMPLETE
            name = RecordingName(device="dev-aaaaaaaaaaaa", day=STARTED_AT.date(), id=recording_id(number))
            memory.settle(PRIMARY, name, state, (), names=1, versions=1, newest_at=None, now=STARTED_AT)

        (found,) = memory.due(PRIMARY, STARTED_AT + timedelta(hours=2), 1)

    assert found.id == recording_id(49)


def test_what_an_examination_of_the_store_left_is_no_finding(custody: Custody, store: Failing) -> None:
    _writer, (sealed,) = office([store])
    names = ProbeNames(device=organisation().device, run=recording_id(5))
    left = (names.own, names.wrong, names.own_receipt, names.foreign_receipt, names.retention, names.access)
    for name in (*left, names.foreign_recording, names.ledger, names.stamp, names.outside):
        store.push(name, b"callseal store check")

    custody.round()

    assert custody.receipt(sealed) is not None
    assert custody.told() == []


def test_a_recording_that_the_ledger_speaks_of_and_that_never_came_is_told(
    custody: Custody, store: Failing
) -> None:
    writer, (_sealed, taken) = office([], calls=2)
    bring_ledger(store, writer)
    bring(store, _sealed)
    custody.now = STARTED_AT + DAY + timedelta(hours=3)

    custody.round()

    assert custody.told() == [("recording-never-came", 15)]
    assert str(taken.id) in custody.words()


def test_a_recording_that_only_just_ended_may_still_be_on_its_way(custody: Custody, store: Failing) -> None:
    writer, _recorded = office([], calls=2)
    bring_ledger(store, writer)

    custody.round()

    assert custody.told() == []


def test_it_is_told_no_more_once_the_recording_came(custody: Custody, store: Failing) -> None:
    writer, (taken,) = office([], calls=1)
    bring_ledger(store, writer)
    custody.now = STARTED_AT + DAY + timedelta(hours=3)
    custody.round()
    told = custody.told()
    bring(store, taken)

    custody.now += DAY + timedelta(minutes=1)
    custody.round()

    assert told == [("recording-never-came", 15)]
    assert (custody.told(), custody.totals()) == ([], {"received": 1})


def test_one_that_lies_in_another_store_did_come(store: Failing, tmp_path: Path) -> None:
    other = VersionedStore()
    custody = Custody(folder=tmp_path, stores={PRIMARY: store, SECOND: other})
    writer, (sealed,) = office([], calls=1)
    for one in (store, other):
        bring_ledger(one, writer)
    bring(other, sealed)
    custody.now = STARTED_AT + DAY + timedelta(hours=3)

    custody.rounds()
    custody.now += DAY + timedelta(minutes=1)
    custody.rounds()

    assert (custody.told(PRIMARY), custody.told(SECOND)) == ([], [])


def test_a_store_that_was_emptied_altogether_is_told(tmp_path: Path) -> None:
    """Recordings, receipts and ledger: nothing there speaks of what was received."""
    custody = Custody(folder=tmp_path, stores={PRIMARY: directory(tmp_path)})
    _writer, recorded = office([custody.stores[PRIMARY]], calls=2)
    custody.round()
    custody.stores[PRIMARY] = directory(tmp_path, "another")

    custody.now += DAY + timedelta(minutes=1)
    custody.round()

    assert [code for code, _exit_code in custody.told()] == ["object-gone", "object-gone"]
    assert all(str(sealed.id) in custody.words() for sealed in recorded)


def test_a_second_store_that_was_lost_is_filled_again(tmp_path: Path) -> None:
    stores = {PRIMARY: directory(tmp_path), SECOND: directory(tmp_path, SECOND)}
    custody = Custody(folder=tmp_path, stores=stores, filled=frozenset({SECOND}))  # type: ignore[arg-type]
    sealed = office([stores[PRIMARY]], stores_named=(PRIMARY, SECOND))[1][0]
    custody.rounds()
    custody.stores[SECOND] = directory(tmp_path, "new")

    custody.now += DAY + timedelta(minutes=1)
    custody.rounds()
    with Memory(custody.memory_folder) as memory:
        memory.set_note(f"ledger of {sealed.manifest.device} from {PRIMARY} in {SECOND}", 0)
    custody.now += timedelta(hours=1)
    custody.rounds()

    assert custody.receipt(sealed, SECOND) is not None


def test_what_was_received_before_a_store_was_added_comes_there_too(store: Failing, tmp_path: Path) -> None:
    custody = Custody(folder=tmp_path, stores={PRIMARY: store})
    sealed = office([store], stores_named=(PRIMARY, SECOND))[1][0]
    custody.rounds()
    told = custody.told()
    custody.stores[SECOND] = VersionedStore()
    custody.filled = frozenset({SECOND})

    custody.now += timedelta(minutes=1)
    custody.rounds()

    assert told == [("store-unknown", 15)]
    assert (custody.told(PRIMARY), custody.told(SECOND)) == ([], [])
    assert custody.receipt(sealed, SECOND) is not None


def test_killed_while_a_recording_is_protected_its_copy_is_made_all_the_same(
    store: Failing, tmp_path: Path
) -> None:
    custody = Custody(
        folder=tmp_path, stores={PRIMARY: store, SECOND: VersionedStore()}, filled=frozenset({SECOND})
    )
    sealed = office([store], stores_named=(PRIMARY, SECOND))[1][0]

    class Killed(Keeper):
        def received(self, _receipt: Receipt, _manifest: object) -> tuple[()]:
            raise KeyboardInterrupt

    with Memory(custody.memory_folder) as memory, pytest.raises(KeyboardInterrupt):
        custody.lane(PRIMARY, memory, keeper=Killed()).round()
    custody.rounds()

    assert custody.receipt(sealed, SECOND) is not None
