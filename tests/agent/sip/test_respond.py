"""Responses: what they take over from their request, and what not."""

import pytest

from callseal.agent.sip.message import respond
from support.sip_text import request_of, request_text


def test_a_response_takes_over_what_it_must() -> None:
    request = request_of(
        request_text(
            more=(
                "Via: SIP/2.0/TCP 192.0.2.7;branch=z9hG4bKtwo, SIP/2.0/UDP 192.0.2.8",
                "Record-Route: <sip:192.0.2.9;lr>, <sip:192.0.2.10;lr>",
                "Timestamp: 54",
                "Subject: not this",
            )
        )
    )

    answer = respond(
        request,
        200,
        "OK",
        to_tag="ours",
        headers=[("Contact", "<sip:us@192.0.2.1>")],
        body=b"v=0",
        content_type="application/sdp",
    )

    assert bytes(answer) == (
        b"SIP/2.0 200 OK\r\n"
        b"Via: SIP/2.0/UDP gw.example.com:5060;branch=z9hG4bKone\r\n"
        b"From: Gateway <sip:gw@example.com>;tag=near\r\n"
        b"To: <sip:recorder@example.net>;tag=ours\r\n"
        b"Call-ID: first@gw.example.com\r\n"
        b"CSeq: 7 INVITE\r\n"
        b"Via: SIP/2.0/TCP 192.0.2.7;branch=z9hG4bKtwo\r\n"
        b"Via: SIP/2.0/UDP 192.0.2.8\r\n"
        b"Record-Route: <sip:192.0.2.9;lr>\r\n"
        b"Record-Route: <sip:192.0.2.10;lr>\r\n"
        b"Timestamp: 54\r\n"
        b"Contact: <sip:us@192.0.2.1>\r\n"
        b"Content-Type: application/sdp\r\n"
        b"Content-Length: 3\r\n\r\nv=0"
    )


def test_the_tag_of_a_dialog_stays() -> None:
    request = request_of(request_text("BYE", without="To", more=("To: <sip:r@example.net> ; Tag = theirs",)))

    answer = respond(request, 200, "OK", to_tag="ours")

    assert answer.to_tag == "theirs"


def test_trying_has_no_tag_and_no_route() -> None:
    request = request_of(request_text(more=("Record-Route: <sip:192.0.2.9;lr>",)))

    answer = respond(request, 100, "Trying", to_tag="")

    assert answer.to_tag == ""
    assert answer.headers.get("record-route") is None


@pytest.mark.parametrize(("method", "status"), [("INVITE", 486), ("BYE", 200)])
def test_a_route_is_recorded_only_where_a_dialog_begins(method: str, status: int) -> None:
    request = request_of(request_text(method, more=("Record-Route: <sip:192.0.2.9;lr>",)))

    answer = respond(request, status, "", to_tag="ours")

    assert answer.headers.get("record-route") is None
