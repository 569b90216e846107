"""A Content-Length that is too short loses nothing of what came: neither as evidence nor as metadata."""

import pytest

from callseal.agent.sip.incoming import has_offer, size_bytes
from callseal.agent.sip.message import Request, parse_message
from callseal.agent.sources.siprec.bodies import body_of
from support.recording_server import metadata, multipart, session

HEAD = (
    "INVITE sip:srs@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.2;branch=z9hG4bK1\r\n"
    "From: <sip:gw@10.0.0.2>;tag=1\r\nTo: <sip:srs@10.0.0.1>\r\nCall-ID: 1@10.0.0.2\r\nCSeq: 1 INVITE\r\n"
)


def invite(length: int, body: str, content_type: str) -> bytes:
    """Write an INVITE with a Content-Length of one's own."""
    return f"{HEAD}{content_type}Content-Length: {length}\r\n\r\n{body}".encode()


def parsed(data: bytes) -> Request:
    """Read a datagram that is a request."""
    message = parse_message(data, is_stream=False)
    assert isinstance(message, Request)
    return message


@pytest.mark.parametrize("missing", [1, 20, 500, 10_000])
def test_parts_are_read_to_their_end(missing: int) -> None:
    body, content_type = multipart(session(), metadata())
    data = invite(max(len(body) - missing, 1), body, content_type)

    request = parsed(data)

    whole = body_of(parsed(invite(len(body), body, content_type)))
    assert body_of(request) == whole
    assert whole.sdp is not None
    assert has_offer(request)
    assert request.raw == data
    assert size_bytes(request) >= len(data)


def test_what_follows_a_body_without_parts_is_no_part_of_it() -> None:
    data = invite(len(session()), session() + "m=audio 1 RTP/AVP 0\r\n", "Content-Type: application/sdp\r\n")

    request = parsed(data)

    assert request.body == session().encode()
    assert body_of(request).sdp == session().encode()
    assert request.raw == data


def test_a_changed_request_keeps_what_came() -> None:
    data = invite(1, "body", "Content-Type: text/plain\r\n")

    changed = parsed(data).with_headers(parsed(data).headers)

    assert changed.raw == data
