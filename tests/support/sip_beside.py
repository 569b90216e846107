"""A SIP server with a call that runs beside whatever a test does, by one transport.

What is promised in the end: the server answers, the call beside is alive, and none of our own code failed.
"""

import contextlib
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from callseal.agent.sip.tls import ServerTls
from callseal.agent.sip.transport_limits import TransportLimits
from support.sip_certificates import Authority, client_context
from support.sip_service import Service, service
from support.sip_wire import Caller, Wire, asks


@dataclass(frozen=True)
class Beside:
    """A server, one way to it, and the call beside."""

    transport: str
    server: Service
    running: Caller
    context: ssl.SSLContext | None

    def open(self) -> Wire:
        """Open a new way to the server."""
        is_tls = self.transport == "TLS"
        return Wire.open(
            self.transport, self.server.tls_address if is_tls else self.server.address, self.context
        )

    def check(self) -> None:
        """Make sure of what is promised."""
        with self.open() as wire:
            assert asks(wire).code == 200, "the server no longer answers"
        assert self.running.ask("UPDATE").code == 200, "the call beside is over"
        assert self.server.ended(self.running.call_id) is None, "the call beside is over"
        assert self.server.counters.bugs == 0


@contextlib.contextmanager
def beside(transport: str, folder: Path, limits: TransportLimits | None = None) -> Iterator[Beside]:
    """Run a server and a call, which is hung up in the end."""
    authority = Authority(folder)
    own = authority.issue("recorder", "127.0.0.1")
    context = client_context(authority) if transport == "TLS" else None
    with service(tls=ServerTls(own.certificate, own.key), limits=limits) as server:
        address = server.tls_address if transport == "TLS" else server.address
        with Wire.open(transport, address, context) as wire:
            running = Caller(wire)
            assert running.invite().code == 200
            at = Beside(transport, server, running, context)
            yield at
            at.check()
            assert running.ask("BYE").code == 200
