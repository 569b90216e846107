"""Times as text: one spelling only, always UTC."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.seal.timestamp import read_time, to_milliseconds, write_time

ZONES = st.integers(min_value=-23 * 60, max_value=23 * 60).map(lambda m: timezone(timedelta(minutes=m)))
TIMES = st.datetimes(min_value=datetime(1000, 1, 2), max_value=datetime(9998, 1, 1), timezones=ZONES)  # noqa: DTZ001 - bounds have no zone


@given(TIMES)
def test_a_time_is_read_as_it_was_written_to_the_millisecond(time: datetime) -> None:
    text = write_time(time)

    assert read_time(text) == to_milliseconds(time)
    assert timedelta(0) <= time - read_time(text) < timedelta(milliseconds=1)


@given(TIMES, TIMES)
def test_texts_sort_as_the_times_do(first: datetime, second: datetime) -> None:
    earlier, later = sorted((to_milliseconds(first), to_milliseconds(second)))

    assert write_time(earlier) <= write_time(later)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-21",
        "2026-11-21T19:00:00Z",
        "2026-11-21T19:00:00.000",
        "2026-11-21T19:00:00.000+00:00",
        "2026-11-21t19:00:00.000z",
        "2026-11-21 19:00:00.000Z",
        "2026-02-30T19:00:00.000Z",
        "2026-11-21T24:00:01.000Z",
        "２０２６-11-21T19:00:00.000Z",
        "2026-11-21T19:00:00.000Z\n",
    ],
)
def test_any_other_spelling_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_time(text)


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        write_time(datetime(2026, 11, 21))  # noqa: DTZ001 - that is the fault


def test_a_time_is_in_utc_when_read() -> None:
    assert read_time("2026-11-21T19:00:00.000Z").tzinfo is UTC
