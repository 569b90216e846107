"""Waits between tries: drawn from nothing to a limit that doubles and has an end."""

from hypothesis import given
from hypothesis import strategies as st

from callseal.uploader.retry import FIRST_WAIT_S, LONGEST_WAIT_S, limit_s, wait_s


@given(st.integers(min_value=1, max_value=10_000), st.floats(min_value=0, max_value=1))
def test_a_wait_is_drawn_between_nothing_and_a_limit_that_doubles(failures: int, random: float) -> None:
    limit = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(failures - 1, 40))

    wait = wait_s(failures, random)

    assert limit_s(failures) == limit
    assert wait == random * limit


def test_the_first_and_the_longest_wait_can_be_others() -> None:
    assert [limit_s(failures, first_s=10.0, longest_s=35.0) for failures in (1, 2, 3)] == [10.0, 20.0, 35.0]
