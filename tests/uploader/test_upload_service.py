"""The uploader as a service: what becomes ready is sent, what can't be waits and is told of."""

import functools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from callseal.seal.ledger.entry import Kind
from callseal.seal.ledger.journal import Journal
from callseal.seal.spool import Spool, SpoolInUse
from callseal.seal.status import State, Status, read
from callseal.seal.verify import verify_recording
from callseal.store.directory import DirectoryStore
from callseal.store.interface import Store
from callseal.uploader.pacing import Limit
from callseal.uploader.queue import FIRST_POLL_S
from callseal.uploader.receipts import Receipts
from callseal.uploader.service import STOP_S, Orders, Site, run
from support.chronicles import clocks_of
from support.eventually import PATIENCE_S, eventually
from support.faulty_store import FaultyStore, Moment
from support.parts_store import PartsStore
from support.sealed_recordings import STARTED_AT, make_ready, organisation, recording_id
from support.uploading import give_receipt, long_sound, ready

OWNER = organisation()
NEVER_S = 3600.0  # a timer that does not fire: what happens then, the watch has done
PREFIX = f"recordings/{OWNER.device}/2026/11/21/{recording_id()}/"


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    found = Spool.create(tmp_path / "spool")
    with found.lock():
        yield found


JUDGE = Receipts(lambda: OWNER.trust, now=lambda: datetime.now(UTC))


@contextmanager
def uploader(
    spool: Spool,
    *stores: tuple[str, Store | None],
    orders: Orders | None = None,
    others: Sequence[Path] = (),
) -> Iterator[threading.Event]:
    stop, failures = threading.Event(), []

    def target() -> None:
        try:
            sites = [Site(name=name, store=store) for name, store in stores]
            run([spool.root, *others], sites, JUDGE, orders or Orders(scan_s=NEVER_S), stop)
        except Exception as problem:  # noqa: BLE001 - shown below, in the thread that can fail the test
            failures.append(problem)

    thread = threading.Thread(target=target)
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert failures == []


def status_of(spool: Spool) -> Status | None:
    reading = read(spool.status_path, "uploader", now=datetime.now(UTC), stale_after_s=NEVER_S)
    return None if reading is None else reading.status


def alarms(spool: Spool) -> list[str]:
    status = status_of(spool)
    return [] if status is None else [alarm.code for alarm in status.alarms]


def counters(spool: Spool) -> dict[str, int]:
    status = status_of(spool)
    return {} if status is None else dict(status.counters)


def waiting(spool: Spool, count: int) -> Callable[[], bool]:
    def holds() -> bool:
        status = status_of(spool)
        return status is not None and status.state is State.READY and status.counters["waiting_now"] == count

    return holds


def has(root: Path, count: int) -> bool:
    return sum(item.name.endswith("/manifest.json") for item in DirectoryStore(root).list("")) == count


def test_what_was_ready_before_the_start_is_sent_to_every_store(spool: Spool, tmp_path: Path) -> None:
    roots = [DirectoryStore.create(tmp_path / name).root for name in ("first", "second")]
    names = [root.name for root in roots]
    bundles = [ready(spool, OWNER, number, stores=names) for number in range(2)]

    with uploader(spool, *((root.name, DirectoryStore(root)) for root in roots)):
        eventually(waiting(spool, 0), "everything sent")

    for root in roots:
        assert verify_recording(DirectoryStore(root), PREFIX, OWNER.trust).intact
        assert has(root, 2)
    assert [bundle.id for bundle in spool.ready()] == [bundle.id for bundle in bundles]


def test_what_becomes_ready_later_is_sent_without_waiting_for_the_timer(spool: Spool, tmp_path: Path) -> None:
    store = DirectoryStore.create(tmp_path / "store")

    with uploader(spool, ("primary", store)):
        eventually(waiting(spool, 0), "the service is up")
        for number in range(3):
            make_ready(spool, OWNER, number)
            eventually(functools.partial(has, store.root, number + 1), f"recording {number} sent")


def test_a_store_that_can_not_be_reached_lets_its_recordings_wait_and_no_others(
    spool: Spool, tmp_path: Path
) -> None:
    good, bad = DirectoryStore.create(tmp_path / "good"), tmp_path / "bad"
    bad.write_bytes(b"a file where the store's folder should be: not even root can write into it")
    ready(spool, OWNER, stores=["bad", "good"])

    with uploader(spool, ("bad", DirectoryStore(bad)), ("good", good)):
        eventually(lambda: alarms(spool) == ["store-unreachable"], "an alarm")
        eventually(lambda: has(good.root, 1), "the other store has it")
        eventually(waiting(spool, 1), "it waits")
        status = status_of(spool)
        assert status is not None
        assert "bad" in status.alarms[0].detail

        bad.unlink()
        DirectoryStore.create(bad)
        eventually(lambda: has(bad, 1), "sent once the store is back")
        eventually(waiting(spool, 0), "nothing waits")
        assert alarms(spool) == []


def test_the_status_says_how_long_the_oldest_recording_waits(spool: Spool, tmp_path: Path) -> None:
    for number in range(2):
        bundle = make_ready(spool, OWNER, number)
        os.utime(bundle.path, (0, datetime.now(UTC).timestamp() - 1000 + number * 500))

    with uploader(spool, ("primary", DirectoryStore(tmp_path / "unmounted"))):
        eventually(waiting(spool, 2), "both wait")
        eventually(lambda: "oldest_waiting_now_s" in counters(spool), "and that is told")
        status = status_of(spool)

    assert status is not None
    assert 1000 <= status.counters["oldest_waiting_now_s"] < 1000 + PATIENCE_S
    assert status.counters["sent"] == 0


def test_a_broken_recording_raises_an_alarm_and_stops_no_other(spool: Spool, tmp_path: Path) -> None:
    store = DirectoryStore.create(tmp_path / "store")
    broken, _ = make_ready(spool, OWNER, 0), make_ready(spool, OWNER, 1)
    (broken.path / "manifest.json").write_bytes(b"{}")

    with uploader(spool, ("primary", store)):
        eventually(lambda: has(store.root, 1), "the other one sent")
        eventually(waiting(spool, 1), "the broken one waits")
        eventually(lambda: alarms(spool) == ["bundle-broken"], "an alarm")
        status = status_of(spool)

    assert status is not None
    assert [alarm.code for alarm in status.alarms] == ["bundle-broken"]
    assert str(broken.id) in status.alarms[0].detail


def test_a_refusal_raises_an_alarm_and_the_recording_stays(spool: Spool, tmp_path: Path) -> None:
    store = DirectoryStore.create(tmp_path / "store")
    place = store.root / PREFIX
    place.mkdir(parents=True)
    (place / "manifest.json").write_bytes(b"somebody else's")
    bundle = make_ready(spool, OWNER)

    with uploader(spool, ("primary", store)):
        eventually(lambda: alarms(spool) == ["store-refused"], "an alarm")

    assert list(spool.ready()) == [bundle]
    assert (place / "manifest.json").read_bytes() == b"somebody else's"


def test_without_a_store_recordings_stay_and_an_alarm_says_so(spool: Spool) -> None:
    make_ready(spool, OWNER)

    with uploader(spool):
        eventually(lambda: alarms(spool) == ["no-store"], "an alarm")

    assert len(list(spool.ready())) == 1


def test_what_was_sent_before_a_restart_is_not_sent_again(spool: Spool, tmp_path: Path) -> None:
    store = DirectoryStore.create(tmp_path / "store")
    make_ready(spool, OWNER)
    with uploader(spool, ("primary", store)):
        eventually(waiting(spool, 0), "sent")
    for path in store.root.rglob("*.age"):
        path.unlink()

    with uploader(spool, ("primary", store)):
        eventually(waiting(spool, 0), "known as sent")
        status = status_of(spool)

    assert status is not None
    assert status.counters["sent"] == 0
    assert not list(store.root.rglob("*.age"))


def test_two_uploaders_do_not_work_in_one_spool(spool: Spool, tmp_path: Path) -> None:
    store = DirectoryStore.create(tmp_path / "store")

    with uploader(spool, ("primary", store)):
        eventually(waiting(spool, 0), "the first is up")

        with pytest.raises(SpoolInUse, match="uploader"):
            run([spool.root], [Site(name="primary", store=store)], JUDGE, Orders(), threading.Event())


PROGRAM = """
import sys, threading
from pathlib import Path
from callseal.store.directory import DirectoryStore
from callseal.uploader.service import Orders, Site, run, stop_on_signals
stop = threading.Event()
stop_on_signals(stop)
site = Site(name="primary", store=DirectoryStore(Path(sys.argv[2])))
run([Path(sys.argv[1])], [site], None, Orders(), stop)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_stop_ends_the_service_cleanly(
    spool: Spool, tmp_path: Path, number: signal.Signals
) -> None:
    store = DirectoryStore.create(tmp_path / "store")
    make_ready(spool, OWNER)

    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, spool.root, store.root], stdout=subprocess.PIPE
    ) as service:
        eventually(waiting(spool, 0), "sent")
        service.send_signal(number)
        service.communicate(timeout=PATIENCE_S)

    assert service.returncode == 0
    status = status_of(spool)
    assert status is not None
    assert status.state is State.STOPPING


def test_a_killed_uploader_goes_on_where_it_was(spool: Spool, tmp_path: Path) -> None:
    store = DirectoryStore.create(tmp_path / "store")
    for number in range(3):
        make_ready(spool, OWNER, number)
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, spool.root, store.root], stdout=subprocess.PIPE
    ) as service:
        eventually(lambda: any(DirectoryStore(store.root).list("")), "the first object is there")
        service.kill()

    with uploader(spool, ("primary", store)):
        eventually(waiting(spool, 0), "sent")

    assert has(store.root, 3)
    assert verify_recording(store, PREFIX, OWNER.trust).intact


def test_the_uploaders_process_holds_no_code_that_could_read_a_recording() -> None:
    program = "import sys, callseal.uploader.service; print(*sys.modules)"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)

    forbidden = {"callseal.seal.age", "callseal.seal.keyfile", "callseal.codecs"}
    assert not forbidden & set(done.stdout.split())


def test_the_ledger_is_sent_without_waiting_for_the_timer_and_a_fork_is_an_alarm(
    spool: Spool, tmp_path: Path
) -> None:
    """A store that has other bytes under the same number refuses, and gets no more of this history.

    Recordings go on being sent.
    """
    store = DirectoryStore.create(tmp_path / "store")
    clocks = clocks_of(lambda: STARTED_AT, lambda: 0.0)
    ledger = Journal([spool.ledger_path], device=OWNER.device, key=OWNER.device_key, clocks=clocks)
    forked = tmp_path / "store" / "ledger" / OWNER.device / "1.jsonl"
    forked.parent.mkdir(parents=True)
    forked.write_bytes(b"another history")

    with uploader(spool, ("primary", store)):
        eventually(waiting(spool, 0), "the service is up")
        for _ in range(3):
            ledger.append(Kind.HEARTBEAT, open_=0)
            ledger.publish()
        make_ready(spool, OWNER)
        eventually(lambda: alarms(spool) == ["ledger-refused"], "the fork is an alarm")
        eventually(waiting(spool, 0), "the recording is sent")

    assert (forked.parent / "0.jsonl").read_bytes() == (spool.ledger_path / "0.jsonl").read_bytes()
    assert forked.read_bytes() == b"another history"
    assert not (forked.parent / "2.jsonl").exists(), "two histories were mixed"


def test_a_ledger_that_can_not_be_read_stays_an_alarm_until_it_can(spool: Spool, tmp_path: Path) -> None:
    store = DirectoryStore.create(tmp_path / "store")
    away = spool.root / "away"

    with uploader(spool, ("primary", store), orders=Orders(scan_s=0.05)):
        eventually(waiting(spool, 0), "the service is up")
        spool.ledger_path.rename(away)
        make_ready(spool, OWNER)
        eventually(lambda: has(store.root, 1), "recordings are sent all the same")
        eventually(lambda: alarms(spool) == ["spool-failed"], "and the alarm stands")
        status = status_of(spool)
        away.rename(spool.ledger_path)
        make_ready(spool, OWNER, 1)
        eventually(lambda: has(store.root, 2), "another one sent")
        eventually(lambda: alarms(spool) == [], "the alarm is over")

    assert status is not None
    assert "ledger" in status.alarms[0].detail


def test_a_second_spool_that_is_not_there_is_an_alarm_and_the_first_is_sent(
    spool: Spool, tmp_path: Path
) -> None:
    store = DirectoryStore.create(tmp_path / "store")
    make_ready(spool, OWNER)

    with uploader(spool, ("primary", store), others=[tmp_path / "unmounted"]):
        eventually(lambda: has(store.root, 1), "sent")
        eventually(waiting(spool, 0), "and that is known")
        status = status_of(spool)

    assert status is not None
    assert [alarm.code for alarm in status.alarms] == ["spool-failed"]
    assert "unmounted" in status.alarms[0].detail


def test_what_a_custodian_vouches_for_is_cleared_and_nothing_else(spool: Spool, tmp_path: Path) -> None:
    store = DirectoryStore.create(tmp_path / "store")
    vouched, other = make_ready(spool, OWNER, 0), make_ready(spool, OWNER, 1)

    with uploader(spool, ("primary", store)):
        eventually(lambda: has(store.root, 2), "both sent")
        give_receipt(OWNER, vouched, store)
        eventually(lambda: counters(spool).get("cleared") == 1, "one cleared")
        left = counters(spool)

    assert list(spool.ready()) == [other]
    assert left["unreceipted_now"] == 1
    assert left["local_bytes_now"] > 0
    assert FIRST_POLL_S < PATIENCE_S


def test_a_stop_does_not_wait_for_what_is_being_sent(spool: Spool, tmp_path: Path) -> None:
    """A long recording on a slow line: it goes on next time, from the part at which it was."""
    store = FaultyStore(PartsStore(tmp_path))
    ready(spool, OWNER, audio=long_sound())
    slow = Orders(scan_s=NEVER_S, kbit_s=8, connections=1)

    with uploader(spool, ("primary", store), orders=slow) as stop:
        eventually(lambda: len(store.asked("put_part")) == 1, "the first part goes")
        begun_s = time.monotonic()
        stop.set()
        eventually(lambda: (status_of(spool) or never()).state is State.STOPPING, "it has stopped")
        took_s = time.monotonic() - begun_s
    with uploader(spool, ("primary", store)):
        eventually(waiting(spool, 0), "sent")

    assert took_s < STOP_S
    assert len(store.asked("begin_parts")) == 1
    assert verify_recording(store, PREFIX, OWNER.trust).intact


def test_nothing_is_sent_while_a_call_is_recorded_if_the_settings_say_so(
    spool: Spool, tmp_path: Path
) -> None:
    store = DirectoryStore.create(tmp_path / "store")
    make_ready(spool, OWNER)
    call = spool.begin(recording_id(7))

    with uploader(spool, ("primary", store), orders=Orders(scan_s=NEVER_S, pause_during_calls=True)):
        eventually(waiting(spool, 1), "it waits")
        during = has(store.root, 0)
        call.discard()
        eventually(lambda: has(store.root, 1), "sent once the call is over")

    assert during


def test_hours_limit_the_bandwidth(spool: Spool, tmp_path: Path) -> None:
    store = FaultyStore(PartsStore(tmp_path))
    make_ready(spool, OWNER)
    all_day = Limit.between("00:00", "00:00", 1)

    with uploader(spool, ("primary", store), orders=Orders(scan_s=NEVER_S, limits=(all_day,))):
        eventually(lambda: bool(store.asked("put")), "it began")
        eventually(waiting(spool, 1), "and crawls")

    assert not has(tmp_path / "store", 1)


def test_markers_of_former_versions_are_removed_and_all_is_sent_once_more(
    spool: Spool, tmp_path: Path
) -> None:
    store = DirectoryStore.create(tmp_path / "store")
    bundle = make_ready(spool, OWNER)
    marker = spool.root / "sent" / "primary" / f"{bundle.id}.json"
    marker.parent.mkdir(parents=True)
    marker.write_bytes(b"{}")

    with uploader(spool, ("primary", store)):
        eventually(lambda: has(store.root, 1), "sent")

    assert not marker.parent.exists()


def test_a_damaged_queue_is_set_aside_and_made_again(spool: Spool, tmp_path: Path) -> None:
    store = DirectoryStore.create(tmp_path / "store")
    for number in range(3):
        make_ready(spool, OWNER, number)
    with uploader(spool, ("primary", store)):
        eventually(waiting(spool, 0), "sent")
    (spool.root / "upload" / "queue.sqlite3").write_bytes(b"not a database" * 1000)

    with uploader(spool, ("primary", store)):
        eventually(lambda: counters(spool).get("sent") == 3, "sent once more")
        eventually(lambda: alarms(spool) == ["queue-failed"], "and told")

    assert has(store.root, 3)
    assert (spool.root / "upload" / "queue.sqlite3.broken-1").exists()


def test_a_bug_in_one_thread_ends_the_service(spool: Spool, tmp_path: Path) -> None:
    """Half a service that looks whole is worse than none, which is noticed."""
    store = FaultyStore(PartsStore(tmp_path))
    make_ready(spool, OWNER)
    sites = [Site(name="primary", store=NotAStore(store))]  # type: ignore[arg-type]

    with pytest.raises(ZeroDivisionError):
        run([spool.root], sites, JUDGE, Orders(), threading.Event())

    status = status_of(spool)
    assert status is not None
    assert status.state is State.FAILED


def test_stores_that_fail_now_and_then_get_everything_in_the_end(spool: Spool, tmp_path: Path) -> None:
    store = FaultyStore(PartsStore(tmp_path))
    store.fail("put", *[Moment.AFTER, None, Moment.BEFORE, None, Moment.HALF] * 2)
    for number in range(5):
        make_ready(spool, OWNER, number)

    with uploader(spool, ("primary", store)):
        eventually(waiting(spool, 0), "all sent")

    assert has(tmp_path / "store", 5)
    assert len(list(store.list("recordings/"))) == 20


class NotAStore:
    """What no store may do: raise an error that is none of a store's."""

    def __init__(self, store: FaultyStore) -> None:
        self.capabilities = store.capabilities

    def put(self, *_: object, **__: object) -> str:
        raise ZeroDivisionError


def never() -> Status:
    raise AssertionError("there is no status")
