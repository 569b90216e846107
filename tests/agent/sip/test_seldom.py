"""What is told seldom."""

from callseal.agent.sip.seldom import INTERVAL_S, MAX_REMEMBERED, Seldom


def test_a_stranger_is_told_of_once_a_minute() -> None:
    seldom = Seldom()
    times_s = [0.0, 0.1, INTERVAL_S - 0.1, INTERVAL_S, INTERVAL_S + 1, 2 * INTERVAL_S]

    told = [seldom.is_due("192.0.2.1", now_s) for now_s in times_s]

    assert told == [True, False, False, True, False, True]


def test_each_address_is_told_of_by_itself() -> None:
    seldom = Seldom()

    told = [seldom.is_due(host, 5.0) for host in ("192.0.2.1", "192.0.2.2", "192.0.2.1")]

    assert told == [True, True, False]


def test_a_million_invented_addresses_fill_neither_the_log_nor_the_memory() -> None:
    seldom = Seldom()

    told = sum(seldom.is_due(str(number), number / 1e6) for number in range(10 * MAX_REMEMBERED))

    assert told == MAX_REMEMBERED


def test_after_a_flood_is_over_others_are_told_of_again() -> None:
    seldom = Seldom()
    for number in range(2 * MAX_REMEMBERED):
        seldom.is_due(str(number), 0.0)

    is_due = seldom.is_due("192.0.2.1", INTERVAL_S)

    assert is_due
