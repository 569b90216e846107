"""Response contexts (RFC 3261 section 16.2): what a proxy knows of each request that it has passed on.

A context lives until the final response has been passed back; that of an INVITE which is accepted, until no
2xx can come any more.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from callseal.agent.sip.message import Request
from callseal.agent.sip.transaction import Transaction


@dataclass(slots=True, kw_only=True, eq=False)
class ResponseContext:
    """A request on its way: as it came, as the router wanted it, as it was sent."""

    received: Request | None
    """None for a request of our own."""
    forwarded: Request
    sent: Request
    client: Transaction
    server: Transaction | None
    """None when nobody waits for the response (any more)."""
    timer_c_s: float
    origin: str = ""
    """The face that it came in at; "" for one of our own."""
    is_pending: bool = True
    """Whether no final response has come yet."""
    is_cancelled: bool = False
    """Whether whoever sent it wants it no more."""
    reasons: tuple[str, ...] = ()
    """And why: values of Reason (RFC 3326)."""

    @property
    def is_invite(self) -> bool:
        """Whether it is an INVITE."""
        return self.sent.method == "INVITE"


class ResponseContexts:
    """All contexts."""

    def __init__(self) -> None:
        self.pending = 0
        """How many have no final response yet."""
        self._of_face: Counter[str] = Counter()
        """The same, by the face that they came in at; "" for our own."""
        self._by_client: dict[int, ResponseContext] = {}
        self._by_server: dict[int, ResponseContext] = {}

    def add(self, context: ResponseContext) -> None:
        """Keep a context."""
        self.pending += 1
        self._of_face[context.origin] += 1
        self._by_client[context.client.id] = context
        if context.server is not None:
            self._by_server[context.server.id] = context

    def pending_of(self, face: str) -> int:
        """Return how many that came in at a face have no final response yet."""
        return self._of_face[face]

    def of_client(self, client: Transaction) -> ResponseContext | None:
        """Return the context of a request that was sent."""
        return self._by_client.get(client.id)

    def of_server(self, server: Transaction) -> ResponseContext | None:
        """Return the context of a request that came."""
        return self._by_server.get(server.id)

    def which(self, wants: Callable[[ResponseContext], bool]) -> tuple[ResponseContext, ...]:
        """Return those that are wanted; while they are gone through, others may be dropped."""
        return tuple(context for context in self._by_client.values() if wants(context))

    def settle(self, context: ResponseContext) -> None:
        """Note that a final response has come."""
        self.pending -= context.is_pending
        self._of_face[context.origin] -= context.is_pending
        context.is_pending = False

    def orphan(self, context: ResponseContext) -> None:
        """Note that nobody waits any more."""
        if context.server is not None:
            del self._by_server[context.server.id]
            context.server = None

    def drop(self, context: ResponseContext) -> None:
        """Keep a context no longer."""
        self.settle(context)
        del self._by_client[context.client.id]
        if context.server is not None:
            del self._by_server[context.server.id]
