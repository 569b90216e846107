"""Pacing: never more than the limit of the hour, nothing during calls if so asked, and an end at once."""

import os
import threading
import time as really
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.seal.spool import AUDIO_NAME, Spool
from callseal.uploader.pacing import (
    AT_ONCE_S,
    BURST_S,
    LOOK_AGAIN_S,
    QUIET_S,
    Limit,
    Pacer,
    RunningCalls,
    Stopped,
    rate_bytes_s,
)
from support.eventually import PATIENCE_S, eventually

NOON = datetime(2026, 11, 21, 12, 0)  # noqa: DTZ001 - a local time, as a clock on the wall shows it
KIB = 1024
KBIT_BYTES = 125  # a kilobit
OFFICE = Limit.between("08:00", "18:30", 2000)
NIGHT = Limit.between("22:00", "06:00", 0)


@dataclass(slots=True, kw_only=True)
class Time:
    """A clock that only sleeping moves."""

    elapsed_s: float = 0.0
    sleeps: list[float] = field(default_factory=list)
    also: Callable[[], object] = lambda: None

    def clock(self) -> float:
        return self.elapsed_s

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.elapsed_s)

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.elapsed_s += seconds
        self.also()


@pytest.fixture
def time() -> Time:
    return Time()


def pacer(
    time: Time,
    kbit_s: int = 0,
    limits: Sequence[Limit] = (),
    *,
    stop: threading.Event | None = None,
    is_paused: Callable[[], bool] = lambda: False,
) -> Pacer:
    return Pacer(
        limits,
        kbit_s,
        clock=time.clock,
        now_local=time.now,
        sleep=time.sleep,
        stop=stop or threading.Event(),
        is_paused=is_paused,
    )


def at(hour: int, minute: int = 0) -> datetime:
    return NOON.replace(hour=hour, minute=minute)


@pytest.mark.parametrize(
    ("when", "kbit_s"),
    [
        (at(7, 59), 500),
        (at(8), 2000),
        (at(18, 29), 2000),
        (at(18, 30), 500),
        (at(21, 59), 500),
        (at(22), 0),
        (at(0), 0),
        (at(5, 59), 0),
        (at(6), 500),
    ],
)
def test_the_hour_says_how_much_may_go_also_over_midnight(when: datetime, kbit_s: int) -> None:
    found = rate_bytes_s([OFFICE, NIGHT], 500, when)

    assert found == (kbit_s * KBIT_BYTES or None)


def test_of_several_limits_the_first_that_fits_counts() -> None:
    lunch = Limit.between("12:00", "13:00", 4000)

    assert rate_bytes_s([lunch, OFFICE], 0, at(12, 30)) == 4000 * KBIT_BYTES
    assert rate_bytes_s([OFFICE, lunch], 0, at(12, 30)) == 2000 * KBIT_BYTES


@pytest.mark.parametrize("hour", range(24))
def test_a_limit_that_ends_when_it_begins_holds_all_day(hour: int) -> None:
    assert rate_bytes_s([Limit.between("08:00", "08:00", 10)], 0, at(hour)) == 10 * KBIT_BYTES


@pytest.mark.parametrize(
    ("begin", "end", "kbit_s"),
    [("24:00", "08:00", 1), ("08:00", "25:61", 1), ("x", "08:00", 1), ("08:00", "09:00", -1)],
)
def test_what_is_no_limit_is_refused(begin: str, end: str, kbit_s: int) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        Limit.between(begin, end, kbit_s)


def test_without_a_limit_nothing_waits(time: Time) -> None:
    pace = pacer(time)

    for _ in range(1000):
        pace(1 << 30)

    assert time.sleeps == []


def test_a_long_transfer_takes_the_time_that_its_limit_says(time: Time) -> None:
    pace = pacer(time, 2000)

    for _ in range(100):
        pace(64 * KIB)

    # The last piece has gone, and is not waited for.
    assert time.elapsed_s == pytest.approx(99 * 64 * KIB / (2000 * KBIT_BYTES))


@given(
    st.lists(st.tuples(st.integers(1, 200_000), st.floats(0, 5)), min_size=1, max_size=60),
    st.integers(8, 50_000),
)
def test_in_no_span_of_time_goes_more_than_the_limit_and_a_small_burst(
    pieces: list[tuple[int, float]], kbit_s: int
) -> None:
    time = Time()
    pace = pacer(time, kbit_s)
    gone = []
    for size_bytes, idle_s in pieces:
        time.elapsed_s += idle_s
        pace(size_bytes)
        gone.append((time.elapsed_s, size_bytes))

    rate = kbit_s * KBIT_BYTES
    for number, (begin_s, _size) in enumerate(gone):
        total_bytes = 0
        for at_s, size_bytes in gone[number:]:
            # Of the piece that opens or closes a span all is counted: it goes as one.
            limit_bytes = rate * (at_s - begin_s + BURST_S + AT_ONCE_S)
            assert total_bytes <= limit_bytes * (1 + 1e-6) + 1
            total_bytes += size_bytes


def test_after_an_idle_hour_no_more_than_a_small_burst_goes_at_once(time: Time) -> None:
    pace = pacer(time, 800)  # 100,000 bytes a second
    pace(1)
    time.elapsed_s += 3600

    for _ in range(20):
        pace(1000)

    assert time.elapsed_s - 3600 == pytest.approx(0.1 - BURST_S + 9 * 0.01, abs=0.011)


def test_a_limit_that_ends_while_somebody_waits_lets_him_go(time: Time) -> None:
    """A piece of a day that was promised to the line is not waited for once the line is free."""
    pace = pacer(time, 0, [Limit.between("11:00", "12:01", 1)])
    pace(1 << 30)

    pace(1)

    assert 60 <= time.elapsed_s < 60 + LOOK_AGAIN_S


def test_a_limit_that_begins_counts_from_its_minute_on(time: Time) -> None:
    pace = pacer(time, 0, [Limit.between("12:01", "13:00", 80)])
    for _ in range(10):
        pace(1 << 20)
    time.elapsed_s += 60

    pace(10_000)
    pace(10_000)

    assert time.elapsed_s == pytest.approx(61 - BURST_S)


def test_threads_share_one_limit() -> None:
    time, lock = Time(), threading.Lock()
    gone: list[int] = []
    pace = pacer(time, 8000)

    def send() -> None:
        for _ in range(50):
            pace(10_000)
            with lock:
                gone.append(10_000)

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)

    assert sum(gone) == 2_000_000
    assert time.elapsed_s == pytest.approx((2_000_000 - 10_000) / (8000 * KBIT_BYTES))


def test_nothing_goes_during_a_call_and_everything_after_it(time: Time) -> None:
    pace = pacer(time, is_paused=lambda: time.elapsed_s < 90)

    pace(1)

    assert 90 <= time.elapsed_s <= 90 + LOOK_AGAIN_S
    assert not pace.paused


def test_a_call_that_begins_while_a_piece_waits_for_its_turn_comes_first(time: Time) -> None:
    pace = pacer(time, 8, is_paused=lambda: 2 <= time.elapsed_s < 30)
    pace(5000)

    pace(1)

    assert 30 <= time.elapsed_s <= 30 + LOOK_AGAIN_S


def test_no_sleep_is_longer_than_a_look_may_be_late(time: Time) -> None:
    pace = pacer(time, 1)
    pace(100_000)

    pace(1)

    assert max(time.sleeps) <= LOOK_AGAIN_S


@pytest.mark.parametrize("paused", [False, True])
def test_whoever_waits_is_let_out_as_soon_as_the_service_is_to_end(time: Time, *, paused: bool) -> None:
    stop = threading.Event()
    pace = pacer(time, 1, stop=stop, is_paused=lambda: paused and time.elapsed_s > 0)
    pace(1 << 20)
    time.also = stop.set

    with pytest.raises(Stopped):
        pace(1)

    assert len(time.sleeps) == 1
    with pytest.raises(Stopped):
        pace(1)


def test_many_that_wait_are_all_let_out_without_waiting_for_their_sleep() -> None:
    """By real time: a stop wakes who sleeps, and those behind him."""
    stop, ended = threading.Event(), []
    elapsed = Time()
    pace = Pacer([], 1, clock=elapsed.clock, now_local=elapsed.now, stop=stop)
    pace(1 << 30)

    def send() -> None:
        try:
            pace(1)
        except Stopped:
            ended.append(1)

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    stop.set()
    for thread in threads:
        thread.join(PATIENCE_S)

    assert sum(ended) == 8


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool.create(tmp_path / "spool")


def open_call(spool: Spool, name: str = "call", *, written_at_s: float) -> Path:
    """Leave a recording in the making whose newest file was written then."""
    folder = spool.root / "open" / name
    folder.mkdir()
    (folder / AUDIO_NAME).write_bytes(b"sound")
    touch(folder, written_at_s)
    return folder


def touch(folder: Path, at_s: float) -> None:
    for path in (*folder.iterdir(), folder):
        os.utime(path, (at_s, at_s))


@dataclass(slots=True, kw_only=True)
class Clocks:
    """The clock that never goes back and the one that files go by."""

    elapsed_s: float = 0.0
    now_s: float = 1_800_000_000.0


def watch(spool: Spool, clocks: Clocks) -> RunningCalls:
    return RunningCalls([spool.root], clock=lambda: clocks.elapsed_s, now_s=lambda: clocks.now_s)


def test_a_call_is_seen_when_it_begins_and_when_it_is_over(spool: Spool) -> None:
    clocks = Clocks()
    calls = watch(spool, clocks)
    before = calls()
    folder = open_call(spool, written_at_s=clocks.now_s)
    clocks.elapsed_s += LOOK_AGAIN_S
    during = calls()
    folder.rename(spool.ready_path / "call")
    clocks.elapsed_s += LOOK_AGAIN_S

    assert (before, during, calls()) == (False, True, False)


def test_the_spool_is_looked_into_at_most_twice_a_second(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[str] = []
    clocks = Clocks()
    calls = watch(spool, clocks)
    really_look = os.scandir

    def look(path: str) -> "os._ScandirIterator[str]":
        looks.append(path)
        return really_look(path)

    monkeypatch.setattr(os, "scandir", look)

    for _ in range(1000):
        calls()
        clocks.elapsed_s += 0.01

    assert len(looks) == 20


def test_a_recording_that_a_dead_agent_left_does_not_stop_the_uploads_for_ever(spool: Spool) -> None:
    clocks = Clocks()
    open_call(spool, written_at_s=clocks.now_s - QUIET_S - 1)

    assert not watch(spool, clocks)()


def test_of_a_call_whose_folder_is_old_the_newest_file_counts(spool: Spool) -> None:
    clocks = Clocks()
    folder = open_call(spool, written_at_s=clocks.now_s - 3600)
    os.utime(folder / AUDIO_NAME, (clocks.now_s - 1, clocks.now_s - 1))
    open_call(spool, "another", written_at_s=clocks.now_s - 3600)

    assert watch(spool, clocks)()


def test_a_spool_that_can_not_be_read_holds_nothing_up(spool: Spool, tmp_path: Path) -> None:
    clocks = Clocks()
    calls = RunningCalls(
        [tmp_path / "nothing", spool.root], clock=lambda: clocks.elapsed_s, now_s=lambda: clocks.now_s
    )
    before = calls()
    open_call(spool, written_at_s=clocks.now_s)
    clocks.elapsed_s += LOOK_AGAIN_S

    assert (before, calls()) == (False, True)


def test_a_file_among_the_calls_is_none(spool: Spool) -> None:
    (spool.root / "open" / "note").write_bytes(b"")
    clocks = Clocks(now_s=(spool.root / "open" / "note").stat().st_mtime)

    assert not watch(spool, clocks)()


def test_a_real_wait_ends_when_a_call_does(spool: Spool) -> None:
    """With the clocks of this machine, as the service does."""
    stop, gone = threading.Event(), threading.Event()
    folder = open_call(spool, written_at_s=really.time())
    calls = RunningCalls([spool.root], clock=really.monotonic, now_s=really.time)
    pace = Pacer([], 0, clock=really.monotonic, now_local=datetime.now, stop=stop, is_paused=calls)

    def send() -> None:
        pace(1)
        gone.set()

    thread = threading.Thread(target=send)
    thread.start()
    waited = not gone.is_set()
    folder.rename(spool.ready_path / "call")
    eventually(gone.is_set, "the piece goes")
    thread.join(PATIENCE_S)

    assert waited
