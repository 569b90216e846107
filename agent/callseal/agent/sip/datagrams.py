"""The UDP socket of the SIP server.

Nothing that is sent may end it: a destination that the socket can't take is refused here, since asyncio
closes a socket for good over a port that is out of range.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Final

from callseal.agent.sip.sockets import Address, address_of, reachable

MAX_DATAGRAM_BYTES: Final = 65_507
"""The largest payload of UDP over IPv4 (RFC 768, RFC 791)."""
CLOSING_S: Final = 1.0
"""For what the socket would not take at once."""


class Datagrams(asyncio.DatagramProtocol):
    """Gives `receive` what comes and from where."""

    def __init__(self, receive: Callable[[bytes, Address], None]) -> None:
        self._receive = receive
        self._transport: asyncio.DatagramTransport | None = None
        self._family = socket.AF_INET
        self._is_full = False
        self._is_over = asyncio.Event()

    async def open(self, bound: socket.socket) -> None:
        """Begin with a socket that is bound."""
        self._family = socket.AddressFamily(bound.family)
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: self, sock=bound)
        self._transport = transport

    def send(self, data: bytes, destination: Address) -> bool:
        """Send a datagram, and say whether it was; a name is no destination, only an address is."""
        address = reachable(destination, self._family)
        if address is None or self._transport is None or len(data) > MAX_DATAGRAM_BYTES:
            return False
        if self._is_full or self._transport.is_closing():
            return False
        self._transport.sendto(data, address)
        return True

    async def close(self) -> None:
        """End; when this returns the socket is gone."""
        if self._transport is None:
            return
        self._transport.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSING_S):
                await self._is_over.wait()
        self._transport.abort()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Pass on what came."""
        self._receive(data, address_of(addr))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Note that it is over; the socket is closed in the same turn."""
        self._is_over.set()

    def pause_writing(self) -> None:
        """Stop sending: more waits for the socket than it will soon take. SIP sends again by itself."""
        self._is_full = True

    def resume_writing(self) -> None:
        """Go on sending."""
        self._is_full = False

    def error_received(self, exc: Exception) -> None:
        """Go on: an error of one datagram (no route, none listening there) says nothing of the next."""
