"""Where a message came from and where its answer goes."""

from dataclasses import dataclass
from enum import Enum


class Transport(Enum):
    """How messages travel; the value is what a Via says (RFC 3261 section 20.42)."""

    UDP = "UDP"
    TCP = "TCP"
    TLS = "TLS"

    @property
    def is_reliable(self) -> bool:
        """Whether nothing has to be sent twice (RFC 3261 section 17)."""
        return self is not Transport.UDP


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """One way to one peer: a connection, or a pair of UDP addresses."""

    transport: Transport
    local: tuple[str, int]
    remote: tuple[str, int]
    connection: int = 0
    """Which connection, of those that this process has had; 0 for UDP."""
    names: tuple[str, ...] = ()
    """What the peer's certificate, which was verified, calls it; empty without mutual TLS."""
    face: str = ""
    """Which of several sets of sockets of this process; empty where there is one alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A message to be sent."""

    data: bytes
    flow: Flow
    destination: tuple[str, int]
    """Where a datagram goes. On a connection: whom to connect to if the flow's connection is gone; an answer
    may then be dropped."""
    key: str = ""
    """Of the client transaction, for whoever has to be told that it could not be sent."""
