"""When the child is gone, its calls are hung up as it would have done: to the byte."""

import pytest

from callseal.agent.sip.headers import Headers
from callseal.agent.sip.message import Request
from support.witnessed_dialogs import (
    BARESIP_INVITE,
    CALL,
    CHILD_INVITE,
    KAMAILIO_INVITE,
    called,
    child_answer,
    data_of,
    far_answer,
    request,
    response,
    within,
    witness,
)


def answered(text: str = KAMAILIO_INVITE, *changes: tuple[str, str]) -> bytes:
    """Return the BYE for a call that the telephone system made and the child has answered."""
    dialogs = witness()
    invite = request(text, *changes)
    dialogs.request(invite, from_line=False, other="pbx", token=CALL, now_s=0.0)
    dialogs.response(invite, invite, child_answer("180 Ringing"), 1.0)
    dialogs.response(invite, invite, child_answer(), 2.0)
    ((bye, side),) = dialogs.endings()
    assert side == "pbx"
    return bytes(bye)


def ack(number: int) -> Request:
    return within("ACK", number, from_line=True)


def test_a_call_from_a_telephone_system_ends_by_all_its_proxies() -> None:
    assert answered() == data_of("""\
BYE sip:0301234@10.1.0.7:5060;transport=udp SIP/2.0
Route: <sip:192.0.2.1;lr;ftag=caller7;did=8f1.5e2>
Route: <sip:10.1.0.1;lr;ftag=caller7;did=8f1.5e2>
Max-Forwards: 70
From: <sip:201@pbx.example.com>;tag=child7
To: "sipp" <sip:0301234@pbx.example.com>;tag=caller7
Call-ID: 1-8734@10.1.0.7
CSeq: 1 BYE
Reason: SIP;cause=503;text="recorder failed"
Content-Length: 0

""")


def test_a_telephones_own_call_ends_at_the_telephone() -> None:
    dialogs = witness()
    invite = request(BARESIP_INVITE)
    ok = response("""\
SIP/2.0 200 OK
Via: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK6e7f8a;rport=5070;received=127.0.0.1
Record-Route: <sip:127.0.0.1:36000;lr;cs=phone>, <sip:127.0.0.1:5060;lr;cs=line>
Call-ID: 8d1a5c
From: "Anna Ä" <sip:201@pbx.example.com>;tag=6e7f
To: <sip:0301234@pbx.example.com>;tag=child6
CSeq: 23412 INVITE
Contact: <sip:callseal-phone@127.0.0.1:41000>

""")
    dialogs.request(invite, from_line=False, other="phone", token=CALL, now_s=0.0)
    dialogs.response(invite, invite, ok, 1.0)

    ((bye, side),) = dialogs.endings()

    assert side == "phone"
    assert bytes(bye) == data_of("""\
BYE sip:201-0x55d4e9@127.0.0.1:5070 SIP/2.0
Max-Forwards: 70
From: <sip:0301234@pbx.example.com>;tag=child6
To: "Anna Ä" <sip:201@pbx.example.com>;tag=6e7f
Call-ID: 8d1a5c
CSeq: 1 BYE
Reason: SIP;cause=503;text="recorder failed"
Content-Length: 0

""")


def test_a_call_of_the_child_ends_the_way_that_it_went() -> None:
    dialogs = witness()
    called(dialogs, far_answer("183 Session Progress"), far_answer())
    dialogs.request(ack(7001), from_line=True, other="pbx", now_s=0.0)

    ((bye, _),) = dialogs.endings()

    assert bytes(bye) == data_of("""\
BYE sip:0301234@10.1.0.9:5062;line=3 SIP/2.0
Route: <sip:192.0.2.1;lr;r2=on>
Route: <sip:10.1.0.1;lr;r2=on>
Max-Forwards: 70
From: "Anna" <sip:201@pbx.example.com>;tag=child9
To: <sip:0301234@pbx.example.com>;tag=far9
Call-ID: pj-9
CSeq: 7002 BYE
Reason: SIP;cause=503;text="recorder failed"
Content-Length: 0

""")


def test_an_answer_that_the_child_has_not_acknowledged_is_acknowledged_first() -> None:
    dialogs = witness()
    invite = request(CHILD_INVITE)
    sent = invite.with_headers(
        Headers(fields=(*invite.headers.fields, ("proxy-authorization", 'Digest response="5"')))
    )
    dialogs.request(invite, from_line=True, other="pbx", token=CALL, now_s=0.0)
    dialogs.response(invite, sent, far_answer(), 1.0)

    (first, side), (second, _) = dialogs.endings()

    assert side == "pbx"
    assert second.method == "BYE"
    assert bytes(first) == data_of("""\
ACK sip:0301234@10.1.0.9:5062;line=3 SIP/2.0
Route: <sip:192.0.2.1;lr;r2=on>
Route: <sip:10.1.0.1;lr;r2=on>
Max-Forwards: 70
From: "Anna" <sip:201@pbx.example.com>;tag=child9
To: <sip:0301234@pbx.example.com>;tag=far9
Call-ID: pj-9
CSeq: 7001 ACK
Proxy-Authorization: Digest response="5"
Content-Length: 0

""")


def test_a_strict_router_finds_itself_in_the_request_uri() -> None:
    bye = answered(
        KAMAILIO_INVITE, ("<sip:192.0.2.1;lr;ftag=caller7;did=8f1.5e2>", "<sip:192.0.2.1;ftag=caller7>")
    )

    lines = bye.decode().splitlines()
    assert lines[:3] == [
        "BYE sip:192.0.2.1;ftag=caller7 SIP/2.0",
        "Route: <sip:10.1.0.1;lr;ftag=caller7;did=8f1.5e2>",
        "Route: <sip:0301234@10.1.0.7:5060;transport=udp>",
    ]


def test_a_route_that_nobody_can_read_is_followed_as_it_is() -> None:
    bye = answered(KAMAILIO_INVITE, ("<sip:192.0.2.1;lr;ftag=caller7;did=8f1.5e2>", "<sip:192.0.2.1:99999>"))

    assert bye.decode().splitlines()[:2] == [
        "BYE sip:0301234@10.1.0.7:5060;transport=udp SIP/2.0",
        "Route: <sip:192.0.2.1:99999>",
    ]


@pytest.mark.parametrize(
    "contact",
    ["m: *", "m: <sip:1@h:99999>", "m: <sip:1 2@h>", "m: <http://h/>", "m: <sip:1@h", "Subject: none"],
)
def test_who_does_not_say_where_it_is_is_asked_for_by_its_address(contact: str) -> None:
    bye = answered(
        KAMAILIO_INVITE, ('m: "sipp" <sip:0301234@10.1.0.7:5060;transport=udp>;expires=60', contact)
    )

    assert bye.startswith(b"BYE sip:0301234@pbx.example.com SIP/2.0\r\n")


def test_who_cannot_be_reached_at_all_gets_nothing() -> None:
    dialogs = witness()
    invite = request(
        KAMAILIO_INVITE,
        ('m: "sipp" <sip:0301234@10.1.0.7:5060;transport=udp>;expires=60', "m: *"),
        ('"sipp" <sip:0301234@pbx.example.com>', "<unknown>"),
    )
    dialogs.request(invite, from_line=False, other="pbx", token=CALL, now_s=0.0)
    dialogs.response(invite, invite, child_answer(), 2.0)

    assert dialogs.endings() == []
