"""How ports and calls are parted among the processes that take sound."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.agent.media.fleet import shares
from callseal.agent.media.ports import PortTurns


@given(
    first=st.integers(1024, 60_000),
    width=st.integers(1, 5_000),
    calls=st.integers(1, 20_000),
    workers=st.integers(1, 64),
)
def test_every_port_has_one_worker_and_every_worker_has_ports(
    first: int, width: int, calls: int, workers: int
) -> None:
    last = first + width
    whole = PortTurns(first, last).total

    found = shares("127.0.0.1", first, last, calls, workers)

    pairs = [PortTurns(share.first_port, share.last_port).total for share in found]
    assert sum(pairs) == whole
    assert max(pairs) - min(pairs) <= 1
    assert len(found) == max(1, min(workers, whole, calls))
    assert sum(share.max_calls for share in found) == calls
    for before, after in pairwise(found):
        assert before.last_port < after.first_port
        assert after.first_port % 2 == 0
    assert found[0].first_port >= first
    assert found[-1].last_port <= last


@pytest.mark.parametrize("workers", [2, 64])
def test_no_worker_stands_idle_for_want_of_ports(workers: int) -> None:
    found = shares("127.0.0.1", 20_000, 20_001, 100, workers)

    assert len(found) == 1
    assert found[0].max_calls == 100
