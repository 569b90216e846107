"""The ledger goes to the stores: ahead of the recordings, in order, once, and a fork is never passed over."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from callseal.seal.errors import SpoolError
from callseal.seal.ledger.entry import Kind
from callseal.seal.ledger.journal import Journal
from callseal.seal.spool import Spool
from callseal.store.directory import DirectoryStore
from callseal.store.errors import StoreRefused, StoreUnreachable
from callseal.uploader.database import Database
from callseal.uploader.errors import BundleBroken
from callseal.uploader.ledger import Segment, deliver_segment, segments_after
from callseal.uploader.queue import Queue
from callseal.uploader.worker import Target
from support.chronicles import clocks_of
from support.faulty_store import FaultyStore, Moment
from support.parts_store import PartsStore
from support.sealed_recordings import STARTED_AT, organisation

OWNER = organisation()


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    found = Spool.create(tmp_path / "spool")
    with found.lock():
        yield found


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return Target(name="primary", writer=DirectoryStore.create(tmp_path / "store"))


def journal(spool: Spool) -> Journal:
    clocks = clocks_of(lambda: STARTED_AT, lambda: 0.0)
    return Journal([spool.ledger_path], device=OWNER.device, key=OWNER.device_key, clocks=clocks)


def published(spool: Spool, count: int) -> None:
    """Write `count` segments of one entry each."""
    ledger = journal(spool)
    for _ in range(count):
        ledger.append(Kind.HEARTBEAT, open_=0)
        ledger.publish()
    ledger.close()


def stored(tmp_path: Path) -> list[str]:
    """Give the segments in the store, in order."""
    paths = (tmp_path / "store" / "ledger" / OWNER.device).glob("*.jsonl")
    return [path.name for path in sorted(paths, key=lambda path: int(path.stem))]


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    return Queue(Database(tmp_path / "upload" / "queue.sqlite3"))


def waiting(spool: Spool, queue: Queue, site: str = "primary") -> list[Segment]:
    return segments_after(spool, queue.segment_sent(site))


def test_finished_segments_come_to_the_store_byte_for_byte(
    spool: Spool, queue: Queue, target: Target, tmp_path: Path
) -> None:
    published(spool, 3)

    for segment in waiting(spool, queue):
        deliver_segment(segment, queue, target)

    assert stored(tmp_path) == ["0.jsonl", "1.jsonl", "2.jsonl"]
    for name in stored(tmp_path):
        copy = tmp_path / "store" / "ledger" / OWNER.device / name
        assert copy.read_bytes() == (spool.ledger_path / name).read_bytes()


def test_what_grows_still_is_not_sent(spool: Spool, queue: Queue) -> None:
    ledger = journal(spool)
    ledger.append(Kind.HEARTBEAT, open_=0)

    assert waiting(spool, queue) == []
    ledger.close()


def test_what_a_store_has_is_not_looked_at_again(spool: Spool, queue: Queue) -> None:
    published(spool, 3)

    queue.store_segment("primary", 1)

    assert [segment.first for segment in waiting(spool, queue)] == [2]
    assert [segment.first for segment in waiting(spool, queue, "second")] == [0, 1, 2]


def test_a_segment_whose_answer_was_lost_is_ours_when_its_name_is_taken(
    spool: Spool, queue: Queue, tmp_path: Path
) -> None:
    published(spool, 1)
    store = FaultyStore(PartsStore(tmp_path))
    target = Target(name="primary", writer=store)
    store.fail("put", Moment.AFTER)
    (segment,) = waiting(spool, queue)
    with pytest.raises(StoreUnreachable):
        deliver_segment(segment, queue, target)

    deliver_segment(segment, queue, target)

    assert waiting(spool, queue) == []


@pytest.mark.parametrize("reads", [True, False])
def test_a_lost_queue_does_not_end_the_ledger(
    spool: Spool, queue: Queue, tmp_path: Path, *, reads: bool
) -> None:
    """The store has the segments already: the same bytes, or bytes that this account may not compare."""
    published(spool, 2)
    store = PartsStore(tmp_path)
    target = Target(name="primary", writer=store, reader=store if reads else None)
    for segment in waiting(spool, queue):
        deliver_segment(segment, queue, target)
    lost = Queue(Database(tmp_path / "another" / "queue.sqlite3"))

    for segment in waiting(spool, lost):
        deliver_segment(segment, lost, target)

    assert waiting(spool, lost) == []


def test_other_bytes_under_a_segments_name_are_refused_where_they_can_be_compared(
    spool: Spool, queue: Queue, tmp_path: Path
) -> None:
    published(spool, 1)
    store = PartsStore(tmp_path)
    store.put(
        f"ledger/{OWNER.device}/0.jsonl", b"another history", hashlib.sha256(b"another history").digest()
    )
    (segment,) = waiting(spool, queue)

    with pytest.raises(StoreRefused, match="other bytes"):
        deliver_segment(segment, queue, Target(name="primary", writer=store, reader=store))

    assert waiting(spool, queue) == [segment]


def test_a_machine_set_back_to_an_older_copy_is_refused_by_the_store(
    spool: Spool, queue: Queue, target: Target, tmp_path: Path
) -> None:
    """Two entries with one number never stand in one store."""
    published(spool, 1)
    (before,) = waiting(spool, queue)
    deliver_segment(before, queue, target)
    kept = hashlib.sha256(before.path.read_bytes()).digest()
    other = Spool(tmp_path / "set-back")
    ledger = journal(other)
    ledger.append(Kind.HEARTBEAT, open_=1)
    ledger.publish()
    (forked,) = segments_after(other, -1)

    with pytest.raises(StoreRefused):
        deliver_segment(forked, queue, target)

    copy = tmp_path / "store" / "ledger" / OWNER.device / "0.jsonl"
    assert hashlib.sha256(copy.read_bytes()).digest() == kept


@pytest.mark.parametrize("data", [b"", b"{}\n", b'{"entry":{"device":"dev-x","sequence":0}}\n', b"\xff\n"])
def test_a_file_that_is_no_segment_is_not_sent_as_one(
    spool: Spool, queue: Queue, target: Target, data: bytes
) -> None:
    (spool.ledger_path / "0.jsonl").write_bytes(data)
    (segment,) = waiting(spool, queue)

    with pytest.raises(BundleBroken, match=r"0\.jsonl"):
        deliver_segment(segment, queue, target)


def test_a_segment_under_another_number_is_not_sent(spool: Spool, queue: Queue, target: Target) -> None:
    published(spool, 1)
    (spool.ledger_path / "0.jsonl").rename(spool.ledger_path / "5.jsonl")
    (segment,) = waiting(spool, queue)

    with pytest.raises(BundleBroken, match="not the segment that its name says"):
        deliver_segment(segment, queue, target)


def test_a_spool_without_its_ledger_folder_says_so(spool: Spool) -> None:
    spool.ledger_path.rmdir()

    with pytest.raises(SpoolError, match="ledger"):
        segments_after(spool, -1)


def test_a_ledger_that_began_anew_is_sent_from_its_beginning(
    spool: Spool, queue: Queue, target: Target, tmp_path: Path
) -> None:
    """A machine that got another key, and another ledger with it, does not hide that one behind the old."""
    published(spool, 3)
    for segment in waiting(spool, queue):
        deliver_segment(segment, queue, target)
    for path in spool.ledger_path.iterdir():
        path.unlink()
    other = organisation("Another")
    clocks = clocks_of(lambda: STARTED_AT, lambda: 0.0)
    ledger = Journal([spool.ledger_path], device=other.device, key=other.device_key, clocks=clocks)
    ledger.append(Kind.HEARTBEAT, open_=0)
    ledger.publish()
    ledger.close()

    for segment in waiting(spool, queue):
        deliver_segment(segment, queue, target)

    assert (tmp_path / "store" / "ledger" / other.device / "0.jsonl").exists()
    assert waiting(spool, queue) == []
