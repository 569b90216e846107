"""How much of the recorder's sockets one peer, and all of them together, may take."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportLimits:
    """Limits of connections; a gateway keeps a handful of them open, often for weeks."""

    connections: int = 1024
    """Of all peers; with those that are still being set up."""
    connections_per_address: int = 64
    silent_s: float = 5.0
    """Who has brought no message for so long since connecting makes room for others."""
    handshake_s: float = 10.0
    """For TLS to come about; it takes two round trips."""
    half_message_s: float = 10.0
    """From a message's first byte to its last. Counted from the first: one byte a second goes on for ever."""
    idle_s: float = 3600.0
    """Without a byte from the peer, while no call stands on the connection and none keeps it alive."""
    unread_bytes: int = 1 << 20
    """What we have written and the peer has not read; some hundred answers. As much may wait to be sent."""
    closing_s: float = 5.0
    """For the peer to read our last words before the connection is cut."""
    certificate_check_s: float = 10.0
    """How often the certificate's files are looked at."""
    own_connections: int = 64
    """Destinations that we have connected to."""
    connect_s: float = 5.0
    """For a connection of ours, before its TLS."""
    keep_alive_s: float = 30.0
    """Between the pings on a connection of ours (RFC 5626 section 4.4.1); 0 for none."""
    pong_s: float = 10.0
    """For the answer to a ping."""
    unacknowledged_s: float = 20.0
    """For the peer's system to acknowledge what was sent on a connection of ours (Linux)."""
