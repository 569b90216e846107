"""INVITEs that come to nothing before the child has taken them on: answered, and no room is kept for them."""

import pytest

from callseal.agent.sip.message import Request, Response
from support.edge_room import SDP, Peer, Room

DIALLED = "sip:200@pbx.example.com"
OURS = "sip:100@192.0.2.10:5060"
PHONE_CONTACT = "Contact: <sip:100@127.0.0.1:6000>"
CHILD_CONTACT = ("contact", "<sip:callseal-line@127.0.0.1:40001>")


def dial(room: Room, *more: str, call: str = "first") -> Request:
    """Have the telephone call."""
    return room.phone.ask("INVITE", DIALLED, PHONE_CONTACT, *more, call=call, body=SDP)


def connected(room: Room, caller: Peer) -> Response:
    """Have a side call the child, which takes the call; gives its answer."""
    uri = DIALLED if caller is room.phone else OURS
    caller.ask("INVITE", uri, "Contact: <sip:caller@127.0.0.1:6000>", call="standing", body=SDP)
    room.child.answer(room.child.got("INVITE"), 200, CHILD_CONTACT, tag="child", body=SDP)
    answer = caller.heard(200)
    caller.inbox.clear()
    return answer


@pytest.mark.parametrize("side", ["phone", "pbx"])
def test_nobody_takes_the_place_of_a_call_that_stands(side: str) -> None:
    room = Room()
    caller = room.phone if side == "phone" else room.pbx
    answer = connected(room, caller)
    replaces = f"Replaces: standing;to-tag={answer.to_tag};from-tag=near"

    uri = DIALLED if side == "phone" else OURS
    caller.ask("INVITE", uri, PHONE_CONTACT, replaces, call="thief", body=SDP)

    caller.heard(603)
    assert room.child.requests == []
    assert room.gate.declines == [(room.gate.admitted[-1][2].token, 603)]


@pytest.mark.parametrize(
    ("replaces", "status"),
    [
        (("Replaces: nothing;to-tag=child;from-tag=near",), 481),
        (("Replaces: standing;to-tag=child;from-tag=other",), 481),
        (("Replaces: standing",), 481),
        (("Replaces: ",), 481),
        (("Replaces: a;to-tag=1;from-tag=2", "Replaces: b;to-tag=1;from-tag=2"), 400),
    ],
)
def test_a_call_that_is_to_replace_nothing_rings_nobody(replaces: tuple[str, ...], status: int) -> None:
    room = Room()
    connected(room, room.phone)

    dial(room, *replaces, call="thief")

    room.phone.heard(status)
    assert room.child.requests == []
    assert [code for _, code in room.gate.declines] == [status]


def test_a_call_of_one_side_is_not_replaced_from_the_other() -> None:
    """The telephone's dialog means nothing to the telephone system: it is not told that there is one."""
    room = Room()
    answer = connected(room, room.phone)
    replaces = f"Replaces: standing;to-tag={answer.to_tag};from-tag=near"

    room.pbx.ask("INVITE", OURS, "Contact: <sip:200@192.0.2.1>", replaces, call="thief", body=SDP)

    room.pbx.heard(481)


@pytest.mark.parametrize(
    "parts",
    [
        {"more": "Contact: <>"},
        {"more": "Contact: <sip:100@127.0.0.1:99999999>"},
        {"more": PHONE_CONTACT, "who": "<sip:1\xff00@pbx.example.com>;tag=near"},
        {"more": PHONE_CONTACT, "to": "<sip:2\x0000@pbx.example.com>"},
    ],
    ids=["contact-of-nobody", "contact-nowhere", "from-no-ascii", "to-with-nul"],
)
def test_what_the_child_would_say_nothing_to_is_refused_at_once(parts: dict[str, str]) -> None:
    room = Room()
    more = parts.pop("more")

    room.phone.ask("INVITE", DIALLED, more, body=SDP, **parts)

    room.phone.heard(400)
    assert room.child.requests == []
    assert len(room.gate.declines) == len(room.gate.admitted) <= 1


@pytest.mark.parametrize("name", ["\u5f20\u4e09", "\xd5\xc5\xc8\xfd"], ids=["utf-8", "latin"])
def test_a_name_may_be_in_any_script(name: str) -> None:
    room = Room()

    room.phone.ask("INVITE", DIALLED, PHONE_CONTACT, who=f'"{name}" <sip:100@pbx.example.com>;tag=near')

    room.child.got("INVITE")
    assert room.gate.declines == []


@pytest.mark.parametrize("status", [400, 406, 420, 486, 503])
def test_the_gate_hears_of_what_the_child_refuses_by_itself(status: int) -> None:
    room = Room()
    dial(room)
    ((_, _, facts),) = room.gate.admitted

    invite = room.child.got("INVITE")
    room.child.answer(invite, 180, CHILD_CONTACT)
    assert room.gate.declines == []
    room.child.answer(invite, status)

    assert room.gate.declines == [(facts.token, status)]


def test_the_gate_hears_of_who_gave_up() -> None:
    room = Room()
    invite = dial(room)
    at_child = room.child.got("INVITE")

    room.child.answer(at_child, 180, CHILD_CONTACT)
    room.phone.ask("CANCEL", DIALLED, call="first", branch=invite.via.branch)
    room.child.got("CANCEL")
    room.child.answer(at_child, 487)

    assert [status for _, status in room.gate.declines] == [487]


def test_a_description_that_cannot_be_spoken_is_not_acceptable_here() -> None:
    """The child's library says 406, which is about Accept; with 488 a telephone tries another one."""
    room = Room()
    dial(room)

    room.child.answer(room.child.got("INVITE"), 406)

    assert room.phone.heard(488).reason == "Not Acceptable Here"


def test_what_the_called_side_finds_not_acceptable_stays_so() -> None:
    room = Room()
    dial(room)
    first = room.child.got("INVITE")
    token = first.headers.get("x-callseal-call")
    room.child.ask(
        "INVITE", DIALLED, f"X-Callseal-Call: {token}", "X-Callseal-To: pbx",
        "Contact: <sip:callseal-line@127.0.0.1:40001>", call="second", body=SDP,
    )  # fmt: skip
    room.pbx.answer(room.pbx.got("INVITE"), 406)

    room.child.answer(first, 406)

    room.phone.heard(406)
