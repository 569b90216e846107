"""What the SIP server and its endpoint have seen since they began, and what there is now."""

from dataclasses import dataclass


@dataclass(slots=True, kw_only=True)
class Counters:
    """Counts of the server; `connections` is how many are open now, all others only grow."""

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
    dialled: int = 0
    """Connections of ours that came about."""
    undialled: int = 0
    """Connections of ours that did not."""
    missing_pongs: int = 0
    """Connections of ours closed because their peer no longer answered keep-alives."""
    bugs: int = 0
    """Messages and timers at which our own code failed; each is a fault to be reported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How much an endpoint has at the moment, and how often something has happened."""

    dialogs: int
    transactions: int
    pending: int
    stored_bytes: int
    resent: int
    """Messages sent again, because a timer said so or because the peer repeated its own."""
    refused: int
    """INVITEs answered 503."""
    malformed: int
    dropped: int
    """ACKs and responses that belong to nothing."""
