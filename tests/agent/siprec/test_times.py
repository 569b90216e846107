"""Times as gateways write them."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.agent.siprec.times import read_time

NINE = datetime(2026, 3, 2, 9, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-02T09:15:00Z",
        "2026-03-02T09:15:00z",
        "2026-03-02t09:15:00Z",
        " 2026-03-02T09:15:00Z\n",
        "2026-03-02 09:15:00 Z",
        "2026-03-02T12:15:00+0300",
        "2026-03-02T12:15:00+03:00",
        "2026-03-02T12:15:00+03",
        "2026-03-02T17:15:00.000+08:00",
        "2026-03-02T03:15:00-06:00",
        "2026-03-02T09:15Z",
    ],
)
def test_a_time_with_a_zone_is_the_same_moment_however_it_is_written(text: str) -> None:
    assert read_time(text) == (NINE, "")


def test_a_time_without_a_zone_is_taken_as_utc_and_said_to_be() -> None:
    assert read_time("2026-03-02T09:15:00") == (NINE, "a time has no zone; it was taken as UTC")


@pytest.mark.parametrize(
    ("text", "microsecond"),
    [
        ("2026-03-02T09:15:00.5Z", 500_000),
        ("2026-03-02T09:15:00,25Z", 250_000),
        ("2026-03-02T09:15:00.123456789Z", 123_456),
    ],
)
def test_a_fraction_of_any_length_counts_to_the_microsecond(text: str, microsecond: int) -> None:
    assert read_time(text).time == NINE.replace(microsecond=microsecond)


def test_a_leap_second_is_the_last_moment_of_its_minute() -> None:
    assert read_time("2026-06-30T23:59:60Z").time == datetime(2026, 6, 30, 23, 59, 59, 999_999, tzinfo=UTC)


@pytest.mark.parametrize("text", ["1970-05-13T03:29:05Z", "1999-12-31T23:59:59Z", "2199-01-01T00:00:00Z"])
def test_a_clock_that_was_not_set_gives_no_time(text: str) -> None:
    assert read_time(text) == (None, "a time is from a clock that was not set")


@pytest.mark.parametrize(
    "text",
    [
        "yesterday",
        "2026-13-02T09:15:00Z",
        "2026-02-30T09:15:00Z",
        "2026-03-02T25:15:00Z",
        "2026-03-02",
        "9" * 500,
        "2026-03-02T09:15:00+99:00",
        "２０２６-03-02T09:15:00Z",
    ],
)
def test_what_is_no_time_gives_none(text: str) -> None:
    assert read_time(text) == (None, "a time is none")


def test_a_time_that_is_not_told_is_nothing_odd() -> None:
    assert read_time("  ") == (None, "")


@given(st.text(alphabet="0123456789-:.TZ+ ", max_size=40) | st.datetimes().map(datetime.isoformat))
def test_any_text_is_read_without_an_error(text: str) -> None:
    time = read_time(text).time

    assert time is None or 1999 <= time.year <= 2100
