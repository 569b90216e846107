"""A caller, some proxies in a row and an endpoint that answers; every hop may lose messages by a script.

Time is simulated: a hop takes 10 ms, and nothing else takes any. A script is a list of booleans, one for each
message that is sent that way over UDP: True is lost; after its end nothing is.
"""

import heapq
import itertools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from callseal.agent.sip.endpoint import Endpoint
from callseal.agent.sip.events import Event, Invited
from callseal.agent.sip.flow import Flow, Transport
from callseal.agent.sip.message import Response, parse_message
from callseal.agent.sip.proxy import Proxy
from callseal.agent.sip.proxying import Hop
from support.proxy_room import CrossRouter, counting

HOP_S = 0.01
T1_S, T2_S, GIVE_UP_S = 0.5, 4.0, 32.0


@dataclass
class HopScript:
    """One hop: how messages travel, and which are lost."""

    transport: Transport = Transport.UDP
    lost_ahead: Iterable[bool] = ()
    """Towards whoever is called."""
    lost_back: Iterable[bool] = ()


@dataclass
class Pending:
    """A request of the caller's that is not answered yet."""

    data: bytes
    due_s: float
    pause_s: float
    end_s: float
    is_invite: bool


@dataclass
class Caller:
    """A telephone that calls once and keeps to RFC 3261, section 17.1."""

    transport: Transport
    number: int = 0
    heard: list[Response] = field(default_factory=list)
    finals: dict[str, list[int]] = field(default_factory=dict)
    """Statuses by method, as often as they came."""
    outgoing: list[bytes] = field(default_factory=list)
    pending: dict[str, Pending] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    to_tag: str = ""

    def ask(self, method: str, now_s: float) -> None:
        """Send a request until it is answered."""
        self.number += 1
        self.branches[method] = f"z9hG4bK-{method}-{self.number}"
        self._begin(method, self.number, now_s)

    def cancel(self, now_s: float) -> None:
        """Give up, if there has been an answer and it was not the last."""
        if self.heard and "INVITE" not in self.finals:
            self.branches["CANCEL"] = self.branches["INVITE"]
            self._begin("CANCEL", 1, now_s)

    def take(self, data: bytes, now_s: float) -> None:
        """Hear a response."""
        del now_s
        response = parse_message(data, is_stream=True)
        assert isinstance(response, Response)
        self.heard.append(response)
        method = response.cseq.method
        pending = self.pending.get(method)
        if pending is not None and (response.status >= 200 or pending.is_invite):
            pending.due_s = math.inf
        if response.status < 200:
            return
        self.pending.pop(method, None)
        self.finals.setdefault(method, []).append(response.status)
        if method == "INVITE":
            self.to_tag = response.to_tag
            is_refusal = response.status >= 300
            branch = self.branches["INVITE"] if is_refusal else f"z9hG4bK-ack-{len(self.heard)}"
            self.outgoing.append(self._write("ACK", 1, branch))

    @property
    def due_s(self) -> float:
        """When something is to be sent again."""
        return min((one.due_s for one in self.pending.values()), default=math.inf)

    def tick(self, now_s: float) -> None:
        """Send again, or give up."""
        for method, one in tuple(self.pending.items()):
            if one.due_s > now_s:
                continue
            if now_s >= one.end_s:
                del self.pending[method]
                continue
            self.outgoing.append(one.data)
            one.pause_s = 2 * one.pause_s if one.is_invite else min(2 * one.pause_s, T2_S)
            one.due_s = now_s + one.pause_s

    def _begin(self, method: str, number: int, now_s: float) -> None:
        data = self._write(method, number, self.branches[method])
        self.outgoing.append(data)
        due_s = math.inf if self.transport.is_reliable else now_s + T1_S
        self.pending[method] = Pending(data, due_s, T1_S, now_s + GIVE_UP_S, method == "INVITE")

    def _write(self, method: str, number: int, branch: str) -> bytes:
        body = b"v=0\r\n" if method == "INVITE" else b""
        lines = (
            f"{method} sip:callee@192.0.2.9 SIP/2.0",
            f"Via: SIP/2.0/{self.transport.value} 127.0.0.1:5062;branch={branch};rport",
            "Max-Forwards: 70",
            "From: <sip:caller@127.0.0.1>;tag=near",
            f"To: <sip:callee@192.0.2.9>{f';tag={self.to_tag}' if self.to_tag else ''}",
            "Call-ID: call-1",
            f"CSeq: {number} {method}",
            "Contact: <sip:caller@127.0.0.1:5062>",
            f"Content-Type: application/sdp\r\nContent-Length: {len(body)}",
        )
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Chain:
    """The whole row."""

    def __init__(self, hops: list[HopScript], *, answer: Callable[[Endpoint, Invited, float], None]) -> None:
        self.now_s = 0.0
        self.hops = hops
        self.caller = Caller(hops[0].transport)
        self.proxies = [
            Proxy(CrossRouter({"back": self._hop(number, "ahead")}), random=counting())
            for number in range(1, len(hops))
        ]
        self.endpoint = Endpoint(contact=lambda _: "<sip:callee@192.0.2.9>", random=counting())
        self.events: list[Event] = []
        self._answer = answer
        self._lost = [(iter(hop.lost_ahead), iter(hop.lost_back)) for hop in hops]
        self._order = itertools.count()
        self._on_its_way: list[tuple[float, int, int, str, bytes]] = []
        self._plans: list[tuple[float, int, Callable[[float], None]]] = []

    def plan(self, at_s: float, what: Callable[[float], None]) -> None:
        """Have the test do something at a time."""
        heapq.heappush(self._plans, (at_s, next(self._order), what))

    def run(self, until_s: float) -> None:
        """Let everything happen that happens until then."""
        while (due_s := self._due_s()) <= until_s:
            self.now_s = max(self.now_s, due_s)
            self._step()
            self._collect()
        self.now_s = until_s

    @property
    def is_empty(self) -> bool:
        """Whether nobody keeps anything."""
        proxies = all(one.counts.transactions == one.counts.stored_bytes == 0 for one in self.proxies)
        endpoint = self.endpoint.counts
        return proxies and endpoint.transactions == endpoint.dialogs == endpoint.stored_bytes == 0

    def _due_s(self) -> float:
        times = [one.due_s() for one in self.proxies] + [self.endpoint.due_s()]
        known = [time for time in times if time is not None]
        known += [heap[0][0] for heap in (self._on_its_way, self._plans) if heap]
        return min([*known, self.caller.due_s])

    def _step(self) -> None:
        now_s = self.now_s
        if self._plans and self._plans[0][0] <= now_s:
            heapq.heappop(self._plans)[2](now_s)
        elif self._on_its_way and self._on_its_way[0][0] <= now_s:
            _, _, hop, way, data = heapq.heappop(self._on_its_way)
            self._arrive(hop, way, data)
        else:
            self.caller.tick(now_s)
            self.endpoint.tick(now_s)
            for one in self.proxies:
                one.tick(now_s)

    def _arrive(self, hop: int, way: str, data: bytes) -> None:
        if way == "back" and hop == 0:
            self.caller.take(data, self.now_s)
            return
        message = parse_message(data, is_stream=True)
        if way == "ahead" and hop == len(self.hops) - 1:
            self.endpoint.receive(message, self._flow(hop, "back"), self.now_s)
        else:
            proxy = self.proxies[hop if way == "ahead" else hop - 1]
            proxy.receive(message, self._flow(hop, "back" if way == "ahead" else "ahead"), self.now_s)

    def _collect(self) -> None:
        for event in self.endpoint.take_events():
            self.events.append(event)
            if isinstance(event, Invited):
                self._answer(self.endpoint, event, self.now_s)
        sent, self.caller.outgoing = self.caller.outgoing, []
        for data in sent:
            self._put(0, "ahead", data)
        for number, proxy in enumerate(self.proxies):
            for one in proxy.take_outgoing():
                self._put(number + 1 if one.flow.face == "ahead" else number, one.flow.face, one.data)
        for one in self.endpoint.take_outgoing():
            self._put(len(self.hops) - 1, "back", one.data)

    def _put(self, hop: int, way: str, data: bytes) -> None:
        lost = self._lost[hop][way == "back"]
        if self.hops[hop].transport is Transport.UDP and next(lost, False):
            return
        heapq.heappush(self._on_its_way, (self.now_s + HOP_S, next(self._order), hop, way, data))

    def _flow(self, hop: int, face: str) -> Flow:
        """Return a hop's flow as seen from its far end (face "back") or from its near end (face "ahead")."""
        ends = (f"192.0.2.{hop + 1}", 5060), (f"198.51.100.{hop + 1}", 5060)
        transport = self.hops[hop].transport
        return Flow(
            transport=transport,
            local=ends[face == "back"],
            remote=ends[face == "ahead"],
            connection=int(transport.is_reliable),
            face=face,
        )

    def _hop(self, number: int, face: str) -> Hop:
        flow = self._flow(number, face)
        return Hop(flow=flow, destination=flow.remote)


def accept(endpoint: Endpoint, invited: Invited, now_s: float) -> None:
    """Say yes at once."""
    endpoint.accept(invited.transaction, body=b"v=0\r\n", content_type="application/sdp", now_s=now_s)


def refuse(endpoint: Endpoint, invited: Invited, now_s: float) -> None:
    """Say no at once."""
    endpoint.reject(invited.transaction, 486, "Busy Here", now_s=now_s)


def hesitate(endpoint: Endpoint, invited: Invited, now_s: float) -> None:
    """Say nothing."""
