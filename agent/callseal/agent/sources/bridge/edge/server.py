"""The desk's SIP edge: three faces, a proxy between them, and what it remembers of calls. Shell.

Towards the telephone it is an outbound proxy on loopback, towards the telephone system one more telephone's
address, towards the bridge's child the whole world. Which message goes where is the router's, how it is sent
again and answered the proxy's; here are sockets, time and names.

Nothing that comes ends the edge. While there is no child, INVITEs that the gate lets wait are kept for
`WAIT_S` and looked at again as soon as there is one.
"""

import asyncio
import contextlib
import os
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import structlog

from callseal.agent.errors import SipSyntaxError, SourceError
from callseal.agent.sip.counters import Counters
from callseal.agent.sip.flow import Flow, Outgoing, Transport
from callseal.agent.sip.headers import Headers
from callseal.agent.sip.limits import TIMER_C_S
from callseal.agent.sip.message import Request, Response
from callseal.agent.sip.peers import Peers
from callseal.agent.sip.proxy import Proxy
from callseal.agent.sip.sockets import Address, local_towards
from callseal.agent.sip.telling import Teller
from callseal.agent.sip.tls_client import ClientTls
from callseal.agent.sip.transports import Transports
from callseal.agent.sip.waking import Waker
from callseal.agent.sources.bridge import reach, will
from callseal.agent.sources.bridge.edge import bindings_file
from callseal.agent.sources.bridge.edge.faces import LINE, PBX, PHONE, Faces, written
from callseal.agent.sources.bridge.edge.gate import Gate
from callseal.agent.sources.bridge.edge.refer import Referred
from callseal.agent.sources.bridge.edge.router import EdgeRouter
from callseal.agent.sources.bridge.edge.waiting import Waiting
from callseal.agent.sources.bridge.will import Bequest

CHECK_S: Final = 1.0
PROBE_S: Final = 60.0
"""After so long without a word from the telephone system it is asked whether it is there."""
RESOLVE_AGAIN_S: Final = 10.0
"""After its name could not be looked up."""
CONNECT_S: Final = 3.0
"""How long the edge waits at its start for a connection to the telephone system: a telephone that registers
before is told to the system under an address that is not to be reached, until it registers again."""
LINE_HOST: Final = "127.0.0.1"
LOOPBACK: Final = ("127.0.0.0/8", "::1/128")
MARGIN_S: Final = 30.0
"""The child gives up a call that rings too long; the proxy does so later, should the child not."""
MAX_FORMER: Final = 8
"""Addresses of connections that are gone, which the telephone system may still have."""

_OF_DIALOGS: Final = frozenset(("INVITE", "ACK", "BYE", "UPDATE"))

log = structlog.get_logger("callseal.edge")


@dataclass(frozen=True, slots=True, kw_only=True)
class Surrounding:
    """Where the edge is, and who is around it, as the settings say."""

    listen: Address
    pbx_host: str
    pbx_port: int
    pbx_transport: Transport
    pbx_listen: Address | None
    """None for this machine's address on the way to the telephone system."""
    pbx_peers: tuple[str, ...]
    """Further addresses and networks that the telephone system speaks from."""
    pbx_tls: ClientTls | None
    phone: str
    """SIP URI of a telephone that does not register; empty where it does."""
    ring_timeout_s: float
    bindings_file: Path


class Edge:
    """The edge of one desk."""

    def __init__(
        self,
        *,
        surrounding: Surrounding,
        gate: Gate,
        random: Callable[[int], bytes] = secrets.token_bytes,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """`gate` decides about every INVITE that comes from outside."""
        self._around = surrounding
        self._now_s = now_s
        self._random = random
        self._waiting = Waiting()
        self._router = EdgeRouter(
            gate=gate,
            waiting=self._waiting,
            random=random,
            faces=Faces(
                pbx_transport=surrounding.pbx_transport,
                pbx_host=written((surrounding.pbx_host, surrounding.pbx_port)),
            ),
            phone=surrounding.phone,
            timer_c_s=max(TIMER_C_S, surrounding.ring_timeout_s + MARGIN_S),
        )
        self._proxy = Proxy(self._router, random=random)
        self._counters = Counters()
        self._teller = Teller(self._counters, now_s)
        self._faces: dict[str, Transports] = {}
        self._waker = Waker(self._tick, now_s)
        self._is_pumping = False
        self._chores: list[asyncio.Task[None]] = []
        self._heard_pbx_s = now_s()
        self._pbx_silent = False
        self._is_connected = asyncio.Event()
        self._connection = 0
        self._former: list[Address] = []
        self._bound_host = ""
        self._will = will.create()
        self.is_known = asyncio.Event()
        """Set once it is known where the telephone system is."""
        self.has_moved = asyncio.Event()
        """Set when this machine has got another address: the child has to learn of it."""

    # --- what the source says and asks ----------------------------------------------------------------

    @property
    def phone_address(self) -> str:
        """host:port at which the telephone finds the edge."""
        return written(self._router.faces.phone)

    @property
    def line_address(self) -> str:
        """host:port at which the child finds it."""
        return written(self._router.faces.line)

    @property
    def pbx_media(self) -> str:
        """This machine's address on the way to the telephone system."""
        return self._router.faces.pbx[0]

    def why_not(self) -> tuple[str, ...]:
        """Say what keeps calls from coming and going: codes of `callseal.seal.reasons`."""
        reasons = []
        if not self._router.faces.knows_pbx:
            reasons.append("pbx-unknown")
        elif self._pbx_silent or (self._is_by_connection and not self._is_connected.is_set()):
            reasons.append("pbx-unreachable")
        if not self._around.phone and not self._router.registrations(self._now_s()):
            reasons.append("phone-not-registered")
        return tuple(reasons)

    def counters(self) -> Mapping[str, int]:
        """Give what is counted, for the status."""
        return {
            "edge_registrations_now": len(self._router.registrations(self._now_s())),
            "edge_waiting_now": len(self._waiting),
            "edge_bugs": self._counters.bugs,
        }

    @property
    def will_fd(self) -> int:
        """The memory file of what ends all calls should this process be killed."""
        return self._will

    def expect_transfer(self, referred: Referred) -> None:
        """Prepare for the child's INVITE to whom a transfer brings."""
        self._router.calls.expect_transfer(referred)

    def child_is(self, address: Address) -> None:
        """Take the child at this address for the one that calls go through."""
        self._change(child=address)

    def child_gone(self) -> None:
        """End, in the child's stead, what it had."""
        now_s = self._now_s()
        self._proxy.abandon_from(LINE, now_s)
        self._proxy.abandon_to(LINE, 503, "Service Unavailable", now_s)
        for request, hop in self._router.take_endings():
            self._proxy.originate(request, hop, now_s)
        self._change(child=None)
        self._pump()
        self._bequeath()

    def go_on(self) -> None:
        """Look again at the INVITEs that wait: there is a child, or there will be none soon."""
        for message, flow in self._waiting.take():
            self.take(message, flow)

    # --- life -----------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen, and connect to the telephone system; SourceError in words where that can't be."""
        addresses = await self._resolve()
        line, phone = self._transports(LINE), self._transports(PHONE)
        await line.start((LINE_HOST, 0), tcp=False)
        self._change(line=line.address)
        if addresses:
            await self._open_pbx(addresses)
        await phone.start(self._around.listen)
        self._change(phone=phone.address)
        self._restore()
        self._chores += [asyncio.create_task(self._check()), asyncio.create_task(self._look_around())]
        log.info("edge.listening", phone=self.phone_address, pbx=written(self._router.faces.pbx))

    async def stop(self) -> None:
        """Stop listening; what was sent is given time to be read."""
        for chore in self._chores:
            chore.cancel()
        await asyncio.gather(*self._chores, return_exceptions=True)
        self._waker.stop()
        for transports in self._faces.values():
            await transports.stop()
        self._faces.clear()
        os.close(self._will)

    # --- what sockets bring; none of these raises -----------------------------------------------------

    def take(self, message: Request | Response, flow: Flow) -> None:
        """Give a message to the proxy."""
        now_s = self._now_s()
        if self._router.faces.side_of(flow) == PBX:
            self._heard_pbx_s, self._pbx_silent = now_s, False
        try:
            if isinstance(message, Request) and message.method == "CANCEL":
                self._cancel_waiting(message, now_s)
            self._proxy.receive(message, flow, now_s)
        except Exception as error:  # noqa: BLE001 - one message must not end the others' calls
            self.blame(error, flow.remote[0])
        self._pump()
        if message.cseq.method in _OF_DIALOGS:
            self._bequeath()

    def refuse(self, error: SipSyntaxError, flow: Flow) -> None:
        """Give what is no message to the proxy, which answers it if it can be answered."""
        try:
            self._proxy.reject_malformed(error, flow, self._now_s())
        except Exception as bug:  # noqa: BLE001 - as above
            self.blame(bug, flow.remote[0])
        self._pump()

    def undelivered(self, outgoing: Outgoing) -> None:
        """Tell the proxy that a message found no way."""
        self._proxy.undelivered(outgoing, self._now_s())
        self._pump()

    def connected(self, flow: Flow) -> None:
        """Note the connection to the telephone system: over TLS its address is ours."""
        if flow.face != PBX:
            return
        self._connection = flow.connection
        self._is_connected.set()
        self._pbx_silent = False
        if flow.transport is Transport.TLS:
            self._former = [self._router.faces.pbx, *self._former][:MAX_FORMER]
            self._change(pbx=flow.local, pbx_former=frozenset(self._former))
        log.info("edge.pbx_connected", transport=flow.transport.value)

    def lost(self, flow: Flow, why: str) -> None:
        """Note that there is no connection to the telephone system any more."""
        if flow.face != PBX:
            return
        if flow.connection == self._connection:  # an older one may linger
            self._is_connected.clear()
        self.tell("edge.pbx_lost", flow.remote[0], why)

    def blame(self, error: Exception, host: str) -> None:
        """Count a fault of our own code and tell where it is."""
        self._teller.blame(error, host)

    def tell(self, event: str, host: str, why: str = "") -> None:
        """Log what a peer does, once a minute at most."""
        self._teller.tell(event, host, why)

    # --- inside ---------------------------------------------------------------------------------------

    @property
    def _is_by_connection(self) -> bool:
        return self._around.pbx_transport is not Transport.UDP

    def _cancel_waiting(self, cancel: Request, now_s: float) -> None:
        """Answer an INVITE that waits and is cancelled: given to the router again, it is refused."""
        kept = self._waiting.take_cancelled(cancel)
        if kept is not None:
            self._proxy.receive(*kept, now_s)

    async def _resolve(self) -> tuple[str, ...]:
        try:
            return await asyncio.to_thread(reach.addresses, self._around.pbx_host, self._around.pbx_port)
        except SourceError as error:
            log.warning("edge.pbx_unknown", detail=str(error))
            return ()

    async def _look_around(self) -> None:
        """Find the telephone system, and follow it and this machine's own address where they change."""
        while True:
            await asyncio.sleep(RESOLVE_AGAIN_S)
            try:
                await self._follow()
            except (SourceError, OSError) as error:
                self.tell("edge.pbx_unreachable", "", str(error))

    async def _follow(self) -> None:
        faces = self._router.faces
        is_lost = self._pbx_silent or (self._is_by_connection and not self._is_connected.is_set())
        addresses = await self._resolve() if is_lost or not faces.knows_pbx else (faces.pbx_target[0],)
        if not addresses:
            return
        is_moved = (
            self._around.pbx_listen is None
            and self._bound_host != self._own_towards((addresses[0], self._around.pbx_port))[0]
        )
        if faces.knows_pbx and faces.pbx_target[0] in addresses and not is_moved:
            return
        log.info("edge.moved" if is_moved else "edge.pbx_found")
        former = self._faces.pop(PBX, None)
        if former is not None:
            await former.stop()
        await self._open_pbx(addresses)
        self.has_moved.set()

    def _transports(self, face: str, peers: Peers | None = None, tls: ClientTls | None = None) -> Transports:
        made = Transports(
            self,
            face=face,
            peers=peers or Peers(),
            client_tls=tls,
            counters=self._counters,
            now_s=self._now_s,
        )
        self._faces[face] = made
        return made

    async def _open_pbx(self, addresses: tuple[str, ...]) -> None:
        around = self._around
        target = (addresses[0], around.pbx_port)
        allowed = (*addresses, *around.pbx_peers)
        transports = self._transports(PBX, Peers(allowed), around.pbx_tls)
        self._is_connected.clear()
        await transports.start(around.pbx_listen or self._own_towards(target))
        address = local_towards(transports.address, target)  # one that listens everywhere has many
        self._bound_host = address[0]
        self._faces[PHONE].admit(Peers((*LOOPBACK, self._bound_host)))
        self._change(pbx=address, pbx_target=target, pbx_addresses=frozenset(allowed))
        self.is_known.set()
        if self._is_by_connection:
            transports.connect(around.pbx_transport, target)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._is_connected.wait(), CONNECT_S)

    def _bequeath(self) -> None:
        """Write down what would end the calls now, should this process be killed."""
        bequests = []
        for request, hop in self._router.last_words():
            if hop.flow.transport is Transport.UDP:
                via = f"SIP/2.0/UDP {written(hop.flow.local)};branch=z9hG4bK{self._random(12).hex()};rport"
                fields = (("via", via), *request.headers.fields)
                datagram = bytes(request.with_headers(Headers(fields=fields)))
                bequests.append(Bequest(datagram=datagram, destination=hop.destination))
        will.write(self._will, bequests)

    def _change(self, **what: Any) -> None:
        self._router.faces = replace(self._router.faces, **what)

    def _restore(self) -> None:
        path = self._around.bindings_file
        found = bindings_file.load(path, wall_s=time.time())
        if found.problem:
            log.warning("edge.bindings_lost", path=str(path), detail=found.problem)
        self._router.bindings.restore(found.saved, self._router.faces, self._now_s())

    async def _save(self) -> None:
        """Keep the registrations; a disk that takes its time keeps no telephone waiting."""
        if not self._router.bindings.take_changed():
            return
        saved = self._router.bindings.snapshot(self._now_s())
        try:
            await asyncio.to_thread(bindings_file.save, self._around.bindings_file, saved, wall_s=time.time())
        except OSError as problem:
            self.tell("edge.bindings_unsaved", "", problem.strerror or type(problem).__name__)

    def _own_towards(self, target: Address) -> Address:
        host, _ = local_towards(("0.0.0.0", 0), target)  # noqa: S104 - asks the routing table, binds nothing
        if host == "0.0.0.0":  # noqa: S104 - no route
            host = self._around.listen[0]
        return (host, 0 if host == self._around.listen[0] else self._around.listen[1])

    async def _check(self) -> None:
        while True:
            await asyncio.sleep(CHECK_S)
            now_s = self._now_s()
            try:
                for transports in self._faces.values():
                    transports.check(set())
                self._connect_again()
                for message, flow in self._waiting.take_overdue(now_s):
                    self.take(message, flow)
                if now_s - self._heard_pbx_s > PROBE_S:
                    self._heard_pbx_s = now_s
                    self._probe()
                await self._save()
            except Exception as error:  # noqa: BLE001 - the next look may well succeed
                self.blame(error, "")

    def _connect_again(self) -> None:
        """Have a connection to the telephone system: calls come in on it."""
        if self._is_by_connection and not self._is_connected.is_set() and PBX in self._faces:
            self._faces[PBX].connect(self._around.pbx_transport, self._router.faces.pbx_target)

    def _probe(self) -> None:
        """Ask the telephone system whether it is there; any answer says so (RFC 3261 section 11)."""
        if PBX not in self._faces:
            return
        request, hop = self._router.probe()
        self._proxy.originate(request, hop, self._now_s())
        self._pump()

    def _pump(self) -> None:
        """Send until the proxy wants nothing more, then wait for its next timer."""
        if self._is_pumping:
            return
        self._is_pumping = True
        try:
            while True:
                for request, hop in self._router.take_requests():
                    self._proxy.originate(request, hop, self._now_s())
                outgoing = self._proxy.take_outgoing()
                if not outgoing:
                    break
                for one in outgoing:
                    transports = self._faces.get(one.flow.face)
                    if transports is not None:
                        transports.send(one)
            if self._router.take_is_pbx_silent():
                self._pbx_silent = True
            for fault in self._proxy.take_faults():
                self.blame(fault, "")
            self._waker.set(self._proxy.due_s())
        except Exception as error:  # noqa: BLE001 - one message must not end the others' calls
            self.blame(error, "")
        finally:
            self._is_pumping = False

    def _tick(self) -> None:
        try:
            self._proxy.tick(self._now_s())
        except Exception as error:  # noqa: BLE001 - as above
            self.blame(error, "")
        self._pump()
