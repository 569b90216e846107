"""UDP, TCP and TLS at one face of this process: what comes is parsed and given on, what is to go out is sent.

A process may have several faces, each with its own addresses and its own peers; every flow says by which one
a message came, and a connection belongs to one of them alone.

Nothing that a peer sends ends it. What can't be sent is told, but only what this side knows of: a datagram
that is lost on its way is not, and neither is what was written to a connection that broke before it was read.

Source: RFC 3261 section 18, RFC 3581, RFC 5626 section 4.4.1.
"""

import asyncio
import socket
import time
from collections.abc import Callable
from typing import Final

import structlog

from callseal.agent.errors import SipSyntaxError, SourceError
from callseal.agent.sip.counters import Counters
from callseal.agent.sip.datagrams import Datagrams
from callseal.agent.sip.flow import Flow, Outgoing, Transport
from callseal.agent.sip.framing import is_keep_alive
from callseal.agent.sip.message import parse_message
from callseal.agent.sip.peers import Peers
from callseal.agent.sip.receiver import Receiver
from callseal.agent.sip.sockets import (
    RECEIVE_BUFFER_BYTES,
    Address,
    address_of,
    local_towards,
    open_datagrams,
    open_listener,
    open_pair,
)
from callseal.agent.sip.streams import Streams
from callseal.agent.sip.tls import ServerTls
from callseal.agent.sip.tls_client import ClientTls
from callseal.agent.sip.transport_limits import TransportLimits

__all__ = ["Receiver", "Transports"]

MAX_ROUTES: Final = 1024
"""Peers for which the local address that they see is remembered."""

log = structlog.get_logger("callseal.sip")


class Transports:
    """Listens by UDP and TCP at one address and, if wanted, by TLS at another; connects to peers."""

    def __init__(
        self,
        receiver: Receiver,
        *,
        face: str = "",
        peers: Peers,
        tls: ServerTls | None = None,
        client_tls: ClientTls | None = None,
        limits: TransportLimits | None = None,
        counters: Counters | None = None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take who is given what comes; `tls` is for those who connect to us, `client_tls` for the others."""
        self.counters = Counters() if counters is None else counters
        self._receiver = receiver
        self._face = face
        self._peers = peers
        self._tls = tls
        self._client_tls = client_tls
        self._limits = limits or TransportLimits()
        self._now_s = now_s
        self._datagrams = Datagrams(self._take_datagram)
        self._streams: Streams | None = None
        self._local: Address = ("", 0)
        self._tls_local: Address | None = None
        self._routes: dict[str, Address] = {}
        self._look_s = 0.0

    @property
    def address(self) -> Address:
        """Where it listens by UDP and TCP, once it does."""
        return self._local

    @property
    def tls_address(self) -> Address | None:
        """Where it listens by TLS."""
        return self._tls_local

    async def start(self, listen: Address, tls_listen: Address | None = None, *, tcp: bool = True) -> None:
        """Listen; port 0 takes any free one. SourceError in words where that can't be.

        Without `tcp` only UDP is listened to; connections of ours there may be all the same.
        """
        if tls_listen is not None and self._tls is None:
            raise SourceError("TLS needs a certificate and its key")
        datagrams, *listeners = open_pair(listen) if tcp else (open_datagrams(listen),)
        try:
            tls_listener = None if tls_listen is None else open_listener(tls_listen)
        except SourceError:
            for opened in (datagrams, *listeners):
                opened.close()
            raise
        self._local = address_of(datagrams.getsockname())
        self._look_s = self._now_s() + self._limits.certificate_check_s
        self._streams = Streams(
            self._receiver,
            face=self._face,
            peers=self._peers,
            client_tls=self._client_tls,
            limits=self._limits,
            counters=self.counters,
        )
        for listener in listeners:
            self._streams.listen(listener)
        if tls_listener is not None:
            self._tls_local = address_of(tls_listener.getsockname())
            self._streams.listen(tls_listener, self._tls)
        await self._datagrams.open(datagrams)
        self._tell_of_sockets(datagrams.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF))

    async def stop(self) -> None:
        """Stop listening and end all connections; from now on nothing more is told."""
        if self._streams is not None:
            await self._streams.close()
        await self._datagrams.close()

    def admit(self, peers: Peers) -> None:
        """Replace the peers that are let in; connections that there are stay."""
        self._peers = peers
        if self._streams is not None:
            self._streams.peers = peers

    def send(self, outgoing: Outgoing) -> None:
        """Send a message; where that can't be, the receiver is told soon after (`Receiver.undelivered`).

        By TCP and TLS it goes on the connection that its flow is, on another one of the same peer, on the one
        that this side has set up to `destination`, or on one that is set up now (TLS: with `client_tls`).
        """
        if outgoing.flow.transport is not Transport.UDP and self._streams is not None:
            self._streams.send(outgoing)
        elif self._datagrams.send(outgoing.data, outgoing.destination):
            self.counters.sent += 1
        else:
            self.counters.unsent += 1
            asyncio.get_running_loop().call_soon(self._receiver.undelivered, outgoing)

    def connect(self, transport: Transport, destination: Address) -> bool:
        """Set up a connection without a message, if there is none yet; False where that may not be tried.

        What comes of it the receiver is told by `connected` or `lost`.
        """
        return self._streams is not None and self._streams.connect(transport, destination)

    def flow_to(self, transport: Transport, destination: Address) -> Flow | None:
        """Return the flow by which a message would go out: by TCP and TLS our connection, if it is there.

        None while there is none: then `connect`, or just send.
        """
        if transport is Transport.UDP:
            return self._flow_of_datagrams(destination)
        return None if self._streams is None else self._streams.own(transport, destination)

    def local_of(self, transport: Transport, destination: Address) -> Address | None:
        """Return the address of this side that a destination sees; None while there is no connection."""
        flow = self.flow_to(transport, destination)
        return None if flow is None else flow.local

    def check(self, used: set[int]) -> None:
        """Look at connections and certificates; to be called once a second.

        `used` are the numbers of connections on which calls stand: those are not closed for being idle.
        """
        if self._streams is not None:
            self._streams.check(used)
        if self._now_s() >= self._look_s:
            self._look_s = self._now_s() + self._limits.certificate_check_s
            for tls in (self._tls, self._client_tls):
                if tls is not None:
                    _look_at_certificate(tls)

    def _take_datagram(self, data: bytes, remote: Address) -> None:
        if not self._peers.allows_address(remote[0]):
            self.counters.strangers += 1
            self._receiver.tell("sip.stranger", remote[0])
            return
        if is_keep_alive(data):
            self.counters.keep_alives += 1
            return
        flow = self._flow_of_datagrams(remote)
        try:
            message = parse_message(data, is_stream=False)
        except SipSyntaxError as error:
            self.counters.malformed += 1
            self._receiver.refuse(error, flow)
        except Exception as error:  # noqa: BLE001 - one message must not end the others' calls
            self._receiver.blame(error, remote[0])
        else:
            self.counters.received += 1
            self._receiver.take(message, flow)

    def _flow_of_datagrams(self, remote: Address) -> Flow:
        local = self._routes.get(remote[0])
        if local is None:
            if len(self._routes) >= MAX_ROUTES:
                self._routes.clear()
            local = self._routes[remote[0]] = local_towards(self._local, remote)
        return Flow(transport=Transport.UDP, local=local, remote=remote, face=self._face)

    def _tell_of_sockets(self, buffer_bytes: int) -> None:
        """Tell where it listens, and if the system gave it less of a buffer than it asked for."""
        told = log.bind(face=self._face) if self._face else log
        told.info("sip.listening", address=self._local, tls_address=self._tls_local)
        if buffer_bytes < RECEIVE_BUFFER_BYTES:
            log.warning("sip.small_buffer", given_bytes=buffer_bytes, wanted_bytes=RECEIVE_BUFFER_BYTES)


def _look_at_certificate(tls: ServerTls | ClientTls) -> None:
    try:
        if tls.reload_if_changed():
            expires = tls.expires
            log.info("sip.certificate_changed", expires=None if expires is None else expires.isoformat())
    except SourceError as error:
        log.warning("sip.certificate_kept", error=str(error))
