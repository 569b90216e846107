"""The uploader as a service: what becomes ready is sent, what can't be waits and is told of."""

import errno
import functools
import os
import signal
import subprocess
import sys
import threading
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
from callseal.store.interface import StoreWriter
from callseal.uploader.service import run
from callseal.uploader.worker import marker_path
from support.chronicles import clocks_of
from support.eventually import PATIENCE_S, eventually
from support.sealed_recordings import STARTED_AT, make_ready, organisation, recording_id

OWNER = organisation()
NEVER_S = 3600.0  # a timer that does not fire: what happens then, the watch has done
PREFIX = f"recordings/{OWNER.device}/2026/11/21/{recording_id()}/"


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    found = Spool.create(tmp_path / "spool")
    with found.lock():
        yield found


@contextmanager
def uploader(
    spool: Spool, *stores: tuple[str, StoreWriter], scan_s: float = NEVER_S, others: Sequence[Path] = ()
) -> Iterator[None]:
    stop, failures = threading.Event(), []

    def target() -> None:
        try:
            run([spool.root, *others], stores, scan_s, stop)
        except Exception as problem:  # noqa: BLE001 - shown below, in the thread that can fail the test
            failures.append(problem)

    thread = threading.Thread(target=target)
    thread.start()
    try:
        yield
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


def waiting(spool: Spool, count: int) -> Callable[[], bool]:
    def holds() -> bool:
        status = status_of(spool)
        return status is not None and status.state is State.READY and status.counters["waiting_now"] == count

    return holds


def has(root: Path, count: int) -> bool:
    return sum(item.name.endswith("/manifest.json") for item in DirectoryStore(root).list("")) == count


def test_what_was_ready_before_the_start_is_sent_to_every_store(spool: Spool, tmp_path: Path) -> None:
    roots = [DirectoryStore.create(tmp_path / name).root for name in ("first", "second")]
    bundles = [make_ready(spool, OWNER, number) for number in range(2)]

    with uploader(spool, *((root.name, DirectoryStore(root)) for root in roots)):
        eventually(waiting(spool, 0), "everything sent")

    for root in roots:
        assert verify_recording(DirectoryStore(root), PREFIX, OWNER.trust).intact
        assert has(root, 2)
        assert all(marker_path(spool, root.name, bundle.id).exists() for bundle in bundles)
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
    bundle = make_ready(spool, OWNER)

    with uploader(spool, ("bad", DirectoryStore(bad)), ("good", good)):
        eventually(lambda: alarms(spool) == ["store-unreachable"], "an alarm")
        eventually(lambda: has(good.root, 1), "the other store has it")
        eventually(waiting(spool, 1), "it waits")
        status = status_of(spool)
        assert status is not None
        assert "bad" in status.alarms[0].detail
        assert not marker_path(spool, "bad", bundle.id).exists()

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
            run([spool.root], [("primary", store)], NEVER_S, threading.Event())


PROGRAM = """
import sys, threading
from pathlib import Path
from callseal.store.directory import DirectoryStore
from callseal.uploader.service import run, stop_on_signals
stop = threading.Event()
stop_on_signals(stop)
run([Path(sys.argv[1])], [("primary", DirectoryStore(Path(sys.argv[2])))], 3600.0, stop)
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

    forbidden = {"callseal.seal.age", "callseal.seal.keyfile", "callseal.seal.keys", "callseal.codecs"}
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

    with uploader(spool, ("primary", store), scan_s=0.05):
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


def test_a_marker_that_the_disk_can_not_show_stops_no_other_recording(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = DirectoryStore.create(tmp_path / "store")
    bad = make_ready(spool, OWNER, 0)
    make_ready(spool, OWNER, 1)
    really = Path.stat

    def stat(path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        if path.name == f"{bad.id}.json":
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return really(path, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(Path, "stat", stat)
    with uploader(spool, ("primary", store)):
        eventually(lambda: has(store.root, 1), "the other one sent")
        eventually(waiting(spool, 1), "the one waits")


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
