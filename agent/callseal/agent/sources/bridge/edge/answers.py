"""What the edge answers by itself, and a question of its own (RFC 3261 section 21, RFC 5630)."""

from collections.abc import Callable
from typing import Final

from callseal.agent.errors import SipSyntaxError
from callseal.agent.sip import statuses
from callseal.agent.sip.headers import Headers
from callseal.agent.sip.limits import MAX_FORWARDS
from callseal.agent.sip.message import Request
from callseal.agent.sip.proxying import Drop, Reply
from callseal.agent.sources.bridge.edge.faces import PBX, Faces

RETRY_AFTER_S: Final = 5
"""For what the edge has no room for at the moment."""
METHODS: Final = "INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE, INFO, PRACK, REFER, NOTIFY, SUBSCRIBE, MESSAGE"

NOT_FOUND: Final = Reply(status=404, reason="Not Found")
FORBIDDEN: Final = Reply(status=403, reason="Forbidden")
NOT_ALLOWED: Final = Reply(
    status=statuses.METHOD_NOT_ALLOWED.code,
    reason=statuses.METHOD_NOT_ALLOWED.reason,
    headers=(("allow", METHODS),),
)
NOBODY_REGISTERED: Final = Reply(status=480, reason="Temporarily Unavailable")
NO_SUCH_CALL: Final = Reply(status=statuses.NO_SUCH_CALL.code, reason=statuses.NO_SUCH_CALL.reason)
UNAVAILABLE: Final = Reply(
    status=statuses.UNAVAILABLE.code,
    reason=statuses.UNAVAILABLE.reason,
    headers=(("retry-after", str(RETRY_AFTER_S)),),
)
UNREADABLE: Final = Reply(status=400, reason="From, To Or Contact Is Malformed")
NO_SIPS: Final = Reply(
    status=480, reason="SIPS Not Allowed", headers=(("warning", '380 callseal "SIPS Not Allowed"'),)
)
"""A sips URI must not go out without TLS (RFC 5630 section 5.3)."""
DONE: Final = Reply(status=statuses.OK.code, reason=statuses.OK.reason)
CANCELLED: Final = Reply(status=statuses.TERMINATED.code, reason=statuses.TERMINATED.reason)
HERE: Final = Reply(
    status=statuses.OK.code,
    reason=statuses.OK.reason,
    headers=(("allow", METHODS), ("accept", "application/sdp")),
)

_REFUSAL_REASONS: Final = {403: "Forbidden", 480: "Temporarily Unavailable", 486: "Busy Here", 603: "Decline"}
_PROBE_BYTES: Final = 8


def refusal(status: int, retry_after_s: int | None) -> Reply:
    """Return how a call is turned away, without saying why."""
    reason = _REFUSAL_REASONS.get(status, statuses.UNAVAILABLE.reason)
    headers = () if retry_after_s is None else (("retry-after", str(retry_after_s)),)
    return Reply(status=status, reason=reason, headers=headers)


def malformed(error: SipSyntaxError, method: str) -> Reply | Drop:
    """Return how a request is answered of which a header can't be read."""
    return Drop() if method == "ACK" else Reply(status=error.status or 400, reason="Bad Request")


def unless_ack(reply: Reply, method: str) -> Reply | Drop:
    """Return an answer, or none: to ACK there is none."""
    return Drop() if method == "ACK" else reply


def probe(faces: Faces, random: Callable[[int], bytes]) -> Request:
    """Make an OPTIONS by which the telephone system is asked whether it is there (section 11)."""
    uri = f"sip:{faces.pbx_host}"
    fields = (
        ("max-forwards", str(MAX_FORWARDS)),
        ("from", f"<{faces.own_uri(PBX)}>;tag={random(_PROBE_BYTES).hex()}"),
        ("to", f"<{uri}>"),
        ("call-id", random(_PROBE_BYTES).hex()),
        ("cseq", "1 OPTIONS"),
        ("accept", "application/sdp"),
    )
    return Request(method="OPTIONS", uri=uri, headers=Headers(fields=fields))
