"""What a client transaction sends besides the request itself: its Via, its CANCEL, its ACK.

Conventions: all functions are pure; what they take from a request is what RFC 3261 says has to be equal.
"""

from dataclasses import replace
from typing import Final

from callseal.agent.sip.flow import Flow
from callseal.agent.sip.headers import Headers
from callseal.agent.sip.limits import MAX_FORWARDS
from callseal.agent.sip.message import Request, Response
from callseal.agent.sip.via import Via

_BESIDE_CANCEL: Final = ("from", "to", "call-id", "route")
_BESIDE_ACK: Final = ("from", "call-id", "route")


def hops_left(request: Request) -> int:
    """Return the Max-Forwards, which is 70 where there is none (section 16.6, step 3)."""
    text = request.headers.get("max-forwards")
    return MAX_FORWARDS if text is None else int(text.lstrip("0") or "0")


def as_sent(request: Request, flow: Flow, branch: str, hops: int) -> Request:
    """Return a request as it leaves over a flow: our Via on top, so many hops left."""
    name, value = "max-forwards", str(hops)
    headers = request.headers.with_first(name, value)
    if headers.get(name) is None:
        headers = Headers(fields=(*headers.fields, (name, value)))
    headers = Headers(fields=(("via", via_of(flow, branch)), *headers.fields))
    return replace(request, headers=headers, head=b"", rest=b"")


def via_of(flow: Flow, branch: str) -> str:
    """Return our Via; `rport` asks for the answer to come back the same way (RFC 3581)."""
    host, port = flow.local
    params = (("branch", branch), ("rport", ""))
    return str(Via(transport=flow.transport.value, host=host, port=port, params=params))


def cancel_of(sent: Request, reasons: tuple[str, ...]) -> Request:
    """Return the CANCEL of an INVITE as it was sent (section 9.1), with the values of Reason (RFC 3326)."""
    fields = [
        ("via", str(sent.via)),
        ("max-forwards", str(MAX_FORWARDS)),
        *(field for field in sent.headers.fields if field[0] in _BESIDE_CANCEL),
        ("cseq", f"{sent.cseq.number} CANCEL"),
        *(("reason", reason) for reason in reasons),
    ]
    return Request(method="CANCEL", uri=sent.uri, headers=Headers(fields=tuple(fields)))


def ack_of(sent: Request, refusal: Response) -> Request:
    """Return the ACK of a refusal of an INVITE as it was sent (section 17.1.1.3)."""
    fields = [
        ("via", str(sent.via)),
        ("max-forwards", str(MAX_FORWARDS)),
        *(field for field in sent.headers.fields if field[0] in _BESIDE_ACK),
        ("to", refusal.headers.get("to") or ""),
        ("cseq", f"{sent.cseq.number} ACK"),
    ]
    return Request(method="ACK", uri=sent.uri, headers=Headers(fields=tuple(fields)))
