"""The SIP proxy: passes requests on to where its router says, and their responses back.

It is the transaction-stateful proxy of RFC 3261 section 16, with the corrections of RFC 4320 and RFC 6026,
for one destination a request: nothing is forked. It absorbs what is sent again, sends again itself where the
transport loses messages, cancels hop by hop, acknowledges refusals, and gives up in time. A 2xx to INVITE and
its ACK are passed on each time that they come. Record-Route, Route, Contact and who may go where are the
router's: see `proxying`.

There are no sockets and no clock in here. Feed what arrives to `receive`, call `tick` when `due_s` says so,
and after either send what `take_outgoing` gives; what can't be sent goes to `undelivered`.

Conventions: `now_s` is seconds of a clock that never goes back. Whatever a peer sends and whatever the router
does, these methods raise nothing, `originate` excepted; how much is kept is in `ProxyLimits`.
"""

from collections.abc import Callable

from callseal.agent.errors import SipSyntaxError
from callseal.agent.sip import statuses
from callseal.agent.sip.client import hops_left
from callseal.agent.sip.flow import Flow, Outgoing
from callseal.agent.sip.incoming import Incoming
from callseal.agent.sip.limits import MAX_FORWARDS
from callseal.agent.sip.message import Request, Response
from callseal.agent.sip.proxy_forwarding import Forwarding
from callseal.agent.sip.proxy_guard import FAULTY, GuardedRouter
from callseal.agent.sip.proxy_limits import ProxyCounts, ProxyLimits
from callseal.agent.sip.proxy_replies import TOO_MANY_HOPS, ProxyReplies
from callseal.agent.sip.proxying import Forward, Hop, Reply, Router
from callseal.agent.sip.statuses import Status
from callseal.agent.sip.transaction import Action, Input, Transaction
from callseal.agent.sip.transaction_store import TransactionStore


class Proxy:
    """A SIP proxy."""

    def __init__(
        self, router: Router, *, random: Callable[[int], bytes], limits: ProxyLimits | None = None
    ) -> None:
        """Begin with nothing on its way; `random` gives that many random bytes."""
        self._limits = limits or ProxyLimits()
        self._store = TransactionStore(self._limits)
        self._router = GuardedRouter(router)
        self._replies = ProxyReplies(self._store, random)
        self._forwarding = Forwarding(self._store, self._router, self._replies, random)
        self._refused = self._malformed = self._dropped = 0

    # What arrives, what does not, and the time

    def receive(self, message: Request | Response, flow: Flow, now_s: float) -> None:
        """Take a message from a peer."""
        if isinstance(message, Response):
            self._dropped += not self._forwarding.on_response(message, now_s)
            return
        incoming = Incoming(message, flow)
        if message.method == "ACK":
            self._on_ack(incoming, now_s)
            return
        known = self._store.find(incoming.key)
        if known is not None:
            if known.flow.face == flow.face:
                # A peer may have come back on another connection, or through another port of its NAT.
                known.flow, known.destination = flow, incoming.reply_to
            self._store.resent += self._store.take(known, Input.REQUEST, now_s) is Action.SEND
        elif message.method == "CANCEL":
            self._on_cancel(incoming, now_s)
        elif hops_left(message) == 0:
            self._replies.refuse(incoming, TOO_MANY_HOPS, now_s)
        elif not (self._has_room(flow.face) and self._store.make_room()):
            self._refused += 1
            self._replies.refuse_for_now(incoming, now_s)
        else:
            self._on_request(incoming, now_s)

    def reject_malformed(self, error: SipSyntaxError, flow: Flow, now_s: float) -> None:
        """Answer what could not be parsed, where that is possible; nothing is kept of it."""
        del now_s  # answered and forgotten
        self._malformed += 1
        self._replies.refuse_malformed(error, flow)

    def undelivered(self, outgoing: Outgoing, now_s: float) -> None:
        """Take note that a message could not be sent: whoever waits for a response to it gets 503."""
        self._forwarding.undelivered(outgoing, now_s)

    def due_s(self) -> float | None:
        """Return when `tick` is to be called, None while nothing waits."""
        return self._store.schedule.due_s()

    def tick(self, now_s: float) -> None:
        """Do what is due: send again, cancel, give up, forget."""
        while (item := self._store.schedule.take_due(now_s)) is not None:
            if isinstance(item, Transaction):
                self._forwarding.on_due(item, now_s)

    # What leaves

    def take_outgoing(self) -> list[Outgoing]:
        """Return the messages to be sent since the last time, in order."""
        outgoing, self._store.outgoing = self._store.outgoing, []
        return outgoing

    def take_faults(self) -> list[Exception]:
        """Return what went wrong with the router since the last time, MAX_FAULTS at most.

        Their class and traceback may be told, their text may not: it can hold parts of messages.
        """
        faults, self._router.faults = self._router.faults, []
        return faults

    # What the application says

    def originate(self, request: Request, hop: Hop, now_s: float) -> None:
        """Send a request of our own, without Via; its final response goes to `Router.answered`.

        Where none comes that is 408, where it can't be sent 503. An ACK is sent once and has no response.
        Raises ValueError for INVITE and CANCEL, and for a header with a line's end in it.
        """
        if request.method in ("INVITE", "CANCEL"):
            raise ValueError("a proxy invites nobody by itself")
        if request.method == "ACK":
            self._forwarding.send_once(request, hop, MAX_FORWARDS)
        else:
            self._forwarding.originate(request, hop, now_s)

    def abandon_from(self, face: str, now_s: float) -> None:
        """Forget those who sent requests from a face: they are gone.

        Their INVITEs are cancelled; a 2xx that comes all the same goes to `Router.answered`. Other requests
        are delivered still, and nobody hears of the response.
        """
        self._forwarding.abandon_from(face, now_s)

    def abandon_to(self, face: str, status: int, reason: str, now_s: float) -> None:
        """Answer every request that was sent to a face and has no final response, for they are gone there.

        What its sender has cancelled is answered 487. Raises ValueError for a status that refuses nothing.
        """
        if not statuses.is_refusal(status):
            raise ValueError("a refusal has a status from 300 to 699")
        self._forwarding.abandon_to(face, Status(status, reason), now_s)

    # What there is

    @property
    def counts(self) -> ProxyCounts:
        """How much there is at the moment."""
        return ProxyCounts(
            transactions=len(self._store),
            pending=self._forwarding.contexts.pending,
            stored_bytes=self._store.stored_bytes,
            resent=self._store.resent,
            refused=self._refused,
            malformed=self._malformed,
            dropped=self._dropped,
            faults=self._router.count,
        )

    def _has_room(self, face: str) -> bool:
        """Say whether one more request from a face may wait for its final response."""
        contexts = self._forwarding.contexts
        is_room = contexts.pending < self._limits.pending
        return is_room and contexts.pending_of(face) < self._limits.pending_of_face

    def _on_request(self, incoming: Incoming, now_s: float) -> None:
        received = incoming.stamped
        decision = self._router.route(received, incoming.flow, now_s)
        try:
            if isinstance(decision, Forward):
                self._forwarding.forward(incoming, received, decision, now_s)
            elif isinstance(decision, Reply):
                self._replies.give(incoming, decision, now_s)
        except (
            SipSyntaxError,
            ValueError,
        ) as fault:  # what the router gave is no message; nothing is kept yet
            self._router.blame(fault)
            self._replies.give(incoming, FAULTY, now_s)

    def _on_cancel(self, incoming: Incoming, now_s: float) -> None:
        """Cancel hop by hop (section 16.10); 481 for what is not on its way, since all that is, is known."""
        invite = self._store.find(incoming.key_as("INVITE"))
        if invite is None:
            self._replies.refuse(incoming, statuses.NO_SUCH_CALL, now_s)
            return
        self._replies.refuse(incoming, statuses.OK, now_s)
        context = self._forwarding.contexts.of_server(invite)
        if context is not None and context.is_pending:
            self._forwarding.cancel(context, now_s, incoming.request.headers.all("reason"))

    def _on_ack(self, incoming: Incoming, now_s: float) -> None:
        invite = self._store.find(incoming.key_as("INVITE"))
        if invite is not None and self._store.take(invite, Input.ACK, now_s) is not Action.TELL:
            return
        hops = hops_left(incoming.request) - 1
        decision = None if hops < 0 else self._router.route(incoming.stamped, incoming.flow, now_s)
        if not isinstance(decision, Forward):
            self._dropped += 1
            return
        try:
            self._forwarding.send_once(decision.request, decision.hop, hops)
        except ValueError as fault:
            self._router.blame(fault)
