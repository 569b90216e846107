"""All that a telephone does besides calls passes through the edge and back."""

from dataclasses import replace

import pytest

from callseal.agent.sip.flow import Transport
from callseal.agent.sources.bridge.edge.crossings import MAX_CROSSINGS, Crossing, Crossings
from support.edge_room import EDGE, FACES, PBX_AT, Peer, Room, uri_of

OURS = "sip:100@192.0.2.10:5060"
METHODS = ("SUBSCRIBE", "PUBLISH", "MESSAGE", "OPTIONS", "INFO", "NOTIFY", "REFER", "X-FUTURE")


@pytest.mark.parametrize("method", METHODS)
def test_what_a_telephone_asks_reaches_the_telephone_system_under_the_same_uri(method: str) -> None:
    room = Room()

    room.phone.ask(method, "sip:200@pbx.example.com;user=phone", "Event: presence", body="hello")
    request = room.pbx.got(method)
    room.pbx.answer(request, 202)

    assert request.uri == "sip:200@pbx.example.com;user=phone"
    assert (request.headers.get("event"), request.body) == ("presence", b"hello")
    room.phone.heard(202)


@pytest.mark.parametrize("method", METHODS)
def test_what_the_telephone_system_asks_reaches_the_telephone_under_its_own_contact(method: str) -> None:
    room = Room()
    room.phone.register("<sip:100@127.0.0.1:6000;ob>;q=1")

    room.pbx.ask(method, OURS, "Event: message-summary", body="Messages-Waiting: yes")
    request = room.phone.got(method)
    room.phone.answer(request, 200)

    assert request.uri == "sip:100@127.0.0.1:6000;ob"
    assert (request.headers.get("event"), request.body) == ("message-summary", b"Messages-Waiting: yes")
    room.pbx.heard(200)


def test_a_request_for_the_edge_itself_is_for_the_telephone_system() -> None:
    for uri, wanted in (
        ("sip:200@127.0.0.1:5060;transport=udp;user=phone", "sip:200@pbx.example.com;user=phone"),
        ("sip:200@localhost", "sip:200@pbx.example.com"),
        ("sip:200@192.0.2.10:5060?Subject=x", "sip:200@pbx.example.com"),
    ):
        room = Room()

        room.phone.ask("MESSAGE", uri)

        assert room.pbx.got("MESSAGE").uri == wanted


def test_a_question_to_the_edge_itself_is_answered_by_it() -> None:
    room = Room()

    room.phone.ask("OPTIONS", "sip:127.0.0.1:5060")
    room.pbx.ask("OPTIONS", "sip:192.0.2.10:5060")

    assert "INVITE" in (room.phone.heard(200).headers.get("allow") or "")
    room.pbx.heard(200)


def test_a_question_to_nobody_at_another_host_finds_nobody() -> None:
    room = Room()

    room.pbx.ask("OPTIONS", "sip:elsewhere.example.com")

    room.pbx.heard(404)


def test_a_user_whom_nobody_is_registered_for_is_not_found() -> None:
    room = Room()
    room.phone.register()

    room.pbx.ask("MESSAGE", "sip:999@192.0.2.10:5060")

    room.pbx.heard(404)
    assert room.phone.requests == []


def test_nobody_registered_is_temporary() -> None:
    room = Room()

    room.pbx.ask("MESSAGE", OURS)

    room.pbx.heard(480)


def test_an_address_of_record_stands_for_its_telephone_too() -> None:
    """Some telephone systems are told a fixed address for a number, and put the number into the URI."""
    room = Room()
    room.phone.register("<sip:ab12@127.0.0.1:6000>", aor="4711")

    room.pbx.ask("MESSAGE", "sip:4711@pbx.example.com")

    assert room.phone.got("MESSAGE").uri == "sip:ab12@127.0.0.1:6000"


def test_a_configured_telephone_gets_what_is_for_nobody_else() -> None:
    room = Room(configured="sip:desk@127.0.0.1:6000")

    room.pbx.ask("MESSAGE", "sip:4711@192.0.2.10:5060")
    room.pbx.ask("MESSAGE", "tel:+49301234", call="tel")

    assert [room.phone.got("MESSAGE").uri for _ in range(2)] == ["sip:desk@127.0.0.1:6000"] * 2


def test_a_configured_telephone_on_another_machine_is_none() -> None:
    room = Room(configured="sip:desk@192.0.2.99:6000")

    room.pbx.ask("MESSAGE", "sip:4711@192.0.2.10:5060")

    room.pbx.heard(480)


def test_a_subscription_comes_back_through_the_edge() -> None:
    """The NOTIFYs follow our Record-Route to the Contact that we wrote, and the telephone sees its own."""
    room = Room()
    subscribe = room.phone.ask("SUBSCRIBE", "sip:200@pbx.example.com", "Contact: <sip:100@127.0.0.1:6000;ob>")
    request = room.pbx.got("SUBSCRIBE")
    room.pbx.answer(request, 200, ("contact", "<sip:200@192.0.2.1>"), tag="notifier")
    answer = room.phone.heard(200)

    room.pbx.back(request, "NOTIFY", "Event: dialog", "Contact: <sip:200@192.0.2.1>", tag="notifier")
    notify = room.phone.got("NOTIFY")
    room.phone.answer(notify, 200)
    room.phone.within(subscribe, answer, "SUBSCRIBE", "Contact: <sip:100@127.0.0.1:6000;ob>")

    assert uri_of(request.headers.get("contact")) == OURS
    assert answer.headers.get("contact") == "<sip:200@192.0.2.1>"
    assert notify.uri == "sip:100@127.0.0.1:6000;ob"
    assert len(notify.headers.all("record-route")) == 2
    room.pbx.heard(200)
    assert room.pbx.got("SUBSCRIBE").uri == "sip:200@192.0.2.1"


def test_a_subscription_of_the_telephone_systems_is_refreshed_through_the_edge() -> None:
    room = Room()
    room.phone.register()
    room.pbx.ask("SUBSCRIBE", OURS, "Contact: <sip:pbx@192.0.2.1>")
    subscribe = room.phone.got("SUBSCRIBE")

    room.phone.answer(subscribe, 200, ("contact", "<sip:100@127.0.0.1:6000>"))
    room.phone.back(subscribe, "NOTIFY", "Contact: <sip:100@127.0.0.1:6000>")

    assert uri_of(room.pbx.heard(200).headers.get("contact")) == OURS
    notify = room.pbx.got("NOTIFY")
    assert (notify.uri, uri_of(notify.headers.get("contact"))) == ("sip:pbx@192.0.2.1", OURS)


def test_a_telephones_tcp_goes_on_within_a_dialog() -> None:
    room = Room()
    phone = Peer(room, "phone", ("127.0.0.1", 6010), transport=Transport.TCP, connection=3)

    phone.ask("SUBSCRIBE", "sip:200@pbx.example.com", "Contact: <sip:100@127.0.0.1:6000;transport=tcp>")

    routes = room.pbx.got("SUBSCRIBE").headers.all("record-route")
    assert routes == (
        "<sip:192.0.2.10:5060;lr;cs=phone>",
        "<sip:127.0.0.1:5060;transport=tcp;lr;cs=pbx>",
    )


def test_a_telephone_whose_contact_is_elsewhere_is_answered_where_it_is() -> None:
    """Some write the address of their network card although they speak from loopback."""
    room = Room()

    room.phone.ask("SUBSCRIBE", "sip:200@pbx.example.com", "Contact: <sip:100@10.1.2.3:6000>")
    request = room.pbx.got("SUBSCRIBE")
    room.pbx.answer(request, 200, ("contact", "<sip:200@192.0.2.1>"))
    room.pbx.back(request, "NOTIFY")

    assert uri_of(request.headers.get("contact")) == OURS
    assert room.phone.got("NOTIFY").uri == "sip:100@10.1.2.3:6000"


def test_a_gruu_is_the_registrars_and_stays() -> None:
    room = Room()
    gruu = "<sip:100@pbx.example.com;gr=urn:uuid:1>"

    room.phone.ask("SUBSCRIBE", "sip:200@pbx.example.com", f"Contact: {gruu}")

    assert room.pbx.got("SUBSCRIBE").headers.get("contact") == gruu


def test_a_contact_that_is_none_does_not_keep_a_request_back() -> None:
    room = Room()

    room.phone.ask("PUBLISH", "sip:200@pbx.example.com", "Contact: <<<>>>", "Contact: *")

    assert room.pbx.got("PUBLISH").headers.all("contact") == ("<<<>>>", "*")


def test_routes_that_the_telephone_was_configured_with_are_taken_off_and_others_kept() -> None:
    room = Room()

    room.phone.ask(
        "MESSAGE", "sip:200@pbx.example.com", "Route: <sip:127.0.0.1:5060;lr>, <sip:localhost;lr>",
        "Route: <sip:orig@pbx.example.com;lr>",
    )  # fmt: skip

    assert room.pbx.got("MESSAGE").headers.all("route") == ("<sip:orig@pbx.example.com;lr>",)


def test_sips_goes_out_by_tls_only() -> None:
    udp, tls = Room(), Room(replace(FACES, pbx_transport=Transport.TLS))

    udp.phone.ask("MESSAGE", "sips:200@pbx.example.com")
    tls.phone.ask("MESSAGE", "sips:200@pbx.example.com")

    assert udp.phone.heard(480).headers.get("warning") == '380 callseal "SIPS Not Allowed"'
    assert udp.pbx.inbox == []
    assert tls.pbx.got("MESSAGE").uri == "sips:200@pbx.example.com"


def test_a_tel_uri_is_the_telephone_systems_to_read() -> None:
    room = Room()

    room.phone.ask("MESSAGE", "tel:+49-30-1234;phone-context=example.com")

    assert room.pbx.got("MESSAGE").uri == "tel:+49-30-1234;phone-context=example.com"


def test_headers_between_edge_and_child_are_nobody_elses() -> None:
    room = Room()
    room.phone.register()

    room.phone.ask("MESSAGE", "sip:200@pbx.example.com", "X-Callseal-Call: 1", "X-callseal-TO: pbx")
    room.pbx.ask("MESSAGE", OURS, "x-callseal-from: phone")

    for request in (room.pbx.got("MESSAGE"), room.phone.got("MESSAGE")):
        assert not [name for name, _ in request.headers.fields if name.startswith("x-callseal")]


def test_while_the_telephone_system_is_not_known_it_is_unavailable() -> None:
    room = Room(replace(FACES, pbx_addresses=frozenset()))

    room.phone.ask("MESSAGE", "sip:200@pbx.example.com")

    assert room.phone.heard(503).headers.get("retry-after")


def test_a_telephone_system_of_this_machine_may_speak_to_the_telephones_face() -> None:
    room = Room(replace(FACES, pbx_target=("127.0.0.1", 5080), pbx_addresses=frozenset({"127.0.0.1"})))
    room.phone.register()
    flow = replace(room.pbx.flow, face="phone", local=EDGE)

    room.pbx.send(room.pbx.write("MESSAGE", OURS), flow=flow)

    room.phone.got("MESSAGE")


def test_who_is_none_of_the_three_is_not_even_answered() -> None:
    room = Room()
    room.phone.register()
    strangers = (
        Peer(room, "phone", ("192.0.2.66", 5060)),
        Peer(room, "pbx", ("192.0.2.66", 5060)),
        Peer(room, "line", ("127.0.0.1", 40_002)),
        Peer(room, "line", PBX_AT),
    )

    for stranger in strangers:
        stranger.ask("OPTIONS", "sip:127.0.0.1:5060")
        stranger.ask("INVITE", "sip:200@pbx.example.com", call="c")

    assert all(stranger.inbox == [] for stranger in strangers)
    assert room.pbx.requests == room.child.requests == room.phone.requests == []


def test_further_addresses_of_the_telephone_system_may_be_a_network() -> None:
    room = Room(replace(FACES, pbx_addresses=frozenset({"192.0.2.1", "198.51.100.0/24"})))
    room.phone.register()
    node = Peer(room, "pbx", ("198.51.100.7", 5060))

    node.ask("MESSAGE", OURS)
    room.phone.answer(room.phone.got("MESSAGE"), 200)

    node.heard(200)


def test_a_probe_that_nobody_answers_is_told() -> None:
    room = Room()
    request, hop = room.router.probe()

    room.proxy.originate(request, hop, 0.0)
    room.pump()
    asked = room.pbx.got("OPTIONS")
    room.wait(40.0)
    silent = room.router.take_is_pbx_silent()
    room.proxy.originate(*room.router.probe(), 40.0)
    room.pump()
    room.pbx.answer(room.pbx.got("OPTIONS"), 404)

    assert asked.uri == "sip:pbx.example.com"
    assert silent
    assert not room.router.take_is_pbx_silent()


def test_where_the_telephone_system_speaks_tls_a_datagram_is_not_its_own() -> None:
    room = Room(replace(FACES, pbx_transport=Transport.TLS))
    room.phone.register()
    forger = Peer(room, "pbx", PBX_AT)

    forger.ask("MESSAGE", OURS)

    assert room.phone.requests == []


def test_the_ways_of_requests_do_not_pile_up() -> None:
    """The oldest are forgotten; a desk has a few at a time."""
    room, crossings = Room(), Crossings()
    way = Crossing(origin="phone", goal="pbx", token="", reach=None)
    requests = [
        room.phone.ask("OPTIONS", "sip:127.0.0.1", call=str(number)) for number in range(MAX_CROSSINGS + 1)
    ]

    for request in requests:
        crossings.put(request, way)

    assert crossings.of(requests[0]) is None
    assert crossings.of(requests[1]) == crossings.of(requests[-1]) == way
