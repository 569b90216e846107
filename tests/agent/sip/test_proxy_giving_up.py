"""When nobody answers, nothing can be sent, or one side is gone: the proxy ends what waits, and forgets."""

import pytest

from callseal.agent.sip.flow import Outgoing, Transport
from callseal.agent.sip.message import Request, Response
from callseal.agent.sip.proxying import Hop
from support.proxy_room import PBX, ProxyRoom

TRANSPORTS = (Transport.UDP, Transport.TCP)


def last_sent(room: ProxyRoom, face: str = "pbx") -> Outgoing:
    """Return what went out last at a face."""
    return [one for one in room.sent if one.flow.face == face][-1]


def undelivered(room: ProxyRoom, outgoing: Outgoing) -> None:
    """Say that something could not be sent."""
    room.proxy.undelivered(outgoing, room.now_s)
    room.pump()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_an_invite_without_any_answer_is_answered_408_after_32_s(transport: Transport) -> None:
    room = ProxyRoom(phone=Transport.TCP, pbx=transport)
    invite, _ = room.invited()

    room.wait(31.9)
    assert room.phone.said() == []
    room.wait(0.2)

    (timeout,) = room.phone.take()
    assert isinstance(timeout, Response)
    assert (timeout.status, timeout.reason) == (408, "Request Timeout")
    assert timeout.to_tag
    assert [response.status for response in room.router.passed] == [408]
    room.acknowledge(invite, timeout)
    assert room.is_empty()


def test_what_rings_for_too_long_is_cancelled() -> None:
    room = ProxyRoom()
    _, arrived = room.invited(ringing=True)
    room.pbx.take()

    room.wait(179.9)
    assert room.pbx.said() == []
    room.wait(0.2)

    assert room.pbx.said() == ["CANCEL"]
    assert room.phone.said() == []
    room.answer(arrived, 487)
    assert room.phone.said() == [487]


def test_whoever_rings_for_too_long_and_does_not_hear_the_cancel_is_not_waited_for() -> None:
    room = ProxyRoom(phone=Transport.TCP)
    room.invited(ringing=True)

    room.wait(180.0 + 32.0)

    assert room.phone.said() == [408]
    room.wait(64.0)
    assert set(room.pbx.said()) == {"CANCEL"}


def test_whoever_says_again_that_it_rings_may_ring_on() -> None:
    room = ProxyRoom()
    _, arrived = room.invited(ringing=True)

    for _ in range(5):
        room.wait(170.0)
        room.answer(arrived, 180)

    assert room.pbx.said() == []


def test_100_is_no_ringing() -> None:
    room = ProxyRoom()
    _, arrived = room.invited()

    room.answer(arrived, 100)
    room.wait(170.0)
    room.answer(arrived, 100)
    room.wait(10.0)

    assert room.pbx.said() == ["CANCEL"]


def test_the_router_says_how_long_a_call_may_ring() -> None:
    room = ProxyRoom()
    room.router.timer_c_s = 20.0
    room.invited(ringing=True)

    room.wait(20.0)

    assert room.pbx.said() == ["CANCEL"]


def test_another_request_without_answer_ends_silently_when_its_sender_has_given_up() -> None:
    room = ProxyRoom()
    request = room.ask("REGISTER")

    room.wait(32.0)

    assert room.phone.said() == []
    assert [response.status for response in room.router.passed] == [408]
    assert room.is_empty()
    room.send(room.phone, request)
    assert len(room.router.routed) == 2


@pytest.mark.parametrize(("end", "heard"), [("refused", [423]), ("undelivered", [503]), ("silent", [])])
def test_another_request_of_which_more_was_promised_has_an_end_as_well(end: str, heard: list[int]) -> None:
    room = ProxyRoom()
    room.ask("REGISTER")
    (arrived,) = room.pbx.take()
    room.answer(arrived, 100)

    if end == "refused":
        room.answer(arrived, 423)
    elif end == "undelivered":
        undelivered(room, last_sent(room))
    room.wait(32.0)

    assert room.phone.said() == heard
    assert room.is_empty()


@pytest.mark.parametrize("method", ["INVITE", "REGISTER"])
def test_what_cannot_be_sent_is_answered_503(method: str) -> None:
    room = ProxyRoom(pbx=Transport.TCP)
    request = room.ask(method)
    room.phone.take()

    undelivered(room, last_sent(room))

    (refusal,) = room.phone.take()
    assert isinstance(refusal, Response)
    assert (refusal.status, refusal.cseq.method) == (503, method)
    assert [response.status for response in room.router.passed] == [503]
    undelivered(room, last_sent(room))
    assert room.phone.said() == []
    if method == "INVITE":
        room.acknowledge(request, refusal)
    room.wait(32.0)
    assert room.is_empty()


def test_a_cancelled_invite_that_cannot_be_sent_is_answered_487() -> None:
    room = ProxyRoom(pbx=Transport.TCP)
    invite, _ = room.invited()
    room.cancel(invite)

    undelivered(room, last_sent(room))

    assert room.phone.said() == [200, 487]


def test_an_answer_or_ack_that_cannot_be_sent_ends_nothing() -> None:
    room = ProxyRoom(phone=Transport.TCP, pbx=Transport.TCP)
    invite, arrived = room.invited(ringing=True)
    undelivered(room, last_sent(room, "phone"))

    room.answer(arrived, 200)
    (accepted,) = room.phone.take()
    undelivered(room, last_sent(room, "phone"))
    room.acknowledge(invite, accepted)
    undelivered(room, last_sent(room))

    assert room.pbx.said() == ["ACK"]
    assert room.phone.said() == []


def test_a_cancel_that_cannot_be_sent_leaves_the_call_its_time() -> None:
    room = ProxyRoom(phone=Transport.TCP, pbx=Transport.TCP)
    invite, _ = room.invited(ringing=True)
    room.cancel(invite)

    undelivered(room, last_sent(room))
    assert room.phone.said() == [200]
    room.wait(32.0)

    assert room.phone.said() == [487]


def test_what_came_from_a_face_that_is_gone_is_cancelled() -> None:
    room = ProxyRoom()
    _, arrived = room.invited(ringing=True)

    room.proxy.abandon_from("phone", room.now_s)
    room.pump()

    (cancel,) = room.pbx.take()
    assert isinstance(cancel, Request)
    assert cancel.method == "CANCEL"
    room.answer(cancel, 200)
    room.answer(arrived, 487)
    assert room.pbx.said() == ["ACK"]
    room.wait(64.0)
    assert room.phone.said() == []
    assert room.router.told == []
    assert room.is_empty()


def test_what_had_no_answer_yet_when_its_face_went_is_cancelled_with_the_first_one() -> None:
    room = ProxyRoom()
    _, arrived = room.invited()

    room.proxy.abandon_from("phone", room.now_s)
    room.pump()
    assert room.pbx.said() == []
    room.answer(arrived, 180)

    assert room.pbx.said() == ["CANCEL"]
    room.wait(64.0)
    assert room.phone.said() == []
    assert room.is_empty()


@pytest.mark.parametrize("is_accepted_before", [True, False])
def test_a_2xx_for_a_face_that_is_gone_goes_to_the_router_each_time(*, is_accepted_before: bool) -> None:
    room = ProxyRoom()
    _, arrived = room.invited(ringing=True)
    if is_accepted_before:
        room.answer(arrived, 200)
        room.phone.take()

    room.proxy.abandon_from("phone", room.now_s)
    room.answer(arrived, 200)
    room.answer(arrived, 200)

    assert room.phone.said() == []
    assert [(request.method, response.status) for request, response in room.router.told] == [
        ("INVITE", 200)
    ] * 2
    assert room.router.told[0][0] is room.router.routed[0]
    room.wait(64.0)
    assert room.is_empty()


def test_the_router_may_end_at_once_what_nobody_waits_for() -> None:
    room = ProxyRoom()
    _, arrived = room.invited(ringing=True)
    room.proxy.abandon_from("phone", room.now_s)
    ack = room.phone.write("ACK", number=1, to_tag="far")
    bye = room.phone.write("BYE", number=2, to_tag="far")
    hop = Hop(flow=room.pbx.flow, destination=PBX)
    room.pump()
    room.pbx.take()

    room.answer(arrived, 200)
    for request in (ack, bye):
        room.proxy.originate(request, hop, room.now_s)
    room.pump()

    sent_ack, sent_bye = room.pbx.take()
    assert isinstance(sent_ack, Request)
    assert isinstance(sent_bye, Request)
    assert (sent_ack.method, sent_bye.method) == ("ACK", "BYE")
    room.answer(sent_bye, 200)
    assert [request.method for request, _ in room.router.told] == ["INVITE", "BYE"]


def test_other_requests_from_a_face_that_is_gone_are_delivered_still() -> None:
    room = ProxyRoom()
    room.ask("BYE")
    (arrived,) = room.pbx.take()

    room.proxy.abandon_from("phone", room.now_s)
    room.wait(0.6)
    assert room.pbx.said() == ["BYE"]
    room.answer(arrived, 200)

    assert room.phone.said() == []
    room.wait(64.0)
    assert room.pbx.said() == []
    assert room.router.told == []
    assert room.is_empty()


def test_refusals_are_not_sent_again_to_a_face_that_is_gone() -> None:
    room = ProxyRoom()
    _, arrived = room.invited()
    room.answer(arrived, 486)
    room.phone.take()

    room.proxy.abandon_from("phone", room.now_s)
    room.wait(64.0)

    assert room.phone.said() == []
    assert room.is_empty()


def test_the_other_face_is_not_concerned() -> None:
    room = ProxyRoom()
    _, arrived = room.invited(ringing=True)

    room.proxy.abandon_from("pbx", room.now_s)
    room.proxy.abandon_to("phone", 503, "Service Unavailable", room.now_s)
    room.answer(arrived, 200)

    assert room.phone.said() == [200]


def test_what_went_to_a_face_that_is_gone_is_answered() -> None:
    room = ProxyRoom()
    _, arrived = room.invited(ringing=True)
    request = room.ask("INFO")
    room.pbx.take()

    room.proxy.abandon_to("pbx", 503, "Recorder Failed", room.now_s)
    room.pump()

    first, second = room.phone.take()
    assert isinstance(first, Response)
    assert isinstance(second, Response)
    assert [(one.status, one.reason, one.cseq.method) for one in (first, second)] == [
        (503, "Recorder Failed", "INVITE"),
        (503, "Recorder Failed", request.method),
    ]
    assert room.pbx.said() == []
    assert [response.status for response in room.router.passed] == [180, 503, 503]
    room.answer(arrived, 200)
    assert 200 not in room.phone.said()
    room.wait(64.0)
    assert room.pbx.said() == []
    assert room.is_empty()


def test_calls_that_are_up_are_not_answered_a_second_time() -> None:
    room = ProxyRoom()
    _, arrived = room.invited()
    room.answer(arrived, 200)
    room.phone.take()

    room.proxy.abandon_to("pbx", 503, "Recorder Failed", room.now_s)
    room.wait(64.0)

    assert room.phone.said() == []
    assert room.is_empty()


def test_a_face_can_be_given_up_both_ways() -> None:
    room = ProxyRoom()
    room.invited(ringing=True)
    room.proxy.abandon_from("phone", room.now_s)
    room.proxy.abandon_to("pbx", 503, "Recorder Failed", room.now_s)

    room.wait(64.0)

    assert room.phone.said() == []
    assert room.is_empty()


@pytest.mark.parametrize("status", [100, 200, 700])
def test_only_a_refusal_answers_what_went_to_a_face_that_is_gone(status: int) -> None:
    room = ProxyRoom()

    with pytest.raises(ValueError, match="from 300 to 699"):
        room.proxy.abandon_to("pbx", status, "What", room.now_s)


def test_a_request_of_our_own_is_sent_until_it_is_answered_and_the_router_hears() -> None:
    room = ProxyRoom()
    bye = room.phone.write("BYE", to_tag="far", via="SIP/2.0/UDP gone.example;branch=z9hG4bK-gone")
    bye = bye.with_headers(
        type(bye.headers)(fields=tuple(one for one in bye.headers.fields if one[0] != "via"))
    )

    room.proxy.originate(bye, Hop(flow=room.pbx.flow, destination=PBX), room.now_s)
    room.wait(0.5)

    first, again = room.pbx.take()
    assert isinstance(first, Request)
    assert first == again
    assert len(first.headers.all("via")) == 1
    assert first.headers.all("max-forwards") == ("70",)
    room.answer(first, 481)
    room.answer(first, 481)
    ((told, response),) = room.router.told
    assert told is bye
    assert response.status == 481
    assert room.phone.said() == []
    room.wait(32.0)
    assert room.is_empty()


@pytest.mark.parametrize(("can_be_sent", "status"), [(True, 408), (False, 503)])
def test_the_router_hears_when_a_request_of_our_own_is_not_answered(
    *, can_be_sent: bool, status: int
) -> None:
    room = ProxyRoom(pbx=Transport.TCP)
    room.proxy.originate(room.phone.write("OPTIONS"), Hop(flow=room.pbx.flow, destination=PBX), room.now_s)
    room.pump()

    if not can_be_sent:
        undelivered(room, last_sent(room))
    room.wait(32.0)

    assert [response.status for _, response in room.router.told] == [status]
    assert room.is_empty()


@pytest.mark.parametrize("method", ["INVITE", "CANCEL"])
def test_a_proxy_invites_nobody_by_itself(method: str) -> None:
    room = ProxyRoom()

    with pytest.raises(ValueError, match="invites nobody"):
        room.proxy.originate(room.phone.write(method), Hop(flow=room.pbx.flow, destination=PBX), room.now_s)
