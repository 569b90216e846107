"""What a proxy asks of whoever decides where messages go: the router, and its three answers.

Conventions: seconds of a clock that never goes back. A router changes nothing of the messages that it is
given and returns others in their stead; it neither sends nor waits. One that raises ends nothing: the request
is answered 500, a response goes back as it came, and `Proxy.take_faults` has the exception.
"""

from dataclasses import dataclass
from typing import Protocol

from callseal.agent.sip.flow import Flow
from callseal.agent.sip.headers import Fields
from callseal.agent.sip.limits import TIMER_C_S
from callseal.agent.sip.message import Request, Response


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """Where a request goes next."""

    flow: Flow
    """By which face and transport. `local` stands in the Via; `connection` is one that is known, or 0."""
    destination: tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """The request is passed on (RFC 3261 section 16.6)."""

    request: Request
    """As it shall go out, but without our Via and with the Max-Forwards as it was received. The other Vias
    may be left out: answers go back with those of the request that came."""
    hop: Hop
    timer_c_s: float = TIMER_C_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The request is answered here, finally: 200 to 699."""

    status: int
    reason: str
    headers: Fields = ()
    body: bytes = b""
    content_type: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """The request is not answered at all, and nothing is kept of it: sent again, it is a new one."""


class Router(Protocol):
    """Who decides where messages go, and how they look there."""

    def route(self, request: Request, flow: Flow, now_s: float) -> Forward | Reply | Drop:
        """Decide on a request that came over a flow; its top Via says already from where.

        Asked once for each request: not for what is sent again, not for CANCEL, not for the ACK of a refusal,
        not for what has no hops left or no room here. Asked for the ACK of a 2xx each time that it comes:
        Forward or Drop, anything else is Drop. Proxy-Require is the router's to judge.
        """

    def passing(self, received: Request, forwarded: Request, response: Response, now_s: float) -> Response:
        """Return a response as it shall go back, with a status of the same kind (1xx, 2xx, other).

        `received` is the request as `route` had it, `forwarded` what that gave to be sent; the response has
        the Vias of `received`. Asked also for a response that the proxy makes itself because none comes (408,
        487, 503, and that of `Proxy.abandon_to`), not for those of `Reply`. The 408 of a request other than
        INVITE is shown here and not sent: it would come too late to be of use (RFC 4320 section 4.2).
        """

    def answered(self, forwarded: Request, response: Response, now_s: float) -> None:
        """Hear the final response to a request of ours (`Proxy.originate`), or a 2xx nobody waits for.

        The latter is that of an INVITE whose sender is gone (`Proxy.abandon_from`): it has to be acknowledged
        and its dialog ended. Each retransmission of it comes here too, for the ACK may be lost.
        """
