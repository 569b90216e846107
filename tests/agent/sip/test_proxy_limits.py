"""The proxy's limits: peers make it grow so far and no further, and what is over is forgotten."""

import pytest

from callseal.agent.errors import SipSyntaxError
from callseal.agent.sip.flow import Transport
from callseal.agent.sip.headers import Headers
from callseal.agent.sip.message import Request, Response, parse_message
from callseal.agent.sip.proxy_limits import ProxyLimits
from support.proxy_room import OFFER, ProxyRoom
from support.sip_text import request_text

MALFORMED = (
    request_text("OPTIONS", without="To"),
    request_text("OPTIONS", without="Call-ID"),
    request_text("OPTIONS", more=("Call-ID: another",)),
    request_text("OPTIONS", without="CSeq", more=("CSeq: 4294967296 OPTIONS",)),
    request_text("OPTIONS", without="Max-Forwards", more=("Max-Forwards: many",)),
    request_text("OPTIONS", start="OPTIONS mailto:someone@example.com SIP/2.0"),
    request_text("OPTIONS", start="OPTIONS sip:a@b SIP/7.0"),
    request_text("OPTIONS", more=300 * ("X-Any: thing",)),
    request_text("INVITE", without="From", more=("From: <sip:no@tag.example>",)),
)


def flood(room: ProxyRoom, method: str, number: int, more: tuple[str, ...] = ()) -> list[int | str]:
    """Send so many requests, and return what the telephone heard."""
    for _ in range(number):
        room.ask(method, more=more)
    return room.phone.said()


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
def test_beyond_the_limit_of_what_waits_there_is_503_with_a_time_to_come_again(method: str) -> None:
    room = ProxyRoom(limits=ProxyLimits(pending=3))

    flood(room, method, 3)
    room.ask(method)

    (refusal,) = room.phone.take()
    assert isinstance(refusal, Response)
    assert (refusal.status, refusal.headers.get("retry-after")) == (503, "10")
    assert room.pbx.said() == [method] * 3
    assert room.proxy.counts.refused == 1


@pytest.mark.parametrize("how", ["answered", "given up", "abandoned"])
def test_room_comes_back_with_each_request_that_ends(how: str) -> None:
    room = ProxyRoom(limits=ProxyLimits(pending=2))
    flood(room, "INVITE", 2)
    arrived = room.pbx.take()

    if how == "answered":
        room.answer(arrived[0], 486)
        room.answer(arrived[1], 200)
    elif how == "given up":
        room.wait(32.0)
    else:
        room.proxy.abandon_to("pbx", 503, "Service Unavailable", room.now_s)
    room.pump()
    room.phone.take()

    assert room.proxy.counts.pending == 0
    assert flood(room, "OPTIONS", 2) == []
    assert flood(room, "OPTIONS", 1) == [503]


def test_beyond_the_limit_of_transactions_answers_leave_nothing_behind() -> None:
    room = ProxyRoom(limits=ProxyLimits(transactions=10))

    heard = flood(room, "OPTIONS", 50)

    assert heard == [503] * 45
    assert room.proxy.counts.transactions == 10
    room.wait(64.0)
    assert room.is_empty()


def test_beyond_the_limit_of_bytes_nothing_is_taken() -> None:
    room = ProxyRoom(limits=ProxyLimits(stored_bytes=100_000))

    flood(room, "MESSAGE", 100, more=("Subject: " + 8000 * "x",))

    counts = room.proxy.counts
    assert counts.refused > 80
    assert counts.stored_bytes < 200_000
    room.wait(64.0)
    assert room.is_empty()


def test_answers_too_many_to_be_kept_are_passed_on_all_the_same() -> None:
    room = ProxyRoom(limits=ProxyLimits(stored_bytes=100_000))
    flood(room, "MESSAGE", 60)
    arrived = room.pbx.take()

    for request in arrived:
        room.answer(request, 200, body=20_000 * b"x")

    assert len(arrived) > 40
    assert room.phone.said() == [200] * len(arrived)
    assert room.proxy.counts.stored_bytes < 200_000
    room.wait(64.0)
    assert room.is_empty()


def test_whoever_answers_without_end_makes_nothing_grow() -> None:
    room = ProxyRoom()
    _, arrived = room.invited()
    room.answer(arrived, 183, body=OFFER)
    before = room.proxy.counts

    for _ in range(200):
        room.answer(arrived, 183, body=OFFER)
    assert room.proxy.counts == before
    room.answer(arrived, 200, body=OFFER)
    before = room.proxy.counts
    for number in range(200):
        room.answer(arrived, 200, body=OFFER, tag=f"tag-{number}")

    assert room.proxy.counts == before


def test_cancel_and_ack_are_heard_when_there_is_no_room() -> None:
    room = ProxyRoom(limits=ProxyLimits(transactions=2))
    invite, arrived = room.invited(ringing=True)
    assert flood(room, "OPTIONS", 1) == [503]

    room.cancel(invite)

    assert room.phone.said() == [200]
    assert room.pbx.said() == ["CANCEL"]
    room.answer(arrived, 487)
    (refusal,) = room.phone.take()
    room.acknowledge(invite, refusal)
    room.wait(5.0)
    assert room.phone.said() == []


@pytest.mark.parametrize("data", MALFORMED)
def test_malformed_requests_are_answered_and_leave_nothing(data: bytes) -> None:
    room = ProxyRoom(phone=Transport.TCP)

    with pytest.raises(SipSyntaxError) as caught:
        parse_message(data, is_stream=False)
    room.proxy.reject_malformed(caught.value, room.phone.flow, room.now_s)

    (refusal,) = room.proxy.take_outgoing()
    assert refusal.data.startswith((b"SIP/2.0 4", b"SIP/2.0 5"))
    assert refusal.flow == room.phone.flow
    assert room.proxy.counts.malformed == 1
    assert room.is_empty()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n\r\n",
        b"hello",
        b"SIP/2.0 200 OK\r\n\r\n",
        b"ACK sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nCSeq: x\r\n\r\n",
        b"OPTIONS sip:a@b SIP/2.0\r\nVia: nonsense\r\n\r\n",
    ],
)
def test_what_has_no_way_back_is_not_answered(data: bytes) -> None:
    room = ProxyRoom()

    room.send(room.phone, data)

    assert (room.phone.said(), room.pbx.said()) == ([], [])
    assert room.proxy.counts.malformed == 1
    assert room.is_empty()


def test_an_error_about_what_has_no_way_back_is_not_answered() -> None:
    room = ProxyRoom()
    nowhere = room.phone.write("OPTIONS").with_headers(Headers(fields=()))

    room.proxy.reject_malformed(
        SipSyntaxError("there is no Via", status=400, request=nowhere), room.phone.flow, room.now_s
    )

    assert room.proxy.take_outgoing() == []
    assert room.is_empty()


def test_a_thousand_calls_leave_nothing() -> None:
    room = ProxyRoom(phone=Transport.TCP, pbx=Transport.UDP)

    for number in range(1000):
        invite = room.phone.write("INVITE", call_id=f"call-{number}", branch=f"z9hG4bK-{number}")
        room.send(room.phone, invite)
        (arrived,) = room.pbx.take()
        assert isinstance(arrived, Request)
        room.answer(arrived, 200)
        room.acknowledge(invite, room.phone.take()[-1])
        room.pbx.take()
        room.wait(0.1)

    assert room.proxy.counts.refused == 0
    room.wait(32.0)
    assert room.is_empty()
