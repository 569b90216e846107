"""All connections, TCP and TLS: accepted within limits, set up where there is none, ended in time.

Those that this side has set up are kept alive, if the limits say so, and their peer is told of by `connected`
and `lost`. While one is being set up, what is to be sent there waits, and no second one is begun.

Source: RFC 3261 section 18, RFC 5626 section 4.4.1.
"""

import asyncio
import contextlib
import socket
from collections.abc import Coroutine, Iterable
from typing import Final

import structlog

from callseal.agent.sip.connection import Connection
from callseal.agent.sip.counters import Counters
from callseal.agent.sip.dialling import Dialling
from callseal.agent.sip.flow import Flow, Outgoing, Transport
from callseal.agent.sip.opening import open_connection, reach
from callseal.agent.sip.peers import Peers, is_loopback
from callseal.agent.sip.pings import Pings
from callseal.agent.sip.receiver import Receiver
from callseal.agent.sip.sockets import Address, address_of, why_not
from callseal.agent.sip.tls import ServerTls
from callseal.agent.sip.tls_client import ClientTls
from callseal.agent.sip.transport_limits import TransportLimits

ACCEPT_AGAIN_S: Final = 1.0
"""After accepting failed, for want of file descriptors mostly."""
CUT_S: Final = 1.0
"""For connections that are cut to be gone."""

_NOWHERE: Final = ("", 0)

log = structlog.get_logger("callseal.sip")


class Streams:
    """The connections at one face; made within its event loop."""

    def __init__(
        self,
        receiver: Receiver,
        *,
        face: str,
        peers: Peers,
        client_tls: ClientTls | None,
        limits: TransportLimits,
        counters: Counters,
    ) -> None:
        self.peers = peers
        self._receiver = receiver
        self._face = face
        self._client_tls = client_tls
        self._limits = limits
        self._counters = counters
        self._loop = asyncio.get_running_loop()
        self._connections: dict[int, Connection] = {}
        self._last_number = 0
        self._dialling = Dialling(most=limits.own_connections, most_bytes=limits.unread_bytes)
        self._announced: set[int] = set()
        self._listening: set[asyncio.Task[None]] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._empty = asyncio.Event()
        self._is_closing = False

    def listen(self, listener: socket.socket, tls: ServerTls | None = None) -> None:
        """Accept connections at a listening socket, which is closed in the end."""
        self._start(self._accept(listener, tls), self._listening)

    def send(self, outgoing: Outgoing) -> None:
        """Send on the connection that a flow is, on another one of the same peer, or on one set up for it.

        A connection is set up to `destination`, unless that is only the other end of one that is gone and
        that the peer had set up. By TLS there must be a name that the peer's certificate has to show.
        """
        connection = self._way(outgoing)
        if connection is not None:
            self._send_on(connection, outgoing)
            return
        flow, destination = outgoing.flow, outgoing.destination
        is_of_peer = flow.connection != 0 and destination == flow.remote
        may_dial = not is_of_peer or self._dialling.has_begun((flow.transport, destination))
        if not may_dial or not self._dial(flow.transport, destination, outgoing):
            self._fail((outgoing,))

    def connect(self, transport: Transport, destination: Address) -> bool:
        """Set up a connection, if there is none and none being set up; False where that may not be tried."""
        return self.own(transport, destination) is not None or self._dial(transport, destination, None)

    def own(self, transport: Transport, destination: Address) -> Flow | None:
        """Return the connection that this side has set up to a destination; None while there is none."""
        connection = self._own(transport, destination)
        return None if connection is None else connection.flow

    def check(self, used: set[int]) -> None:
        """End the connections whose time is over; `used` are the numbers of those that calls stand on."""
        for number, connection in tuple(self._connections.items()):
            connection.check(is_used=number in used)

    async def close(self) -> None:
        """Stop listening and end all connections; what was sent is given time to be read."""
        self._is_closing = True
        await _cancel(self._listening)
        await asyncio.sleep(0)  # a task that is cancelled before it has begun leaves its socket open
        await _cancel(self._opening)
        for connection in tuple(self._connections.values()):
            connection.close()
        await self._is_empty_within(self._limits.closing_s)
        for connection in tuple(self._connections.values()):
            connection.abort()
        await self._is_empty_within(CUT_S)

    async def _is_empty_within(self, limit_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                while self._connections:
                    self._empty.clear()
                    await self._empty.wait()

    # Connections of peers.

    async def _accept(self, listener: socket.socket, tls: ServerTls | None) -> None:
        with listener:
            while True:
                try:
                    accepted, name = await self._loop.sock_accept(listener)
                except OSError as problem:
                    log.warning("sip.cannot_accept", error=problem.strerror)
                    await asyncio.sleep(ACCEPT_AGAIN_S)
                    continue
                remote = address_of(name)
                if self._is_welcome(remote[0]):
                    # In the table before the next one is accepted, or the limits would come too late.
                    connection = self._add(Transport.TCP if tls is None else Transport.TLS, remote)
                    self._start(self._take_in(connection, accepted, tls), self._opening)
                else:
                    accepted.close()
                await asyncio.sleep(0)  # accepting does not wait while there is something to accept

    def _is_welcome(self, host: str) -> bool:
        if not self.peers.allows_address(host):
            self._counters.strangers += 1
            self._receiver.tell("sip.stranger", host)
            return False
        # The table is short: its length is limited, and so is how often this is asked by how it is filled.
        of_host = sum(connection.remote[0] == host for connection in self._connections.values())
        is_room = len(self._connections) < self._limits.connections
        if (is_room and of_host < self._limits.connections_per_address) or self._make_room(host):
            return True
        self._counters.crowded_out += 1
        self._receiver.tell("sip.crowded_out", host)
        return False

    def _make_room(self, host: str) -> bool:
        """End the first connection of this host that is good for nothing."""
        for connection in self._connections.values():
            if connection.remote[0] == host and connection.is_idler:
                connection.abort("idle")
                self._remove(connection)
                self._counters.idle += 1
                return True
        return False

    async def _take_in(self, connection: Connection, accepted: socket.socket, tls: ServerTls | None) -> None:
        await self._open(connection, accepted, tls)
        if connection.flow is None:
            self._remove(connection)

    # Connections of ours.

    def _dial(self, transport: Transport, destination: Address, outgoing: Outgoing | None) -> bool:
        """Have a message wait for a connection, which is begun if it is not yet; False if it may not."""
        if transport is Transport.TLS and self._client_tls is None:
            return False
        if self._is_closing or transport is Transport.UDP or not self.peers.allows_address(destination[0]):
            return False
        way = (transport, destination)
        if self._dialling.is_under_way(way):
            return self._dialling.wait(way, outgoing)
        if not self._dialling.begin(way, outgoing):
            return False
        self._start(self._connect(transport, destination), self._opening)
        return True

    async def _connect(self, transport: Transport, destination: Address) -> None:
        """Set up a connection, and send what has waited for it; one task for each that is under way."""
        connection = self._add(transport, destination, is_own=True)
        why = ""
        try:
            why = await self._set_up(connection)
        finally:
            waiting = self._dialling.end((transport, destination), connection.number)
            if connection.is_usable and connection.flow is not None:
                self._counters.dialled += 1
                self._announced.add(connection.number)
                for outgoing in waiting:
                    self._send_on(connection, outgoing)
                self._receiver.connected(connection.flow)
            else:
                self._counters.undialled += 1
                self._remove(connection)
                self._fail(waiting)
                self._tell_lost(connection, why or connection.why)

    async def _set_up(self, connection: Connection) -> str:
        """Make a connection of ours; empty, or a few words that say why it failed."""
        try:
            stream = await reach(connection.remote, self._limits)
        except OSError as problem:
            why = why_not(problem)
            self._receiver.tell("sip.unreachable", connection.remote[0], why)
            return why
        return await self._open(
            connection, stream, self._client_tls if connection.kind is Transport.TLS else None
        )

    def _tell_lost(self, connection: Connection, why: str) -> None:
        if self._is_closing:
            return
        flow = connection.flow or Flow(
            transport=connection.kind,
            local=_NOWHERE,
            remote=connection.remote,
            connection=connection.number,
            face=self._face,
        )
        self._receiver.lost(flow, why)

    # Both kinds.

    async def _open(
        self, connection: Connection, stream: socket.socket, tls: ServerTls | ClientTls | None
    ) -> str:
        """Make a socket a connection; TLS comes about here, or it is said in a few words why not."""
        why = ""
        is_open = False
        try:
            await open_connection(connection, stream, tls, self._limits)
            is_open = True
        except OSError as problem:
            why = why_not(problem)
            if tls is not None:
                self._counters.tls_failures += 1
                self._receiver.tell("sip.tls_failed", connection.remote[0], why)
        except Exception as error:  # noqa: BLE001 - a certificate that our libraries choke on ends one connection
            why = type(error).__name__
            self._receiver.blame(error, connection.remote[0])
        finally:
            if not is_open:
                connection.abort()
                stream.close()
        return why

    # Which connection, and what becomes of a message.

    def _way(self, outgoing: Outgoing) -> Connection | None:
        flow = outgoing.flow
        if flow.connection:
            connection = self._connections.get(flow.connection)
            if connection is not None and connection.is_usable:
                return connection
            if (other := self._other(flow)) is not None:
                return other
        return self._own(flow.transport, outgoing.destination)

    def _own(self, transport: Transport, destination: Address) -> Connection | None:
        connection = self._connections.get(self._dialling.number_of((transport, destination)))
        return connection if connection is not None and connection.is_usable else None

    def _other(self, flow: Flow) -> Connection | None:
        """Return the newest connection of the same peer, by the same transport and certificate.

        None where that can't be told: behind the loopback address of one of several faces are programs that
        have nothing to do with each other.
        """
        if self._face and is_loopback(flow.remote[0]):
            return None
        for connection in reversed(self._connections.values()):
            known = connection.flow
            if known is not None and connection.is_usable:
                same = (known.transport, known.remote[0], known.names)
                if same == (flow.transport, flow.remote[0], flow.names):
                    return connection
        return None

    def _send_on(self, connection: Connection, outgoing: Outgoing) -> None:
        if connection.send(outgoing.data):
            self._counters.sent += 1
        else:
            self._fail((outgoing,))

    def _fail(self, unsent: Iterable[Outgoing]) -> None:
        for outgoing in unsent:
            self._counters.unsent += 1
            if not self._is_closing:
                # Who sends is in the midst of something, and must not be called from within.
                self._loop.call_soon(self._receiver.undelivered, outgoing)

    def _add(self, transport: Transport, remote: Address, *, is_own: bool = False) -> Connection:
        self._last_number += 1
        connection = self._connections[self._last_number] = Connection(
            self._last_number,
            transport,
            remote,
            face=self._face,
            receiver=self._receiver,
            peers=None if is_own else self.peers,
            limits=self._limits,
            counters=self._counters,
            on_lost=self._lose,
            pings=self._pings(transport, remote) if is_own and self._limits.keep_alive_s else None,
        )
        self._counters.connections = len(self._connections)
        return connection

    def _pings(self, transport: Transport, remote: Address) -> Pings:
        return Pings(
            interval_s=self._limits.keep_alive_s,
            pong_s=self._limits.pong_s,
            answers=self._dialling.answers_pings((transport, remote)),
            now_s=self._loop.time(),
        )

    def _lose(self, connection: Connection) -> None:
        """Note that a connection has ended; of one of ours that had come about the receiver hears."""
        if connection.pings is not None and connection.pings.answers:
            self._dialling.note_pong((connection.kind, connection.remote))
        self._remove(connection)
        if connection.number in self._announced:
            self._announced.remove(connection.number)
            if not self._is_closing:
                self._receiver.tell("sip.connection_lost", connection.remote[0], connection.why)
            self._tell_lost(connection, connection.why)

    def _remove(self, connection: Connection) -> None:
        self._dialling.forget((connection.kind, connection.remote), connection.number)
        self._connections.pop(connection.number, None)
        self._counters.connections = len(self._connections)
        if not self._connections:
            self._empty.set()

    def _start(self, work: Coroutine[None, None, None], among: set[asyncio.Task[None]]) -> None:
        task = self._loop.create_task(work)
        among.add(task)
        task.add_done_callback(among.discard)


async def _cancel(tasks: set[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
