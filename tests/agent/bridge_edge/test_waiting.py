"""INVITEs that wait for a child: kept once each, no more than there is room for, and not for ever."""

from callseal.agent.sip.flow import Flow, Transport
from callseal.agent.sip.message import Request
from callseal.agent.sources.bridge.edge.waiting import MAX_WAITING, WAIT_S, Waiting
from support.sip_text import request_of

FLOW = Flow(face="phone", transport=Transport.UDP, local=("127.0.0.1", 5060), remote=("127.0.0.1", 5062))


def message(call_id: str, method: str = "INVITE") -> Request:
    return request_of(
        f"{method} sip:6001@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5062;branch=z9hG4bK{call_id}\r\n"
        f"From: <sip:a@b>;tag=near\r\nTo: <sip:6001@127.0.0.1>\r\nCall-ID: {call_id}\r\nCSeq: 1 {method}\r\n"
        "Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n".encode()
    )


def test_an_invite_that_is_sent_again_waits_once() -> None:
    waiting = Waiting()
    for now_s in (0.0, 0.5, 1.5):
        assert waiting.keep(message("a"), FLOW, now_s)

    assert waiting.take() == [(message("a"), FLOW)]
    assert waiting.take() == []


def test_who_waits_long_is_looked_at_again_though_it_was_sent_again() -> None:
    waiting = Waiting()
    waiting.keep(message("a"), FLOW, 0.0)
    waiting.keep(message("a"), FLOW, WAIT_S)
    waiting.keep(message("b"), FLOW, WAIT_S)

    assert waiting.take_overdue(WAIT_S) == []
    assert waiting.take_overdue(WAIT_S + 0.1) == [(message("a"), FLOW)]
    assert len(waiting) == 1


def test_there_is_no_room_for_any_number() -> None:
    """Who comes beyond is told so, and can be refused; who waits already may come again."""
    waiting = Waiting()
    kept = [waiting.keep(message(str(number)), FLOW, 0.0) for number in range(MAX_WAITING + 1)]

    assert kept == [True] * MAX_WAITING + [False]
    assert waiting.keep(message("0"), FLOW, 0.0)
    assert len(waiting) == MAX_WAITING


def test_one_that_was_cancelled_waits_no_more() -> None:
    waiting = Waiting()
    waiting.keep(message("a"), FLOW, 0.0)
    waiting.keep(message("b"), FLOW, 0.0)

    assert waiting.take_cancelled(message("c", "CANCEL")) is None
    assert waiting.take_cancelled(message("a", "CANCEL")) == (message("a"), FLOW)
    assert waiting.is_cancelled(message("a"))
    assert not waiting.is_cancelled(message("b"))
    assert waiting.take() == [(message("b"), FLOW)]
