"""One dialog of the child, and what ends it in the child's stead (RFC 3261 sections 12 and 15).

Conventions: *local* is the child, *remote* the other party, at the telephone or the telephone system.
Requests come without Via, which the proxy adds. Pure.
"""

import re
from dataclasses import dataclass, field
from typing import Final

from callseal.agent.errors import SipSyntaxError
from callseal.agent.sip.headers import Fields, Headers
from callseal.agent.sip.limits import MAX_FORWARDS
from callseal.agent.sip.message import Request, Response
from callseal.agent.sip.uri import parse_name_addr, parse_uri
from callseal.agent.sources.bridge.edge.facts import Party

RECORDER_FAILED: Final = 'SIP;cause=503;text="recorder failed"'
"""Why the dialogs end (RFC 3326)."""

_LAST_CSEQ: Final = 2**31 - 1
_WAY: Final = re.compile(r"(?:sips?|tel):[^\s<>\"?\x00-\x1f\x7f]+", re.IGNORECASE)
"""What may stand as a request URI: it ends before the headers that may not (section 19.1.1)."""

Key = tuple[str, str, str]
"""Call-ID, local tag, remote tag."""


@dataclass(slots=True, kw_only=True)
class Dialog:
    """One dialog between the child and somebody; what names people or numbers stays out of its `repr`."""

    call_id: str = field(repr=False)
    local_tag: str
    remote_tag: str = field(repr=False)
    token: str
    """Of the call that it belongs to."""
    other: Party
    local: str = field(repr=False)
    """From of the child's requests, with its tag."""
    remote: str = field(repr=False)
    target: str = field(repr=False)
    """Where the other party wants requests; "" where nothing usable is known."""
    routes: tuple[str, ...] = field(repr=False)
    """The route set in the child's order, without what leads through the edge itself."""
    cseq: int
    """The highest that the child has used; 0 for none."""
    is_confirmed: bool = False
    owed_ack: int | None = None
    """CSeq of the child's INVITE whose 2xx it has not acknowledged."""
    credentials: Fields = field(default=(), repr=False)
    """Of that INVITE: its ACK has the same (section 22.1)."""
    refers: int = 0

    @property
    def key(self) -> Key:
        """What names it."""
        return self.call_id, self.local_tag, self.remote_tag

    def take_refer_id(self, number: int) -> str:
        """Count a REFER with this CSeq; return what `id` the Event of its NOTIFYs has.

        The first of a dialog needs none, all others their CSeq (RFC 3515 section 2.4.6).
        """
        self.refers += 1
        return "" if self.refers == 1 else str(number)

    def last_words(self) -> tuple[Request, ...]:
        """Return the ACK that the child still owes, if it does, and the BYE.

        Nothing where the other party never said where to send them.
        """
        owed = () if self.owed_ack is None else self.ack(self.owed_ack)
        number = min(self.cseq + 1, _LAST_CSEQ)
        return (*owed, *self._request("BYE", number, (("reason", RECORDER_FAILED),)))

    def ack(self, number: int) -> tuple[Request, ...]:
        """Return the ACK of a 2xx to the INVITE with this CSeq (section 13.2.2.4).

        It has no body: an offer in the 2xx stays without answer, since a BYE follows.
        """
        return self._request("ACK", number, self.credentials)

    def _request(self, method: str, number: int, more: Fields) -> tuple[Request, ...]:
        """Make a request within the dialog (section 12.2.1.1)."""
        uri, routes = self.target, self.routes
        if not uri:
            return ()
        if routes and not _is_loose(routes[0]):
            uri, routes = usable_uri(routes[0]) or uri, (*routes[1:], f"<{uri}>")
        fields = (
            *(("route", route) for route in routes),
            ("max-forwards", str(MAX_FORWARDS)),
            ("from", self.local),
            ("to", self.remote),
            ("call-id", self.call_id),
            ("cseq", f"{number} {method}"),
            *more,
        )
        return (Request(method=method, uri=uri, headers=Headers(fields=fields)),)


def contact_of(message: Request | Response) -> str:
    """Return the URI of a message's first Contact as a request URI; "" where there is none."""
    return usable_uri(message.headers.get("contact") or "")


def usable_uri(address: str) -> str:
    """Return the URI of an address as a request URI; "" where it could be none."""
    try:
        uri = parse_name_addr(address).uri
        parse_uri(uri)
    except SipSyntaxError:
        return ""
    found = _WAY.match(uri)
    if found is None or uri[found.end() : found.end() + 1] not in ("", "?"):
        return ""
    return found[0]


def _is_loose(route: str) -> bool:
    try:
        return parse_name_addr(route).address.param("lr") is not None
    except SipSyntaxError:
        return True  # unreadable: kept as it is, as a loose one would be
