"""How much of the recorder's sockets one peer, and all of them together, may take."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportLimits:
    """Limits of connections; a gateway keeps a handful of them open, often for weeks."""

    connections: int = 1024
    """Of all peers; with those that are still being set up."""
    connections_per_address: int = 64
    handshake_s: float = 10.0
    """For TLS to come about; it takes two round trips."""
    half_message_s: float = 10.0
    """From a message's first byte to its last. Counted from the first: one byte a second goes on for ever."""
    idle_s: float = 3600.0
    """Without a byte from the peer, while no call stands on the connection."""
    unread_bytes: int = 1 << 20
    """What we have written and the peer has not read; some hundred answers."""
    closing_s: float = 5.0
    """For the peer to read our last words before the connection is cut."""
    certificate_check_s: float = 10.0
    """How often the certificate's files are looked at."""
