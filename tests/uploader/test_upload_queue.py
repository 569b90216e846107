"""The queue: ten thousand recordings are no burden, and changed settings are followed."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from callseal.seal.manifest import parse
from callseal.seal.spool import Spool
from callseal.store.directory import DirectoryStore
from callseal.uploader.database import RETURN_AFTER_S
from callseal.uploader.plan import Put
from callseal.uploader.queue import FIRST_POLL_S
from callseal.uploader.schema import Key, Planned
from support.faulty_store import FaultyStore
from support.sealed_recordings import organisation, recording_id, rewrite_manifest
from support.uploading import SITE, Works, give_receipt, ready

OWNER = organisation()


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    found = Spool.create(tmp_path / "spool")
    with found.lock():
        yield found


@pytest.fixture
def works(spool: Spool) -> Iterator[Works]:
    found = Works(spool=spool, owner=OWNER)
    yield found
    found.close()


def planned(number: int, sites: tuple[str, ...] = (SITE,)) -> Planned:
    """Return a recording of three objects."""
    puts = tuple(
        Put(file=f"{kind}-{number}", name="", size_bytes=1000, sha256=bytes(32))
        for kind in ("audio", "call", "z")
    )
    return Planned(
        id=str(recording_id(number)),
        device=OWNER.device,
        prefix="recordings/",
        manifest_sha256=bytes(32),
        ended_at_ms=0,
        ready_at_ms=number,
        puts=puts,
        sites=sites,
        awaited=(),
    )


def test_the_oldest_recording_goes_first_whenever_it_came(works: Works) -> None:
    works.depot.queue.add([planned(5), planned(3), planned(4)])

    row = works.depot.queue.next_object(SITE, 0, ())

    assert row is not None
    assert row.key == Key(id=str(recording_id(3)), site=SITE, place=0)


def test_what_is_under_way_is_not_given_out_twice(works: Works) -> None:
    works.depot.queue.add([planned(0)])
    busy: set[Key] = set()

    while (row := works.depot.queue.next_object(SITE, 0, busy)) is not None:
        busy.add(row.key)

    assert {key.place for key in busy} == {0, 1}, "the manifest waits for the others"


def test_a_recording_that_is_known_is_not_planned_again(works: Works) -> None:
    works.depot.queue.add([planned(0)])

    found = works.depot.queue.compare([str(recording_id(0)), str(recording_id(1))], 0)

    assert found == ([str(recording_id(1))], [])


def test_a_recording_that_was_taken_away_by_hand_is_forgotten(works: Works) -> None:
    bundle = ready(works.spool, OWNER)
    works.scan()
    for path in bundle.path.iterdir():
        path.unlink()
    bundle.path.rmdir()

    works.scan()

    assert works.depot.deliveries.tally().waiting == 0


def test_a_folder_that_can_not_be_read_is_no_empty_one(works: Works) -> None:
    ready(works.spool, OWNER)
    works.scan()
    away = works.spool.root / "away"
    works.spool.ready_path.rename(away)

    works.scan()

    assert works.depot.deliveries.tally().waiting == 1
    away.rename(works.spool.ready_path)


def test_the_figures_say_what_waits_and_what_lies_here(works: Works) -> None:
    works.depot.queue.add([planned(number, ("a", "b")) for number in range(3)])

    tally = works.depot.deliveries.tally()

    assert (tally.waiting, tally.unreceipted, tally.local_bytes) == (3, 3, 9000)
    assert tally.waiting_bytes == 3 * 2 * 2 * 1000
    assert tally.oldest_waiting_ms == 0


def test_a_store_that_was_given_to_the_custodian_gets_nothing_more_from_here(
    works: Works, tmp_path: Path
) -> None:
    store = FaultyStore(DirectoryStore.create(tmp_path / "store"))
    works.depot.queue.plan_for([SITE], [])
    ready(works.spool, OWNER)
    works.scan()
    works.close()
    later = Works(spool=works.spool, owner=OWNER, awaited=(SITE,))
    later.depot.queue.plan_for([], [SITE])

    later.send_all(store)

    assert store.asked("put") == []
    assert later.depot.deliveries.tally().unreceipted == 1


@pytest.mark.parametrize("before", [["other"], []], ids=["the custodian's before", "unknown before"])
def test_a_store_that_was_taken_from_the_custodian_is_sent_to(
    works: Works, tmp_path: Path, before: list[str]
) -> None:
    store = FaultyStore(DirectoryStore.create(tmp_path / "store"))
    first = Works(spool=works.spool, owner=OWNER, awaited=tuple(before))
    first.depot.queue.plan_for([SITE], before)
    ready(works.spool, OWNER, stores=[SITE, "other"])
    first.scan()
    first.close()
    works.depot.queue.plan_for([SITE, "other"], [])

    works.send_all(store, "other")

    assert len(store.asked("put")) == 4


def test_a_store_that_the_settings_do_not_know_is_an_alarm(works: Works) -> None:
    bundle = ready(works.spool, OWNER, stores=[SITE, "former"])
    works.scan()

    alarms = works.alarms(SITE)

    assert [code for code, _ in alarms] == ["no-store"]
    assert "former" in alarms[0][1]
    assert str(bundle.id) in alarms[0][1]


def test_a_recording_that_is_meant_for_no_store_is_an_alarm(works: Works) -> None:
    ready(works.spool, OWNER, stores=[])
    works.scan()

    assert [code for code, _ in works.alarms(SITE)] == ["no-store"]


def test_a_queue_that_can_not_be_written_stops_nothing_and_is_an_alarm_until_it_can(
    spool: Spool, tmp_path: Path
) -> None:
    store = FaultyStore(DirectoryStore.create(tmp_path / "store"))
    in_the_way = spool.root / "upload"
    in_the_way.write_bytes(b"a file where the queue's folder should be: not even root can write into it")
    works = Works(spool=spool, owner=OWNER)
    ready(spool, OWNER)

    works.send_all(store)
    alarms = works.alarms()
    in_the_way.unlink()
    works.hands.forward(RETURN_AFTER_S)
    works.database.come_back()
    over = works.alarms()
    works.close()
    again = Works(spool=spool, owner=OWNER)
    again.send_all(store)

    assert [code for code, _ in alarms] == ["queue-failed"]
    assert over == []
    assert len(store.asked("put")) == 4, "what was remembered in memory only came to the disk"
    again.close()


def test_a_queue_that_breaks_while_it_is_used_marks_no_other_recording_as_sent(
    works: Works, tmp_path: Path
) -> None:
    """What was under way comes to its end in the new queue, under its own name or not at all."""
    store = FaultyStore(DirectoryStore.create(tmp_path / "store"))
    for number in range(20):
        ready(works.spool, OWNER, number)
    works.scan()
    works.close()
    path = works.spool.root / "upload" / "queue.sqlite3"
    path.write_bytes(path.read_bytes()[:4096] + b"\xff" * 40960)
    broken = Works(spool=works.spool, owner=OWNER)
    lane = broken.lane(store)

    lane.work_off()
    broken.scan()
    lane.work_off()

    assert len(list(store.list("recordings/"))) == 80
    assert broken.depot.deliveries.tally().waiting == 0
    assert [code for code, _ in broken.alarms()] == ["queue-failed"]
    broken.close()


PROGRAM = """
import resource, sys, time
from pathlib import Path
from callseal.uploader.database import Database
from callseal.uploader.deliveries import Deliveries
from callseal.uploader.queue import Queue
used = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = used()
names = [f"{n:036}" for n in range(10_000)]
database = Database(Path(sys.argv[1]))
queue = Queue(database)
new, gone = queue.compare(names, 0)
assert queue.next_object("primary", 0, ()) is not None
tally = Deliveries(database).tally()
print(len(new), len(gone), tally.waiting, (used() - before) // 1024)
"""


def test_ten_thousand_recordings_take_little_memory(works: Works, tmp_path: Path) -> None:
    sites = ("a", "b", SITE)
    for first in range(0, 10_000, 500):
        works.depot.queue.add(planned(number, sites) for number in range(first, first + 500))
    works.close()

    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, works.spool.root / "upload" / "queue.sqlite3"],
        capture_output=True,
        text=True,
        check=True,
    )

    new, gone, waiting, grown_mib = map(int, done.stdout.split())
    assert (new, gone, waiting) == (10_000, 10_000, 10_000)
    assert grown_mib < 32


def test_a_store_that_left_the_settings_for_a_while_and_changed_hands_is_sent_to(
    works: Works, tmp_path: Path
) -> None:
    """The custodian filled it; then it was taken out of the settings; now it is ours to fill."""
    store = FaultyStore(DirectoryStore.create(tmp_path / "store"))
    first = Works(spool=works.spool, owner=OWNER, awaited=("other",))
    first.depot.queue.plan_for([SITE], ["other"])
    bundle = ready(works.spool, OWNER, stores=[SITE, "other"])
    first.scan()
    first.close()
    works.depot.queue.plan_for([SITE], [])
    works.scan()
    works.depot.queue.plan_for([SITE, "other"], [])

    lane = works.send_all(store, "other")
    give_receipt(OWNER, bundle, store, "other")
    works.hands.forward(FIRST_POLL_S)
    found = works.poller(lane, store).look_once()

    assert found
    assert set(works.depot.deliveries.receipts(str(bundle.id))) == {"other"}


def test_what_the_custodian_brought_and_vouched_for_is_not_sent_again_from_here(
    works: Works, tmp_path: Path
) -> None:
    store, other = (FaultyStore(DirectoryStore.create(tmp_path / name)) for name in ("store", "other"))
    first = Works(spool=works.spool, owner=OWNER, awaited=("other",))
    first.depot.queue.plan_for([SITE], ["other"])
    bundle = ready(works.spool, OWNER, stores=[SITE, "other"])
    lane = first.send_all(store)
    give_receipt(OWNER, bundle, store, "other", about="other")
    first.hands.forward(FIRST_POLL_S)
    poller = first.poller(lane, store)
    while poller.look_once():
        pass
    first.close()
    works.depot.queue.plan_for([SITE, "other"], [])

    works.send_all(other, "other")

    assert other.asked("put") == []
    assert set(works.depot.deliveries.receipts(str(bundle.id))) == {"other"}


def test_what_was_vouched_for_counts_for_no_manifest_that_came_later(works: Works, tmp_path: Path) -> None:
    """A folder that was replaced after it was sent: the old receipt does not let the new one go."""
    store = FaultyStore(DirectoryStore.create(tmp_path / "store"))
    works.depot.queue.plan_for([SITE], [])
    bundle = ready(works.spool, OWNER, stores=[SITE, "other"])
    lane = works.send_all(store)
    give_receipt(OWNER, bundle, store)
    works.hands.forward(FIRST_POLL_S)
    works.poller(lane, store).look_once()
    rewrite_manifest(bundle.path, OWNER, parse(bundle.manifest_bytes()), business_type="claims")
    works.depot.queue.plan_for([SITE, "other"], [])

    works.scan()
    lane.work_off()
    looked = works.poller(lane, store).look_once()

    assert works.depot.deliveries.receipts(str(bundle.id)) == {}
    assert not looked
    assert [code for code, _ in works.alarms(SITE, "other")] == ["store-refused"]


def test_a_recording_that_can_not_be_planned_any_more_is_an_alarm(works: Works) -> None:
    works.depot.queue.plan_for([SITE], [])
    bundle = ready(works.spool, OWNER)
    works.scan()
    (bundle.path / "manifest.json").write_bytes(b"{")
    works.depot.queue.plan_for([SITE, "other"], [])

    works.scan()

    assert [code for code, _ in works.alarms(SITE, "other")] == ["bundle-broken"]


def test_a_receipt_is_late_also_if_the_clock_was_set_back_since(works: Works, tmp_path: Path) -> None:
    right = works.hands.now
    works.hands.now += timedelta(days=4000)
    ready(works.spool, OWNER)
    works.send_all(DirectoryStore.create(tmp_path / "store"))

    works.hands.now = right

    assert [code for code, _ in works.alarms()] == ["receipt-late"]
