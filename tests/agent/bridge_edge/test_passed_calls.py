"""Calls that go past the child: as through any proxy, and each leaves a trace of how it ended."""

import pytest

from callseal.agent.sip.message import Request
from callseal.agent.sources.bridge.edge.gate import Admission
from support.edge_room import SDP, Room, uri_of

OURS = "sip:100@192.0.2.10:5060"
PHONE_CONTACT = "<sip:100@127.0.0.1:6000;ob>"
PBX_CONTACT = "<sip:200@192.0.2.1:5062>"


def open_room() -> Room:
    room = Room()
    room.gate.admission = Admission(way="pass", reason="emergency")
    return room


def call_out(room: Room, call: str = "call") -> tuple[Request, Request]:
    """Have the telephone call; give the INVITE as sent and as the telephone system has it."""
    sent = room.phone.ask(
        "INVITE", "sip:112@pbx.example.com", f"Contact: {PHONE_CONTACT}", call=call, body=SDP
    )
    return sent, room.pbx.got("INVITE")


def token_of(room: Room) -> str:
    return room.gate.admitted[-1][2].token


def test_a_call_passes_from_the_telephone_to_the_telephone_system() -> None:
    room = open_room()

    _, invite = call_out(room)

    assert (invite.uri, invite.body) == ("sip:112@pbx.example.com", SDP.encode())
    assert uri_of(invite.headers.get("contact")) == OURS
    assert invite.headers.all("record-route") == (
        "<sip:192.0.2.10:5060;lr;cs=phone>",
        "<sip:127.0.0.1:5060;lr;cs=pbx>",
    )
    assert room.gate.passed_calls == [(token_of(room), "emergency")]
    assert room.child.inbox == []
    assert len(room.router.calls) == 0


def test_a_passed_call_lives_until_the_telephone_system_hangs_up() -> None:
    room = open_room()
    sent, invite = call_out(room)

    room.pbx.answer(invite, 180, ("contact", PBX_CONTACT))
    room.pbx.answer(invite, 200, ("contact", PBX_CONTACT), body=SDP)
    answer = room.phone.heard(200)
    room.phone.ack(sent, answer)
    ack = room.pbx.got("ACK")
    room.pbx.back(invite, "INVITE")
    again = room.phone.got("INVITE")
    before = list(room.gate.ended)
    room.pbx.back(invite, "BYE", cseq=2)
    bye = room.phone.got("BYE")

    assert answer.headers.get("contact") == PBX_CONTACT
    assert (ack.uri, again.uri, bye.uri) == ("sip:200@192.0.2.1:5062", *["sip:100@127.0.0.1:6000;ob"] * 2)
    assert room.gate.answered == [token_of(room)]
    assert before == []
    assert room.gate.ended == [(token_of(room), True, 0, "customer")]


def test_a_passed_call_lives_until_the_telephone_hangs_up() -> None:
    room = open_room()
    sent, invite = call_out(room)
    room.pbx.answer(invite, 200, ("contact", PBX_CONTACT))
    answer = room.phone.heard(200)

    room.phone.within(sent, answer, "BYE")

    assert room.pbx.got("BYE").uri == "sip:200@192.0.2.1:5062"
    assert room.gate.ended == [(token_of(room), True, 0, "agent")]


def test_a_call_of_the_telephone_systems_passes_to_the_telephone_and_back() -> None:
    room = open_room()
    room.phone.register(PHONE_CONTACT)
    sent = room.pbx.ask("INVITE", OURS, f"Contact: {PBX_CONTACT}", who="<sip:2@pbx>;tag=p")
    invite = room.phone.got("INVITE")

    room.phone.answer(invite, 200, ("contact", PHONE_CONTACT))
    answer = room.pbx.heard(200)
    room.pbx.ack(sent, answer)
    room.phone.back(invite, "BYE")

    assert invite.uri == "sip:100@127.0.0.1:6000;ob"
    assert uri_of(answer.headers.get("contact")) == OURS
    assert room.phone.got("ACK").uri == "sip:100@127.0.0.1:6000;ob"
    assert room.pbx.got("BYE").uri == "sip:200@192.0.2.1:5062"
    assert room.gate.ended == [(token_of(room), True, 0, "agent")]


def test_a_call_that_can_pass_to_nobody_is_no_passed_call() -> None:
    room = open_room()

    room.pbx.ask("INVITE", OURS)

    room.pbx.heard(480)
    assert room.gate.passed_calls == []


@pytest.mark.parametrize(
    ("status", "by"), [(486, "customer"), (603, "customer"), (487, "agent"), (404, None), (407, None)]
)
def test_a_passed_call_that_is_not_taken_says_why(status: int, by: str | None) -> None:
    room = open_room()
    _, invite = call_out(room)

    room.pbx.answer(invite, status)

    room.phone.heard(status)
    assert room.gate.ended == [(token_of(room), False, status, by)]
    assert len(room.router.passed) == 0


def test_a_passed_call_that_nobody_answers_is_over() -> None:
    room = open_room()
    call_out(room)

    room.wait(40.0)

    assert room.gate.ended == [(token_of(room), False, 408, None)]


def test_a_second_try_with_a_password_is_a_call_of_its_own() -> None:
    room = open_room()
    _, invite = call_out(room)
    room.pbx.answer(invite, 407, ("proxy-authenticate", 'Digest realm="pbx"'))
    challenge = room.phone.heard(407)

    room.phone.ask("INVITE", "sip:112@pbx.example.com", "Proxy-Authorization: Digest x", cseq=2)
    again = room.pbx.got("INVITE")
    room.pbx.answer(again, 200, ("contact", PBX_CONTACT))

    assert challenge.headers.get("proxy-authenticate") == 'Digest realm="pbx"'
    assert again.headers.get("proxy-authorization") == "Digest x"
    assert [each[1:] for each in room.gate.ended] == [(False, 407, None)]
    assert room.gate.answered == [token_of(room)]


def test_an_answer_that_comes_again_is_told_once() -> None:
    room = open_room()
    _, invite = call_out(room)

    for _ in range(3):
        room.pbx.answer(invite, 200, ("contact", PBX_CONTACT))

    assert room.gate.answered == [token_of(room)]


def test_a_redirection_is_the_callers_to_follow() -> None:
    room = open_room()
    room.phone.register()
    room.pbx.ask("INVITE", OURS)

    room.phone.answer(room.phone.got("INVITE"), 302, ("contact", "<sip:300@pbx.example.com>"))

    assert room.pbx.heard(302).headers.get("contact") == "<sip:300@pbx.example.com>"


def test_a_transfer_within_a_passed_call_passes() -> None:
    room = open_room()
    sent, invite = call_out(room)
    room.pbx.answer(invite, 200, ("contact", PBX_CONTACT))

    room.phone.within(sent, room.phone.heard(200), "REFER", "Refer-To: <sip:300@pbx.example.com>")

    assert room.pbx.got("REFER").headers.get("refer-to") == "<sip:300@pbx.example.com>"
    assert room.gate.referrals == []


def test_calls_whose_end_is_lost_do_not_pile_up() -> None:
    room = open_room()

    for number in range(70):
        _, invite = call_out(room, str(number))
        room.pbx.answer(invite, 200, ("contact", PBX_CONTACT))
        room.wait(1.0)

    assert len(room.router.passed) == 64
    assert room.gate.ended == [(facts.token, True, 0, None) for _, _, facts in room.gate.admitted[:6]]


def test_an_invite_by_another_way_takes_the_place_of_the_first() -> None:
    """As after a loss of the connection: the same call, in another transaction."""
    room = open_room()
    call_out(room)
    call_out(room)

    assert [each[1:] for each in room.gate.ended] == [(False, 0, None)]
    assert len(room.router.passed) == 1
