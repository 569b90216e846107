"""The answers that a proxy gives by itself.

Conventions: each opens a transaction that repeats it when the request is repeated, unless there is no room
for one; then it is given once for each request, which RFC 3261 section 8.2.7 allows.
"""

from collections.abc import Callable
from typing import Final

from callseal.agent.errors import SipSyntaxError
from callseal.agent.sip import statuses
from callseal.agent.sip.answerer import kind_of
from callseal.agent.sip.flow import Flow, Outgoing
from callseal.agent.sip.headers import Fields
from callseal.agent.sip.incoming import Incoming
from callseal.agent.sip.message import Request, Response, respond
from callseal.agent.sip.proxy_limits import RETRY_AFTER_S
from callseal.agent.sip.proxying import Reply
from callseal.agent.sip.statuses import Status
from callseal.agent.sip.transaction import INVITE_PROXIED, SERVER, Machine, Transaction
from callseal.agent.sip.transaction_store import TransactionStore
from callseal.agent.sip.via import reply_address, stamp

TIMEOUT: Final = Status(408, "Request Timeout")
TOO_MANY_HOPS: Final = Status(483, "Too Many Hops")

_TAG_BYTES: Final = 8
"""RFC 3261 section 19.3 asks for 32 bits of randomness at least."""


class ProxyReplies:
    """Gives answers."""

    def __init__(self, store: TransactionStore, random: Callable[[int], bytes]) -> None:
        self._store = store
        self._random = random

    def response(self, request: Request, status: Status) -> Response:
        """Return a response in the stead of one that does not come."""
        return respond(request, *status, to_tag=self._random(_TAG_BYTES).hex())

    def give(self, incoming: Incoming, reply: Reply, now_s: float) -> None:
        """Answer a request; ValueError for a header with a line's end in it."""
        response = respond(
            incoming.stamped,
            reply.status,
            reply.reason,
            to_tag=self._random(_TAG_BYTES).hex(),
            headers=reply.headers,
            body=reply.body,
            content_type=reply.content_type,
        )
        transaction = server_transaction(incoming, self._store.next_number())
        transaction.answer(bytes(response))
        if self._store.is_full:
            self._store.send(transaction)
            return
        self._store.add(transaction)
        self._store.take(transaction, kind_of(reply.status), now_s)

    def refuse(self, incoming: Incoming, status: Status, now_s: float, headers: Fields = ()) -> None:
        """Answer a request with one of our own statuses."""
        self.give(incoming, Reply(status=status.code, reason=status.reason, headers=headers), now_s)

    def refuse_for_now(self, incoming: Incoming, now_s: float) -> None:
        """Answer that there is no room."""
        self.refuse(incoming, statuses.UNAVAILABLE, now_s, (("retry-after", str(RETRY_AFTER_S)),))

    def refuse_malformed(self, error: SipSyntaxError, flow: Flow) -> None:
        """Answer what could not be parsed, as far as that is possible; nothing is kept of it."""
        if error.request is None or not error.status:
            return
        try:
            request = stamp(error.request, flow.remote)
            data = bytes(self.response(request, Status(error.status, str(error))))
        except (SipSyntaxError, ValueError):  # what an answer needs is what is wrong
            return
        self._store.outgoing.append(Outgoing(data=data, flow=flow, destination=reply_address(request, flow)))


def server_transaction(incoming: Incoming, number: int, *, request_bytes: int = 0) -> Transaction:
    """Return the transaction of a request that came."""
    return Transaction(
        machine_of(incoming.request.method),
        number,
        incoming.key,
        flow=incoming.flow,
        destination=incoming.reply_to,
        request_bytes=request_bytes,
    )


def machine_of(method: str) -> Machine:
    """Return how a proxy serves requests of a method."""
    return INVITE_PROXIED if method == "INVITE" else SERVER
