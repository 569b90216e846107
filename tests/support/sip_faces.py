"""Faces of one process on loopback, run in a thread of their own, and peers for them to reach."""

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any, Self, TypeVar

from callseal.agent.errors import SipSyntaxError
from callseal.agent.sip.counters import Counters
from callseal.agent.sip.flow import Flow, Outgoing, Transport
from callseal.agent.sip.message import Request, Response
from callseal.agent.sip.peers import Peers
from callseal.agent.sip.sockets import Address
from callseal.agent.sip.transport_limits import TransportLimits
from callseal.agent.sip.transports import Transports
from support.eventually import PATIENCE_S, eventually
from support.sip_wire import Wire

CHECK_S = 0.02
Result = TypeVar("Result")


class Told:
    """Notes what a face is told."""

    def __init__(self) -> None:
        self.taken: list[tuple[Request | Response, Flow]] = []
        self.refused: list[SipSyntaxError] = []
        self.undelivered_keys: list[str] = []
        self.connections: list[Flow] = []
        self.losses: list[tuple[Flow, str]] = []
        self.said: list[tuple[str, str]] = []
        self.bugs: list[Exception] = []
        self.is_sending = False
        self.was_told_within_send = False

    def take(self, message: Request | Response, flow: Flow) -> None:
        self.taken.append((message, flow))

    def refuse(self, error: SipSyntaxError, flow: Flow) -> None:  # noqa: ARG002 - the protocol's signature
        self.refused.append(error)

    def undelivered(self, outgoing: Outgoing) -> None:
        self.was_told_within_send |= self.is_sending
        self.undelivered_keys.append(outgoing.key)

    def connected(self, flow: Flow) -> None:
        self.connections.append(flow)

    def lost(self, flow: Flow, why: str) -> None:
        self.losses.append((flow, why))

    def blame(self, error: Exception, host: str) -> None:  # noqa: ARG002 - the protocol's signature
        self.bugs.append(error)

    def tell(self, event: str, host: str, why: str = "") -> None:  # noqa: ARG002 - the protocol's signature
        self.said.append((event, why))


class Face:
    """One face, seen from the test's thread."""

    def __init__(
        self, name: str, loop: asyncio.AbstractEventLoop, transports: Transports, told: Told
    ) -> None:
        self._name = name
        self._loop = loop
        self._transports = transports
        self.told = told

    @property
    def address(self) -> Address:
        return self._transports.address

    @property
    def tls_address(self) -> Address:
        address = self._transports.tls_address
        assert address is not None
        return address

    @property
    def counters(self) -> Counters:
        return self._transports.counters

    def flow(self, transport: Transport, destination: Address) -> Flow:
        """Give a flow that is no connection yet."""
        return Flow(transport=transport, local=self.address, remote=destination, face=self._name)

    def send(
        self,
        data: bytes | str,
        destination: Address,
        *,
        by: Transport = Transport.TCP,
        key: str = "",
        on: Flow | None = None,
    ) -> None:
        """Send something, on a flow or wherever its destination is reached."""
        self.ask(lambda: self.send_now(data, destination, by=by, key=key, on=on))

    def send_now(
        self,
        data: bytes | str,
        destination: Address,
        *,
        by: Transport = Transport.TCP,
        key: str = "",
        on: Flow | None = None,
    ) -> None:
        """Send from within the loop's thread: several messages before anything else can happen."""
        outgoing = Outgoing(
            data=data.encode() if isinstance(data, str) else data,
            flow=on or self.flow(by, destination),
            destination=destination,
            key=key,
        )
        self.told.is_sending = True
        self._transports.send(outgoing)
        self.told.is_sending = False

    def connect(self, transport: Transport, destination: Address) -> bool:
        return self.ask(lambda: self._transports.connect(transport, destination))

    def local_of(self, transport: Transport, destination: Address) -> Address | None:
        return self.ask(lambda: self._transports.local_of(transport, destination))

    def admit(self, peers: Peers) -> None:
        self.ask(lambda: self._transports.admit(peers))

    def ask(self, work: Callable[[], Result]) -> Result:
        """Have something done in the loop's thread."""

        async def done() -> Result:
            return work()

        return asyncio.run_coroutine_threadsafe(done(), self._loop).result(PATIENCE_S)

    def taken(self, count: int = 1) -> list[tuple[Request | Response, Flow]]:
        """Wait until so many messages have come."""
        eventually(lambda: len(self.told.taken) >= count, f"{count} messages")
        return self.told.taken

    def undelivered(self, count: int = 1) -> list[str]:
        """Wait until so many messages are told to be unsent; gives their keys."""
        eventually(lambda: len(self.told.undelivered_keys) >= count, f"{count} unsent messages")
        return self.told.undelivered_keys

    def connected(self, count: int = 1) -> Flow:
        """Wait until so many connections have come about; gives the last."""
        eventually(lambda: len(self.told.connections) >= count, f"{count} connections")
        return self.told.connections[-1]

    def lost(self, count: int = 1) -> tuple[Flow, str]:
        """Wait until so many connections are lost; gives the last, and why."""
        eventually(lambda: len(self.told.losses) >= count, f"{count} lost connections")
        return self.told.losses[-1]


class Faces:
    """The faces of one loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.opened: list[Face] = []
        self.transports: list[Transports] = []

    def open(
        self,
        face: str = "",
        *,
        listen: Address = ("127.0.0.1", 0),
        peers: Peers | None = None,
        tcp: bool = True,
        limits: TransportLimits | None = None,
        **more: Any,
    ) -> Face:
        """Start one; it ends with the test."""
        told = Told()

        async def start() -> Transports:
            transports = Transports(told, face=face, peers=peers or Peers(), limits=limits, **more)
            await transports.start(listen, listen if "tls" in more else None, tcp=tcp)
            return transports

        transports = asyncio.run_coroutine_threadsafe(start(), self._loop).result(PATIENCE_S)
        self.transports.append(transports)
        self.opened.append(Face(face, self._loop, transports, told))
        return self.opened[-1]


@contextlib.contextmanager
def faces() -> Iterator[Faces]:
    """Run a loop for faces; in the end all are stopped, and none of our own code may have failed."""
    started: list[Faces] = []
    enders: list[Callable[[], object]] = []
    is_up = threading.Event()

    async def run() -> None:
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        enders.append(lambda: loop.call_soon_threadsafe(stop.set))
        here = Faces(loop)
        started.append(here)
        is_up.set()
        while not stop.is_set():
            for transports in here.transports:
                transports.check(set())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CHECK_S):
                    await stop.wait()
        for transports in here.transports:
            await transports.stop()

    thread = threading.Thread(target=lambda: asyncio.run(run()), name="faces")
    thread.start()
    try:
        assert is_up.wait(PATIENCE_S), "the loop did not start"
        yield started[0]
    finally:
        for end in enders:
            end()
        thread.join(PATIENCE_S)
    assert not thread.is_alive(), "the faces did not stop"
    assert [face.told.bugs for face in started[0].opened if face.told.bugs] == []


class Listening:
    """A peer that listens by TCP, or by TLS with a context."""

    def __init__(self, context: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self._context = context
        self._listener = socket.create_server((host, 0))
        self._listener.settimeout(PATIENCE_S)
        self.address: Address = self._listener.getsockname()[:2]
        self.caller: Address = ("", 0)
        """Where the last connection came from."""

    def accept(self) -> Wire:
        """Take the next connection, which must come; by TLS its handshake must succeed."""
        accepted, self.caller = self._listener.accept()
        accepted.settimeout(PATIENCE_S)
        if self._context is None:
            return Wire("TCP", accepted)
        with accepted:
            return Wire("TLS", self._context.wrap_socket(accepted, server_side=True))

    def fail(self) -> None:
        """Take the next connection, whose TLS must fail, on the one side or the other."""
        try:
            with self.accept() as wire:
                assert wire.ends(), "the connection stays"
        except (ssl.SSLError, ConnectionError):
            pass

    def reset(self) -> None:
        """Take the next connection and reset it once something has come."""
        accepted, _ = self._listener.accept()
        with accepted:
            accepted.settimeout(PATIENCE_S)
            accepted.recv(1)
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def is_called(self, limit_s: float) -> bool:
        """Say whether another connection comes in time; it is ended."""
        self._listener.settimeout(limit_s)
        try:
            self._listener.accept()[0].close()
        except TimeoutError:
            return False
        finally:
            self._listener.settimeout(PATIENCE_S)
        return True

    def close(self) -> None:
        self._listener.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()
