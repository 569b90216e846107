"""Via: the way back of an answer (RFC 3261 sections 18.2 and 20.42, RFC 3581, RFC 5118 for IPv6).

Conventions: a host is without the brackets of IPv6, parameters keep their order and spelling. An answer over
UDP goes to the address that a request came from, never to one that the request only names: `maddr`, which
would make a recorder throw its answers at third parties, is not followed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from callseal.agent.errors import SipSyntaxError
from callseal.agent.sip.flow import Flow, Transport
from callseal.agent.sip.grammar import Params, find_param, read_params, write_params

if TYPE_CHECKING:
    from callseal.agent.sip.message import Request

BRANCH_COOKIE: Final = "z9hG4bK"
"""How a branch begins that is unique to its transaction (section 8.1.1.7)."""
DEFAULT_PORT: Final = 5060
DEFAULT_TLS_PORT: Final = 5061

_MAX_PORT: Final = 65535
_VIA: Final = re.compile(
    r"SIP[ \t]*/[ \t]*2\.0[ \t]*/[ \t]*([A-Za-z0-9\-.!%*_+`'~]+)[ \t]+"
    r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._\-]+))[ \t]*(?::[ \t]*([0-9]{1,5})[ \t]*)?(;.*)?",
    re.IGNORECASE | re.ASCII | re.DOTALL,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Via:
    """One Via."""

    transport: str
    """In upper case; more than the transports known here may come from hops before the last."""
    host: str
    port: int | None = None
    params: Params = ()

    @property
    def branch(self) -> str:
        """What names the transaction; "" from peers that follow RFC 2543."""
        return find_param(self.params, "branch") or ""

    @property
    def sent_by(self) -> str:
        """Host and port in the form that transactions are compared by; the port is always there."""
        default = DEFAULT_TLS_PORT if self.transport == Transport.TLS.value else DEFAULT_PORT
        return f"{_bracketed(self.host.lower())}:{self.port or default}"

    @property
    def wants_rport(self) -> bool:
        """Whether the answer is to go to the port that the request came from (RFC 3581 section 4)."""
        return find_param(self.params, "rport") is not None

    def __str__(self) -> str:
        """Write it as a header's value."""
        port = "" if self.port is None else f":{self.port}"
        return f"SIP/2.0/{self.transport} {_bracketed(self.host)}{port}{write_params(self.params)}"


def parse_via(text: str) -> Via:
    """Read one Via; raises SipSyntaxError, with no status, since nobody knows where an answer would go."""
    found = _VIA.fullmatch(text)
    if found is None:
        raise SipSyntaxError("a Via is malformed")
    port = int(found[4]) if found[4] else None
    if port is not None and not 0 < port <= _MAX_PORT:
        raise SipSyntaxError("a Via names a port that there is not")
    params = read_params(found[5]) if found[5] else ()
    return Via(transport=found[1].upper(), host=found[2] or found[3], port=port, params=params)


def stamp(request: Request, remote: tuple[str, int]) -> Request:
    """Note in the top Via where a request came from, if that is not what it says or if it asks for it.

    What the peer itself wrote as `received` or `rport` is replaced (RFC 3261 section 18.2.1, RFC 3581
    section 4).
    """
    via = request.via
    host = _as_peer_sees(remote[0])
    if not via.wants_rport and via.host.lower() == host and find_param(via.params, "received") is None:
        return request
    params = [(name, value) for name, value in via.params if name not in ("received", "rport")]
    params.append(("received", host))
    if via.wants_rport:
        params.append(("rport", str(remote[1])))
    stamped = str(replace(via, params=tuple(params)))
    return request.with_headers(request.headers.with_first("via", stamped))


def reply_address(request: Request, flow: Flow) -> tuple[str, int]:
    """Return where the answer to a request that came over this flow goes (RFC 3261 section 18.2.2).

    A connection is answered where it is. Over UDP it is the port that the request came from if `rport` asks
    for that, else the one in the Via.
    """
    host, port = flow.remote
    via = request.via
    if flow.transport.is_reliable or via.wants_rport:
        return host, port
    return host, via.port or DEFAULT_PORT


def _as_peer_sees(host: str) -> str:
    """Leave out what only this machine's sockets add: an IPv6 zone, the mapping of an IPv4 address."""
    return host.removeprefix("::ffff:").partition("%")[0] if "." in host else host.partition("%")[0]


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
