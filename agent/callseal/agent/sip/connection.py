"""One connection, TCP or TLS: bytes to messages, and messages to bytes that a peer must read.

Source: RFC 3261 section 18.3 (framing), RFC 5626 section 4.4.1 (keep-alives).
"""

import asyncio
from collections.abc import Callable
from typing import Final

from callseal.agent.errors import SipSyntaxError
from callseal.agent.sip.counters import Counters
from callseal.agent.sip.flow import Flow, Transport
from callseal.agent.sip.framing import PONG, Framer, KeepAlive, Pong
from callseal.agent.sip.peers import Peers
from callseal.agent.sip.pings import PING, Pings
from callseal.agent.sip.receiver import Receiver
from callseal.agent.sip.sockets import Address, address_of, why_not
from callseal.agent.sip.tls import peer_names
from callseal.agent.sip.transport_limits import TransportLimits

LINGER_S: Final = 0.5
"""How long what a TLS peer still sends is read and dropped before the connection is closed."""
CLOSED: Final = "closed"
"""Why a connection ended that its peer closed in good order, or ours."""


class Connection(asyncio.Protocol):
    """A connection, from when it is accepted or begun; `flow` is None until it can be used."""

    def __init__(
        self,
        number: int,
        transport: Transport,
        remote: Address,
        *,
        face: str,
        receiver: Receiver,
        peers: Peers | None,
        limits: TransportLimits,
        counters: Counters,
        on_lost: Callable[["Connection"], None],
        pings: Pings | None = None,
    ) -> None:
        """`peers` say which names a certificate may have; None where it was judged when it was verified.

        `pings` are of a connection that is kept alive from this side.
        """
        self.number = number
        self.kind = transport
        self.remote = remote
        self.pings = pings
        self.flow: Flow | None = None
        self.has_spoken = False
        """Whether a message has ever come."""
        self.why = CLOSED
        """Why it ended, once it has."""
        self._face = face
        self._receiver = receiver
        self._peers = peers
        self._limits = limits
        self._counters = counters
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._framer = Framer()
        self._socket: asyncio.Transport | None = None
        self._since_s = self._heard_s = self._loop.time()
        self._half_since_s: float | None = None
        self._closing_since_s: float | None = None

    @property
    def is_usable(self) -> bool:
        """Whether messages can be sent."""
        if self.flow is None or self._socket is None or self._socket.is_closing():
            return False
        return self._closing_since_s is None

    @property
    def is_idler(self) -> bool:
        """Whether a peer has connected a while ago, and said nothing since."""
        is_of_peer = self.pings is None and self.flow is not None
        return (
            is_of_peer and not self.has_spoken and self._loop.time() - self._since_s > self._limits.silent_s
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; a certificate without one of the peers' names ends it at once."""
        if not isinstance(transport, asyncio.Transport):
            raise TypeError("a connection needs a stream")
        self._socket = transport
        names: tuple[str, ...] = ()
        if self.kind is Transport.TLS:
            names = peer_names(transport.get_extra_info("ssl_object").getpeercert(binary_form=True))
            if self._peers is not None and not self._peers.allows_names(names):
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
            face=self._face,
        )

    def data_received(self, data: bytes) -> None:
        """Take what came, in pieces of any size."""
        if not self.is_usable or self.flow is None:
            return
        self._heard_s = self._loop.time()
        try:
            self._take(data, self.flow)
        except SipSyntaxError as error:
            self._counters.malformed += 1
            self._receiver.refuse(error, self.flow)
            self._part("malformed")
        except Exception as error:  # noqa: BLE001 - a fault of ours with one peer's bytes stays with that peer
            self._receiver.blame(error, self.remote[0])
            self.abort("fault")

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that it is over."""
        self.close(CLOSED if exc is None else why_not(exc))
        self._on_lost(self)

    def send(self, data: bytes) -> bool:
        """Send bytes, and say whether that can be; a peer that does not read is cut off."""
        if not self.is_usable or self._socket is None:
            return False
        self._socket.write(data)
        if self._socket.get_write_buffer_size() > self._limits.unread_bytes:
            self._counters.slow_readers += 1
            self._receiver.tell("sip.slow_reader", self.remote[0])
            self.abort("slow reader")
            return False
        return True

    def close(self, why: str = CLOSED) -> None:
        """End it once the peer has read what was sent; nothing more is taken."""
        self._end(why)
        if self._socket is not None:
            self._socket.close()

    def abort(self, why: str = CLOSED) -> None:
        """End it now."""
        self.close(why)
        if self._socket is not None:
            self._socket.abort()

    def check(self, *, is_used: bool) -> None:
        """End it if its time is over, or keep it alive; `is_used` while calls stand on it."""
        now_s = self._loop.time()
        if self._closing_since_s is not None:
            if now_s - self._closing_since_s > self._limits.closing_s:
                self.abort()
        elif self._half_since_s is not None and now_s - self._half_since_s > self._limits.half_message_s:
            self._counters.half_messages += 1
            self._receiver.tell("sip.half_message", self.remote[0])
            self.abort("half a message")
        elif self.pings is not None:
            self._keep_alive(self.pings, now_s)
        elif self.flow is not None and not is_used and now_s - self._heard_s > self._limits.idle_s:
            self._counters.idle += 1
            self.close("idle")

    def _keep_alive(self, pings: Pings, now_s: float) -> None:
        if pings.is_missing(now_s):
            self._counters.missing_pongs += 1
            self._receiver.tell("sip.no_pong", self.remote[0])
            self.abort("no pong")
        elif pings.is_due(now_s) and self.send(PING):
            pings.sent(now_s)
            self._framer.expect_pong()

    def _take(self, data: bytes, flow: Flow) -> None:
        pongs = 0
        has_ended = is_pong = False
        if self.pings is not None:
            self.pings.heard()
        for item in self._framer.feed(data):
            # A blank line beside a message may be that peer's way to end messages, and no answer.
            is_pong = isinstance(item, Pong) and not has_ended
            has_ended = True
            if isinstance(item, KeepAlive):
                pongs += 1
            elif not isinstance(item, Pong):
                self.has_spoken = True
                self._counters.received += 1
                self._receiver.take(item, flow)
            if not self.is_usable:
                return
        if is_pong and self.pings is not None:
            self.pings.ponged(self._heard_s)
        if pongs:
            self._counters.keep_alives += pongs
            self.send(PONG * pongs)
        if not self._framer.is_mid_message:
            self._half_since_s = None
        elif has_ended or self._half_since_s is None:
            self._half_since_s = self._heard_s

    def _part(self, why: str) -> None:
        """End it in a way that the peer still reads what it was told.

        A socket that is closed with bytes unread is reset, and a reset takes along what was sent before. So
        what still comes is read and dropped, until the peer ends it too or its time is over (`check`).
        """
        self._end(why)
        if self._socket is None:
            return
        if self._socket.can_write_eof():
            self._socket.write_eof()
        else:
            # TLS can't be ended on one side.
            self._loop.call_later(LINGER_S, self._socket.close)

    def _end(self, why: str) -> None:
        if self._closing_since_s is None:
            self._closing_since_s = self._loop.time()
            self.why = why
