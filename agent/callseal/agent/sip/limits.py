"""How long SIP waits, and how much of it is kept: everything that a peer can make grow ends here.

Conventions: seconds and bytes. The timers are those of RFC 3261 section 17.1.1.1 and its table 4.
"""

from dataclasses import dataclass
from typing import Final

T1_S: Final = 0.5
"""What a round trip is taken for."""
T2_S: Final = 4.0
"""The longest pause between two retransmissions."""
T4_S: Final = 5.0
"""How long a message may be on its way."""
GIVE_UP_S: Final = 64 * T1_S
"""When a transaction is given up; also how long its answer is kept for retransmissions of its request."""
TIMER_C_S: Final = 180.0
"""How long a proxy lets a call ring: section 16.6, step 11, asks for more than three minutes; it begins again
with each provisional answer, and phones that ring for long give one every minute (section 13.3.1.1)."""

MAX_FORWARDS: Final = 70
"""How many hops a request of ours may take (section 8.1.1.6)."""
MAX_SPREAD_S: Final = 10
"""A peer that must come again is told to wait up to so long (RFC 3261 section 14.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one endpoint keeps at most. Beyond, requests are answered 503 and leave nothing behind."""

    dialogs: int = 25_000
    """More than the calls of the largest configuration; the application has a lower limit of its own."""
    transactions: int = 200_000
    """Each is kept for 32 s: 1,000 calls a second with INVITE, UPDATE and BYE are 96,000."""
    pending: int = 4096
    """Requests that wait for the application's answer."""
    pending_in_dialog: int = 8
    """Of these, how many may belong to one dialog."""
    stored_bytes: int = 256 * 1024 * 1024
    """Text of requests that wait, of answers that may have to be sent again, and of dialogs."""
    answer_s: float = 60.0
    """How long the application may take; then the request is answered 500. Shorter than the 180 s after which
    a proxy gives up (RFC 3261 section 16.6), and than most gateways'."""
