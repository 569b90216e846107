"""Who hears whom."""

from callseal.agent.sources.bridge.wiring import paths


def hearers(speaker: str, wanted: list[tuple[str, str]]) -> set[str]:
    return {listener for source, listener in wanted if source == speaker}


def test_before_the_call_the_taps_alone_hear_something() -> None:
    wanted = paths(flowing=False, talk=True)

    taps = {"agent-tap", "customer-tap", "announcement-tap"}
    assert hearers("silence", wanted) == hearers("ramp", wanted) == taps
    assert not hearers("agent", wanted) | hearers("customer", wanted)


def test_in_a_call_each_is_heard_by_the_other_and_its_own_tap() -> None:
    wanted = paths(flowing=True, talk=True)

    assert hearers("agent", wanted) == {"agent-tap", "customer"}
    assert hearers("customer", wanted) == {"customer-tap", "agent"}
    assert hearers("player", wanted) >= {"agent", "customer", "announcement-tap"}


def test_while_talk_is_held_each_is_recorded_and_heard_by_nobody() -> None:
    wanted = paths(flowing=True, talk=False)

    assert hearers("agent", wanted) == {"agent-tap"}
    assert hearers("customer", wanted) == {"customer-tap"}
    assert hearers("player", wanted) >= {"agent", "customer"}


def test_a_newcomer_is_heard_and_recorded_in_place_of_whom_it_replaces() -> None:
    wanted = paths(flowing=True, talk=True, newcomer="agent")

    assert hearers("newcomer", wanted) == {"agent-tap", "customer"}
    assert not hearers("agent", wanted)
    assert hearers("customer", wanted) == {"customer-tap", "agent"}
