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
from callseal.store.errors import StoreRefused
from callseal.uploader.errors import BundleBroken
from callseal.uploader.ledger import note_sent, send_segment, waiting
from callseal.uploader.worker import Target
from support.chronicles import clocks_of
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


def test_finished_segments_come_to_the_store_byte_for_byte(
    spool: Spool, target: Target, tmp_path: Path
) -> None:
    published(spool, 3)

    for segment in waiting(spool, "primary"):
        send_segment(segment, target)

    assert stored(tmp_path) == ["0.jsonl", "1.jsonl", "2.jsonl"]
    for name in stored(tmp_path):
        copy = tmp_path / "store" / "ledger" / OWNER.device / name
        assert copy.read_bytes() == (spool.ledger_path / name).read_bytes()


def test_what_grows_still_is_not_sent(spool: Spool, target: Target) -> None:
    ledger = journal(spool)
    ledger.append(Kind.HEARTBEAT, open_=0)

    assert waiting(spool, target.name) == []
    ledger.close()


def test_what_a_store_has_is_not_looked_at_again(spool: Spool) -> None:
    published(spool, 3)

    note_sent(spool, "primary", 2)

    assert [segment.first for segment in waiting(spool, "primary")] == [2]
    assert [segment.first for segment in waiting(spool, "second")] == [0, 1, 2]


def test_a_marker_that_can_not_be_read_sends_everything_again(spool: Spool) -> None:
    published(spool, 2)
    note_sent(spool, "primary", 1)
    (spool.sent_path("primary") / "ledger.json").write_bytes(b"{")

    assert [segment.first for segment in waiting(spool, "primary")] == [0, 1]


def test_a_machine_set_back_to_an_older_copy_is_refused_by_the_store(
    spool: Spool, target: Target, tmp_path: Path
) -> None:
    """Two entries with one number never stand in one store."""
    published(spool, 1)
    (before,) = waiting(spool, "primary")
    send_segment(before, target)
    kept = hashlib.sha256(before.path.read_bytes()).digest()
    other = Spool(tmp_path / "set-back")
    ledger = journal(other)
    ledger.append(Kind.HEARTBEAT, open_=1)
    ledger.publish()
    (forked,) = waiting(other, "primary")

    with pytest.raises(StoreRefused):
        send_segment(forked, target)

    copy = tmp_path / "store" / "ledger" / OWNER.device / "0.jsonl"
    assert hashlib.sha256(copy.read_bytes()).digest() == kept


@pytest.mark.parametrize("data", [b"", b"{}\n", b'{"entry":{"device":"dev-x","sequence":0}}\n', b"\xff\n"])
def test_a_file_that_is_no_segment_is_not_sent_as_one(spool: Spool, target: Target, data: bytes) -> None:
    (spool.ledger_path / "0.jsonl").write_bytes(data)
    (segment,) = waiting(spool, "primary")

    with pytest.raises(BundleBroken, match=r"0\.jsonl"):
        send_segment(segment, target)


def test_a_segment_under_another_number_is_not_sent(spool: Spool, target: Target) -> None:
    published(spool, 1)
    (spool.ledger_path / "0.jsonl").rename(spool.ledger_path / "5.jsonl")
    (segment,) = waiting(spool, "primary")

    with pytest.raises(BundleBroken, match="not the segment that its name says"):
        send_segment(segment, target)


def test_a_spool_without_its_ledger_folder_says_so(spool: Spool) -> None:
    spool.ledger_path.rmdir()

    with pytest.raises(SpoolError, match="ledger"):
        waiting(spool, "primary")
