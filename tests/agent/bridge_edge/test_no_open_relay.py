"""Whatever a message names, it goes to the telephone, the telephone system or the child, or nowhere.

The room fails a test as soon as something is sent to anybody else.
"""

from dataclasses import replace
from typing import Literal

import pytest

from callseal.agent.sources.bridge.edge.gate import Admission
from support.edge_room import SDP, Room, uri_of

OURS = "sip:100@192.0.2.10:5060"
FOREIGN = "203.0.113.66"
Way = Literal["line", "pass"]
WAYS: tuple[Way, ...] = ("line", "pass")


def room_with(way: Way) -> Room:
    room = Room()
    room.gate.admission = Admission(way=way)
    room.phone.register()
    return room


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "BYE", "SUBSCRIBE"])
@pytest.mark.parametrize(
    "route",
    [
        f"<sip:{FOREIGN};lr>",
        f"<sip:{FOREIGN};lr;cs=pbx>",
        f"<sip:127.0.0.1:5060;lr;cs=pbx>, <sip:{FOREIGN};lr>",
        f"<sip:127.0.0.1:5060;lr;maddr={FOREIGN}>, <sip:{FOREIGN}>",
        "<sip:127.0.0.1:5060;lr;cs=phone>",
        "<sip:127.0.0.1:5060;lr;cs=elsewhere>",
        "<sip:127.0.0.1:5061;lr;cs=line>",
        f"<sip:x@{FOREIGN}@127.0.0.1:5060;lr>",
    ],
)
def test_a_route_of_the_telephones_leads_to_nobody_else(way: Way, method: str, route: str) -> None:
    room = room_with(way)

    for to in ("<sip:200@pbx>", "<sip:200@pbx>;tag=x"):
        room.phone.ask(method, f"sip:200@{FOREIGN};maddr={FOREIGN}", f"Route: {route}", to=to, call=to)

    # the room asserts where it went; nothing came back to the telephone as a request either
    assert room.phone.requests == []


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "BYE", "SUBSCRIBE"])
@pytest.mark.parametrize(
    ("uri", "route"),
    [
        (f"sip:100@{FOREIGN}", ""),
        (f"sip:999@{FOREIGN}", f"<sip:{FOREIGN};lr>"),
        (f"sip:{FOREIGN}", "<sip:192.0.2.10:5060;lr;cs=phone>"),
        (f"sip:999@{FOREIGN}:5060", "<sip:192.0.2.10:5060;lr;cs=pbx>"),
        (
            f"sip:999@{FOREIGN};transport=tcp;maddr={FOREIGN}",
            f"<sip:192.0.2.10;lr;cs=phone>, <sip:{FOREIGN};lr>",
        ),
        ("sip:192.0.2.10:5060;lr;cs=phone", f"<sip:x@{FOREIGN}>"),
        ("sip:192.0.2.10:5060;lr;cs=line", f"<sip:x@{FOREIGN}>"),
        (f"tel:+49;phone-context={FOREIGN}", ""),
        (f"sips:100@{FOREIGN}", ""),
    ],
)
def test_a_request_of_the_telephone_systems_reaches_nobody_else(
    way: Way, method: str, uri: str, route: str
) -> None:
    room = room_with(way)
    routes = (f"Route: {route}",) if route else ()

    for to in ("<sip:100@pbx>", "<sip:100@pbx>;tag=x"):
        room.pbx.ask(method, uri, *routes, to=to, call=to)

    assert room.pbx.requests == []


def test_a_contact_of_an_invite_that_is_elsewhere_is_never_sent_to() -> None:
    room = room_with("pass")
    room.phone.ask(
        "INVITE", "sip:1@pbx.example.com", f"Contact: <sip:x@{FOREIGN}:7000;transport=tcp>", body=SDP
    )
    invite = room.pbx.got("INVITE")
    room.pbx.answer(invite, 200, ("contact", f"<sip:y@{FOREIGN}>"))

    room.pbx.back(invite, "BYE")

    assert room.phone.got("BYE").uri == f"sip:x@{FOREIGN}:7000;transport=tcp"


def test_a_child_reaches_no_telephone_that_is_none() -> None:
    room = room_with("line")
    room.phone.ask("INVITE", "sip:200@pbx.example.com", "Contact: <sip:100@127.0.0.1:6000>")
    token = room.child.got("INVITE").headers.get("x-callseal-call")

    for number, uri in enumerate((f"sip:x@{FOREIGN}", "sip:x@127.0.0.1:22", "tel:1", "sip:200@192.0.2.1")):
        room.child.ask("INVITE", uri, f"X-Callseal-Call: {token}", "X-Callseal-To: phone", call=str(number))

    assert room.child.statuses.count(480) == 4


def test_a_child_reaches_the_telephone_system_alone_whatever_it_dials() -> None:
    room = room_with("line")
    room.phone.ask("INVITE", "sip:200@pbx.example.com", "Contact: <sip:100@127.0.0.1:6000>")
    token = room.child.got("INVITE").headers.get("x-callseal-call")

    room.child.ask("INVITE", f"sip:x@{FOREIGN}", f"X-Callseal-Call: {token}", "X-Callseal-To: pbx", call="b")

    assert room.pbx.got("INVITE").uri == f"sip:x@{FOREIGN}"


def test_a_via_sends_no_answer_elsewhere() -> None:
    room = room_with("line")
    data = room.phone.write("OPTIONS", "sip:127.0.0.1:5060").decode()
    data = data.replace("127.0.0.1:6000;", f"{FOREIGN}:6000;maddr={FOREIGN};received={FOREIGN};")

    room.phone.send(data.encode())

    room.phone.heard(200)


def test_a_record_route_in_an_answer_leads_nowhere_else() -> None:
    """Who answers may write what he likes into the route set: at the edge only its own entries count."""
    room = room_with("pass")
    sent = room.phone.ask("INVITE", "sip:1@pbx.example.com", "Contact: <sip:100@127.0.0.1:6000>")
    invite = room.pbx.got("INVITE")
    forged = replace(
        invite,
        headers=replace(
            invite.headers, fields=(("record-route", f"<sip:{FOREIGN};lr>"), *invite.headers.fields)
        ),
    )
    room.pbx.answer(forged, 200, ("contact", f"<sip:y@{FOREIGN}>"))

    room.phone.within(sent, room.phone.heard(200), "BYE")

    assert room.pbx.got("BYE").headers.all("route") == (f"<sip:{FOREIGN};lr>",)


def test_two_edges_on_one_host_do_not_take_each_others_routes() -> None:
    room = room_with("line")

    room.pbx.ask(
        "BYE", "sip:x@192.0.2.10:5062", "Route: <sip:192.0.2.10:5062;lr;cs=phone>", to="<sip:1@pbx>;tag=x"
    )

    room.pbx.heard(481)


def test_the_first_route_that_names_the_way_decides() -> None:
    room = room_with("line")

    room.pbx.ask(
        "INFO", OURS, "Route: <sip:192.0.2.10;lr>, <sip:192.0.2.10;lr;cs=phone>, <sip:127.0.0.1;lr;cs=line>",
        to="<sip:1@pbx>;tag=x",
    )  # fmt: skip

    info = room.phone.got("INFO")
    assert (info.headers.all("route"), uri_of(f"<{info.uri}>")) == ((), "sip:100@127.0.0.1:6000")


@pytest.mark.parametrize("route", ["", "Route: <sip:127.0.0.1:5060;lr;cs=pbx>"])
def test_an_invite_that_pretends_to_go_on_in_a_call_goes_past_nobody(route: str) -> None:
    """A telephone system that took it would make a call without a recording, and without a trace."""
    room = room_with("line")

    room.phone.ask("INVITE", "sip:200@pbx.example.com", *([route] if route else []), to="<sip:200@pbx>;tag=x")

    assert room.phone.statuses[-1] == 481
    assert "INVITE" not in room.pbx.requests
