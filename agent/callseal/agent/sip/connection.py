"""One connection of a peer, TCP or TLS: bytes to messages, and messages to bytes that a peer must read.

Source: RFC 3261 section 18.3 (framing), RFC 5626 section 4.4.1 (keep-alives).
"""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from callseal.agent.errors import SipSyntaxError
from callseal.agent.sip.counters import Counters
from callseal.agent.sip.flow import Flow, Transport
from callseal.agent.sip.framing import PONG, Framer, KeepAlive
from callseal.agent.sip.message import Request, Response
from callseal.agent.sip.peers import Peers
from callseal.agent.sip.sockets import Address, address_of
from callseal.agent.sip.tls import peer_names
from callseal.agent.sip.transport_limits import TransportLimits

LINGER_S: Final = 0.5
"""How long what a TLS peer still sends is read and dropped before the connection is closed."""


class Receiver(Protocol):
    """Takes what connections bring. None of these raises."""

    def take(self, message: Request | Response, flow: Flow) -> None:
        """Handle a message."""
        ...

    def refuse(self, error: SipSyntaxError, flow: Flow) -> None:
        """Handle what is no message, and answer it where that can be done."""
        ...

    def blame(self, error: Exception, host: str) -> None:
        """Handle a fault of our own code, which a peer's bytes brought to light."""
        ...

    def tell(self, event: str, host: str, why: str = "") -> None:
        """Log what a peer does, seldom."""
        ...


class Connection(asyncio.Protocol):
    """A connection, from when it is accepted or begun; `flow` is None until it can be used."""

    def __init__(
        self,
        number: int,
        transport: Transport,
        remote: Address,
        *,
        receiver: Receiver,
        peers: Peers,
        limits: TransportLimits,
        counters: Counters,
        on_lost: Callable[[int], None],
    ) -> None:
        self.number = number
        self.kind = transport
        self.remote = remote
        self.flow: Flow | None = None
        self._receiver = receiver
        self._peers = peers
        self._limits = limits
        self._counters = counters
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._framer = Framer()
        self._socket: asyncio.Transport | None = None
        self._heard_s = self._loop.time()
        self._half_since_s: float | None = None
        self._closing_since_s: float | None = None

    @property
    def is_usable(self) -> bool:
        """Whether messages can be sent."""
        if self.flow is None or self._socket is None or self._socket.is_closing():
            return False
        return self._closing_since_s is None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; a certificate without one of the peers' names ends it at once."""
        if not isinstance(transport, asyncio.Transport):
            raise TypeError("a connection needs a stream")
        self._socket = transport
        names: tuple[str, ...] = ()
        if self.kind is Transport.TLS:
            names = peer_names(transport.get_extra_info("ssl_object").getpeercert(binary_form=True))
            if not self._peers.allows_names(names):
                self._counters.wrong_names += 1
                self._receiver.tell("sip.wrong_name", self.remote[0], ", ".join(names))
                self.abort()
                return
        self.flow = Flow(
            transport=self.kind,
            local=address_of(transport.get_extra_info("sockname")),
            remote=self.remote,
            connection=self.number,
            names=names,
        )

    def data_received(self, data: bytes) -> None:
        """Take what came, in pieces of any size."""
        if not self.is_usable or self.flow is None:
            return
        self._heard_s = self._loop.time()
        try:
            self._take(data, self.flow)
        except SipSyntaxError as error:
            self._receiver.refuse(error, self.flow)
            self._part()
        except Exception as error:  # noqa: BLE001 - a fault of ours with one peer's bytes stays with that peer
            self._receiver.blame(error, self.remote[0])
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Note that it is over."""
        self.close()
        self._on_lost(self.number)

    def send(self, data: bytes) -> bool:
        """Send bytes, and say whether that can be; a peer that does not read is cut off."""
        if not self.is_usable or self._socket is None:
            return False
        self._socket.write(data)
        if self._socket.get_write_buffer_size() > self._limits.unread_bytes:
            self._counters.slow_readers += 1
            self._receiver.tell("sip.slow_reader", self.remote[0])
            self.abort()
            return False
        return True

    def close(self) -> None:
        """End it once the peer has read what was sent; nothing more is taken."""
        if self._closing_since_s is None:
            self._closing_since_s = self._loop.time()
        if self._socket is not None:
            self._socket.close()

    def _part(self) -> None:
        """End it in a way that the peer still reads what it was told.

        A socket that is closed with bytes unread is reset, and a reset takes along what was sent before. So
        what still comes is read and dropped, until the peer ends it too or its time is over (`check`).
        """
        self._closing_since_s = self._loop.time()
        if self._socket is None:
            return
        if self._socket.can_write_eof():
            self._socket.write_eof()
        else:
            # TLS can't be ended on one side.
            self._loop.call_later(LINGER_S, self._socket.close)

    def abort(self) -> None:
        """End it now."""
        self.close()
        if self._socket is not None:
            self._socket.abort()

    def check(self, *, is_used: bool) -> None:
        """End it if its time is over; `is_used` while calls stand on it."""
        now_s = self._loop.time()
        if self._closing_since_s is not None:
            if now_s - self._closing_since_s > self._limits.closing_s:
                self.abort()
        elif self._half_since_s is not None and now_s - self._half_since_s > self._limits.half_message_s:
            self._counters.half_messages += 1
            self._receiver.tell("sip.half_message", self.remote[0])
            self.abort()
        elif self.flow is not None and not is_used and now_s - self._heard_s > self._limits.idle_s:
            self._counters.idle += 1
            self.close()

    def _take(self, data: bytes, flow: Flow) -> None:
        pongs = 0
        has_ended = False
        for item in self._framer.feed(data):
            has_ended = True
            if isinstance(item, KeepAlive):
                pongs += 1
            else:
                self._receiver.take(item, flow)
            if not self.is_usable:
                return
        if pongs:
            self._counters.keep_alives += pongs
            self.send(PONG * pongs)
        if not self._framer.is_mid_message:
            self._half_since_s = None
        elif has_ended or self._half_since_s is None:
            self._half_since_s = self._heard_s
