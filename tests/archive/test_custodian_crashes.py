"""Killed at any step, and run again, or run by two at once: one receipt, and the right one."""

import hashlib
import threading
from pathlib import Path

import pytest

from callseal.archive.memory import Memory
from callseal.store.directory import DirectoryStore
from callseal.store.errors import StoreRefused
from callseal.store.interface import Content, Pace, unpaced
from support.custody import PRIMARY, SECOND, Custody, content, directory, office
from support.killed_child import killed_at
from support.versioned_store import VersionedStore

MOST_STEPS = 60


def test_killed_at_every_step_of_receiving_it_gives_one_receipt_that_is_right(tmp_path: Path) -> None:
    for number in range(MOST_STEPS):
        folder = tmp_path / str(number)
        store = directory(folder)
        _writer, recorded = office([store], calls=2)
        custody = Custody(folder=folder, stores={PRIMARY: store})

        killed = killed_at(number, lambda step, custody=custody: custody.round(step=step))  # type: ignore[misc]
        custody.round()

        for sealed in recorded:
            receipt = custody.receipt(sealed)
            assert receipt is not None
            assert receipt.manifest == sealed.sha256
        assert (custody.totals(), custody.told()) == ({"received": 2}, [])
        assert len(list(store.list("receipts/"))) == 2
        if not killed:
            assert number > 0
            return
    pytest.fail(f"more than {MOST_STEPS} steps")


def test_killed_at_every_step_of_a_put_into_the_store_it_gives_one_receipt(tmp_path: Path) -> None:
    for number in range(MOST_STEPS):
        folder = tmp_path / str(number)
        store = directory(folder)
        _writer, (sealed,) = office([store])
        custody = Custody(folder=folder, stores={PRIMARY: store})

        def work(step: object, folder: Path = folder) -> None:
            stepping = DirectoryStore(folder / PRIMARY, step=step)  # type: ignore[arg-type]
            Custody(folder=folder, stores={PRIMARY: stepping}).round()

        killed = killed_at(number, work)
        custody.round()

        assert custody.receipt(sealed) is not None
        assert (custody.totals(), custody.told()) == ({"received": 1}, [])
        if not killed:
            assert number > 0
            return
    pytest.fail(f"more than {MOST_STEPS} steps")


def test_killed_at_every_step_of_copying_both_stores_end_with_one_receipt_each(tmp_path: Path) -> None:
    for number in range(MOST_STEPS):
        folder = tmp_path / str(number)
        primary, second = directory(folder), directory(folder, SECOND)
        _writer, (sealed,) = office([primary], stores_named=(PRIMARY, SECOND))
        custody = Custody(
            folder=folder, stores={PRIMARY: primary, SECOND: second}, filled=frozenset({SECOND})
        )

        killed = killed_at(number, lambda step, custody=custody: custody.rounds(step=step))  # type: ignore[misc]
        custody.rounds()

        own, passed_on = custody.receipt(sealed, SECOND), custody.receipt(sealed, PRIMARY, about=SECOND)
        assert own is not None
        assert own == passed_on
        assert own.site == SECOND
        assert custody.receipt(sealed, PRIMARY) is not None
        assert (custody.told(PRIMARY), custody.told(SECOND)) == ([], [])
        assert not list((custody.memory_folder).glob(".copy-*")) or killed
        if not killed:
            assert number > 0
            return
    pytest.fail(f"more than {MOST_STEPS} steps")


def test_two_custodians_at_once_give_one_receipt_for_each_recording(tmp_path: Path) -> None:
    store = directory(tmp_path)
    _writer, recorded = office([store], calls=8)
    first = Custody(folder=tmp_path, stores={PRIMARY: store})
    both = [first, first.another()]
    start = threading.Barrier(2)
    failures: list[BaseException] = []

    def work(custody: Custody) -> None:
        try:
            start.wait()
            custody.round()
        except BaseException as problem:  # noqa: BLE001 - the test's own thread tells
            failures.append(problem)

    threads = [threading.Thread(target=work, args=(custody,)) for custody in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert len(list(store.list("receipts/"))) == 8
    for custody in both:
        assert (custody.totals(), custody.told()) == ({"received": 8}, [])
    assert all(first.receipt(sealed) is not None for sealed in recorded)


class Beaten:
    """A store in which somebody else is always faster with a receipt."""

    def __init__(self, store: VersionedStore, faster: Custody) -> None:
        self._store = store
        self._faster = faster

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def put(self, name: str, data: Content, sha256: bytes, *, pace: Pace = unpaced) -> str:
        if name.startswith("receipts/"):
            self._faster.round()
        return self._store.put(name, data, sha256, pace=pace)


def test_a_custodian_that_is_beaten_to_it_takes_the_others_receipt_for_its_own(tmp_path: Path) -> None:
    store = VersionedStore()
    _writer, (sealed,) = office([store])
    other = Custody(folder=tmp_path, stores={PRIMARY: store}, number=1)
    custody = Custody(folder=tmp_path, stores={PRIMARY: Beaten(store, other)})  # type: ignore[dict-item]

    custody.round()

    assert (custody.totals(), custody.told()) == ({"received": 1}, [])
    assert (other.totals(), other.told()) == ({"received": 1}, [])
    receipt = custody.receipt(sealed)
    assert receipt is not None
    assert [one.name for one in store.versions("receipts/")] == [
        f"receipts/{sealed.manifest.device}/{sealed.id}.json"
    ]


class Swallowing:
    """A store whose answers to the first puts are lost, although they were done."""

    def __init__(self, store: VersionedStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def put(self, name: str, data: Content, sha256: bytes, *, pace: Pace = unpaced) -> str:
        self._store.put(name, data, sha256, pace=pace)
        raise StoreRefused(f"{name}: something stands there")


def test_a_lost_answer_to_a_put_is_no_fault(tmp_path: Path) -> None:
    store = VersionedStore()
    office([store])
    custody = Custody(folder=tmp_path, stores={PRIMARY: Swallowing(store)})  # type: ignore[dict-item]

    custody.round()

    assert (custody.totals(), custody.told()) == ({"received": 1}, [])


def test_a_damaged_memory_is_set_aside_and_filled_again(tmp_path: Path) -> None:
    store = directory(tmp_path)
    office([store])
    custody = Custody(folder=tmp_path, stores={PRIMARY: store})
    custody.round()
    memory = custody.memory_folder / "memory.sqlite3"
    memory.write_bytes(b"no database at all" * 1000)

    custody.round()

    assert custody.totals() == {"received": 1}
    assert (custody.memory_folder / "memory.sqlite3.broken-1").read_bytes().startswith(b"no database")


def test_a_memory_of_a_later_version_is_set_aside(tmp_path: Path) -> None:
    import sqlite3  # noqa: PLC0415 - only here

    store = directory(tmp_path)
    office([store])
    custody = Custody(folder=tmp_path, stores={PRIMARY: store})
    custody.round()
    db = sqlite3.connect(custody.memory_folder / "memory.sqlite3")
    db.execute("PRAGMA user_version = 99")
    db.close()

    custody.round()

    assert custody.totals() == {"received": 1}
    assert (custody.memory_folder / "memory.sqlite3.broken-1").exists()


def test_where_the_disk_refuses_the_work_goes_on_and_the_memory_says_so(tmp_path: Path) -> None:
    store = directory(tmp_path)
    _writer, (sealed,) = office([store])
    custody = Custody(folder=tmp_path, stores={PRIMARY: store})
    custody.memory_folder.mkdir()
    (custody.memory_folder / "memory.sqlite3").mkdir()

    with Memory(custody.memory_folder) as memory:
        custody.round(memory=memory)

        assert "will be lost" in memory.failure
    assert custody.receipt(sealed) is not None
    assert hashlib.sha256(content(store, f"receipts/{sealed.manifest.device}/{sealed.id}.json")).digest()
