"""Room: how long the disk lasts, if it goes on filling as it did in the last 24 hours."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.seal.disk import Disk
from callseal.seal.errors import SpoolError
from callseal.seal.spool import Spool
from callseal.uploader.room import (
    LONGEST_S,
    SAMPLE_EVERY_S,
    WINDOW_S,
    Arrival,
    Growth,
    Room,
    Sample,
    lasts_s,
)
from support.sealed_recordings import make_ready, organisation

OWNER = organisation()
GIB = 1 << 30
HOUR_S = 3600.0


def growth(*samples: tuple[float, int]) -> Growth:
    found = Growth()
    for at_s, used_bytes in samples:
        found.add(Sample(at_s=at_s, used_bytes=used_bytes))
    return found


def test_a_disk_that_fills_evenly_lasts_as_long_as_its_room_at_that_rate() -> None:
    found = growth(*((minute * 60.0, minute * 6000) for minute in range(120)))

    assert found.bytes_s() == pytest.approx(100)
    assert lasts_s(found, 360_000) == pytest.approx(HOUR_S)


@pytest.mark.parametrize("samples", [(), ((0.0, 5),), ((0.0, 5), (HOUR_S, 5)), ((0.0, 9), (HOUR_S, 5))])
def test_a_disk_that_is_not_filling_has_no_end(samples: tuple[tuple[float, int], ...]) -> None:
    found = growth(*samples)

    assert found.bytes_s() is None
    assert lasts_s(found, GIB) is None


def test_a_disk_without_room_lasts_no_longer_whatever_it_does() -> None:
    assert lasts_s(growth(), 0) == 0
    assert lasts_s(growth((0.0, 0), (HOUR_S, 1000)), 0) == 0


def test_nobody_is_told_of_centuries() -> None:
    found = growth((0.0, 0), (WINDOW_S, 1))

    assert lasts_s(found, GIB) is None
    assert lasts_s(growth((0.0, 0), (WINDOW_S, GIB)), GIB) == pytest.approx(WINDOW_S)
    assert LONGEST_S > WINDOW_S


def test_what_happened_before_the_last_24_hours_does_not_count() -> None:
    """A full day of rest after a day of 100 GiB: it is not filling."""
    busy = [(hour * HOUR_S, hour * 4 * GIB) for hour in range(25)]
    rest = [((24 + hour) * HOUR_S, 96 * GIB) for hour in range(1, 25)]

    assert growth(*busy).bytes_s() == pytest.approx(4 * GIB / HOUR_S)
    assert growth(*busy, *rest).bytes_s() is None


def test_what_came_before_the_start_counts_as_if_it_had_been_seen() -> None:
    found = Growth()
    arrivals = [Arrival(age_s=hour * HOUR_S, size_bytes=GIB) for hour in range(24)]

    found.begin(Sample(at_s=5.0, used_bytes=100 * GIB), arrivals)

    assert found.bytes_s() == pytest.approx(24 * GIB / WINDOW_S)


def test_what_came_before_the_start_leaves_the_window_in_its_time() -> None:
    found = Growth()
    found.begin(Sample(at_s=0.0, used_bytes=10 * GIB), [Arrival(age_s=20 * HOUR_S, size_bytes=GIB)])
    before = found.bytes_s()

    found.add(Sample(at_s=5 * HOUR_S, used_bytes=10 * GIB))

    assert before == pytest.approx(GIB / WINDOW_S)
    assert found.bytes_s() is None


@pytest.mark.parametrize("age_s", [-5.0, WINDOW_S, 10 * WINDOW_S])
def test_what_came_earlier_than_today_or_seems_to_come_from_the_future_is_left_out(age_s: float) -> None:
    found = Growth()

    found.begin(Sample(at_s=0.0, used_bytes=GIB), [Arrival(age_s=age_s, size_bytes=GIB)])

    assert found.bytes_s() is None


def test_a_week_of_samples_every_five_seconds_fills_no_memory() -> None:
    """What is known after a week is what a day's samples say, whatever came in between."""
    found = Growth()
    for number in range(7 * 24 * 720):
        found.add(Sample(at_s=number * 5.0, used_bytes=number))

    assert found.count <= WINDOW_S / SAMPLE_EVERY_S * 1.1 + 2
    assert found.bytes_s() == pytest.approx(0.2, rel=0.01)


@given(st.lists(st.tuples(st.floats(0, 40_000), st.integers(0, 1 << 50)), max_size=40))
def test_whatever_the_samples_the_answer_is_a_time_or_none(steps: list[tuple[float, int]]) -> None:
    found, at_s = Growth(), 0.0
    for wait_s, used_bytes in steps:
        at_s += wait_s
        found.add(Sample(at_s=at_s, used_bytes=used_bytes))

    answer = lasts_s(found, GIB)

    assert answer is None or 0 <= answer <= LONGEST_S


def test_a_machine_that_slept_for_days_fills_while_it_is_awake() -> None:
    found = growth((0.0, 0), (3 * WINDOW_S, 24 * GIB))

    assert found.bytes_s() == pytest.approx(24 * GIB / WINDOW_S)


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool.create(tmp_path / "spool")


def room(spool: Spool, clock: list[float], full_percent: int = 100, min_free_bytes: int = 0) -> Room:
    return Room(spool, full_percent=full_percent, min_free_bytes=min_free_bytes, clock=lambda: clock[0])


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Say how much of the disk of 100 GiB is used; nothing in the list: it does not answer."""
    found = [40 * GIB]

    def of(folder: Path) -> Disk:
        if not found:
            raise SpoolError(f"{folder}: no answer")
        return Disk(used_bytes=found[-1], free_bytes=100 * GIB - found[-1])

    monkeypatch.setattr(Disk, "of", of)
    return found


def test_before_the_first_sample_nothing_is_said(spool: Spool) -> None:
    found = room(spool, [0.0])

    assert (found.fill_percent, found.lasts_s) == (None, None)


def test_the_disk_under_the_spool_is_asked(spool: Spool) -> None:
    found = room(spool, [0.0])

    found.take_sample()

    assert found.fill_percent is not None
    assert abs(found.fill_percent - Disk.of(spool.root).used_percent) <= 1


def test_full_is_where_the_agent_takes_no_more(spool: Spool, used: list[int]) -> None:
    clock = [0.0]
    by_share, by_room = room(spool, clock, full_percent=95), room(spool, clock, min_free_bytes=20 * GIB)
    for one in (by_share, by_room):
        one.take_sample()
    clock[0] += HOUR_S
    used.append(50 * GIB)
    for one in (by_share, by_room):
        one.take_sample()

    assert (by_share.fill_percent, by_share.lasts_s) == (50, 4.5 * HOUR_S)
    assert by_room.lasts_s == 3 * HOUR_S


def test_a_disk_that_does_not_answer_is_told_and_nothing_is_said_of_it(spool: Spool, used: list[int]) -> None:
    found = room(spool, [0.0])
    found.take_sample()
    used.clear()

    with pytest.raises(SpoolError, match="no answer"):
        found.take_sample()

    assert (found.fill_percent, found.lasts_s) == (None, None)


def test_at_the_start_recordings_tell_by_their_folders_when_they_came(spool: Spool, used: list[int]) -> None:
    clock, now_s = [0.0], 1_800_000_000.0
    with spool.lock():
        bundles = [make_ready(spool, OWNER, number) for number in range(4)]
    for bundle, age_s in zip(bundles, (HOUR_S, 23 * HOUR_S, 25 * HOUR_S, -HOUR_S), strict=True):
        os.utime(bundle.path, (now_s - age_s, now_s - age_s))
    taken_bytes = sum(path.stat().st_blocks * 512 for one in bundles[:2] for path in one.path.iterdir())
    found = room(spool, clock, min_free_bytes=60 * GIB - taken_bytes)

    found.begin(now_s)

    assert used == [40 * GIB]
    assert found.lasts_s == pytest.approx(WINDOW_S, abs=1)
