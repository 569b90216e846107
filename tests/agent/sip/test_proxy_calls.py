"""The proxy, call by call: what goes in on one side comes out on the other."""

import itertools
from dataclasses import replace

import pytest

from callseal.agent.sip.flow import Transport
from callseal.agent.sip.message import Request, Response
from callseal.agent.sip.via import BRANCH_COOKIE, parse_via
from support.proxy_room import NEAR, OFFER, PBX, PHONE, ProxyRoom, elsewhere

BOTH = list(itertools.product((Transport.UDP, Transport.TCP, Transport.TLS), repeat=2))


def request_in(messages: list[Request | Response]) -> Request:
    """Return the one request that was heard."""
    (message,) = messages
    assert isinstance(message, Request)
    return message


def response_in(messages: list[Request | Response]) -> Response:
    """Return the one response that was heard."""
    (message,) = messages
    assert isinstance(message, Response)
    return message


@pytest.mark.parametrize(("phone", "pbx"), BOTH)
def test_a_call_goes_through_from_invite_to_bye_and_leaves_nothing(phone: Transport, pbx: Transport) -> None:
    room = ProxyRoom(phone=phone, pbx=pbx)

    invite = room.ask("INVITE")
    arrived = request_in(room.pbx.take())
    assert room.phone.said() == [100]
    room.answer(arrived, 100)
    room.answer(arrived, 180)
    room.answer(arrived, 200, body=OFFER)
    ringing, accepted = room.phone.take()
    room.acknowledge(invite, accepted)
    ack = request_in(room.pbx.take())
    bye = room.ask("BYE")
    room.answer(request_in(room.pbx.take()), 200)

    assert [ringing.cseq, accepted.cseq] == [(1, "INVITE")] * 2
    assert isinstance(ringing, Response)
    assert isinstance(accepted, Response)
    assert (ringing.status, accepted.status, accepted.body) == (180, 200, OFFER)
    assert (ack.method, ack.to_tag) == ("ACK", "far")
    ended = response_in(room.phone.take())
    assert (ended.status, ended.headers.all("via")[0]) == (200, _stamped(bye))
    room.wait(32.0)
    assert room.is_empty()
    assert room.proxy.counts.dropped == room.proxy.counts.faults == 0


def _stamped(request: Request) -> str:
    via = request.via
    params = [pair for pair in via.params if pair[0] != "rport"]
    return str(replace(via, params=(*params, ("received", PHONE[0]), ("rport", str(PHONE[1])))))


def test_the_request_arrives_with_our_via_on_top_and_one_hop_less() -> None:
    room = ProxyRoom()

    invite = room.ask("INVITE", more=("X-Any: thing", "Record-Route: <sip:192.0.2.7;lr>"))

    arrived = request_in(room.pbx.take())
    ours, theirs = (parse_via(value) for value in arrived.headers.all("via"))
    assert (ours.host, ours.port) == NEAR["pbx"]
    assert ours.branch.startswith(BRANCH_COOKIE)
    assert ours.wants_rport
    assert str(theirs) == _stamped(invite)
    assert arrived.headers.all("max-forwards") == ("69",)
    kept = ("from", "to", "call-id", "cseq", "contact", "x-any", "record-route", "content-type")
    assert [arrived.headers.all(name) for name in kept] == [invite.headers.all(name) for name in kept]
    assert (arrived.uri, arrived.body) == (invite.uri, OFFER)


@pytest.mark.parametrize(
    ("hops", "left"), [("", "69"), ("Max-Forwards: 1", "0"), ("Max-Forwards: 0000255", "254")]
)
def test_hops_are_counted_down(hops: str, left: str) -> None:
    room = ProxyRoom()

    room.send(room.phone, room.phone.write("MESSAGE", hops=hops))

    assert request_in(room.pbx.take()).headers.all("max-forwards") == (left,)


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS", "REGISTER"])
@pytest.mark.parametrize("zero", ["0", "0" * 5000])
def test_what_has_no_hops_left_is_answered_483(method: str, zero: str) -> None:
    room = ProxyRoom()

    room.send(room.phone, room.phone.write(method, hops=f"Max-Forwards: {zero}"))

    assert room.phone.said() == [483]
    assert room.pbx.said() == []
    assert room.router.routed == []


def test_an_ack_without_hops_left_goes_nowhere() -> None:
    room = ProxyRoom()

    room.send(room.phone, room.phone.write("ACK", hops="Max-Forwards: 0"))

    assert (room.phone.said(), room.pbx.said()) == ([], [])
    assert room.proxy.counts.dropped == 1


def test_each_request_has_a_branch_of_its_own() -> None:
    room = ProxyRoom()

    for _ in range(20):
        room.ask("OPTIONS")

    assert len({message.via.branch for message in room.pbx.take()}) == 20


def test_the_other_side_may_ask_as_well() -> None:
    room = ProxyRoom()

    notify = room.ask("NOTIFY", party=room.pbx)
    arrived = request_in(room.phone.take())
    room.answer(arrived, 200, party=room.phone)

    answer = response_in(room.pbx.take())
    assert (arrived.via.host, arrived.via.port) == NEAR["phone"]
    assert (answer.status, answer.via.branch) == (200, notify.via.branch)


@pytest.mark.parametrize(
    "method", ["REGISTER", "SUBSCRIBE", "UPDATE", "PRACK", "REFER", "MESSAGE", "x-other"]
)
def test_any_method_goes_through(method: str) -> None:
    room = ProxyRoom()

    room.ask(method)
    room.answer(request_in(room.pbx.take()), 200)

    assert room.phone.said() == [200]


@pytest.mark.parametrize("status", [302, 401, 404, 486, 503, 603, 699])
def test_a_refusal_is_acknowledged_here_and_passed_on(status: int) -> None:
    room = ProxyRoom()
    invite, arrived = room.invited(ringing=True)

    room.answer(arrived, status, headers=(("www-authenticate", 'Digest realm="r"'),), tag="refused")

    ack = request_in(room.pbx.take())
    refusal = response_in(room.phone.take())
    assert (ack.method, ack.cseq.number, ack.to_tag) == ("ACK", 1, "refused")
    assert ack.headers.all("via") == arrived.headers.all("via")[:1]
    assert (refusal.status, refusal.headers.get("www-authenticate")) == (status, 'Digest realm="r"')
    room.acknowledge(invite, refusal)
    assert room.pbx.said() == []
    room.wait(32.0)
    assert (room.phone.said(), room.pbx.said()) == ([], [])
    assert room.is_empty()


def test_the_acks_of_refusals_go_by_the_route_of_their_invite() -> None:
    room = ProxyRoom()
    room.ask("INVITE", more=("Route: <sip:192.0.2.7;lr>", "Route: <sip:192.0.2.8;lr>"))
    arrived = request_in(room.pbx.take())

    room.answer(arrived, 486)

    ack = request_in(room.pbx.take())
    assert ack.uri == arrived.uri
    assert ack.headers.all("route") == ("<sip:192.0.2.7;lr>", "<sip:192.0.2.8;lr>")


def test_provisional_answers_to_an_invite_go_back_each_of_them() -> None:
    room = ProxyRoom()
    _, arrived = room.invited()

    for status in (100, 180, 183, 180, 199):
        room.answer(arrived, status)

    assert room.phone.said() == [180, 183, 180, 199]


def test_provisional_answers_to_other_requests_do_not_go_back() -> None:
    room = ProxyRoom()
    room.ask("SUBSCRIBE")
    arrived = request_in(room.pbx.take())

    for status in (100, 180, 200):
        room.answer(arrived, status)

    assert room.phone.said() == [200]


def test_several_dialogs_may_come_of_one_invite_downstream() -> None:
    room = ProxyRoom()
    invite, arrived = room.invited()

    room.answer(arrived, 200, tag="one")
    room.answer(arrived, 200, tag="two")

    first, second = room.phone.take()
    assert (first.to_tag, second.to_tag) == ("one", "two")
    room.acknowledge(invite, second)
    assert request_in(room.pbx.take()).to_tag == "two"


@pytest.mark.parametrize(
    ("via", "port"),
    [
        ("SIP/2.0/UDP 10.9.9.9:7777;branch=z9hG4bK-1;rport", PHONE[1]),
        ("SIP/2.0/UDP 10.9.9.9:7777;branch=z9hG4bK-1", 7777),
        ("SIP/2.0/UDP phone.example.com;branch=z9hG4bK-1", 5060),
        ("SIP/2.0/UDP 127.0.0.1:5062", 5062),
    ],
)
def test_answers_go_to_where_the_request_came_from(via: str, port: int) -> None:
    room = ProxyRoom()
    room.send(room.phone, room.phone.write("OPTIONS", via=via))

    room.answer(request_in(room.pbx.take()), 200)

    assert room.sent[-1].destination == (PHONE[0], port)
    top = response_in(room.phone.take()).via
    assert (top.host, top.port, top.branch) == (
        parse_via(via).host,
        parse_via(via).port,
        parse_via(via).branch,
    )


def test_an_answer_has_the_vias_of_the_request_whatever_was_made_of_them() -> None:
    room = ProxyRoom()
    request = room.phone.write("OPTIONS", more=("Via: SIP/2.0/TCP 10.0.0.9;branch=z9hG4bK-before",))
    room.send(room.phone, request)
    arrived = request_in(room.pbx.take())
    ours = arrived.headers.all("via")[0]
    fields = [("via", ours), ("via", "SIP/2.0/UDP evil.example;branch=z9hG4bK-x")]
    fields += [field for field in arrived.headers.fields if field[0] != "via"]
    mangled = arrived.with_headers(replace(arrived.headers, fields=tuple(fields)))

    room.answer(mangled, 200)

    first, second = response_in(room.phone.take()).headers.all("via")
    assert first == _stamped(request)
    assert second == "SIP/2.0/TCP 10.0.0.9;branch=z9hG4bK-before"


def test_over_a_connection_everything_stays_on_it() -> None:
    room = ProxyRoom(phone=Transport.TCP, pbx=Transport.TLS)
    _, arrived = room.invited()

    room.answer(arrived, 486)

    towards_phone = {(one.flow, one.destination) for one in room.sent if one.flow.face == "phone"}
    towards_pbx = {(one.flow, one.destination) for one in room.sent if one.flow.face == "pbx"}
    assert towards_phone == {(room.phone.flow, PHONE)}
    assert towards_pbx == {(room.pbx.flow, PBX)}


def test_a_phone_that_comes_back_over_another_connection_is_answered_there() -> None:
    room = ProxyRoom(phone=Transport.TCP)
    invite, arrived = room.invited()

    room.phone.flow = elsewhere(room.phone.flow, 40_000, connection=7)
    room.send(room.phone, invite)
    room.answer(arrived, 200)

    assert [one.flow.connection for one in room.sent if one.flow.face == "phone"] == [1, 7, 7]


def test_nobody_draws_answers_to_another_face_by_repeating_a_request_there() -> None:
    room = ProxyRoom()
    invite, arrived = room.invited()

    room.send(room.pbx, invite)
    room.answer(arrived, 200)

    assert room.phone.said() == [100, 200]
    assert room.pbx.said() == []


def test_an_ack_for_what_nobody_knows_is_passed_on_as_the_router_says() -> None:
    room = ProxyRoom()

    room.send(room.phone, room.phone.write("ACK", body=OFFER))

    ack = request_in(room.pbx.take())
    assert (ack.body, len(ack.headers.all("via"))) == (OFFER, 2)
    assert room.is_empty()


def test_an_ack_of_a_2xx_that_has_the_branch_of_its_invite_is_passed_on() -> None:
    room = ProxyRoom()
    invite, arrived = room.invited()
    room.answer(arrived, 200)
    ack = room.phone.write("ACK", number=1, branch=invite.via.branch, to_tag="far")

    room.send(room.phone, ack)
    room.send(room.phone, ack)

    assert room.pbx.said() == ["ACK", "ACK"]
