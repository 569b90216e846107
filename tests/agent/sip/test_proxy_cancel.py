"""CANCEL at the proxy: hop by hop, never before the other side has answered, whatever crosses it."""

import pytest

from callseal.agent.sip.flow import Transport
from callseal.agent.sip.message import Request, Response
from support.proxy_room import ProxyRoom

TRANSPORTS = (Transport.UDP, Transport.TCP)


def request_in(room: ProxyRoom, method: str) -> Request:
    """Return the request that the telephone system heard, alone."""
    (message,) = room.pbx.take()
    assert isinstance(message, Request)
    assert message.method == method
    return message


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_call_that_rings_is_cancelled(transport: Transport) -> None:
    room = ProxyRoom(phone=transport, pbx=transport)
    invite, arrived = room.invited(ringing=True)

    room.cancel(invite)

    assert room.phone.said() == [200]
    cancel = request_in(room, "CANCEL")
    room.answer(cancel, 200)
    room.answer(arrived, 487)
    assert room.pbx.said() == ["ACK"]
    (refusal,) = room.phone.take()
    assert isinstance(refusal, Response)
    assert (refusal.status, refusal.cseq.method) == (487, "INVITE")
    room.acknowledge(invite, refusal)
    room.wait(32.0)
    assert (room.phone.said(), room.pbx.said()) == ([], [])
    assert room.is_empty()


def test_the_cancel_has_what_it_needs_of_its_invite_and_one_via() -> None:
    room = ProxyRoom()
    invite = room.ask("INVITE", more=("Route: <sip:192.0.2.7;lr>",))
    arrived = request_in(room, "INVITE")
    room.answer(arrived, 180)

    room.cancel(invite)

    cancel = request_in(room, "CANCEL")
    assert cancel.uri == arrived.uri
    assert cancel.headers.all("via") == arrived.headers.all("via")[:1]
    equal = ("from", "to", "call-id", "route")
    assert [cancel.headers.all(name) for name in equal] == [arrived.headers.all(name) for name in equal]
    assert cancel.cseq == (arrived.cseq.number, "CANCEL")
    assert cancel.headers.get("max-forwards") == "70"


def test_why_a_call_is_cancelled_is_passed_on() -> None:
    room = ProxyRoom()
    reason = 'SIP;cause=200;text="Call completed elsewhere"'
    invite, _ = room.invited(ringing=True)

    room.cancel(invite, more=(f"Reason: {reason}",))

    assert request_in(room, "CANCEL").headers.all("reason") == (reason,)


@pytest.mark.parametrize("status", [100, 180])
def test_before_any_answer_a_cancel_waits_for_one(status: int) -> None:
    room = ProxyRoom()
    invite, arrived = room.invited()
    room.cancel(invite, more=("Reason: SIP;cause=200",))
    room.wait(0.5)
    assert room.pbx.said() == ["INVITE"]
    assert room.phone.said() == [200]

    room.answer(arrived, status)

    assert request_in(room, "CANCEL").headers.all("reason") == ("SIP;cause=200",)


@pytest.mark.parametrize("ringing", [True, False])
def test_a_2xx_that_crosses_the_cancel_is_passed_on(*, ringing: bool) -> None:
    room = ProxyRoom()
    invite, arrived = room.invited(ringing=ringing)
    room.cancel(invite)
    room.phone.take()
    room.pbx.take()

    room.answer(arrived, 200)

    (accepted,) = room.phone.take()
    assert isinstance(accepted, Response)
    assert accepted.status == 200
    room.acknowledge(invite, accepted)
    assert room.pbx.said() == ["ACK"]
    room.ask("BYE")
    room.answer(request_in(room, "BYE"), 200)
    assert room.phone.said() == [200]
    room.wait(64.0)
    assert room.is_empty()


@pytest.mark.parametrize("ringing", [True, False])
def test_a_refusal_that_crosses_the_cancel_is_passed_on(*, ringing: bool) -> None:
    room = ProxyRoom()
    invite, arrived = room.invited(ringing=ringing)
    room.cancel(invite)
    room.phone.take()

    room.answer(arrived, 486)

    assert room.phone.said() == [486]


@pytest.mark.parametrize("status", [200, 486])
def test_a_cancel_after_the_end_is_agreed_to_and_does_nothing(status: int) -> None:
    room = ProxyRoom()
    invite, arrived = room.invited()
    room.answer(arrived, status)
    room.phone.take()
    room.pbx.take()

    room.cancel(invite)

    assert room.phone.said() == [200]
    assert room.pbx.said() == []


def test_a_cancel_for_nothing_is_answered_481() -> None:
    room = ProxyRoom()

    room.send(room.phone, room.phone.write("CANCEL"))

    assert room.phone.said() == [481]
    assert room.pbx.said() == []


def test_a_cancel_that_comes_again_is_answered_again_and_sent_once() -> None:
    room = ProxyRoom()
    invite, _ = room.invited(ringing=True)

    room.cancel(invite)
    room.cancel(invite)

    assert room.phone.said() == [200, 200]
    assert room.pbx.said() == ["CANCEL"]


def test_a_cancel_is_sent_again_until_it_is_answered() -> None:
    room = ProxyRoom()
    invite, _ = room.invited(ringing=True)
    room.cancel(invite)
    cancel = request_in(room, "CANCEL")

    room.wait(3.6)
    assert room.pbx.said() == ["CANCEL"] * 3
    room.answer(cancel, 200)
    room.wait(20.0)

    assert room.pbx.said() == []


def test_whoever_does_not_end_a_cancelled_call_is_not_waited_for_for_ever() -> None:
    room = ProxyRoom()
    invite, _ = room.invited(ringing=True)
    room.cancel(invite)
    room.phone.take()

    room.wait(31.9)
    assert room.phone.said() == []
    room.wait(0.2)

    assert room.phone.said()[0] == 487
    room.wait(64.0)
    assert room.is_empty()


def test_a_cancelled_call_that_nobody_ever_answered_ends_with_487() -> None:
    room = ProxyRoom()
    invite, _ = room.invited()
    room.cancel(invite)
    room.phone.take()

    room.wait(32.0)

    assert room.phone.said()[0] == 487
    assert "CANCEL" not in room.pbx.said()


def test_provisional_answers_after_the_cancel_do_not_prolong_the_call() -> None:
    room = ProxyRoom()
    invite, arrived = room.invited(ringing=True)
    room.cancel(invite)

    room.phone.take()
    room.wait(30.0)
    room.answer(arrived, 180)
    assert room.phone.said() == [180]
    room.wait(2.1)

    assert room.phone.said()[0] == 487
