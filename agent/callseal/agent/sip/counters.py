"""What the SIP server has seen since it began."""

from dataclasses import dataclass


@dataclass(slots=True, kw_only=True)
class Counters:
    """Counts for status and tests; `connections` is how many are open now, all others only grow."""

    received: int = 0
    """Messages that were understood."""
    sent: int = 0
    unsent: int = 0
    """Messages of ours whose connection was gone, or whose destination can't be reached."""
    keep_alives: int = 0
    malformed: int = 0
    strangers: int = 0
    """Datagrams and connections from addresses that are not allowed."""
    connections: int = 0
    crowded_out: int = 0
    """Connections closed because there were too many, in all or from one address."""
    tls_failures: int = 0
    """Connections whose TLS never came about: an older version, no certificate, a wrong one."""
    wrong_names: int = 0
    """Connections whose certificate was good, but none of a peer's."""
    half_messages: int = 0
    """Connections closed because a message did not end in time."""
    idle: int = 0
    """Connections closed because nothing came for long."""
    slow_readers: int = 0
    """Connections closed because their peer did not read what we sent."""
    bugs: int = 0
    """Messages and timers at which our own code failed; each is a fault to be reported."""
