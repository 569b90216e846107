"""How much a proxy keeps: everything that a peer can make grow ends here.

Conventions: seconds and bytes; the timers are in `limits`.
"""

from dataclasses import dataclass
from typing import Final

RETRY_AFTER_S: Final = 10
"""When a request that found no room may come again: most of what fills it is over by then."""
MAX_FAULTS: Final = 16
"""Exceptions that wait for `take_faults`; each holds on to the frames that it went through."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyLimits:
    """What one proxy keeps at most. Beyond, requests are answered 503 and leave nothing behind."""

    transactions: int = 8192
    """A request that is passed on has two, and most are kept for 32 s: that is 128 requests a second, where a
    telephone with a hundred busy lamps begins with two hundred. Of more, those that were answered are kept
    for a shorter time."""
    pending: int = 1024
    """Requests that were passed on and have no final response yet."""
    pending_of_face: int = 512
    """Of these, how many may have come in at one face: who floods one leaves the others' calls alone."""
    stored_bytes: int = 32 * 1024 * 1024
    """Text of requests, and of responses that may have to be sent again. What comes back when it is reached
    is passed on, but not kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyCounts:
    """How much a proxy has at the moment, and how often something has happened."""

    transactions: int
    pending: int
    stored_bytes: int
    resent: int
    """Messages sent again, because a timer said so or because the peer repeated its own."""
    refused: int
    """Requests answered 503 for want of room."""
    malformed: int
    dropped: int
    """ACKs and responses that belong to nothing, and ACKs that the router did not pass on."""
    faults: int
    """Exceptions of the router, and results of it that can't be used."""
