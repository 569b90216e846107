"""Sound finds its way in calls that go past the child, and to whom the edge speaks is who it seems to be."""

from dataclasses import replace

import pytest

from callseal.agent.sip.flow import Flow, Transport
from callseal.agent.sources.bridge.edge.faces import PBX
from callseal.agent.sources.bridge.edge.gate import Admission
from support.edge_room import EDGE_OUTSIDE, FACES, PBX_AT, Room

CONTACT = "Contact: <sip:100@127.0.0.1:6000>"
SDP = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.2\r\nt=0 0\r\n"
    "m=audio 4000 RTP/AVP 0\r\nc=IN IP4 127.0.0.1\r\na=rtcp:4001 IN IP4 127.0.0.1\r\n"
)
OUTSIDE = (
    "v=0\r\no=- 1 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\n"
    "m=audio 4000 RTP/AVP 0\r\nc=IN IP4 192.0.2.10\r\na=rtcp:4001 IN IP4 192.0.2.10\r\n"
)
TYPE = "Content-Type: application/sdp"


def passing_room() -> Room:
    room = Room()
    room.gate.admission = Admission(way="pass", reason="bridge-down")
    room.phone.register()
    return room


def test_a_telephone_on_loopback_is_described_by_this_machines_address() -> None:
    room = passing_room()

    room.phone.ask("INVITE", "sip:200@pbx.example.com", CONTACT, TYPE, body=SDP)

    assert room.pbx.got("INVITE").body.decode() == OUTSIDE


def test_and_so_it_is_where_it_answers() -> None:
    room = passing_room()
    room.pbx.ask("INVITE", "sip:100@192.0.2.10:5060", "Contact: <sip:200@192.0.2.1>", TYPE, body=SDP)

    room.phone.answer(room.phone.got("INVITE"), 200, ("contact", "<sip:100@127.0.0.1:6000>"), body=SDP)

    assert room.pbx.heard(200).body.decode() == OUTSIDE


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/plain", SDP),
        ("application/sdp", SDP.replace("127.0.0.", "192.0.2.")),
        ("application/sdp", SDP.replace("IP4 127.0.0.1", "IP4 host127.0.0.1").replace("127.0.0.2", "x")),
    ],
)
def test_nothing_else_is_written_anew(kind: str, body: str) -> None:
    room = passing_room()

    room.phone.ask("INVITE", "sip:200@pbx.example.com", CONTACT, f"Content-Type: {kind}", body=body)

    assert room.pbx.got("INVITE").body.decode() == body


def test_what_the_child_describes_stays_as_it_is() -> None:
    room = Room()
    room.phone.ask("INVITE", "sip:200@pbx.example.com", CONTACT, TYPE, body=SDP)

    assert room.child.got("INVITE").body.decode() == SDP


def test_a_telephone_may_give_the_address_that_this_machine_has_outside() -> None:
    room = Room()

    room.phone.register(f"<sip:100@{EDGE_OUTSIDE[0]}:6000>")

    assert [each.aor for each in room.router.registrations(room.now_s)] == ["100@pbx.example.com"]


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
def test_where_the_telephone_system_shows_a_certificate_nothing_else_is_taken_for_it(
    transport: Transport,
) -> None:
    faces = replace(FACES, pbx_transport=Transport.TLS)
    flow = Flow(transport=transport, local=EDGE_OUTSIDE, remote=PBX_AT, face=PBX)

    assert faces.side_of(flow) is None
    assert faces.side_of(replace(flow, transport=Transport.TLS)) == PBX


def test_an_answer_that_forgot_our_way_is_given_it_back() -> None:
    """Else the child would send what follows straight to an address that it can't reach."""
    room = Room()
    sent = room.phone.ask("INVITE", "sip:200@pbx.example.com", CONTACT, TYPE, body=SDP)
    first = room.child.got("INVITE")
    token = first.headers.get("x-callseal-call")
    room.child.ask(
        "INVITE", "sip:200@pbx.example.com", "Contact: <sip:callseal-line@127.0.0.1:40001>",
        f"X-Callseal-Call: {token}", "X-Callseal-To: pbx", call="second",
    )  # fmt: skip
    second = room.pbx.got("INVITE")
    kept = tuple(field for field in second.headers.fields if field[0] != "record-route")

    room.pbx.answer(
        second.with_headers(replace(second.headers, fields=kept)), 200, ("contact", "<sip:200@192.0.2.1>")
    )

    assert room.child.heard(200).headers.all("record-route") == second.headers.all("record-route")
    assert sent.call_id == "call"
