"""The SIP server: an `Endpoint` on sockets, within one asyncio event loop.

Whatever comes is parsed and given to the endpoint; what the endpoint wants sent is sent, what it wants told
is told to the application, and one timer wakes it when it is due. The application answers an event at once
or later, by the methods here.

Nothing that a peer sends ends the server. A fault of our own code at one message is counted, told and
answered with 500; its text is not told, because it may hold what the peer sent.

Source: RFC 3261 sections 17.2 and 18.2.
"""

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from callseal.agent.errors import SipSyntaxError
from callseal.agent.sip.counters import Counters
from callseal.agent.sip.endpoint import Endpoint
from callseal.agent.sip.events import Asked, DialogId, Ended, Event, Invited
from callseal.agent.sip.flow import Flow, Outgoing
from callseal.agent.sip.headers import Fields
from callseal.agent.sip.message import Request, Response, respond
from callseal.agent.sip.peers import Peers
from callseal.agent.sip.sockets import Address
from callseal.agent.sip.telling import Teller
from callseal.agent.sip.tls import ServerTls
from callseal.agent.sip.transport_limits import TransportLimits
from callseal.agent.sip.transports import Transports
from callseal.agent.sip.via import reply_address, stamp
from callseal.agent.sip.waking import Waker

CHECK_S: Final = 1.0
"""How often connections are looked at for ones whose time is over."""

_OUR_FAULT: Final = (500, "Server Internal Error")


class SipServer:
    """Listens by UDP and TCP at one address and, where that is wanted, by TLS at another."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        on_event: Callable[[Event], None],
        peers: Peers,
        tls: ServerTls | None = None,
        limits: TransportLimits | None = None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the endpoint, whose only user this is from now on, and who is told of its events."""
        self._endpoint = endpoint
        self._on_event = on_event
        self._now_s = now_s
        self._counters = Counters()
        self._teller = Teller(self._counters, now_s)
        self._transports = Transports(
            self,
            peers=peers,
            tls=tls,
            # To be reached is the gateway's care: a recorder only calls back whom it has to answer.
            limits=replace(limits or TransportLimits(), keep_alive_s=0.0),
            counters=self._counters,
            now_s=now_s,
        )
        self._homes: dict[DialogId, int] = {}
        self._checking: asyncio.Task[None] | None = None
        self._waker = Waker(self._tick, now_s)
        self._is_pumping = False

    @property
    def address(self) -> Address:
        """Where it listens by UDP and TCP, once it does."""
        return self._transports.address

    @property
    def tls_address(self) -> Address | None:
        """Where it listens by TLS."""
        return self._transports.tls_address

    def counters(self) -> Counters:
        """Return a copy of the counts."""
        return replace(self._counters)

    async def start(self, listen: Address, tls_listen: Address | None = None) -> None:
        """Listen; port 0 takes any free one. SourceError in words where that can't be."""
        await self._transports.start(listen, tls_listen)
        self._checking = asyncio.create_task(self._check())
        self._pump()

    async def stop(self) -> None:
        """Stop listening and end all connections; to end dialogs before is the caller's part."""
        self._waker.stop()
        if self._checking is not None:
            self._checking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._checking
        await self._transports.stop()

    # What the application does: the endpoint's methods, and what they want sent goes out at once.

    def accept(
        self, transaction: int, *, body: bytes = b"", content_type: str = "", headers: Fields = ()
    ) -> bool:
        """Answer 200; False if nothing waits for that any more. See `Endpoint.accept`."""
        is_answered = self._endpoint.accept(
            transaction, body=body, content_type=content_type, headers=headers, now_s=self._now_s()
        )
        self._pump()
        return is_answered

    def reject(self, transaction: int, status: int, reason: str, *, headers: Fields = ()) -> bool:
        """Answer something else; False if nothing waits for that any more. See `Endpoint.reject`."""
        is_answered = self._endpoint.reject(transaction, status, reason, headers=headers, now_s=self._now_s())
        self._pump()
        return is_answered

    def hang_up(self, dialog: DialogId, *, reason: str = "") -> None:
        """End a dialog with a BYE of ours; see `Endpoint.hang_up`."""
        self._endpoint.hang_up(dialog, self._now_s(), reason=reason)
        self._pump()

    # What sockets bring; none of these raises.

    def take(self, message: Request | Response, flow: Flow) -> None:
        """Give a message to the endpoint."""
        try:
            self._endpoint.receive(message, flow, self._now_s())
        except Exception as error:  # noqa: BLE001 - one message must not end the others' calls
            self.blame(error, flow.remote[0])
            self._apologise(message, flow)
        self._pump()

    def refuse(self, error: SipSyntaxError, flow: Flow) -> None:
        """Give what is no message to the endpoint, which answers it if it can be answered."""
        try:
            self._endpoint.reject_malformed(error, flow, self._now_s())
        except Exception as bug:  # noqa: BLE001 - as above
            self.blame(bug, flow.remote[0])
        self._pump()

    def undelivered(self, outgoing: Outgoing) -> None:
        """Do nothing: it is counted, the endpoint sends again in time, and then gives up."""

    def connected(self, flow: Flow) -> None:
        """Do nothing: what waits is sent."""

    def lost(self, flow: Flow, why: str) -> None:
        """Do nothing: a call does not end with a connection."""

    def blame(self, error: Exception, host: str) -> None:
        """Count a fault of our own code and tell where it is."""
        self._teller.blame(error, host)

    def tell(self, event: str, host: str, why: str = "") -> None:
        """Log what a peer does, once a minute at most."""
        self._teller.tell(event, host, why)

    def _apologise(self, message: Request | Response, flow: Flow) -> None:
        """Answer 500 to a request at which our own code failed, if that code can still do so much."""
        if isinstance(message, Request) and message.method != "ACK":
            with contextlib.suppress(Exception):
                answer = respond(stamp(message, flow.remote), *_OUR_FAULT, to_tag=secrets.token_hex(8))
                back = reply_address(message, flow)
                self._transports.send(Outgoing(data=bytes(answer), flow=flow, destination=back))

    # What the endpoint wants.

    def _pump(self) -> None:
        """Send and tell until the endpoint wants nothing more, then wait for its next timer.

        Told applications answer from within, which comes back here: the outermost turn does all the work.
        """
        if self._is_pumping:
            return
        self._is_pumping = True
        try:
            while True:
                for outgoing in self._endpoint.take_outgoing():
                    self._transports.send(outgoing)
                events = self._endpoint.take_events()
                if not events:
                    break
                for event in events:
                    self._tell(event)
            self._waker.set(self._endpoint.due_s())
        except Exception as error:  # noqa: BLE001 - one message must not end the others' calls
            self.blame(error, "")
        finally:
            self._is_pumping = False

    def _tell(self, event: Event) -> None:
        if isinstance(event, Invited | Asked):
            if event.flow.connection:
                self._homes[event.dialog] = event.flow.connection
        elif isinstance(event, Ended):
            self._homes.pop(event.dialog, None)
        try:
            self._on_event(event)
        except Exception as error:  # noqa: BLE001 - as above
            host = event.flow.remote[0] if isinstance(event, Invited | Asked) else ""
            self.blame(error, host)
            if isinstance(event, Invited | Asked):
                self.reject(event.transaction, *_OUR_FAULT)

    def _tick(self) -> None:
        try:
            self._endpoint.tick(self._now_s())
        except Exception as error:  # noqa: BLE001 - as above
            self.blame(error, "")
        self._pump()

    async def _check(self) -> None:
        """Look at connections and certificates for as long as the server runs."""
        while True:
            await asyncio.sleep(CHECK_S)
            try:
                self._transports.check(self._homes_of_calls())
            except Exception as error:  # noqa: BLE001 - the next look may well succeed
                self.blame(error, "")

    def _homes_of_calls(self) -> set[int]:
        """Return the connections that calls stand on; what was refused is forgotten here."""
        if self._homes:
            dialogs = set(self._endpoint.dialogs)
            for dialog in self._homes.keys() - dialogs:
                del self._homes[dialog]
        return set(self._homes.values())
