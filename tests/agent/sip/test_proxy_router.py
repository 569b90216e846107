"""The proxy and its router: each decision is carried out, and none of its faults ends anything."""

import traceback
from dataclasses import replace

import pytest

from callseal.agent.sip.headers import Headers
from callseal.agent.sip.message import Request, Response
from callseal.agent.sip.proxy_limits import MAX_FAULTS
from callseal.agent.sip.proxying import Drop, Forward, Hop, Reply
from support.proxy_room import OFFER, PHONE, ProxyRoom

SPLIT = Headers(fields=(("x-any", "one\r\ntwo: three"),))


def changed(request: Request, *fields: tuple[str, str]) -> Request:
    """Return a request with other headers in the stead of those that it has, or more."""
    names = {name for name, _ in fields}
    kept = tuple(field for field in request.headers.fields if field[0] not in names)
    return request.with_headers(Headers(fields=(*kept, *fields)))


@pytest.mark.parametrize("method", ["OPTIONS", "INVITE"])
def test_a_reply_is_given_with_all_that_it_has_and_repeated(method: str) -> None:
    room = ProxyRoom()
    room.router.decide = lambda _: Reply(
        status=404,
        reason="Nobody Here",
        headers=(("warning", '399 edge "x"'),),
        body=OFFER,
        content_type="application/sdp",
    )

    request = room.ask(method)
    room.send(room.phone, request)

    first, again = room.phone.take()
    assert isinstance(first, Response)
    assert (first.status, first.reason, first.headers.get("warning")) == (404, "Nobody Here", '399 edge "x"')
    assert (first.body, first.content_type) == (OFFER, "application/sdp")
    assert first.to_tag
    assert first.via.branch == request.via.branch
    assert again == first
    assert len(room.router.routed) == 1
    assert room.router.passed == []
    assert room.pbx.said() == []


def test_a_reply_to_an_invite_is_sent_again_until_its_ack() -> None:
    room = ProxyRoom()
    room.router.decide = lambda _: Reply(status=486, reason="Busy Here")
    invite = room.ask("INVITE")

    room.wait(1.6)
    replies = room.phone.take()
    room.acknowledge(invite, replies[0])
    room.wait(32.0)

    assert len(replies) == 3
    assert room.phone.said() == []
    assert room.is_empty()


def test_a_dropped_request_leaves_nothing() -> None:
    room = ProxyRoom()
    room.router.decide = lambda _: Drop()

    request = room.ask("INVITE")
    room.send(room.phone, request)

    assert (room.phone.said(), room.pbx.said()) == ([], [])
    assert len(room.router.routed) == 2
    assert room.is_empty()


@pytest.mark.parametrize("decision", [Drop(), Reply(status=200, reason="OK")])
def test_an_ack_is_never_answered(decision: Drop | Reply) -> None:
    room = ProxyRoom()
    room.router.decide = lambda _: decision

    room.ask("ACK")

    assert (room.phone.said(), room.pbx.said()) == ([], [])
    assert room.is_empty()


def test_the_router_may_change_a_request_and_leave_out_its_vias() -> None:
    room = ProxyRoom()
    hop = Hop(flow=room.pbx.flow, destination=("192.0.2.77", 5099))

    def decide(request: Request) -> Forward:
        fields = tuple(field for field in request.headers.fields if field[0] not in ("via", "max-forwards"))
        bare = replace(request, uri="sip:other@192.0.2.77", headers=Headers(fields=fields))
        return Forward(request=changed(bare, ("x-new", "1")), hop=hop)

    room.router.decide = decide
    request = room.ask("OPTIONS")
    (arrived,) = room.pbx.take()
    room.answer(arrived, 200)

    assert isinstance(arrived, Request)
    assert (arrived.uri, arrived.headers.get("x-new")) == ("sip:other@192.0.2.77", "1")
    assert arrived.headers.get("max-forwards") == "69"
    assert len(arrived.headers.all("via")) == 1
    assert [one.destination for one in room.sent if one.flow.face == "pbx"] == [("192.0.2.77", 5099)]
    (answer,) = room.phone.take()
    assert answer.via.branch == request.via.branch
    assert len(answer.headers.all("via")) == 1


def test_the_router_sees_where_a_request_came_from() -> None:
    room = ProxyRoom()

    room.ask("OPTIONS")

    (seen,) = room.router.routed
    assert ("received", PHONE[0]) in seen.via.params
    assert ("rport", str(PHONE[1])) in seen.via.params


def test_the_router_may_change_a_response() -> None:
    room = ProxyRoom()
    room.router.change = lambda response: replace(response, reason="Changed", body=b"more")
    _, arrived = room.invited()

    room.answer(arrived, 183)
    room.answer(arrived, 200)

    ringing, accepted = room.phone.take()
    assert isinstance(ringing, Response)
    assert isinstance(accepted, Response)
    assert (ringing.status, ringing.reason, ringing.body) == (183, "Changed", b"more")
    assert (accepted.status, accepted.reason, accepted.body) == (200, "Changed", b"more")


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
def test_a_router_that_fails_gets_its_request_500(method: str) -> None:
    room = ProxyRoom()

    def decide(request: Request) -> Forward:
        raise KeyError(request.call_id)

    room.router.decide = decide
    request = room.ask(method)
    room.send(room.phone, request)

    assert room.phone.said() == [500, 500]
    (fault,) = room.proxy.take_faults()
    assert isinstance(fault, KeyError)
    assert "in decide" in "".join(traceback.format_tb(fault.__traceback__))
    assert room.proxy.take_faults() == []
    assert room.proxy.counts.faults == 1


def test_an_ack_that_the_router_fails_at_is_dropped() -> None:
    room = ProxyRoom()

    def decide(request: Request) -> Forward:
        raise KeyError(request.call_id)

    room.router.decide = decide
    room.ask("ACK")

    assert room.phone.said() == []
    assert len(room.proxy.take_faults()) == 1


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
@pytest.mark.parametrize("field", [("x-any", "one\r\ntwo: three"), ("x-any", "\ud800"), ("cseq", "none")])
def test_what_the_router_cannot_have_meant_is_answered_500(method: str, field: tuple[str, str]) -> None:
    room = ProxyRoom()
    hop = Hop(flow=room.pbx.flow, destination=("192.0.2.9", 5060))
    room.router.decide = lambda request: Forward(request=changed(request, field), hop=hop)

    request = room.ask(method)

    assert room.pbx.said() == []
    (refusal,) = room.phone.take()
    assert isinstance(refusal, Response)
    assert refusal.status == 500
    assert len(room.proxy.take_faults()) == 1
    if method == "INVITE":
        room.acknowledge(request, refusal)
    room.wait(64.0)
    assert room.is_empty()


def test_an_ack_that_cannot_be_written_is_dropped() -> None:
    room = ProxyRoom()
    hop = Hop(flow=room.pbx.flow, destination=("192.0.2.9", 5060))
    room.router.decide = lambda request: Forward(request=request.with_headers(SPLIT), hop=hop)

    room.ask("ACK")

    assert room.pbx.said() == []
    assert len(room.proxy.take_faults()) == 1


@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=180, reason="Ringing"),
        Reply(status=700, reason="What"),
        Reply(status=200, reason="OK", headers=(("x-any", "one\ntwo"),)),
        Reply(status=200, reason="O\rK"),
    ],
)
def test_a_reply_that_is_none_is_500(reply: Reply) -> None:
    room = ProxyRoom()
    room.router.decide = lambda _: reply

    room.ask("OPTIONS")

    assert room.phone.said() == [500]
    assert len(room.proxy.take_faults()) == 1


@pytest.mark.parametrize("status", [183, 200, 486])
@pytest.mark.parametrize("fault", ["raises", "cannot be written", "is another kind"])
def test_a_response_that_the_router_fails_at_goes_back_as_it_came(status: int, fault: str) -> None:
    room = ProxyRoom()
    _, arrived = room.invited()

    def change(response: Response) -> Response:
        if fault == "raises":
            raise KeyError(response.call_id)
        if fault == "cannot be written":
            return replace(response, headers=SPLIT)
        return replace(response, status=301 if response.status < 300 else 200)

    room.router.change = change
    room.answer(arrived, status, headers=(("x-any", "thing"),))

    (passed,) = room.phone.take()
    assert isinstance(passed, Response)
    assert (passed.status, passed.headers.get("x-any")) == (status, "thing")
    assert len(room.proxy.take_faults()) == 1


def test_a_router_that_fails_at_what_it_is_told_ends_nothing() -> None:
    room = ProxyRoom()
    hop = Hop(flow=room.pbx.flow, destination=("192.0.2.9", 5060))

    def hear(response: Response) -> None:
        raise KeyError(response.call_id)

    room.router.hear = hear
    room.proxy.originate(room.phone.write("BYE"), hop, room.now_s)
    room.pump()
    (arrived,) = room.pbx.take()

    room.answer(arrived, 200)

    assert len(room.proxy.take_faults()) == 1
    room.wait(32.0)
    assert room.is_empty()


def test_faults_that_nobody_takes_are_counted_and_kept_up_to_a_limit() -> None:
    room = ProxyRoom()

    def decide(request: Request) -> Forward:
        raise KeyError(request.call_id)

    room.router.decide = decide
    for _ in range(MAX_FAULTS + 9):
        room.ask("OPTIONS")

    assert len(room.proxy.take_faults()) == MAX_FAULTS
    assert room.proxy.counts.faults == MAX_FAULTS + 9
