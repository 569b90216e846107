"""The ways that requests have taken across the edge, for as long as their answers may come."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from callseal.agent.sip.flow import Flow
from callseal.agent.sip.message import Request
from callseal.agent.sources.bridge.edge.faces import Reach
from callseal.agent.sources.bridge.edge.facts import Side

MAX_CROSSINGS: Final = 4096
"""More than the proxy has on their way. The oldest give way: their answers pass as they are."""
_FINAL, _REFUSED = 200, 300

_Key = tuple[str, str, str, int, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A request that has come in."""

    received: Request
    """As it came."""
    flow: Flow
    side: Side
    now_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """The way that a request has taken."""

    origin: Side
    goal: Side
    token: str
    """Of the call that it belongs to, "" for none."""
    reach: Reach | None
    """Of the telephone, where it was sent to one."""


class Crossings:
    """The ways of the last requests."""

    def __init__(self) -> None:
        self._crossings: OrderedDict[_Key, Crossing] = OrderedDict()

    def put(self, received: Request, crossing: Crossing) -> None:
        """Remember the way of a request."""
        key = _key(received)
        self._crossings[key] = crossing
        self._crossings.move_to_end(key)
        if len(self._crossings) > MAX_CROSSINGS:
            self._crossings.popitem(last=False)

    def of(self, received: Request, status: int = 0) -> Crossing | None:
        """Return the way of a request; once it is answered with its final `status` it is forgotten.

        That of an INVITE which is taken is not: its answer may come again, and others with it.
        """
        key = _key(received)
        is_over = status >= _REFUSED or (status >= _FINAL and received.method != "INVITE")
        return self._crossings.pop(key, None) if is_over else self._crossings.get(key)


def _key(received: Request) -> _Key:
    """Return what names the transaction of a request."""
    via, cseq = received.via, received.cseq
    return via.branch, via.sent_by, received.call_id, cseq.number, cseq.method
