"""Whoever takes what sockets bring: the shell around an endpoint or a proxy."""

from typing import Protocol

from callseal.agent.errors import SipSyntaxError
from callseal.agent.sip.flow import Flow, Outgoing
from callseal.agent.sip.message import Request, Response


class Receiver(Protocol):
    """Takes messages, and news of connections. None of these raises."""

    def take(self, message: Request | Response, flow: Flow) -> None:
        """Handle a message."""
        ...

    def refuse(self, error: SipSyntaxError, flow: Flow) -> None:
        """Handle what is no message, and answer it where that can be done."""
        ...

    def undelivered(self, outgoing: Outgoing) -> None:
        """Note that a message could not be sent; never called from within `Transports.send`."""
        ...

    def connected(self, flow: Flow) -> None:
        """Note that a connection of ours has come about."""
        ...

    def lost(self, flow: Flow, why: str) -> None:
        """Note that a connection of ours has ended, or never came about: then it has no local address.

        `why` is a few words for a log: "closed", "no pong", "ECONNREFUSED", what is wrong with a certificate.
        """
        ...

    def blame(self, error: Exception, host: str) -> None:
        """Handle a fault of our own code, which a peer's bytes brought to light."""
        ...

    def tell(self, event: str, host: str, why: str = "") -> None:
        """Log what a peer does, seldom."""
        ...
