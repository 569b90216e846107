"""All connections, TCP and TLS: accepted within limits, found again for an answer, ended in time."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Coroutine
from typing import Final

import structlog

from callseal.agent.sip.connection import Connection, Receiver
from callseal.agent.sip.counters import Counters
from callseal.agent.sip.flow import Flow, Transport
from callseal.agent.sip.peers import Peers
from callseal.agent.sip.sockets import Address, address_of
from callseal.agent.sip.tls import ServerTls
from callseal.agent.sip.transport_limits import TransportLimits

ACCEPT_AGAIN_S: Final = 1.0
"""After accepting failed, for want of file descriptors mostly."""
CALL_BACK_S: Final = 5.0
"""For a connection of ours to a peer whose own is gone."""
MAX_CALLED_BACK: Final = 32
"""Peers that are called back at a time."""
MAX_WAITING: Final = 64
"""Messages that wait for one of them."""

log = structlog.get_logger("callseal.sip")


class Streams:
    """The connections of one server; made within its event loop."""

    def __init__(
        self,
        receiver: Receiver,
        *,
        peers: Peers,
        limits: TransportLimits,
        counters: Counters,
    ) -> None:
        self._receiver = receiver
        self._peers = peers
        self._limits = limits
        self._counters = counters
        self._loop = asyncio.get_running_loop()
        self._connections: dict[int, Connection] = {}
        self._last_number = 0
        self._waiting: dict[Address, list[bytes]] = {}
        self._listening: set[asyncio.Task[None]] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._empty = asyncio.Event()

    def listen(self, listener: socket.socket, tls: ServerTls | None = None) -> None:
        """Accept connections at a listening socket, which is closed in the end."""
        self._start(self._accept(listener, tls), self._listening)

    def send(self, data: bytes, flow: Flow, destination: Address) -> None:
        """Send on the connection that a flow is, or, where that is gone, on another one of the same peer.

        Where there is none either, a peer by TCP is called back at `destination`, unless that is only the
        other end of the connection that is gone. By TLS it is not called back: there is no name that its
        certificate would have to show.
        """
        connection = self._connections.get(flow.connection)
        if connection is None or not connection.is_usable:
            connection = self._other(flow)
        if connection is not None:
            self._send_on(connection, data)
        elif flow.transport is Transport.TCP and destination != flow.remote:
            self._call_back(destination, data)
        else:
            self._counters.unsent += 1

    def check(self, used: set[int]) -> None:
        """End the connections whose time is over; `used` are the numbers of those that calls stand on."""
        for number, connection in tuple(self._connections.items()):
            connection.check(is_used=number in used)

    async def close(self) -> None:
        """Stop listening and end all connections; what was sent is given time to be read."""
        await _cancel(self._listening)
        await asyncio.sleep(0)  # a task that is cancelled before it has begun leaves its socket open
        await _cancel(self._opening)
        for connection in tuple(self._connections.values()):
            connection.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._limits.closing_s):
                while self._connections:
                    self._empty.clear()
                    await self._empty.wait()
        for connection in tuple(self._connections.values()):
            connection.abort()

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
                    self._start(self._open(connection, accepted, tls), self._opening)
                else:
                    accepted.close()
                await asyncio.sleep(0)  # accepting does not wait while there is something to accept

    def _is_welcome(self, host: str) -> bool:
        if not self._peers.allows_address(host):
            self._counters.strangers += 1
            self._receiver.tell("sip.stranger", host)
            return False
        # The table is short: its length is limited, and so is how often this is asked by how it is filled.
        of_host = sum(connection.remote[0] == host for connection in self._connections.values())
        is_room = len(self._connections) < self._limits.connections
        if is_room and of_host < self._limits.connections_per_address:
            return True
        self._counters.crowded_out += 1
        self._receiver.tell("sip.crowded_out", host)
        return False

    async def _open(self, connection: Connection, accepted: socket.socket, tls: ServerTls | None) -> None:
        """Make an accepted socket a connection; TLS comes about here, or not."""
        is_open = False
        try:
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            await self._loop.connect_accepted_socket(
                lambda: connection,
                accepted,
                ssl=None if tls is None else tls.context,
                ssl_handshake_timeout=None if tls is None else self._limits.handshake_s,
                ssl_shutdown_timeout=None if tls is None else self._limits.closing_s,
            )
            is_open = True
        except OSError as problem:
            if tls is not None:
                self._counters.tls_failures += 1
                why = (problem.reason if isinstance(problem, ssl.SSLError) else None) or type(
                    problem
                ).__name__
                self._receiver.tell("sip.tls_failed", connection.remote[0], why)
        except Exception as error:  # noqa: BLE001 - a certificate that our libraries choke on ends one connection
            self._receiver.blame(error, connection.remote[0])
        finally:
            if not is_open:
                connection.abort()
                accepted.close()
                self._remove(connection.number)

    def _other(self, flow: Flow) -> Connection | None:
        """Return the newest connection of the same peer, by the same transport and certificate."""
        for connection in reversed(self._connections.values()):
            known = connection.flow
            if known is not None and connection.is_usable:
                same = (known.transport, known.remote[0], known.names)
                if same == (flow.transport, flow.remote[0], flow.names):
                    return connection
        return None

    def _call_back(self, destination: Address, data: bytes) -> None:
        waiting = self._waiting.get(destination)
        if not self._peers.allows_address(destination[0]):
            self._counters.unsent += 1
        elif waiting is None and len(self._waiting) < MAX_CALLED_BACK:
            self._waiting[destination] = [data]
            self._start(self._connect(destination), self._opening)
        elif waiting is not None and len(waiting) < MAX_WAITING:
            waiting.append(data)
        else:
            self._counters.unsent += 1

    async def _connect(self, destination: Address) -> None:
        connection = self._add(Transport.TCP, destination)
        try:
            async with asyncio.timeout(CALL_BACK_S):
                await self._loop.create_connection(lambda: connection, *destination)
        except (OSError, OverflowError):  # a timeout is the former, a port that is none the latter
            pass
        finally:
            if not connection.is_usable:
                self._remove(connection.number)
            for data in self._waiting.pop(destination):
                self._send_on(connection, data)

    def _send_on(self, connection: Connection, data: bytes) -> None:
        if connection.send(data):
            self._counters.sent += 1
        else:
            self._counters.unsent += 1

    def _add(self, transport: Transport, remote: Address) -> Connection:
        self._last_number += 1
        connection = self._connections[self._last_number] = Connection(
            self._last_number,
            transport,
            remote,
            receiver=self._receiver,
            peers=self._peers,
            limits=self._limits,
            counters=self._counters,
            on_lost=self._remove,
        )
        self._counters.connections = len(self._connections)
        return connection

    def _remove(self, number: int) -> None:
        self._connections.pop(number, None)
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
