"""The child hangs up: it is through with that at once, and the other party hears of it in any case."""

from callseal.agent.sip.message import Request
from support.edge_room import SDP, Room

CONTACT = "Contact: <sip:100@127.0.0.1:6000>"


def talk(room: Room) -> tuple[Request, Request]:
    """Have the telephone call the child; give the INVITE as it was sent and as the child has it."""
    sent = room.phone.ask("INVITE", "sip:200@pbx.example.com", CONTACT, body=SDP)
    invite = room.child.got("INVITE")
    room.child.answer(invite, 200, ("contact", "<sip:callseal-phone@127.0.0.1:40001>"), body=SDP)
    room.phone.ack(sent, room.phone.heard(200))
    room.child.got("ACK")
    return sent, invite


def test_a_party_that_does_not_answer_holds_none_of_the_childs_legs() -> None:
    room = Room()
    _, invite = talk(room)

    room.child.back(invite, "BYE")

    assert room.child.statuses == [200]
    assert room.phone.requests == ["BYE"]


def test_its_bye_is_sent_until_it_is_heard() -> None:
    room = Room()
    _, invite = talk(room)

    room.child.back(invite, "BYE")
    room.wait(2)
    again = list(room.phone.requests)
    room.phone.answer(room.phone.got("BYE"), 200)
    room.wait(40)

    assert again == ["BYE"] * 3
    assert room.phone.requests == ["BYE"] * 2
    assert room.child.statuses == [200]
    assert room.proxy.counts.transactions == 0
