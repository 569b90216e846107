"""Whatever is lost on the way, and however many proxies there are: calls begin, end and leave nothing."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callseal.agent.sip.events import Ended, How, Invited
from callseal.agent.sip.flow import Transport
from support.proxy_chain import Chain, HopScript, accept, hesitate, refuse

UDP, TCP = Transport.UDP, Transport.TCP
SCRIPTS = list(itertools.product((True, False), repeat=4))
SOME = st.lists(st.booleans(), max_size=8).filter(lambda script: sum(script) <= 2)
"""A 2xx is sent ten times, from end to end: eight losses, wherever they are, leave one that arrives and whose
ACK arrives."""
ENDS_S = 400.0


def call(chain: Chain, *, talk_s: float = 40.0) -> None:
    """Have the caller call, and hang up a while after."""
    chain.plan(0.0, lambda now_s: chain.caller.ask("INVITE", now_s))
    chain.plan(talk_s, lambda now_s: chain.caller.ask("BYE", now_s))
    chain.run(ENDS_S)


def check_call(chain: Chain) -> None:
    """Check that the call was one, on both sides."""
    assert set(chain.caller.finals["INVITE"]) == {200}
    assert chain.caller.finals["BYE"] == [200]
    assert sum(isinstance(event, Invited) for event in chain.events) == 1
    assert [event.how for event in chain.events if isinstance(event, Ended)] == [How.BYE]
    assert chain.is_empty


@pytest.mark.parametrize("first", [UDP, TCP])
@pytest.mark.parametrize("second", [UDP, TCP])
def test_without_losses_a_call_takes_as_many_messages_as_it_needs(
    first: Transport, second: Transport
) -> None:
    chain = Chain([HopScript(first), HopScript(second)], answer=accept)

    call(chain)

    check_call(chain)
    assert [response.status for response in chain.caller.heard] == [100, 200, 200]
    assert chain.proxies[0].counts.resent == 0


@pytest.mark.parametrize("script", SCRIPTS, ids=str)
@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("other", [UDP, TCP])
def test_a_call_survives_losses_on_either_side_both_ways(
    script: tuple[bool, ...], place: int, other: Transport
) -> None:
    hop = HopScript(lost_ahead=script) if place % 2 else HopScript(lost_back=script)
    hops = [hop, HopScript(other)] if place < 2 else [HopScript(other), hop]
    chain = Chain(hops, answer=accept)

    call(chain)

    check_call(chain)


@pytest.mark.parametrize("script", SCRIPTS, ids=str)
@pytest.mark.parametrize("place", range(4))
def test_a_refusal_survives_losses_on_either_side_both_ways(script: tuple[bool, ...], place: int) -> None:
    hop = HopScript(lost_ahead=script) if place % 2 else HopScript(lost_back=script)
    chain = Chain([hop, HopScript()] if place < 2 else [HopScript(), hop], answer=refuse)
    chain.plan(0.0, lambda now_s: chain.caller.ask("INVITE", now_s))

    chain.run(ENDS_S)

    assert set(chain.caller.finals["INVITE"]) == {486}
    assert sum(isinstance(event, Invited) for event in chain.events) == 1
    assert chain.is_empty


@pytest.mark.parametrize("script", SCRIPTS, ids=str)
@pytest.mark.parametrize("place", range(4))
def test_a_cancel_survives_losses_on_either_side_both_ways(script: tuple[bool, ...], place: int) -> None:
    hop = HopScript(lost_ahead=script) if place % 2 else HopScript(lost_back=script)
    chain = Chain([hop, HopScript()] if place < 2 else [HopScript(), hop], answer=hesitate)
    chain.plan(0.0, lambda now_s: chain.caller.ask("INVITE", now_s))
    chain.plan(9.0, chain.caller.cancel)

    chain.run(ENDS_S)

    assert set(chain.caller.finals["INVITE"]) == {487}
    assert set(chain.caller.finals["CANCEL"]) == {200}
    assert [event.how for event in chain.events if isinstance(event, Ended)] == [How.CANCELLED]
    assert chain.is_empty


@pytest.mark.parametrize("proxies", [2, 3, 5])
@pytest.mark.parametrize("answer", [accept, refuse])
def test_proxies_in_a_row_are_as_one(proxies: int, answer: object) -> None:
    transports = itertools.cycle((UDP, TCP))
    hops = [HopScript(next(transports), lost_ahead=[True], lost_back=[True]) for _ in range(proxies + 1)]
    chain = Chain(hops, answer=accept if answer is accept else refuse)

    if answer is accept:
        call(chain)
        check_call(chain)
    else:
        chain.plan(0.0, lambda now_s: chain.caller.ask("INVITE", now_s))
        chain.run(ENDS_S)
        assert set(chain.caller.finals["INVITE"]) == {486}

    assert chain.is_empty


@settings(max_examples=150, deadline=None)
@given(st.lists(SOME, min_size=4, max_size=4), st.lists(st.sampled_from((UDP, TCP)), min_size=2, max_size=2))
def test_a_call_survives_losses_everywhere(scripts: list[list[bool]], transports: list[Transport]) -> None:
    hops = [
        HopScript(transport, lost_ahead=scripts[2 * number], lost_back=scripts[2 * number + 1])
        for number, transport in enumerate(transports)
    ]
    chain = Chain(hops, answer=accept)

    call(chain)

    check_call(chain)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(SOME, min_size=4, max_size=4),
    st.floats(0.0, 12.0),
    st.floats(0.0, 12.0),
)
def test_a_cancel_that_crosses_a_2xx_leaves_both_sides_agreed(
    scripts: list[list[bool]], cancel_s: float, accept_s: float
) -> None:
    hops = [HopScript(lost_ahead=scripts[0], lost_back=scripts[1])]
    hops.append(HopScript(lost_ahead=scripts[2], lost_back=scripts[3]))
    chain = Chain(
        hops,
        answer=lambda endpoint, invited, now_s: chain.plan(
            now_s + accept_s, lambda later_s: accept(endpoint, invited, later_s)
        ),
    )
    chain.plan(0.0, lambda now_s: chain.caller.ask("INVITE", now_s))
    chain.plan(cancel_s, chain.caller.cancel)

    def hang_up(now_s: float) -> None:
        if 200 in chain.caller.finals.get("INVITE", []):
            chain.caller.ask("BYE", now_s)

    chain.plan(60.0, hang_up)
    chain.run(ENDS_S)

    (final,) = set(chain.caller.finals["INVITE"])
    (ended,) = [event.how for event in chain.events if isinstance(event, Ended)]
    assert (final, ended) in {(200, How.BYE), (487, How.CANCELLED)}
    assert chain.is_empty
