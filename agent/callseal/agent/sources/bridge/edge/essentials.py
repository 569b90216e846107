"""What the child is sent of a message: no more than it needs. Pure.

Its library reads 4,000 bytes of a datagram (PJSIP_MAX_PKT_LEN) and cuts off the rest, so that a signed
identity (RFC 8224) or a long history (RFC 7044) would cost the call. What the child does not read is left
out: the edge puts it onto the other leg by itself (`carry`), and answers go back with the Vias that came.

A description that is too long even so loses what is about ways of sending that the child does not offer.
"""

import re
from dataclasses import replace
from typing import Final, TypeVar

from callseal.agent.errors import SipSyntaxError
from callseal.agent.sip.headers import Fields, Headers
from callseal.agent.sip.message import Request, Response
from callseal.agent.sip.uri import parse_name_addr, parse_uri

ROOM_BYTES: Final = 3800
"""Of the 4,000, without the Via that a request is given after this."""

_MARK: Final = "x-callseal-"
_NAMES: Final = """
    from to call-id cseq contact max-forwards route record-route
    content-type content-encoding content-disposition mime-version
    supported require proxy-require unsupported allow allow-events accept
    session-expires min-se rseq rack event subscription-state
    www-authenticate proxy-authenticate retry-after reason warning user-agent server
"""
_NEEDED: Final = frozenset(_NAMES.split())
_SPARE: Final = re.compile(
    rb"^a=(?:candidate|remote-candidates|rtcp-fb|extmap|ssrc|ssrc-group|msid):[^\r\n]*(?:\r\n|\n|\Z)",
    re.MULTILINE,
)
"""Attributes of RFC 8839, 4585, 8285, 5576 and 8830: a party that does not know them passes them over."""

_Message = TypeVar("_Message", Request, Response)


def is_readable(invite: Request) -> bool:
    """Say whether the library can read who an INVITE is from, whom it is for, and where its sender is.

    It says nothing at all to one of which it can't, so that its sender would wait for half a minute. One that
    has no Contact it refuses.
    """
    addresses = (invite.headers.get(name) for name in ("from", "to", "contact"))
    return all(_is_readable(address) for address in addresses if address is not None)


def of_request(request: Request) -> Request:
    """Return a request as the child is to have it; what marks it stands first."""
    return _shortened(_with_only(request, _NEEDED))


def of_response(response: Response) -> Response:
    """Return an answer as the child is to have it."""
    return _shortened(_with_only(response, _NEEDED | {"via"}))


def _is_readable(address: str) -> bool:
    try:
        uri = parse_name_addr(address).uri
        parse_uri(uri)
    except SipSyntaxError:
        return False
    return uri.isascii() and uri.isprintable()


def _with_only(message: _Message, names: frozenset[str]) -> _Message:
    marks: Fields = tuple(item for item in message.headers.fields if item[0].startswith(_MARK))
    kept: Fields = tuple(item for item in message.headers.fields if item[0] in names)
    return replace(message, headers=Headers(fields=(*marks, *kept)), head=b"")


def _shortened(message: _Message) -> _Message:
    kind = message.content_type.partition(";")[0].strip().lower()
    if kind != "application/sdp" or len(bytes(message)) <= ROOM_BYTES:
        return message
    return replace(message, body=_SPARE.sub(b"", message.body))
