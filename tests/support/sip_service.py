"""A SIP server on loopback whose application takes every call, in a thread of the test's own process.

What a caller dials says what becomes of an INVITE: "later" waits for ever, "busy" is refused, "fault" makes
the application fail; everybody else is taken.
"""

import asyncio
import contextlib
import secrets
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

from callseal.agent.sip.counters import Counters
from callseal.agent.sip.endpoint import Endpoint
from callseal.agent.sip.events import Asked, Ended, Event, Invited
from callseal.agent.sip.flow import Flow
from callseal.agent.sip.limits import Limits
from callseal.agent.sip.peers import Peers
from callseal.agent.sip.server import SipServer
from callseal.agent.sip.sockets import Address
from callseal.agent.sip.tls import ServerTls
from callseal.agent.sip.transport_limits import TransportLimits
from support.eventually import PATIENCE_S, eventually

ANSWER = (
    b"v=0\r\no=recorder 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    b"m=audio 40000 RTP/AVP 0\r\na=recvonly\r\na=label:1\r\n"
    b"m=audio 40002 RTP/AVP 0\r\na=recvonly\r\na=label:2\r\n"
)
Result = TypeVar("Result")


class Service:
    """A server that runs, seen from the test's thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, server: SipServer, events: list[Event]) -> None:
        self._loop = loop
        self._server = server
        self._events = events

    @property
    def address(self) -> Address:
        return self._server.address

    @property
    def tls_address(self) -> Address:
        address = self._server.tls_address
        assert address is not None
        return address

    @property
    def counters(self) -> Counters:
        return self._ask(self._server.counters)

    def ended(self, call_id: str) -> Ended | None:
        """Give how a call ended, None while it has not."""
        found = (e for e in list(self._events) if isinstance(e, Ended) and e.dialog.call_id == call_id)
        return next(found, None)

    def hang_up(self, call_id: str) -> None:
        """End a call from the recorder's side."""
        dialog = next(e.dialog for e in list(self._events) if _begins(e, call_id))
        self._ask(lambda: self._server.hang_up(dialog))

    def counts(self, holds: Callable[[Counters], bool], what: str) -> None:
        """Wait until the counts are as they should be."""
        eventually(lambda: holds(self.counters), what)

    def _ask(self, work: Callable[[], Result]) -> Result:
        async def done() -> Result:
            return work()

        return asyncio.run_coroutine_threadsafe(done(), self._loop).result(PATIENCE_S)


@contextlib.contextmanager
def service(
    *,
    peers: Peers | None = None,
    tls: ServerTls | None = None,
    limits: TransportLimits | None = None,
    host: str = "127.0.0.1",
    contact: Callable[[Flow], str] | None = None,
) -> Iterator[Service]:
    """Run a server until the test is done with it; by TLS too if there is a certificate."""
    events: list[Event] = []
    started: list[Service] = []
    enders: list[Callable[[], object]] = []
    is_up = threading.Event()

    async def run() -> None:
        def answer(event: Event) -> None:
            events.append(event)
            if isinstance(event, Asked):
                server.accept(event.transaction)
            elif isinstance(event, Invited):
                user = event.request.uri.partition("@")[0].removeprefix("sip:")
                if user == "fault":
                    raise RuntimeError("an application that fails")
                if user == "busy":
                    server.reject(event.transaction, 486, "Busy Here")
                elif user != "later":
                    server.accept(event.transaction, body=ANSWER, content_type="application/sdp")

        endpoint = Endpoint(contact=contact or _contact, limits=Limits(), random=secrets.token_bytes)
        server = SipServer(endpoint, on_event=answer, peers=peers or Peers(), tls=tls, limits=limits)
        await server.start((host, 0), (host, 0) if tls is not None else None)
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        enders.append(lambda: loop.call_soon_threadsafe(stop.set))
        started.append(Service(loop, server, events))
        is_up.set()
        try:
            await stop.wait()
        finally:
            await server.stop()

    thread = threading.Thread(target=lambda: asyncio.run(run()), name="sip service")
    thread.start()
    try:
        assert is_up.wait(PATIENCE_S), "the server did not start"
        yield started[0]
    finally:
        for end in enders:
            end()
        thread.join(PATIENCE_S)
    assert not thread.is_alive(), "the server did not stop"


def _contact(flow: Flow) -> str:
    """Give what the recorder calls itself."""
    host, port = flow.local
    return f"<sip:recorder@[{host}]:{port}>" if ":" in host else f"<sip:recorder@{host}:{port}>"


def _begins(event: Event, call_id: str) -> bool:
    return isinstance(event, Invited) and event.dialog.call_id == call_id
