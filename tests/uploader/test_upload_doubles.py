"""A store that is killed while it takes an object may have it twice: the receipt says which one counts."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from callseal.seal.spool import Spool
from callseal.store.errors import StoreUnreachable
from callseal.store.interface import Content, Pace, unpaced
from callseal.uploader.clearing import CustodianTime
from callseal.uploader.queue import FIRST_POLL_S
from callseal.uploader.retry import LONGEST_WAIT_S
from callseal.uploader.sweep import Sweep
from support.custody import PRIMARY, Custody
from support.filled_spool import FilledSpool
from support.sealed_recordings import organisation
from support.uploading import Hands, Works
from support.versioned_store import VersionedStore

OWNER: Final = organisation()


@dataclass(slots=True)
class KilledStore(VersionedStore):
    """A store that is killed after it took the bytes of a name with `dies_at` in it, once."""

    dies_at: str = ""

    def put(self, name: str, content: Content, sha256: bytes, *, pace: Pace = unpaced) -> str:
        version = VersionedStore.put(self, name, content, sha256, pace=pace)
        if self.dies_at and self.dies_at in name:
            self.dies_at = ""
            self.torn.add(name)
            raise StoreUnreachable("killed")
        return version


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[FilledSpool]:
    with FilledSpool(tmp_path / "spool", OWNER, random.Random(7)) as found:  # noqa: S311 - any bytes will do
        yield found


@pytest.fixture
def works(filled: FilledSpool) -> Iterator[Works]:
    with filled.spool.lock("uploader"):
        found = Works(spool=filled.spool, owner=OWNER, hands=Hands(now=datetime.now(UTC)))
        yield found
        found.close()


def sent_to(store: VersionedStore, works: Works, filled: FilledSpool) -> None:
    """Send one recording, as often as it takes, and let the custodian receive it."""
    filled.record(1000)
    filled.publish()
    lane = works.send_all(store)
    for _ in range(3):
        works.hands.forward(LONGEST_WAIT_S)
        lane.work_off()
    now = works.hands.now
    Custody(folder=filled.spool.root.parent, stores={PRIMARY: store}, owner=OWNER, now=now).round()
    works.hands.forward(FIRST_POLL_S)
    poller = works.poller(lane, store)
    while poller.look_once():
        pass


def cleared(works: Works, spool: Spool) -> bool:
    clocks = works.hands.clocks()
    time = CustodianTime(clock=clocks.monotonic)
    Sweep(works.depot, works.board, keep_days=0.0, time=time, clocks=clocks).run()
    return list(spool.ready_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["/audio-", "/call-", "/manifest.sig", "/manifest.json"])
def test_a_copy_goes_although_the_store_has_an_object_twice_since_it_was_killed(
    works: Works, filled: FilledSpool, kind: str
) -> None:
    """The desk knows the second version only, and the custodian vouches for the oldest: the same bytes."""
    store = KilledStore(dies_at=kind)

    sent_to(store, works, filled)

    there = [item.version for item in store.versions("recordings/") if kind in item.name]
    assert len(there) == 2
    assert works.alarms() == []
    assert works.board.counted("receipts") == 1
    assert cleared(works, filled.spool)


@pytest.mark.parametrize("kind", ["/audio-", "/manifest.json"])
def test_where_every_answer_came_a_receipt_about_another_version_does_not_count(
    works: Works, filled: FilledSpool, kind: str
) -> None:
    """The same bytes, once more below what the desk put: nobody who is honest does that."""
    store = SlippingStore(slips_at=kind)

    sent_to(store, works, filled)

    assert [code for code, _ in works.alarms()] == ["receipt-refused"]
    assert works.board.counted("receipts") == 0
    assert not cleared(works, filled.spool)


@dataclass(slots=True)
class SlippingStore(VersionedStore):
    """A store in which somebody has slipped the same bytes under a name before the desk puts them."""

    slips_at: str = ""

    def put(self, name: str, content: Content, sha256: bytes, *, pace: Pace = unpaced) -> str:
        if self.slips_at in name:
            self.push(name, content.read_bytes() if isinstance(content, Path) else content)
            self.torn.add(name)
        return VersionedStore.put(self, name, content, sha256, pace=pace)
