"""How often a child may die before calls do not wait for the next one."""

from callseal.agent.sources.bridge.deaths import MANY, PAUSE_S, WINDOW_S, Deaths


def after(*at_s: float) -> Deaths:
    deaths = Deaths()
    for one_s in at_s:
        deaths.add(one_s)
    return deaths


def test_a_few_deaths_cost_no_time() -> None:
    deaths = after(*range(MANY - 1))

    assert not deaths.are_many(MANY)
    assert deaths.pause_s(MANY) == 0


def test_many_within_a_minute_are_followed_by_a_pause() -> None:
    deaths = after(*range(MANY))

    assert deaths.are_many(MANY)
    assert deaths.pause_s(MANY) == PAUSE_S


def test_as_many_in_a_longer_time_are_not() -> None:
    deaths = after(*(number * (WINDOW_S + 1) / (MANY - 1) for number in range(MANY)))

    assert not deaths.are_many(WINDOW_S + 1)


def test_they_are_forgotten_after_a_minute() -> None:
    deaths = after(*range(MANY))

    assert deaths.are_many(WINDOW_S)
    assert not deaths.are_many(WINDOW_S + 0.1)
