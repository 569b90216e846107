"""Dialogs (RFC 3261 section 12): what lasts from an INVITE to its BYE, seen from the side that was invited.

The state machine is `TABLE`; what it doesn't have is ignored in that state. `table_text` gives it as text.

Conventions: seconds. `local` and `remote` are the To and the From of the peer's requests, with their tags; in
requests of our own they change places.
"""

import ipaddress
import math
from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Final

from callseal.agent.errors import SipSyntaxError
from callseal.agent.sip.events import DialogId, How
from callseal.agent.sip.flow import Flow, Transport
from callseal.agent.sip.headers import Headers
from callseal.agent.sip.limits import MAX_FORWARDS, T1_S
from callseal.agent.sip.message import Request
from callseal.agent.sip.session_timer import SessionTimer
from callseal.agent.sip.uri import parse_name_addr, parse_uri
from callseal.agent.sip.via import DEFAULT_PORT, DEFAULT_TLS_PORT

if TYPE_CHECKING:
    from callseal.agent.sip.transaction import Transaction

ADOPTED_CSEQ: Final = 1_000_000
"""Where our numbers begin in a dialog of an earlier process: above all that it can have used."""

_TRIES_AN_INTERVAL: Final = 8
"""A refresh that was refused leaves half of an interval for four more."""
_DEFAULT_PORTS: Final = {Transport.TLS: DEFAULT_TLS_PORT}


class Stage(Enum):
    """Where a dialog stands."""

    EARLY = "early"
    ANSWERED = "answered"
    CONFIRMED = "confirmed"
    LEAVING = "leaving"
    """We want to hang up, and may not before the ACK (section 15)."""
    CLOSING = "closing"
    """Our BYE is out."""
    ENDED = "ended"


class Turn(Enum):
    """What happens to a dialog."""

    ACCEPTED = "INVITE accepted"
    REJECTED = "INVITE rejected"
    CANCEL = "CANCEL"
    NO_ANSWER = "application does not answer"
    ACK = "ACK"
    NO_ACK = "ACK does not come"
    BYE = "BYE"
    HANG_UP = "application hangs up"
    EXPIRED = "session not refreshed"
    BYE_ANSWERED = "our BYE answered, or not in time"


_Outcome = tuple[Stage, How | None, bool]

TABLE: Final[Mapping[tuple[Stage, Turn], _Outcome]] = {
    (Stage.EARLY, Turn.ACCEPTED): (Stage.ANSWERED, None, False),
    (Stage.EARLY, Turn.REJECTED): (Stage.ENDED, None, False),
    (Stage.EARLY, Turn.CANCEL): (Stage.ENDED, How.CANCELLED, False),
    (Stage.EARLY, Turn.NO_ANSWER): (Stage.ENDED, How.UNANSWERED, False),
    (Stage.EARLY, Turn.BYE): (Stage.ENDED, How.BYE, False),
    (Stage.EARLY, Turn.HANG_UP): (Stage.ENDED, How.HUNG_UP, False),
    (Stage.ANSWERED, Turn.ACCEPTED): (Stage.ANSWERED, None, False),
    (Stage.ANSWERED, Turn.ACK): (Stage.CONFIRMED, None, False),
    (Stage.ANSWERED, Turn.NO_ACK): (Stage.ENDED, How.NO_ACK, True),
    (Stage.ANSWERED, Turn.BYE): (Stage.ENDED, How.BYE, False),
    (Stage.ANSWERED, Turn.HANG_UP): (Stage.LEAVING, None, False),
    (Stage.ANSWERED, Turn.EXPIRED): (Stage.ENDED, How.EXPIRED, True),
    (Stage.CONFIRMED, Turn.ACCEPTED): (Stage.ANSWERED, None, False),
    (Stage.CONFIRMED, Turn.BYE): (Stage.ENDED, How.BYE, False),
    (Stage.CONFIRMED, Turn.HANG_UP): (Stage.CLOSING, None, True),
    (Stage.CONFIRMED, Turn.EXPIRED): (Stage.ENDED, How.EXPIRED, True),
    (Stage.LEAVING, Turn.ACK): (Stage.CLOSING, None, True),
    (Stage.LEAVING, Turn.NO_ACK): (Stage.ENDED, How.NO_ACK, True),
    (Stage.LEAVING, Turn.BYE): (Stage.ENDED, How.BYE, False),
    (Stage.LEAVING, Turn.EXPIRED): (Stage.ENDED, How.EXPIRED, True),
    (Stage.CLOSING, Turn.BYE): (Stage.ENDED, How.BYE, False),
    (Stage.CLOSING, Turn.BYE_ANSWERED): (Stage.ENDED, How.HUNG_UP, False),
}
"""Stage and what happens, to: next stage, how the dialog ended if that is to be told, whether we send BYE."""


class Dialog:
    """One dialog."""

    def __init__(
        self, dialog: DialogId, request: Request, *, flow: Flow, reply_to: tuple[str, int], is_orphan: bool
    ) -> None:
        """Begin a dialog with the INVITE that asks for it, or with one of a dialog that nobody here knows."""
        headers = request.headers
        to = headers.get("to") or ""
        self.id = dialog
        self.is_orphan = is_orphan
        self.local = to if is_orphan else f"{to};tag={dialog.local_tag}"
        self.remote = headers.get("from") or ""
        self.routes = headers.all("record-route")  # in this order for the side that was invited (12.1.1)
        self.target = ""
        self.flow = flow
        self.reply_to = reply_to
        self.stage = Stage.EARLY
        self.remote_cseq = request.cseq.number
        self.pending: set[int] = set()
        self.unacknowledged: Transaction | None = None
        """The INVITE whose 2xx answer waits for its ACK."""
        self.has_open_offer = False
        """Whether that answer carries an offer of ours, to which the ACK brings the peer's answer."""
        self.reason = ""
        """Why we hang up."""
        self.timer: SessionTimer | None = None
        self.expires_s = math.inf
        self.refresh_s = math.inf
        self.held_bytes = 0
        self._local_cseq = ADOPTED_CSEQ if is_orphan else 0
        self.hear(request, flow, reply_to)

    @property
    def due_s(self) -> float:
        """When the session has to be refreshed or is over."""
        return min(self.expires_s, self.refresh_s)

    @property
    def is_leaving(self) -> bool:
        """Whether we are about to end it: nothing more is begun in it."""
        return self.stage in (Stage.LEAVING, Stage.CLOSING)

    @property
    def size_bytes(self) -> int:
        """How much text of the peer's it keeps."""
        texts = (self.id.call_id, self.local, self.remote, self.target, *self.routes)
        return sum(len(text) for text in texts)

    def take(self, turn: Turn) -> tuple[How | None, bool] | None:
        """Go on to the next stage; return how it ended, if it did, and whether a BYE is due.

        None where nothing changes.
        """
        outcome = TABLE.get((self.stage, turn))
        if outcome is None:
            return None
        self.stage, how, says_bye = outcome
        return how, says_bye

    def hear(self, request: Request, flow: Flow, reply_to: tuple[str, int]) -> None:
        """Learn from a request where the peer is, and from an INVITE or UPDATE where it wants requests."""
        self.flow = flow
        self.reply_to = reply_to
        if request.method not in ("INVITE", "UPDATE"):
            return
        try:
            contact = parse_name_addr(request.headers.get("contact") or "")
            parse_uri(contact.uri)
        except SipSyntaxError:  # a gateway may be wrong about itself; its address is known anyhow
            return
        self.target = contact.uri

    def set_timer(self, timer: SessionTimer | None, now_s: float) -> None:
        """Count a session's time from now."""
        self.timer = timer
        self.refresh_s = self.expires_s = math.inf
        if timer is not None:
            # RFC 4028 section 10 would have the one who waits hang up up to 32 s early. A recording that goes
            # on too long costs less than one that a late refresh has cut.
            self.expires_s = now_s + timer.interval_s
            if timer.is_ours:
                self.refresh_s = now_s + timer.interval_s / 2

    def put_off(self, timer: SessionTimer, now_s: float, *, is_longer: bool) -> None:
        """Try the refresh again: the peer is there, but did not want this one.

        One with the longer interval that the peer demanded is tried at once.
        """
        self.timer = timer
        self.expires_s = now_s + timer.interval_s
        self.refresh_s = now_s + (T1_S if is_longer else timer.interval_s / _TRIES_AN_INTERVAL)

    def request(self, method: str, via: str, headers: tuple[tuple[str, str], ...] = ()) -> Request:
        """Make a request of our own within the dialog (section 12.2.1.1)."""
        self._local_cseq += 1
        uri = self.target or _uri_of(self.reply_to)
        routes = self.routes
        if routes and not _is_loose(routes[0]):
            routes = (*routes[1:], f"<{uri}>")
            uri = _uri_in(self.routes[0]) or uri
        fields = (
            ("via", via),
            *(("route", route) for route in routes),
            ("max-forwards", str(MAX_FORWARDS)),
            ("from", self.local),
            ("to", self.remote),
            ("call-id", self.id.call_id),
            ("cseq", f"{self._local_cseq} {method}"),
            *headers,
        )
        return Request(method=method, uri=uri, headers=Headers(fields=fields))

    def next_hop(self) -> tuple[str, int]:
        """Return where requests of our own go: as far as addresses say so, else where the answers went.

        Names are not looked up: who resolves a peer's names asks whom the peer wants him to ask.
        """
        uri = _uri_in(self.routes[0]) if self.routes else self.target
        try:
            found = parse_uri(uri)
            address = ipaddress.ip_address(found.host)
        except (SipSyntaxError, ValueError):
            return self.reply_to
        if address.is_unspecified or address.is_multicast:
            return self.reply_to
        if (address.version == 6) != (":" in self.reply_to[0]):  # noqa: PLR2004 - IPv6; nor can the flow reach it
            return self.reply_to
        return found.host, found.port or _DEFAULT_PORTS.get(self.flow.transport, DEFAULT_PORT)


def table_text() -> str:
    """Return the table as Markdown: stage, what happens, next stage, what is told and sent."""
    rows = ["| stage | on | next | ended | sent |", "| --- | --- | --- | --- | --- |"]
    rows += [
        f"| {stage.value} | {turn.value} | {after.value} | {how.value if how else ''} | {'BYE' * bye} |"
        for (stage, turn), (after, how, bye) in TABLE.items()
    ]
    return "\n".join(rows) + "\n"


def _uri_of(address: tuple[str, int]) -> str:
    host, port = address
    return f"sip:[{host}]:{port}" if ":" in host else f"sip:{host}:{port}"


def _uri_in(route: str) -> str:
    try:
        return parse_name_addr(route).uri
    except SipSyntaxError:
        return ""


def _is_loose(route: str) -> bool:
    try:
        return parse_uri(_uri_in(route)).param("lr") is not None
    except SipSyntaxError:
        return True  # unreadable: kept as it is, as a loose one would be
