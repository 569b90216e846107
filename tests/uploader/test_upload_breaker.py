"""The breaker: a site that is down is left alone, probed by one request at a time, and found again."""

from callseal.uploader.breaker import DENIED_AGAIN_S, FAILURES_TO_OPEN, Breaker, Position
from callseal.uploader.retry import FIRST_WAIT_S, LONGEST_WAIT_S


def opened(now_s: float = 0.0) -> Breaker:
    breaker = Breaker()
    for _ in range(FAILURES_TO_OPEN):
        breaker = breaker.failed(now_s, 1.0)
    return breaker


def test_one_lost_connection_stops_nothing() -> None:
    breaker = Breaker()
    for _ in range(FAILURES_TO_OPEN - 1):
        breaker = breaker.failed(0.0, 1.0)

    assert breaker.admits(0.0)


def test_failures_count_only_in_a_row() -> None:
    breaker = Breaker()
    for _ in range(10):
        breaker = breaker.failed(0.0, 1.0).succeeded()

    assert breaker == Breaker()


def test_several_failures_in_a_row_open_it_for_a_while() -> None:
    breaker = opened()

    assert breaker.position is Position.OPEN
    assert not breaker.admits(FIRST_WAIT_S / 2)
    assert breaker.admits(FIRST_WAIT_S)


def test_an_open_breaker_admits_one_probe_and_no_second() -> None:
    probing = opened().begun()

    assert probing.position is Position.PROBING
    assert not probing.admits(1e9)


def test_a_probe_that_succeeds_closes_it() -> None:
    assert opened().begun().succeeded().admits(0.0)


def test_each_probe_that_fails_opens_it_for_longer_up_to_a_limit() -> None:
    breaker, waits = opened(), []
    for _ in range(20):
        breaker = breaker.begun().failed(0.0, 1.0)
        waits.append(breaker.not_before_s)

    assert waits[:3] == [2 * FIRST_WAIT_S, 4 * FIRST_WAIT_S, 8 * FIRST_WAIT_S]
    assert waits[-1] == LONGEST_WAIT_S


def test_a_probe_that_says_nothing_of_the_site_leaves_room_for_another() -> None:
    breaker = opened().begun().withdrawn()

    assert breaker.admits(FIRST_WAIT_S)


def test_what_began_before_it_opened_does_not_keep_it_open_for_longer() -> None:
    breaker = opened()

    assert breaker.failed(100.0, 1.0) == breaker


def test_an_account_that_was_denied_is_tried_again_slowly() -> None:
    breaker = Breaker().denied(0.0)

    assert not breaker.admits(DENIED_AGAIN_S - 1)
    assert breaker.admits(DENIED_AGAIN_S)
