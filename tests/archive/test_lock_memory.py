"""What is remembered of protections: enough to ask about what is due only; it may be lost."""

import secrets
import sqlite3
from pathlib import Path
from uuid import UUID

import pytest

from callseal.archive.lock_memory import LockMemory, Noted
from callseal.archive.retention import Outcome
from support import retention_bench
from support.locking_store import LockingStore
from support.received import receive
from support.retention_bench import DAYS, NOW, OBJECTS, keeper, outcomes

store = retention_bench.store


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


def _of_other_version(folder: Path) -> bytes:
    path = folder / "later.sqlite3"
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
        database.execute("CREATE TABLE recording (something TEXT)")
    database.close()
    return path.read_bytes()
