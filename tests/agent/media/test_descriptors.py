"""How many files this process may open is known before the first call."""

import resource
from collections.abc import Iterator

import pytest

from callseal.agent.media.descriptors import needed, raise_limit

KIND = resource.RLIMIT_NOFILE


@pytest.fixture(autouse=True)
def limits() -> Iterator[tuple[int, int]]:
    before = resource.getrlimit(KIND)
    yield before
    resource.setrlimit(KIND, before)


def test_the_limit_is_raised_to_what_the_calls_need(limits: tuple[int, int]) -> None:
    resource.setrlimit(KIND, (1024, limits[1]))

    allowed = raise_limit(200)

    assert allowed == 200
    assert resource.getrlimit(KIND)[0] == needed(200)


def test_a_limit_that_is_high_enough_stays(limits: tuple[int, int]) -> None:
    resource.setrlimit(KIND, (4000, limits[1]))

    assert raise_limit(100) == 100
    assert resource.getrlimit(KIND)[0] == 4000


def test_where_the_system_allows_less_fewer_calls_are_taken(limits: tuple[int, int]) -> None:
    hard = limits[1] if limits[1] != resource.RLIM_INFINITY else 1 << 20

    allowed = raise_limit(10 * hard)

    assert 0 < allowed < 10 * hard
    assert needed(allowed) <= hard
