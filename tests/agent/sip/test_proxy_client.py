"""What a client transaction sends, header by header (RFC 3261 sections 9.1, 16.6 and 17.1.1.3)."""

import pytest

from callseal.agent.sip.client import ack_of, as_sent, cancel_of, hops_left, via_of
from callseal.agent.sip.flow import Flow, Transport
from callseal.agent.sip.message import respond
from support.sip_text import request_of, request_text

ROUTES = ("Route: <sip:192.0.2.7;lr>, <sip:192.0.2.8;lr>",)


def flow(transport: Transport = Transport.UDP, host: str = "192.0.2.1") -> Flow:
    return Flow(transport=transport, local=(host, 5060), remote=("192.0.2.9", 5060))


@pytest.mark.parametrize(
    ("transport", "host", "via"),
    [
        (Transport.UDP, "192.0.2.1", "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKx;rport"),
        (Transport.TLS, "2001:db8::1", "SIP/2.0/TLS [2001:db8::1]:5060;branch=z9hG4bKx;rport"),
    ],
)
def test_our_via_says_where_we_are(transport: Transport, host: str, via: str) -> None:
    assert via_of(flow(transport, host), "z9hG4bKx") == via


def test_a_request_leaves_as_it_came_but_for_our_via_and_its_hops() -> None:
    request = request_of(request_text(more=(*ROUTES, "X-Any: thing"), body="v=0\r\n"))

    sent = as_sent(request, flow(), "z9hG4bKx", 69)

    assert sent.headers.fields[0] == ("via", via_of(flow(), "z9hG4bKx"))
    assert sent.headers.all("via")[1:] == request.headers.all("via")
    assert sent.headers.all("max-forwards") == ("69",)
    rest = [field for field in sent.headers.fields if field[0] not in ("via", "max-forwards")]
    assert rest == [field for field in request.headers.fields if field[0] not in ("via", "max-forwards")]
    assert (sent.method, sent.uri, sent.body) == (request.method, request.uri, request.body)
    assert bytes(request_of(bytes(sent))) == bytes(sent)


@pytest.mark.parametrize(("line", "hops"), [("7", 7), ("0", 0), ("000", 0), ("0255", 255), (None, 70)])
def test_hops_are_read(line: str | None, hops: int) -> None:
    more = () if line is None else (f"Max-Forwards: {line}",)

    assert hops_left(request_of(request_text(without="Max-Forwards", more=more))) == hops


def test_a_cancel_matches_its_invite_wherever_that_was_taken() -> None:
    sent = as_sent(request_of(request_text(more=ROUTES)), flow(), "z9hG4bKx", 69)

    cancel = cancel_of(sent, ("SIP;cause=200", "Q.850;cause=16"))

    assert bytes(request_of(bytes(cancel))) == bytes(cancel)
    assert (cancel.method, cancel.uri) == ("CANCEL", sent.uri)
    assert cancel.headers.fields == (
        ("via", "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKx;rport"),
        ("max-forwards", "70"),
        ("from", "Gateway <sip:gw@example.com>;tag=near"),
        ("to", "<sip:recorder@example.net>"),
        ("call-id", "first@gw.example.com"),
        ("route", "<sip:192.0.2.7;lr>"),
        ("route", "<sip:192.0.2.8;lr>"),
        ("cseq", "7 CANCEL"),
        ("reason", "SIP;cause=200"),
        ("reason", "Q.850;cause=16"),
    )


def test_an_ack_of_a_refusal_names_whoever_refused() -> None:
    sent = as_sent(request_of(request_text(more=ROUTES)), flow(), "z9hG4bKx", 69)

    ack = ack_of(sent, respond(sent, 486, "Busy Here", to_tag="far"))

    assert bytes(request_of(bytes(ack))) == bytes(ack)
    assert (ack.method, ack.uri, ack.body) == ("ACK", sent.uri, b"")
    assert ack.headers.fields == (
        ("via", "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKx;rport"),
        ("max-forwards", "70"),
        ("from", "Gateway <sip:gw@example.com>;tag=near"),
        ("call-id", "first@gw.example.com"),
        ("route", "<sip:192.0.2.7;lr>"),
        ("route", "<sip:192.0.2.8;lr>"),
        ("to", "<sip:recorder@example.net>;tag=far"),
        ("cseq", "7 ACK"),
    )
