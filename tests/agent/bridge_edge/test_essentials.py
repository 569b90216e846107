"""The child is sent what it needs, and no more: its library cuts off what is longer than 4,000 bytes."""

import pytest

from callseal.agent.sources.bridge.edge import essentials
from support.edge_room import SDP, Room

LIBRARY_BYTES = 4000
IDENTITY = "eyJhbGciOiJFUzI1NiJ9" * 300
PHONE_CONTACT = "Contact: <sip:100@127.0.0.1:6000>"
SDP_KIND = "Content-Type: application/sdp"


def described(*attributes: str) -> str:
    """Write a session description with attributes of its audio."""
    return SDP + "".join(f"{line}\r\n" for line in attributes)


@pytest.mark.parametrize("caller", ["phone", "pbx"])
def test_a_call_with_long_headers_reaches_the_child_whole_and_the_other_side_with_them(caller: str) -> None:
    room = Room()
    room.phone.register()
    peer = room.phone if caller == "phone" else room.pbx
    other = room.pbx if caller == "phone" else room.phone
    uri = "sip:200@pbx.example.com" if caller == "phone" else "sip:100@192.0.2.10:5060"
    vias = tuple(f"Via: SIP/2.0/UDP 198.51.100.{hop};branch=z9hG4bK{'x' * 40}{hop}" for hop in range(40))
    peer.ask("INVITE", uri, f"Identity: {IDENTITY}", PHONE_CONTACT, SDP_KIND, *vias, body=described())

    invite = room.child.got("INVITE")
    room.child.ask(
        "INVITE", "sip:200@pbx.example.com" if caller == "phone" else "sip:100@127.0.0.1:6000",
        f"X-Callseal-Call: {invite.headers.get('x-callseal-call')}",
        f"X-Callseal-To: {'pbx' if caller == 'phone' else 'phone'}",
        "Contact: <sip:callseal-line@127.0.0.1:40001>", call="second",
    )  # fmt: skip
    room.child.answer(invite, 180)

    assert len(bytes(invite)) < LIBRARY_BYTES
    assert invite.body == described().encode()
    assert other.got("INVITE").headers.get("identity") == IDENTITY
    assert len(peer.heard(180).headers.all("via")) == 41


def test_an_answer_with_long_headers_reaches_the_child_whole_and_the_caller_with_them() -> None:
    room = Room()
    room.phone.ask("INVITE", "sip:200@pbx.example.com", PHONE_CONTACT)
    first = room.child.got("INVITE")
    room.child.ask(
        "INVITE", "sip:200@pbx.example.com", f"X-Callseal-Call: {first.headers.get('x-callseal-call')}",
        "X-Callseal-To: pbx", "Contact: <sip:callseal-line@127.0.0.1:40001>", call="second",
    )  # fmt: skip

    room.pbx.answer(
        room.pbx.got("INVITE"), 200,
        ("contact", "<sip:200@192.0.2.1>"), ("call-info", f"<https://example.com/{IDENTITY}>"),
        body=described(),
    )  # fmt: skip
    answer = room.child.heard(200)
    room.child.answer(first, 200, body=described())

    assert len(bytes(answer)) < LIBRARY_BYTES
    assert answer.headers.get("contact") == "<sip:200@192.0.2.1>"
    assert answer.body == described().encode()
    assert len(answer.headers.all("record-route")) == 2
    assert room.phone.heard(200).headers.get("call-info") == f"<https://example.com/{IDENTITY}>"


def test_a_description_that_is_too_long_loses_what_the_child_does_not_offer() -> None:
    candidates = [f"a=candidate:{number} 1 udp 2130706431 192.0.2.9 5000 typ host" for number in range(70)]
    room = Room()
    body = described("a=rtpmap:0 PCMU/8000", *candidates, "a=sendonly")

    room.phone.ask("INVITE", "sip:200@pbx.example.com", PHONE_CONTACT, SDP_KIND, body=body)

    assert len(body) > essentials.ROOM_BYTES
    assert room.child.got("INVITE").body == described("a=rtpmap:0 PCMU/8000", "a=sendonly").encode()


def test_a_description_that_is_short_enough_stays_as_it_is() -> None:
    room = Room()
    body = described("a=candidate:1 1 udp 2130706431 192.0.2.9 5000 typ host")

    room.phone.ask("INVITE", "sip:200@pbx.example.com", PHONE_CONTACT, SDP_KIND, body=body)

    assert room.child.got("INVITE").body == body.encode()
