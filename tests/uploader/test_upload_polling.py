"""Receipts are looked for until they come, believed only where they count; what all vouch for is cleared."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from callseal.seal.spool import Bundle, Spool
from callseal.store.directory import DirectoryStore
from callseal.store.errors import StoreDenied
from callseal.uploader.breaker import FAILURES_TO_OPEN
from callseal.uploader.clearing import CustodianTime
from callseal.uploader.deliveries import CLEAR_AGAIN_S, LONGEST_POLL_S, MAX_FAULTS
from callseal.uploader.polling import DENIED_TRIES, Poller
from callseal.uploader.queue import DOUBT_S, FIRST_POLL_S
from callseal.uploader.sweep import Sweep
from support.faulty_store import FaultyStore, Moment
from support.parts_store import PartsStore
from support.sealed_recordings import organisation, recording_id
from support.uploading import SITE, Works, give_receipt, ready

OWNER = organisation()
DAY_S = 24 * 3600.0


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    found = Spool.create(tmp_path / "spool")
    with found.lock(), found.lock("uploader"):
        yield found


@pytest.fixture
def works(spool: Spool) -> Iterator[Works]:
    found = Works(spool=spool, owner=OWNER)
    yield found
    found.close()


@pytest.fixture
def store(tmp_path: Path) -> FaultyStore:
    return FaultyStore(PartsStore(tmp_path))


def looked(poller: Poller) -> int:
    """Look for all receipts that are due; give how many."""
    count = 0
    while poller.look_once():
        count += 1
    return count


def sweep(works: Works, keep_days: float = 0.0) -> None:
    clocks = works.hands.clocks()
    time = CustodianTime(clock=clocks.monotonic)
    newest = works.depot.deliveries.newest_received_at()
    if newest is not None:
        time.learn(newest)
    Sweep(works.depot, works.board, keep_days=keep_days, time=time, clocks=clocks).run()


def here(bundle: Bundle) -> bool:
    return bundle.path.exists()


def test_a_receipt_lets_the_copy_go_and_nothing_is_left_to_do(works: Works, store: FaultyStore) -> None:
    bundle = ready(works.spool, OWNER)
    poller = works.poller(works.send_all(store), store)
    give_receipt(OWNER, bundle, store)
    works.hands.forward(FIRST_POLL_S)

    found = looked(poller)
    sweep(works)

    assert found == 1
    assert not here(bundle)
    assert works.depot.deliveries.tally().local_bytes == 0
    assert works.alarms() == []


def test_without_a_receipt_nothing_is_ever_deleted(works: Works, store: FaultyStore) -> None:
    bundle = ready(works.spool, OWNER)
    poller = works.poller(works.send_all(store), store)
    for _ in range(50):
        works.hands.forward(DAY_S)
        looked(poller)
        sweep(works)

    assert here(bundle)
    assert [code for code, _ in works.alarms()] == ["receipt-late"]


def test_a_receipt_is_looked_for_less_and_less_often(works: Works, store: FaultyStore) -> None:
    ready(works.spool, OWNER)
    poller = works.poller(works.send_all(store), store)
    counts = []
    for _ in range(3):
        count = 0
        for _ in range(360):
            works.hands.forward(10)
            count += looked(poller)
        counts.append(count)

    assert 6 <= counts[0] <= 10
    assert counts[1:] == [1, 1]


def test_a_receipt_of_a_stranger_does_not_count_and_is_an_alarm(works: Works, store: FaultyStore) -> None:
    bundle = ready(works.spool, OWNER)
    poller = works.poller(works.send_all(store), store)
    give_receipt(organisation("Another one"), bundle, store)
    stranger = f"receipts/{organisation('Another one').device}/{bundle.id}.json"
    ours = f"receipts/{OWNER.device}/{bundle.id}.json"
    (Path(store_root(store)) / ours).parent.mkdir(parents=True)
    (Path(store_root(store)) / stranger).rename(Path(store_root(store)) / ours)
    works.hands.forward(FIRST_POLL_S)

    looked(poller)
    sweep(works)

    assert here(bundle)
    assert [code for code, _ in works.alarms()] == ["receipt-refused"]


def test_only_the_receipts_of_all_sites_let_the_copy_go(
    works: Works, store: FaultyStore, tmp_path: Path
) -> None:
    other = DirectoryStore.create(tmp_path / "other")
    bundle = ready(works.spool, OWNER, stores=[SITE, "other"])
    pollers = [
        works.poller(works.send_all(store), store),
        works.poller(works.send_all(other, "other"), other),
    ]
    give_receipt(OWNER, bundle, store)
    works.hands.forward(FIRST_POLL_S)
    for poller in pollers:
        looked(poller)
    sweep(works)
    early = here(bundle)

    give_receipt(OWNER, bundle, other, "other")
    works.hands.forward(LONGEST_POLL_S)
    for poller in pollers:
        looked(poller)
    sweep(works)

    assert early
    assert not here(bundle)


def test_a_site_that_the_custodian_fills_is_vouched_for_in_one_that_we_fill(
    spool: Spool, store: FaultyStore
) -> None:
    works = Works(spool=spool, owner=OWNER, awaited=("far",))
    bundle = ready(spool, OWNER, stores=[SITE, "far"])
    poller = works.poller(works.send_all(store), store)
    give_receipt(OWNER, bundle, store)
    works.hands.forward(FIRST_POLL_S)
    looked(poller)
    sweep(works)
    early = here(bundle)

    give_receipt(OWNER, bundle, store, about="far")
    works.hands.forward(LONGEST_POLL_S)
    looked(poller)
    sweep(works)

    assert early
    assert not here(bundle)
    works.close()


def test_a_receipt_resolves_a_doubt(works: Works, store: FaultyStore) -> None:
    """What lies there was read back by a custodian: it is not put again."""
    bundle = ready(works.spool, OWNER)
    works.send_all(store)
    works.close()
    (works.spool.root / "upload" / "queue.sqlite3").unlink()
    again = Works(spool=works.spool, owner=OWNER)
    lane = again.send_all(store)
    puts = len(store.asked("put"))
    give_receipt(OWNER, bundle, store)
    again.hands.forward(FIRST_POLL_S)

    looked(again.poller(lane, store))
    again.hands.forward(2 * DOUBT_S)
    lane.work_off()

    assert puts == 8
    assert len([name for name in store.asked("put") if name.startswith("recordings")]) == puts
    assert again.depot.deliveries.tally().unreceipted == 0
    again.close()


def test_keep_days_are_kept(works: Works, store: FaultyStore) -> None:
    bundle = ready(works.spool, OWNER)
    poller = works.poller(works.send_all(store), store)
    give_receipt(OWNER, bundle, store)
    works.hands.forward(FIRST_POLL_S)
    looked(poller)

    sweep(works, keep_days=30.0)

    assert here(bundle)


def test_a_copy_that_is_not_what_was_vouched_for_stays(works: Works, store: FaultyStore) -> None:
    bundle = ready(works.spool, OWNER)
    poller = works.poller(works.send_all(store), store)
    give_receipt(OWNER, bundle, store)
    works.hands.forward(FIRST_POLL_S)
    looked(poller)
    (bundle.path / "add-1.json").write_bytes(b"something that nobody vouched for")

    sweep(works)

    assert here(bundle)


def test_a_receipt_that_is_denied_may_just_not_be_there_yet(works: Works, store: FaultyStore) -> None:
    """An account that may not list is told nothing else by S3; it is an alarm only when that lasts."""
    bundle = ready(works.spool, OWNER)
    lane = works.send_all(store)
    poller = works.poller(lane, store)
    store.fail("get", *[Moment.BEFORE] * (DENIED_TRIES + 1), error=StoreDenied("not for you"))
    works.hands.forward(FIRST_POLL_S)

    looked(poller)
    early = works.alarms()
    for _ in range(DENIED_TRIES):
        works.hands.forward(LONGEST_POLL_S)
        looked(poller)
    lasting = works.alarms()
    ready(works.spool, OWNER, 1)
    works.scan()
    lane.work_off()
    give_receipt(OWNER, bundle, store)
    works.hands.forward(LONGEST_POLL_S)
    looked(poller)

    assert early == []
    assert lasting == [("store-denied", f"{SITE} receipts: not for you")]
    assert works.board.counted("sent") == 2, "sending is another matter"
    assert works.alarms() == []


@pytest.mark.parametrize("moment", Moment)
def test_a_receipt_that_could_not_be_fetched_is_fetched_later(
    works: Works, store: FaultyStore, moment: Moment
) -> None:
    bundle = ready(works.spool, OWNER)
    poller = works.poller(works.send_all(store), store)
    give_receipt(OWNER, bundle, store)
    store.fail("get", moment)
    works.hands.forward(FIRST_POLL_S)
    looked(poller)

    works.hands.forward(LONGEST_POLL_S)
    looked(poller)

    assert works.depot.deliveries.tally().unreceipted == 0


def test_a_store_that_is_down_is_not_asked_for_receipts(works: Works, store: FaultyStore) -> None:
    for number in range(FAILURES_TO_OPEN):
        ready(works.spool, OWNER, number)
    lane = works.send_all(store)
    store.fail("get", *[Moment.BEFORE] * FAILURES_TO_OPEN)
    works.hands.forward(FIRST_POLL_S)

    looked(works.poller(lane, store))

    assert lane.is_open()


def store_root(store: FaultyStore) -> Path:
    """Give the folder below the store, by way of its error's words."""
    try:
        store.get("recordings/none")
    except OSError as problem:
        return Path(str(problem).partition(":")[0]).parent.parent
    raise AssertionError("there is no such object")


def test_a_copy_that_can_not_be_cleared_is_an_alarm_until_it_can(works: Works, store: FaultyStore) -> None:
    bundle = ready(works.spool, OWNER)
    poller = works.poller(works.send_all(store), store)
    give_receipt(OWNER, bundle, store)
    works.hands.forward(FIRST_POLL_S)
    looked(poller)
    stranger = bundle.path / "add-1.json"
    stranger.write_bytes(b"something that nobody vouched for")
    sweep(works)
    kept = works.alarms()
    stranger.unlink()

    works.hands.forward(CLEAR_AGAIN_S)
    sweep(works)

    assert [code for code, _ in kept] == ["not-cleared"]
    assert str(bundle.id) in kept[0][1]
    assert not here(bundle)
    assert works.alarms() == []


def test_many_copies_that_can_not_be_cleared_leave_room_for_other_alarms(
    works: Works, store: FaultyStore
) -> None:
    bundles = [ready(works.spool, OWNER, number) for number in range(MAX_FAULTS + 5)]
    poller = works.poller(works.send_all(store), store)
    for bundle in bundles:
        give_receipt(OWNER, bundle, store)
        (bundle.path / "stranger").touch()
    works.hands.forward(FIRST_POLL_S)
    looked(poller)

    sweep(works)

    assert len(works.alarms()) == MAX_FAULTS


def test_what_a_disk_refused_to_delete_to_its_end_is_an_alarm_and_deleted_later(
    works: Works, store: FaultyStore
) -> None:
    half = works.spool.removing_path / str(recording_id(5))
    (half / "folder").mkdir(parents=True)
    sweep(works)
    told = works.alarms()
    (half / "folder").rmdir()

    sweep(works)

    assert [code for code, _ in told] == ["spool-failed"]
    assert not half.exists()
    assert works.alarms() == []
    assert store.asked("put") == []
