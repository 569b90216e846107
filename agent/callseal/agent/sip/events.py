"""What an `Endpoint` tells the application.

Conventions: a *dialog* is known by its Call-ID and both tags (RFC 3261 section 12). A *transaction* that
waits for the application's answer is known by a number of its own.
"""

from dataclasses import dataclass, field
from enum import Enum

from callseal.agent.sip.flow import Flow
from callseal.agent.sip.message import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class DialogId:
    """A dialog, seen from here; what a peer wrote stays out of every `repr`, and so out of a log."""

    call_id: str = field(repr=False)
    local_tag: str
    remote_tag: str = field(repr=False)


class How(Enum):
    """How a dialog ended."""

    BYE = "bye"
    """The peer said so."""
    CANCELLED = "cancelled"
    """The peer took its INVITE back before it was answered."""
    HUNG_UP = "hung-up"
    """We said so, and the peer agreed or did not answer."""
    NO_ACK = "no-ack"
    """The peer never confirmed our answer to its INVITE (RFC 3261 section 13.3.1.4)."""
    EXPIRED = "expired"
    """The session was not refreshed in time (RFC 4028 section 10)."""
    UNANSWERED = "unanswered"
    """The application did not answer a new INVITE in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invited:
    """An INVITE waits for `accept` or `reject`."""

    transaction: int
    dialog: DialogId
    request: Request
    flow: Flow
    is_new: bool
    """False for a re-INVITE of a known dialog."""
    is_orphan: bool = False
    """A re-INVITE of a dialog that this process does not know, from before a restart perhaps: accepting it
    takes the dialog over as it is, rejecting it answers 481."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """The peer confirmed our answer; the request's body is its answer to an offer of ours, if any."""

    dialog: DialogId
    request: Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """An UPDATE, INFO or PRACK with something in it waits for `accept` or `reject`, inside a dialog."""

    transaction: int
    dialog: DialogId
    request: Request
    flow: Flow


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A dialog is over.

    Comes once for each dialog that was accepted, and for each new INVITE that was taken back or left
    unanswered.
    """

    dialog: DialogId
    how: How
    request: Request | None = None
    """The BYE or CANCEL that did it."""


Event = Invited | Acknowledged | Asked | Ended
