"""SIP messages as text, written by hand, with one thing changed at a time."""

from typing import Final

import pytest

from callseal.agent.errors import SipSyntaxError
from callseal.agent.sip.message import Request, parse_message

LINES: Final = (
    "Via: SIP/2.0/UDP gw.example.com:5060;branch=z9hG4bKone",
    "From: Gateway <sip:gw@example.com>;tag=near",
    "To: <sip:recorder@example.net>",
    "Call-ID: first@gw.example.com",
    "CSeq: 7 {method}",
    "Max-Forwards: 70",
)


def request_text(
    method: str = "INVITE",
    *,
    start: str = "",
    without: str = "",
    more: tuple[str, ...] = (),
    body: str = "",
    end: str = "\r\n",
) -> bytes:
    """Write a request: `without` leaves the headers out that begin so, `more` puts some behind the others."""
    first = start or f"{method} sip:recorder@example.net SIP/2.0"
    kept = (line.format(method=method) for line in LINES if not (without and line.startswith(without)))
    return end.join((first, *kept, *more, "", body)).encode()


def response_text(start: str = "SIP/2.0 200 OK", *, more: tuple[str, ...] = (), method: str = "BYE") -> bytes:
    """Write a response."""
    return "\r\n".join((start, *(line.format(method=method) for line in LINES), *more, "", "")).encode()


def request_of(data: bytes, *, is_stream: bool = False) -> Request:
    """Read what must be a request."""
    message = parse_message(data, is_stream=is_stream)
    assert isinstance(message, Request)
    return message


def refusal_of(data: bytes, *, is_stream: bool = False) -> SipSyntaxError:
    """Read what must be refused."""
    with pytest.raises(SipSyntaxError) as caught:
        parse_message(data, is_stream=is_stream)
    return caught.value
