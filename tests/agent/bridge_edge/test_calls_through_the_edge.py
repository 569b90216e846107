"""Calls by way of the child: each leg goes to its side, and nobody sees more of the others than he should."""

from dataclasses import replace

from callseal.agent.sip.message import Request, Response
from callseal.agent.sip.proxying import Reply
from callseal.agent.sources.bridge.edge.gate import Admission
from support.edge_room import FACES, SDP, Peer, Room, with_child

OURS = "sip:100@192.0.2.10:5060"
PHONE_CONTACT = "<sip:100@127.0.0.1:6000;ob>"
CHILD_CONTACT = "<sip:callseal-line@127.0.0.1:40001>"
LINE_CONTACT = "<sip:callseal-line@192.0.2.10:5060>"
DIALLED = "sip:200@pbx.example.com;user=phone"
PRELOADED = "Route: <sip:127.0.0.1:40000;lr>"
AUTHORIZATION = 'Digest username="100", uri="sip:200@pbx.example.com;user=phone", response="x"'


def dial(room: Room, *more: str, call: str = "leg-a") -> tuple[Request, Request]:
    """Have the telephone call; give the INVITE as the telephone sent it and as the child has it."""
    sent = room.phone.ask("INVITE", DIALLED, f"Contact: {PHONE_CONTACT}", *more, call=call, body=SDP)
    return sent, room.child.got("INVITE")


def second(
    room: Room, first: Request, *, side: str = "pbx", uri: str = DIALLED, call: str = "leg-b"
) -> Request:
    """Have the child make another leg of a call; give its INVITE."""
    token = first.headers.get("x-callseal-call")
    return room.child.ask(
        "INVITE", uri, PRELOADED, f"Contact: {CHILD_CONTACT}", f"X-Callseal-Call: {token}",
        f"X-Callseal-To: {side}", call=call, body=SDP, who="<sip:100@pbx.example.com>;tag=b",
    )  # fmt: skip


def connect(room: Room) -> tuple[Request, Request, Response, Request, Request, Response]:
    """Connect telephone and telephone system.

    Gives the telephone's INVITE as sent and as the child has it, and its answer as the telephone has it; then
    the child's as sent and as the telephone system has it, and its answer as the child has it.
    """
    a_sent, a_at_child = dial(room)
    b_sent = second(room, a_at_child)
    b_at_pbx = room.pbx.got("INVITE")
    room.pbx.answer(b_at_pbx, 200, ("contact", "<sip:200@192.0.2.1:5062>"), tag="pbx", body=SDP)
    b_answer = room.child.heard(200)
    room.child.ack(b_sent, b_answer)
    room.child.answer(a_at_child, 200, ("contact", CHILD_CONTACT), tag="child", body=SDP)
    a_answer = room.phone.heard(200)
    room.phone.ack(a_sent, a_answer)
    assert room.child.got("ACK").cseq.number == room.pbx.got("ACK").cseq.number == 1
    return a_sent, a_at_child, a_answer, b_sent, b_at_pbx, b_answer


def test_a_call_of_the_telephones_reaches_the_child_marked_and_without_password() -> None:
    room = Room()

    _, invite = dial(room, f"Proxy-Authorization: {AUTHORIZATION}", "X-Callseal-Call: forged", "Subject: x")

    ((side, user, facts),) = room.gate.admitted
    assert (side, user, facts.request_uri) == ("phone", "200", "sip:200@pbx.example.com;user=phone")
    assert invite.uri == "sip:callseal-phone@127.0.0.1:40001"
    assert invite.headers.all("x-callseal-call") == (facts.token,)
    assert invite.headers.get("x-callseal-from") == "phone"
    assert invite.headers.get("proxy-authorization") is None
    assert invite.headers.get("contact") == PHONE_CONTACT
    assert (invite.headers.get("subject"), invite.body) == (None, SDP.encode())  # it has no use for one
    assert invite.headers.all("record-route") == (
        "<sip:127.0.0.1:40000;lr;cs=phone>",
        "<sip:127.0.0.1:5060;lr;cs=line>",
    )


def test_a_call_of_the_telephone_systems_reaches_the_child_with_the_telephones_own_contact_known() -> None:
    room = Room()
    room.phone.register(PHONE_CONTACT)

    room.pbx.ask(
        "INVITE", OURS, "Contact: <sip:200@192.0.2.1>", who="<sip:200@pbx.example.com>;tag=c", body=SDP
    )
    invite = room.child.got("INVITE")

    ((side, user, facts),) = room.gate.admitted
    assert (side, user, facts.phone_uri) == ("pbx", "100", "sip:100@127.0.0.1:6000;ob")
    assert invite.uri == "sip:callseal-pbx@127.0.0.1:40001"
    assert invite.headers.get("x-callseal-from") == "pbx"
    assert invite.headers.get("contact") == "<sip:200@192.0.2.1>"
    assert invite.headers.all("record-route") == (
        "<sip:127.0.0.1:40000;lr;cs=pbx>",
        "<sip:192.0.2.10:5060;lr;cs=line>",
    )


def test_the_leg_to_the_telephone_system_is_the_telephones_call() -> None:
    """Same request URI, letter by letter, its password and its route; our Contact, and no mark of ours."""
    room = Room()
    _, first = dial(
        room, f"Proxy-Authorization: {AUTHORIZATION}", "P-Preferred-Identity: <sip:100@pbx.example.com>",
        "Route: <sip:127.0.0.1:5060;lr>, <sip:orig@pbx.example.com;lr>",
    )  # fmt: skip

    second(room, first, uri="sip:200@PBX.example.com;User=Phone")
    invite = room.pbx.got("INVITE")

    assert invite.uri == "sip:200@pbx.example.com;user=phone"
    assert invite.headers.get("proxy-authorization") == AUTHORIZATION
    assert invite.headers.get("p-preferred-identity") == "<sip:100@pbx.example.com>"
    assert invite.headers.all("route") == ("<sip:orig@pbx.example.com;lr>",)
    assert invite.headers.get("contact") == LINE_CONTACT
    assert first.headers.all("route") == ()
    assert not [name for name, _ in invite.headers.fields if name.startswith("x-callseal")]
    assert invite.headers.all("record-route") == (
        "<sip:192.0.2.10:5060;lr;cs=line>",
        "<sip:127.0.0.1:40000;lr;cs=pbx>",
    )


def test_a_transfers_leg_goes_where_the_child_dials() -> None:
    room = Room()
    _, first = dial(room, "Route: <sip:127.0.0.1:5060;lr>, <sip:orig@pbx.example.com;lr>")

    second(room, first, uri="sip:300@pbx.example.com")
    invite = room.pbx.got("INVITE")

    assert (invite.uri, invite.headers.all("route")) == ("sip:300@pbx.example.com", ())


def test_the_challenge_for_the_second_leg_reaches_the_telephone() -> None:
    room = Room()
    _, first = dial(room)
    second(room, first)
    challenged = room.pbx.got("INVITE")

    room.pbx.answer(challenged, 407, ("proxy-authenticate", 'Digest realm="pbx", nonce="n"'))
    room.child.heard(407)
    room.child.answer(first, 407)

    assert room.phone.heard(407).headers.get("proxy-authenticate") == 'Digest realm="pbx", nonce="n"'


def test_the_leg_to_the_telephone_goes_to_its_own_contact() -> None:
    room = Room()
    room.phone.register(PHONE_CONTACT)
    room.pbx.ask("INVITE", OURS, "Contact: <sip:200@192.0.2.1>", "Alert-Info: <urn:alert:service:normal>")
    first = room.child.got("INVITE")

    second(room, first, side="phone", uri="sip:100@127.0.0.1:6000")
    invite = room.phone.got("INVITE")

    assert invite.headers.get("alert-info") == "<urn:alert:service:normal>"
    assert invite.headers.get("contact") == CHILD_CONTACT
    assert invite.headers.all("record-route") == (
        "<sip:127.0.0.1:5060;lr;cs=line>",
        "<sip:127.0.0.1:40000;lr;cs=phone>",
    )


def test_a_configured_telephone_is_called_too() -> None:
    room = Room(configured="sip:desk@127.0.0.1:6000")
    room.pbx.ask("INVITE", "sip:4711@192.0.2.10", "Contact: <sip:200@192.0.2.1>")
    first = room.child.got("INVITE")

    second(room, first, side="phone", uri="sip:desk@127.0.0.1:6000")

    assert room.gate.admitted[0][2].phone_uri == ""
    assert room.phone.got("INVITE").uri == "sip:desk@127.0.0.1:6000"


def test_a_leg_to_a_telephone_that_is_not_known_finds_nobody() -> None:
    room = Room()
    _, first = dial(room)

    second(room, first, side="phone", uri="sip:100@127.0.0.1:7000")

    room.child.heard(480)


def test_an_invite_of_the_child_for_no_call_is_refused() -> None:
    room = Room()
    _, first = dial(room)

    second(room, first, side="elsewhere")
    room.child.ask("INVITE", "sip:200@pbx.example.com", PRELOADED, call="no token")
    room.child.ask("OPTIONS", "sip:200@pbx.example.com", PRELOADED, call="no call")

    assert room.child.statuses.count(403) == 3
    assert room.pbx.inbox == []


def test_ringing_and_answer_come_back_with_the_childs_contacts() -> None:
    room = Room()
    room.phone.register(PHONE_CONTACT)
    room.pbx.ask("INVITE", OURS, "Contact: <sip:200@192.0.2.1>")
    first = room.child.got("INVITE")

    room.child.answer(first, 183, ("contact", CHILD_CONTACT), body=SDP)
    ringing = room.pbx.heard(183)
    room.child.answer(first, 200, ("contact", CHILD_CONTACT), body=SDP)
    answer = room.pbx.heard(200)

    assert ringing.headers.get("contact") == answer.headers.get("contact") == LINE_CONTACT


def test_within_a_call_everything_finds_its_way() -> None:
    """ACK, re-INVITE, INFO and BYE, both ways on both legs, by Record-Route alone."""
    room = Room()
    a_sent, a_at_child, a_answer, b_sent, b_at_pbx, b_answer = connect(room)

    room.pbx.back(b_at_pbx, "INVITE", "Contact: <sip:200@192.0.2.1:5064>", tag="pbx")
    at_child = room.child.got("INVITE")
    room.child.answer(at_child, 200, ("contact", CHILD_CONTACT))
    answered = room.pbx.heard(200)
    room.phone.within(a_sent, a_answer, "INFO")
    info = room.child.got("INFO")
    room.child.back(a_at_child, "BYE", PRELOADED, tag="child")
    bye = room.phone.got("BYE")
    room.child.within(b_sent, b_answer, "BYE")
    other_bye = room.pbx.got("BYE")

    assert at_child.uri == "sip:callseal-line@127.0.0.1:40001"
    assert answered.headers.get("contact") == LINE_CONTACT
    assert info.uri == "sip:callseal-line@127.0.0.1:40001"
    assert bye.uri == "sip:100@127.0.0.1:6000;ob"
    assert other_bye.uri == "sip:200@192.0.2.1:5062"
    assert [each.headers.all("route") for each in (at_child, info, bye, other_bye)] == [()] * 4


def test_the_telephone_systems_own_route_is_followed_by_the_telephone_system() -> None:
    room = Room()
    _, first = dial(room)
    b_sent = second(room, first)
    b_at_pbx = room.pbx.got("INVITE")
    record = "<sip:192.0.2.1;lr;ftag=x>"
    with_route = replace(
        b_at_pbx,
        headers=replace(b_at_pbx.headers, fields=(("record-route", record), *b_at_pbx.headers.fields)),
    )
    room.pbx.answer(with_route, 200, ("contact", "<sip:200@192.0.2.9>"), tag="pbx")
    b_answer = room.child.heard(200)

    room.child.within(b_sent, b_answer, "INFO")
    info = room.pbx.got("INFO")

    assert (info.headers.all("route"), info.uri) == ((record,), "sip:200@192.0.2.9")


def test_credentials_within_a_dialog_do_not_reach_the_child() -> None:
    room = Room()
    a_sent, _, a_answer, *_ = connect(room)

    room.phone.within(a_sent, a_answer, "INVITE", f"Proxy-Authorization: {AUTHORIZATION}")

    assert room.child.got("INVITE").headers.get("proxy-authorization") is None


def test_without_our_route_a_request_still_finds_its_dialog() -> None:
    """Some programs forget the route set."""
    room = Room()
    a_sent, _, a_answer, _, b_at_pbx, _ = connect(room)

    room.phone.ask(
        "INFO", "sip:callseal-line@127.0.0.1:40001", call=a_sent.call_id, cseq=7,
        who=a_answer.headers.get("from"), to=a_answer.headers.get("to"),
    )  # fmt: skip
    room.pbx.ask(
        "INFO", "sip:callseal-line@192.0.2.10:5060", call=b_at_pbx.call_id, cseq=7,
        who=f"{b_at_pbx.headers.get('to')};tag=pbx", to=b_at_pbx.headers.get("from"),
    )  # fmt: skip

    assert [request.cseq.number for request in (room.child.got("INFO"), room.child.got("INFO"))] == [7, 7]


def test_a_strict_router_before_us_is_understood() -> None:
    """RFC 3261 section 16.4: our Record-Route as request URI, the target as last Route."""
    room = Room()
    a_sent, _, a_answer, *_ = connect(room)

    room.phone.ask(
        "INFO", "sip:127.0.0.1:5060;lr;cs=line", "Route: <sip:127.0.0.1:40000;lr;cs=phone>",
        "Route: <sip:callseal-line@127.0.0.1:40001>", call=a_sent.call_id, cseq=8,
        who=a_answer.headers.get("from"), to=a_answer.headers.get("to"),
    )  # fmt: skip

    info = room.child.got("INFO")
    assert (info.uri, info.headers.all("route")) == ("sip:callseal-line@127.0.0.1:40001", ())


def test_a_refer_is_the_gates_and_never_the_childs() -> None:
    room = Room()
    a_sent, _, a_answer, *_ = connect(room)

    room.phone.within(a_sent, a_answer, "REFER", "Refer-To: <sip:300@pbx.example.com>")

    (referred,) = room.gate.referrals
    assert (referred.token, referred.side) == (room.gate.admitted[0][2].token, "phone")
    assert referred.target_uri == "sip:300@pbx.example.com"
    assert room.phone.heard(202).headers.get("contact") == CHILD_CONTACT
    assert room.child.requests == []


def test_a_refer_of_the_telephone_system_is_answered_under_our_contact() -> None:
    room = Room()
    _, _, _, _, b_at_pbx, _ = connect(room)

    room.pbx.back(b_at_pbx, "REFER", "Refer-To: <sip:300@pbx.example.com>", tag="pbx")

    assert room.gate.referrals[0].side == "pbx"
    assert room.pbx.heard(202).headers.get("contact") == LINE_CONTACT


def test_a_refer_that_the_gate_refuses_is_refused() -> None:
    room = Room()
    room.gate.reply = Reply(status=503, reason="No Line Free")
    a_sent, _, a_answer, *_ = connect(room)

    room.phone.within(a_sent, a_answer, "REFER", "Refer-To: <sip:300@pbx.example.com>")

    refusal = room.phone.heard(503)
    assert (refusal.reason, refusal.headers.get("contact")) == ("No Line Free", None)


def test_a_malformed_refer_or_one_of_no_dialog_does_not_reach_the_gate() -> None:
    room = Room()
    a_sent, _, a_answer, *_ = connect(room)

    room.phone.within(a_sent, a_answer, "REFER")
    room.phone.heard(400)
    room.phone.ask(
        "REFER", "sip:callseal-line@127.0.0.1:40001", "Route: <sip:127.0.0.1:5060;lr;cs=line>",
        "Refer-To: <sip:1@x>", call="unknown", to="<sip:x@y>;tag=z",
    )  # fmt: skip

    room.phone.heard(481)
    assert room.gate.referrals == []


def test_whom_the_telephone_system_says_to_be_there_is_told() -> None:
    """In its answers to the child, and in requests of its own after a transfer on its side (RFC 3325)."""
    room = Room()
    _, first = dial(room)
    b_sent = second(room, first)
    b_at_pbx = room.pbx.got("INVITE")
    token = first.headers.get("x-callseal-call")

    room.pbx.answer(
        b_at_pbx, 200, ("p-asserted-identity", "<sip:201@pbx>"), ("contact", "<sip:2@192.0.2.1>"), tag="pbx"
    )
    answer = room.child.heard(200)
    room.pbx.back(b_at_pbx, "UPDATE", "P-Asserted-Identity: <sip:202@pbx>", tag="pbx")
    room.child.within(b_sent, answer, "INVITE", f"Contact: {CHILD_CONTACT}")
    room.pbx.answer(room.pbx.got("INVITE"), 200, ("p-asserted-identity", "<sip:203@pbx>"), tag="pbx")

    assert room.gate.parties == [(token, "<sip:201@pbx>"), (token, "<sip:202@pbx>"), (token, "<sip:203@pbx>")]


def test_whom_the_telephone_says_to_be_is_no_news() -> None:
    room = Room()
    a_sent, _, a_answer, *_ = connect(room)

    room.phone.within(a_sent, a_answer, "UPDATE", "P-Asserted-Identity: <sip:999@pbx>")

    room.child.got("UPDATE")
    assert room.gate.parties == []


def test_a_refused_call_is_answered_without_saying_why() -> None:
    room = Room()
    room.gate.admission = Admission(way="refuse", status=503, reason="bridge-down", retry_after_s=2)

    room.phone.ask("INVITE", "sip:200@pbx.example.com")

    refusal = room.phone.heard(503)
    assert (refusal.reason, refusal.headers.get("retry-after")) == ("Service Unavailable", "2")
    assert len(room.router.calls) == 0


def test_a_call_that_waits_is_kept_as_it_came_and_nothing_of_it_remembered() -> None:
    room = Room()
    room.gate.admission = Admission(way="wait")
    data = room.phone.write("INVITE", "sip:200@pbx.example.com", "X-Callseal-Call: forged", body=SDP)
    room.phone.send(data)
    ((kept, flow),) = room.lobby.kept

    room.gate.admission = Admission(way="line")
    room.deliver(kept, flow)

    assert room.child.got("INVITE").body == SDP.encode()
    assert len(room.router.calls) == 1


def test_a_call_for_which_there_is_no_room_to_wait_is_turned_away() -> None:
    room = Room()
    room.gate.admission = Admission(way="wait")
    room.lobby.is_full = True

    room.phone.ask("INVITE", DIALLED)

    room.phone.heard(503)
    assert len(room.router.calls) == 0


def test_a_call_that_was_cancelled_while_it_waited_is_answered_so() -> None:
    room = Room()
    room.lobby.cancelled.add("given up")

    room.phone.ask("INVITE", "sip:200@pbx.example.com", call="given up")

    room.phone.heard(487)
    assert room.gate.admitted == []


def test_a_call_that_is_let_in_while_there_is_no_child_is_turned_away() -> None:
    room = Room(replace(FACES, child=None))

    room.phone.ask("INVITE", "sip:200@pbx.example.com")

    room.phone.heard(503)
    assert len(room.router.calls) == 0


def test_more_calls_at_once_than_are_known_are_turned_away() -> None:
    room = Room()

    for number in range(257):
        room.pbx.ask("INVITE", "sip:100@192.0.2.10:5060", call=str(number))

    assert room.pbx.heard(503).call_id == "256"


def test_calls_that_are_over_are_forgotten() -> None:
    room = Room()
    _, invite = dial(room, "Route: <sip:orig@pbx.example.com;lr>")
    room.child.answer(invite, 486)

    room.wait(400.0)
    room.phone.ask("OPTIONS", "sip:127.0.0.1:5060")

    assert len(room.router.calls) == 0


def test_a_dead_childs_calls_are_ended_for_both_parties() -> None:
    room = Room()
    connect(room)

    room.proxy.abandon_from("line", room.now_s)
    for request, hop in room.router.take_endings():
        room.proxy.originate(request, hop, room.now_s)
    with_child(room, None)
    room.pump()

    phone_bye, pbx_bye = room.phone.got("BYE"), room.pbx.got("BYE")
    assert (phone_bye.uri, pbx_bye.uri) == ("sip:100@127.0.0.1:6000;ob", "sip:200@192.0.2.1:5062")
    assert phone_bye.headers.all("route") == pbx_bye.headers.all("route") == ()
    assert pbx_bye.cseq.number == 2
    assert "503" in (phone_bye.headers.get("reason") or "")


def test_a_dead_childs_call_that_is_answered_too_late_is_ended() -> None:
    room = Room()
    _, first = dial(room)
    second(room, first)
    b_at_pbx = room.pbx.got("INVITE")
    room.pbx.answer(b_at_pbx, 180, tag="pbx")

    room.proxy.abandon_from("line", room.now_s)
    room.router.take_endings()
    with_child(room, None)
    room.pump()
    room.pbx.got("CANCEL")
    room.pbx.answer(b_at_pbx, 200, ("contact", "<sip:200@192.0.2.1:5062>"), tag="pbx")
    room.pump()

    assert room.pbx.got("ACK").uri == "sip:200@192.0.2.1:5062"
    assert room.pbx.got("BYE").cseq.number == 2


def test_a_request_for_a_dead_childs_dialog_is_answered_by_the_edge() -> None:
    room = Room()
    a_sent, _, a_answer, _, b_at_pbx, _ = connect(room)
    with_child(room, None)

    room.phone.within(a_sent, a_answer, "BYE")
    room.pbx.back(b_at_pbx, "BYE", tag="pbx")
    room.phone.ack(a_sent, a_answer)

    assert room.phone.heard(481).cseq.method == room.pbx.heard(481).cseq.method == "BYE"
    assert room.phone.inbox == []


def test_a_new_child_answers_for_an_old_ones_dialog_itself() -> None:
    room = Room()
    a_sent, _, a_answer, *_ = connect(room)
    new = ("127.0.0.1", 40_009)
    inbox = room.inboxes["line", new]
    with_child(room, new)

    room.phone.within(a_sent, a_answer, "BYE")

    assert [message.cseq.method for message in inbox] == ["BYE"]
    assert room.child.requests == []


def test_a_call_to_a_uri_that_is_none_is_a_bad_request() -> None:
    room = Room()

    room.phone.ask("INVITE", "sip:[::1")

    room.phone.heard(400)


def test_the_telephone_may_answer_under_another_contact() -> None:
    """What the child sends it then goes there, if that is a place of this machine."""
    room = Room()
    room.phone.register(PHONE_CONTACT)
    other = Peer(room, "phone", ("127.0.0.1", 6002))
    room.pbx.ask("INVITE", OURS, "Contact: <sip:200@192.0.2.1>")
    sent = second(room, room.child.got("INVITE"), side="phone", uri="sip:100@127.0.0.1:6000;ob")
    room.phone.answer(room.phone.got("INVITE"), 200, ("contact", "<sip:100@127.0.0.1:6002>"))

    room.child.ack(sent, room.child.heard(200))

    assert other.got("ACK").uri == "sip:100@127.0.0.1:6002"


def test_a_telephone_may_answer_without_a_contact_that_can_be_read() -> None:
    room = Room()
    room.phone.register(PHONE_CONTACT)
    room.pbx.ask("INVITE", OURS, "Contact: <sip:200@192.0.2.1>")
    second(room, room.child.got("INVITE"), side="phone", uri="sip:100@127.0.0.1:6000;ob")

    room.phone.answer(room.phone.got("INVITE"), 200, ("contact", "<sip:"))

    assert room.child.heard(200).headers.get("contact") == "<sip:"


def test_a_third_leg_of_a_call_from_the_telephone_system_goes_back_to_it() -> None:
    room = Room()
    room.phone.register(PHONE_CONTACT)
    room.pbx.ask("INVITE", OURS, "Contact: <sip:200@192.0.2.1>", "Route: <sip:192.0.2.10;lr>")
    first = room.child.got("INVITE")
    second(room, first, side="phone", uri="sip:100@127.0.0.1:6000;ob")
    at_phone = room.phone.got("INVITE")
    room.phone.answer(at_phone, 200, ("contact", PHONE_CONTACT))
    room.phone.back(
        at_phone, "REFER", "Refer-To: <sip:300@pbx.example.com>", "Referred-By: <sip:100@pbx.example.com>"
    )
    room.router.calls.expect_transfer(room.gate.referrals[0])

    second(room, first, uri="sip:300@pbx.example.com", call="leg-c")

    invite = room.pbx.got("INVITE")
    assert invite.uri == "sip:300@pbx.example.com"
    assert invite.headers.get("referred-by") == "<sip:100@pbx.example.com>"
    assert invite.headers.get("contact") == LINE_CONTACT


def test_a_route_that_is_none_cannot_be_a_strict_routers() -> None:
    room = Room()

    room.phone.ask("MESSAGE", "sip:127.0.0.1:5060;lr;cs=pbx", "Route: <x:y>")

    assert room.pbx.got("MESSAGE").uri == "sip:pbx.example.com"


def test_the_acknowledgement_has_the_password_of_its_invite() -> None:
    """RFC 3261 section 22.1."""
    room = Room()
    _, first = dial(room, f"Proxy-Authorization: {AUTHORIZATION}")
    sent = second(room, first)
    room.pbx.answer(room.pbx.got("INVITE"), 200, ("contact", "<sip:200@192.0.2.1>"))

    room.child.ack(sent, room.child.heard(200))

    assert room.pbx.got("ACK").headers.get("proxy-authorization") == AUTHORIZATION


def test_a_configured_telephone_stands_for_no_other_place() -> None:
    room = Room(configured="sip:desk@127.0.0.1:6000")
    _, first = dial(room)

    second(room, first, side="phone", uri="sip:desk@127.0.0.1:6001")

    room.child.heard(480)
