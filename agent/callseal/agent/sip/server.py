"""The SIP server: an `Endpoint` on sockets, within one asyncio event loop.

Whatever comes is parsed and given to the endpoint; what the endpoint wants sent is sent, what it wants told
is told to the application, and one timer wakes it when it is due. The application answers an event at once
or later, by the methods here.

Nothing that a peer sends ends the server. A fault of our own code at one message is counted, told and
answered with 500; its text is not told, because it may hold what the peer sent.

Source: RFC 3261 section 18, RFC 3581, RFC 5626 section 4.4.1.
"""

import asyncio
import contextlib
import secrets
import socket
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import structlog

from callseal.agent.errors import SipSyntaxError, SourceError
from callseal.agent.sip.counters import Counters
from callseal.agent.sip.datagrams import Datagrams
from callseal.agent.sip.endpoint import Endpoint
from callseal.agent.sip.events import Asked, DialogId, Ended, Event, Invited
from callseal.agent.sip.flow import Flow, Outgoing, Transport
from callseal.agent.sip.framing import is_keep_alive
from callseal.agent.sip.headers import Fields
from callseal.agent.sip.message import Request, Response, parse_message, respond
from callseal.agent.sip.peers import Peers
from callseal.agent.sip.seldom import Seldom
from callseal.agent.sip.sockets import (
    RECEIVE_BUFFER_BYTES,
    Address,
    address_of,
    local_towards,
    open_listener,
    open_pair,
)
from callseal.agent.sip.streams import Streams
from callseal.agent.sip.tls import ServerTls
from callseal.agent.sip.transport_limits import TransportLimits
from callseal.agent.sip.via import reply_address, stamp

TICK_S: Final = 0.02
"""The endpoint is not woken more often than this; the shortest time of SIP is 0.5 s (T1)."""
CHECK_S: Final = 1.0
"""How often connections are looked at for ones whose time is over."""
MAX_ROUTES: Final = 1024
"""Peers for which the local address that they see is remembered."""

_OUR_FAULT: Final = (500, "Server Internal Error")

log = structlog.get_logger("callseal.sip")


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
        self._peers = peers
        self._tls = tls
        self._limits = limits or TransportLimits()
        self._now_s = now_s
        self._counters = Counters()
        self._told = Seldom()
        self._told_bugs = Seldom()
        self._datagrams = Datagrams(self._take_datagram)
        self._local: Address = ("", 0)
        self._tls_local: Address | None = None
        self._routes: dict[str, Address] = {}
        self._homes: dict[DialogId, int] = {}
        self._streams: Streams | None = None
        self._checking: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due_s = 0.0
        self._is_pumping = False

    @property
    def address(self) -> Address:
        """Where it listens by UDP and TCP, once it does."""
        return self._local

    @property
    def tls_address(self) -> Address | None:
        """Where it listens by TLS."""
        return self._tls_local

    def counters(self) -> Counters:
        """Return a copy of the counts."""
        return replace(self._counters)

    async def start(self, listen: Address, tls_listen: Address | None = None) -> None:
        """Listen; port 0 takes any free one. SourceError in words where that can't be."""
        if tls_listen is not None and self._tls is None:
            raise SourceError("TLS needs a certificate and its key")
        datagrams, listener = open_pair(listen)
        try:
            tls_listener = None if tls_listen is None else open_listener(tls_listen)
        except SourceError:
            datagrams.close()
            listener.close()
            raise
        self._local = address_of(datagrams.getsockname())
        self._streams = Streams(self, peers=self._peers, limits=self._limits, counters=self._counters)
        self._streams.listen(listener)
        if tls_listener is not None:
            self._tls_local = address_of(tls_listener.getsockname())
            self._streams.listen(tls_listener, self._tls)
        await self._datagrams.open(datagrams)
        self._checking = asyncio.create_task(self._check())
        self._tell_of_sockets(datagrams.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF))
        self._pump()

    async def stop(self) -> None:
        """Stop listening and end all connections; to end dialogs before is the caller's part."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._checking is not None:
            self._checking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._checking
        if self._streams is not None:
            await self._streams.close()
        self._datagrams.close()

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
        self._counters.received += 1
        try:
            self._endpoint.receive(message, flow, self._now_s())
        except Exception as error:  # noqa: BLE001 - one message must not end the others' calls
            self.blame(error, flow.remote[0])
            self._apologise(message, flow)
        self._pump()

    def refuse(self, error: SipSyntaxError, flow: Flow) -> None:
        """Give what is no message to the endpoint, which answers it if it can be answered."""
        self._counters.malformed += 1
        try:
            self._endpoint.reject_malformed(error, flow, self._now_s())
        except Exception as bug:  # noqa: BLE001 - as above
            self.blame(bug, flow.remote[0])
        self._pump()

    def blame(self, error: Exception, host: str) -> None:
        """Count a fault of our own code and tell where it is."""
        self._counters.bugs += 1
        if self._told_bugs.is_due(host, self._now_s()):
            where = "".join(traceback.format_tb(error.__traceback__))
            log.error("sip.bug", error=type(error).__name__, peer=host, traceback=where)

    def tell(self, event: str, host: str, why: str = "") -> None:
        """Log what a peer does, once a minute at most."""
        if self._told.is_due(f"{event} {host}", self._now_s()):
            log.warning(event, peer=host, why=why)

    def _take_datagram(self, data: bytes, remote: Address) -> None:
        if not self._peers.allows_address(remote[0]):
            self._counters.strangers += 1
            self.tell("sip.stranger", remote[0])
            return
        if is_keep_alive(data):
            self._counters.keep_alives += 1
            return
        flow = Flow(transport=Transport.UDP, local=self._local_towards(remote), remote=remote)
        try:
            message = parse_message(data, is_stream=False)
        except SipSyntaxError as error:
            self.refuse(error, flow)
        except Exception as error:  # noqa: BLE001 - as above
            self.blame(error, remote[0])
        else:
            self.take(message, flow)

    def _tell_of_sockets(self, buffer_bytes: int) -> None:
        """Tell where the server listens, and if the system gave it less of a buffer than it asked for."""
        log.info("sip.listening", address=self._local, tls_address=self._tls_local)
        if buffer_bytes < RECEIVE_BUFFER_BYTES:
            log.warning("sip.small_buffer", given_bytes=buffer_bytes, wanted_bytes=RECEIVE_BUFFER_BYTES)

    def _local_towards(self, remote: Address) -> Address:
        local = self._routes.get(remote[0])
        if local is None:
            if len(self._routes) >= MAX_ROUTES:
                self._routes.clear()
            local = self._routes[remote[0]] = local_towards(self._local, remote)
        return local

    def _apologise(self, message: Request | Response, flow: Flow) -> None:
        """Answer 500 to a request at which our own code failed, if that code can still do so much."""
        if isinstance(message, Request) and message.method != "ACK":
            with contextlib.suppress(Exception):
                answer = respond(stamp(message, flow.remote), *_OUR_FAULT, to_tag=secrets.token_hex(8))
                self._send(Outgoing(data=bytes(answer), flow=flow, destination=reply_address(message, flow)))

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
                    self._send(outgoing)
                events = self._endpoint.take_events()
                if not events:
                    break
                for event in events:
                    self._tell(event)
            self._wait()
        except Exception as error:  # noqa: BLE001 - one message must not end the others' calls
            self.blame(error, "")
        finally:
            self._is_pumping = False

    def _send(self, outgoing: Outgoing) -> None:
        if outgoing.flow.transport is not Transport.UDP:
            if self._streams is not None:
                self._streams.send(outgoing.data, outgoing.flow, outgoing.destination)
        elif self._datagrams.send(outgoing.data, outgoing.destination):
            self._counters.sent += 1
        else:
            self._counters.unsent += 1

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

    def _wait(self) -> None:
        """Have the endpoint woken when it is due; a timer that comes too early does no harm and is kept."""
        due_s = self._endpoint.due_s()
        if due_s is None:
            return
        now_s = self._now_s()
        due_s = max(due_s, now_s + TICK_S)
        if self._timer is not None:
            if self._timer_due_s <= due_s:
                return
            self._timer.cancel()
        self._timer_due_s = due_s
        self._timer = asyncio.get_running_loop().call_later(due_s - now_s, self._tick)

    def _tick(self) -> None:
        self._timer = None
        try:
            self._endpoint.tick(self._now_s())
        except Exception as error:  # noqa: BLE001 - as above
            self.blame(error, "")
        self._pump()

    async def _check(self) -> None:
        """Look at connections and certificates for as long as the server runs."""
        look_s = self._now_s() + self._limits.certificate_check_s
        while True:
            await asyncio.sleep(CHECK_S)
            try:
                if self._streams is not None:
                    self._streams.check(self._homes_of_calls())
                if self._tls is not None and self._now_s() >= look_s:
                    look_s = self._now_s() + self._limits.certificate_check_s
                    self._look_at_certificate(self._tls)
            except Exception as error:  # noqa: BLE001 - the next look may well succeed
                self.blame(error, "")

    def _homes_of_calls(self) -> set[int]:
        """Return the connections that calls stand on; what was refused is forgotten here."""
        if self._homes:
            dialogs = set(self._endpoint.dialogs)
            for dialog in self._homes.keys() - dialogs:
                del self._homes[dialog]
        return set(self._homes.values())

    def _look_at_certificate(self, tls: ServerTls) -> None:
        try:
            if tls.reload_if_changed():
                log.info("sip.certificate_changed", expires=tls.expires.isoformat())
        except SourceError as error:
            log.warning("sip.certificate_kept", error=str(error))
