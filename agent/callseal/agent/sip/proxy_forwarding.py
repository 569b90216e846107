"""A proxy's client side: requests are sent on, their responses come back, or do not (RFC 3261 section 16).

A 503 is passed back as it is, where section 16.7 would rather have 500: whoever sits behind this proxy is all
that it leads to, so that what is true of one request is true of the next.

Conventions: as in `proxy`, whose other half this is.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from callseal.agent.sip import statuses
from callseal.agent.sip.answerer import kind_of
from callseal.agent.sip.client import ack_of, as_sent, cancel_of, hops_left
from callseal.agent.sip.flow import Outgoing
from callseal.agent.sip.headers import Headers
from callseal.agent.sip.incoming import Incoming, size_bytes
from callseal.agent.sip.limits import MAX_FORWARDS, TIMER_C_S
from callseal.agent.sip.message import Request, Response, respond
from callseal.agent.sip.proxy_contexts import ResponseContext, ResponseContexts
from callseal.agent.sip.proxy_guard import GuardedRouter
from callseal.agent.sip.proxy_replies import TIMEOUT, ProxyReplies, server_transaction
from callseal.agent.sip.proxying import Forward, Hop
from callseal.agent.sip.statuses import TRYING, Status
from callseal.agent.sip.transaction import CLIENT, INVITE_CLIENT, Action, Input, State, Transaction
from callseal.agent.sip.transaction_store import TransactionStore
from callseal.agent.sip.via import BRANCH_COOKIE

_BRANCH_BYTES: Final = 12


class Forwarding:
    """The requests that were sent on, and those of our own."""

    def __init__(
        self,
        store: TransactionStore,
        router: GuardedRouter,
        replies: ProxyReplies,
        random: Callable[[int], bytes],
    ) -> None:
        self.contexts = ResponseContexts()
        self._store = store
        self._router = router
        self._replies = replies
        self._random = random

    # Requests

    def forward(self, incoming: Incoming, received: Request, decision: Forward, now_s: float) -> None:
        """Send a request on, and wait for its response; ValueError if it can't be written."""
        hop = decision.hop
        sent = as_sent(decision.request, hop.flow, self._new_branch(), hops_left(received) - 1)
        kept_bytes = size_bytes(received) + size_bytes(decision.request)
        server = server_transaction(incoming, self._store.next_number(), request_bytes=kept_bytes)
        if incoming.request.method == "INVITE":
            server.data = bytes(respond(received, *TRYING, to_tag=""))
        context = ResponseContext(
            received=received,
            forwarded=decision.request,
            sent=sent,
            client=self._client(sent, hop),
            server=server,
            timer_c_s=decision.timer_c_s,
            origin=incoming.flow.face,
        )
        self._store.add(server)
        self._store.send(server)
        self._begin(context, now_s)

    def originate(self, request: Request, hop: Hop, now_s: float) -> None:
        """Send a request of our own, and wait for its response."""
        sent = as_sent(request, hop.flow, self._new_branch(), MAX_FORWARDS)
        context = ResponseContext(
            received=None,
            forwarded=request,
            sent=sent,
            client=self._client(sent, hop),
            server=None,
            timer_c_s=TIMER_C_S,
        )
        self._begin(context, now_s)

    def send_once(self, request: Request, hop: Hop, hops: int) -> None:
        """Send an ACK on: it has no response (section 16.11)."""
        sent = as_sent(request, hop.flow, self._new_branch(), hops)
        self._store.outgoing.append(Outgoing(data=bytes(sent), flow=hop.flow, destination=hop.destination))

    def cancel(self, context: ResponseContext, now_s: float, reasons: tuple[str, ...] = ()) -> None:
        """Cancel an INVITE as soon as that may be done (section 9.1)."""
        context.is_cancelled = True
        context.reasons = reasons
        if self._store.take(context.client, Input.CANCEL, now_s) is Action.CANCEL:
            self._send_cancel(context, now_s)

    # Responses, and none

    def on_response(self, response: Response, now_s: float) -> bool:
        """Take a response; False if it belongs to nothing that was sent."""
        client = self._store.find_client(response.via.branch, response.cseq.method)
        if client is None:
            return False
        before = client.state
        kind = kind_of(response.status)
        action = self._store.take(client, kind, now_s)
        context = self.contexts.of_client(client)
        if context is None:
            return True
        if action is Action.CANCEL:
            self._send_cancel(context, now_s)
        elif action is Action.ACKNOWLEDGE:
            self._acknowledge(context, response)
        if action not in (Action.TELL, Action.ACKNOWLEDGE):
            return True
        says_more = response.status > TRYING.code
        if client.state is State.PROCEEDING and (says_more or before is State.CALLING):
            # Timer C, and again with each 101 to 199 (section 16.7, step 2).
            self._store.extend(client, now_s + context.timer_c_s)
        if says_more:
            self._pass_back(context, response, now_s)
        if kind is Input.SUCCESS and context.is_invite:
            client.answer(b"")
            self._store.hold(client, client.size_bytes)
            self.contexts.settle(context)
        elif kind is not Input.PROVISIONAL:
            self.contexts.drop(context)
        return True

    def on_due(self, transaction: Transaction, now_s: float) -> None:
        """Do what is due for a transaction: send again, cancel what rings too long, give up."""
        action = self._store.on_time(transaction, now_s)
        context = self.contexts.of_client(transaction)
        if context is None:
            return
        if action is Action.CANCEL:
            self._send_cancel(context, now_s)
        elif action is Action.GIVE_UP:
            self._give_up(context, TIMEOUT, now_s)
        elif transaction.is_over:
            self.contexts.drop(context)

    def undelivered(self, outgoing: Outgoing, now_s: float) -> None:
        """Take note that a request could not be sent (section 16.9)."""
        client = self._store.find_sent(outgoing)
        if client is None or self._store.take(client, Input.UNSENT, now_s) is not Action.GIVE_UP:
            return
        context = self.contexts.of_client(client)
        if context is not None:
            self._give_up(context, statuses.UNAVAILABLE, now_s)

    # Faces that are gone

    def abandon_from(self, face: str, now_s: float) -> None:
        """Wait in the stead of whoever was behind a face, and is gone."""
        for context in self.contexts.which(
            lambda one: one.server is not None and one.server.flow.face == face
        ):
            self.contexts.orphan(context)
            if context.is_invite:
                self.cancel(context, now_s)
            else:
                self.contexts.drop(context)  # the transaction goes on: what was asked shall arrive
        self._store.forget_server(face)

    def abandon_to(self, face: str, status: Status, now_s: float) -> None:
        """Answer what was sent to whoever was behind a face, and is gone."""
        contexts = self.contexts.which(lambda one: one.client.flow.face == face)
        self._store.forget_client(face)
        for context in contexts:
            if context.is_pending:
                self._give_up(context, status, now_s)
            else:
                self.contexts.drop(context)

    def _client(self, sent: Request, hop: Hop) -> Transaction:
        method = sent.method
        client = Transaction(
            INVITE_CLIENT if method == "INVITE" else CLIENT,
            self._store.next_number(),
            (sent.via.branch, "", sent.call_id, sent.cseq.number, "", method),
            flow=hop.flow,
            destination=hop.destination,
        )
        client.data = bytes(sent)
        return client

    def _ask(self, client: Transaction, now_s: float) -> None:
        client.begin(now_s)
        self._store.add(client)
        self._store.send(client)

    def _begin(self, context: ResponseContext, now_s: float) -> None:
        self.contexts.add(context)
        self._ask(context.client, now_s)

    def _send_cancel(self, context: ResponseContext, now_s: float) -> None:
        hop = Hop(flow=context.client.flow, destination=context.client.destination)
        self._ask(self._client(cancel_of(context.sent, context.reasons), hop), now_s)

    def _acknowledge(self, context: ResponseContext, refusal: Response) -> None:
        client = context.client
        client.answer(bytes(ack_of(context.sent, refusal)))
        self._store.send(client)
        if not client.is_over:
            self._store.hold(client, client.size_bytes)

    def _give_up(self, context: ResponseContext, status: Status, now_s: float) -> None:
        """Answer a request in the stead of whoever did not."""
        if context.is_cancelled:
            status = statuses.TERMINATED
        response = self._replies.response(context.received or context.forwarded, status)
        is_sent = context.is_invite or status is not TIMEOUT
        self._pass_back(context, response, now_s, is_sent=is_sent)
        self.contexts.drop(context)

    def _pass_back(
        self, context: ResponseContext, response: Response, now_s: float, *, is_sent: bool = True
    ) -> None:
        """Send a response back to where its request came from, or tell of it."""
        kind = kind_of(response.status)
        server, received = context.server, context.received
        if server is None or received is None:
            is_wanted = kind is Input.SUCCESS if context.is_invite else kind is not Input.PROVISIONAL
            if is_wanted:
                self._router.answered(context.forwarded, response, now_s)
            return
        response = self._router.passing(received, context.forwarded, _with_vias(response, received), now_s)
        if not is_sent:
            self._store.forget(server)
            return
        data = bytes(response)
        if kind is Input.FAILURE or not context.is_invite:
            server.answer(data)
        else:
            server.data = data
        self._store.take(server, kind, now_s)
        if server.state is State.ACCEPTED or (self._store.is_full and not server.is_over):
            server.data = b""
            self._store.hold(server, server.size_bytes)

    def _new_branch(self) -> str:
        return BRANCH_COOKIE + self._random(_BRANCH_BYTES).hex()


def _with_vias(response: Response, received: Request) -> Response:
    """Return a response with the Vias of its request: ours is gone, and none was changed on the way."""
    fields = [("via", value) for value in received.headers.all("via")]
    fields += [field for field in response.headers.fields if field[0] != "via"]
    return replace(response, headers=Headers(fields=tuple(fields)), head=b"")
