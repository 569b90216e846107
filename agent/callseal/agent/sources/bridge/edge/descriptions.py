"""The telephone's session description in a call that goes past the child, as others can use it. Pure.

A telephone that reaches the edge on loopback writes a loopback address into its description (RFC 8866), and
nobody else could send sound there. The address of this machine on the way to the telephone system is put in
its place; ports stay. A telephone whose sockets are bound to loopback alone stays silent all the same.
"""

import re
from typing import Final

from callseal.agent.sip.headers import Headers
from callseal.agent.sip.message import Request, Response

_LOOPBACK: Final = re.compile(
    rb"^((?:c=|o=[^\r\n]*[ \t]|a=rtcp:[0-9]{1,5}[ \t])IN[ \t]IP4[ \t])"
    rb"127\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}(?=[\r\n/]|$)",
    re.MULTILINE,
)


def request_at(request: Request, host: str) -> Request:
    """Return a request with this IPv4 address for loopback ones in its description."""
    body = _at(request.body, request.headers, host)
    return request if body == request.body else request.with_body(body)


def response_at(response: Response, host: str) -> Response:
    """Return a response with this IPv4 address for loopback ones in its description."""
    body = _at(response.body, response.headers, host)
    return response if body == response.body else response.with_body(body)


def _at(body: bytes, headers: Headers, host: str) -> bytes:
    kind = (headers.get("content-type") or "").partition(";")[0].strip().lower()
    if kind != "application/sdp" or ":" in host:
        return body
    return _LOOPBACK.sub(lambda found: found[1] + host.encode(), body)
