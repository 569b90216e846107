"""A proxy between two parties on paper: a telephone at face "phone", a telephone system at face "pbx".

Time is what the test says. Each message goes through bytes both ways, and nothing is sent that the test did
not say: the parties know no transactions.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count

from callseal.agent.errors import SipSyntaxError
from callseal.agent.sip.flow import Flow, Outgoing, Transport
from callseal.agent.sip.message import Request, Response, parse_message, respond
from callseal.agent.sip.proxy import Proxy
from callseal.agent.sip.proxy_limits import ProxyLimits
from callseal.agent.sip.proxying import Drop, Forward, Hop, Reply, Router
from callseal.agent.sip.via import BRANCH_COOKIE

Message = Request | Response
Decision = Forward | Reply | Drop
PHONE = ("127.0.0.1", 5062)
PBX = ("192.0.2.9", 5060)
NEAR = {"phone": ("127.0.0.1", 5060), "pbx": ("192.0.2.1", 5060)}
"""The proxy's own addresses."""
OFFER = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"


def counting() -> Callable[[int], bytes]:
    """Return a randomness that only counts."""
    numbers = count(1)
    return lambda size: next(numbers).to_bytes(size, "big")


class CrossRouter:
    """Sends what comes from one side to the other, and remembers what it was asked."""

    def __init__(self, hops: dict[str, Hop]) -> None:
        self.hops = hops
        """By the face that a request comes from."""
        self.routed: list[Request] = []
        self.passed: list[Response] = []
        self.told: list[tuple[Request, Response]] = []
        self.timer_c_s = 180.0
        self.decide: Callable[[Request], Decision | None] = lambda _: None
        """May decide otherwise, or raise."""
        self.change: Callable[[Response], Response] = lambda response: response
        self.hear: Callable[[Response], None] = lambda _: None

    def route(self, request: Request, flow: Flow, now_s: float) -> Decision:
        """Send it across."""
        del now_s
        self.routed.append(request)
        decision = self.decide(request)
        return decision or Forward(request=request, hop=self.hops[flow.face], timer_c_s=self.timer_c_s)

    def passing(self, received: Request, forwarded: Request, response: Response, now_s: float) -> Response:
        """Let it pass."""
        del received, forwarded, now_s
        self.passed.append(response)
        return self.change(response)

    def answered(self, forwarded: Request, response: Response, now_s: float) -> None:
        """Note it."""
        del now_s
        self.told.append((forwarded, response))
        self.hear(response)


@dataclass
class Party:
    """One side, as the proxy sees it."""

    flow: Flow
    number: int = 0
    """Of its last request (CSeq)."""
    tag: str = "near"
    heard: list[Message] = field(default_factory=list)

    def take(self) -> list[Message]:
        """Return what it has heard since the last time."""
        heard, self.heard = self.heard, []
        return heard

    def said(self) -> list[int | str]:
        """Return the same in short: statuses and methods."""
        return [
            message.status if isinstance(message, Response) else message.method for message in self.take()
        ]

    def write(
        self,
        method: str,
        *,
        number: int | None = None,
        branch: str | None = None,
        call_id: str = "call-1",
        to_tag: str = "",
        more: tuple[str, ...] = (),
        body: bytes = b"",
        hops: str = "Max-Forwards: 70",
        via: str = "",
    ) -> Request:
        """Write a request: the next number, and a branch of that number, where none is given."""
        if number is None:
            self.number += 1
            number = self.number
        if branch is None:
            branch = f"{BRANCH_COOKIE}-{self.flow.face}-{number}{'-ack' if method == 'ACK' else ''}"
        host, port = self.flow.remote
        via = via or f"SIP/2.0/{self.flow.transport.value} {host}:{port};branch={branch};rport"
        lines = [
            f"{method} sip:callee@192.0.2.9 SIP/2.0",
            f"Via: {via}",
            *([hops] if hops else []),
            f"From: <sip:caller@127.0.0.1>;tag={self.tag}",
            f"To: <sip:callee@192.0.2.9>{f';tag={to_tag}' if to_tag else ''}",
            f"Call-ID: {call_id}",
            f"CSeq: {number} {method}",
            f"Contact: <sip:caller@{host}:{port}>",
            *more,
            *(["Content-Type: application/sdp"] if body else []),
            f"Content-Length: {len(body)}",
        ]
        message = parse_message("\r\n".join(lines).encode() + b"\r\n\r\n" + body, is_stream=True)
        assert isinstance(message, Request)
        return message


class ProxyRoom:
    """The proxy, its two parties and a clock."""

    def __init__(
        self,
        *,
        phone: Transport = Transport.UDP,
        pbx: Transport = Transport.UDP,
        router: Router | None = None,
        limits: ProxyLimits | None = None,
    ) -> None:
        self.now_s = 1000.0
        self.phone = Party(_flow("phone", phone, PHONE))
        self.pbx = Party(_flow("pbx", pbx, PBX), tag="far")
        self.router = CrossRouter(
            {
                "phone": Hop(flow=self.pbx.flow, destination=PBX),
                "pbx": Hop(flow=self.phone.flow, destination=PHONE),
            }
        )
        self.proxy = Proxy(router or self.router, random=counting(), limits=limits)
        self.sent: list[Outgoing] = []
        """All that the proxy has sent."""

    def send(self, party: Party, message: Message | bytes) -> None:
        """Let a message arrive at the proxy, from one side."""
        try:
            read = parse_message(bytes(message), is_stream=False)
        except SipSyntaxError as error:
            self.proxy.reject_malformed(error, party.flow, self.now_s)
        else:
            self.proxy.receive(read, party.flow, self.now_s)
        self.pump()

    def ask(self, method: str, *, party: Party | None = None, more: tuple[str, ...] = ()) -> Request:
        """Send a request from the telephone, or from another party."""
        party = party or self.phone
        request = party.write(method, more=more, body=OFFER if method == "INVITE" else b"")
        self.send(party, request)
        return request

    def answer(
        self,
        request: Message,
        status: int,
        *,
        party: Party | None = None,
        headers: tuple[tuple[str, str], ...] = (),
        body: bytes = b"",
        tag: str = "far",
    ) -> Response:
        """Answer a request from the telephone system, or from another party."""
        assert isinstance(request, Request)
        response = respond(
            request,
            status,
            "Said",
            to_tag="" if status == 100 else tag,
            headers=headers,
            body=body,
            content_type="application/sdp",
        )
        self.send(party or self.pbx, response)
        return response

    def acknowledge(self, invite: Request, response: Message) -> Request:
        """Send the telephone's ACK: of a 2xx in its own right, of a refusal within the transaction."""
        assert isinstance(response, Response)
        is_refusal = response.status >= 300
        ack = self.phone.write(
            "ACK",
            number=invite.cseq.number,
            branch=invite.via.branch if is_refusal else None,
            to_tag=response.to_tag,
            call_id=invite.call_id,
        )
        self.send(self.phone, ack)
        return ack

    def cancel(self, invite: Request, *, more: tuple[str, ...] = ()) -> None:
        """Give up, as the telephone."""
        cancel = self.phone.write(
            "CANCEL",
            number=invite.cseq.number,
            branch=invite.via.branch,
            call_id=invite.call_id,
            more=more,
        )
        self.send(self.phone, cancel)

    def invited(self, *, ringing: bool = False) -> tuple[Request, Request]:
        """Have an INVITE on its way, perhaps ringing; return it as it was sent and as it arrived."""
        invite = self.ask("INVITE")
        arrived = self.pbx.take()[-1]
        assert isinstance(arrived, Request)
        if ringing:
            self.answer(arrived, 180)
        self.phone.take()
        return invite, arrived

    def wait(self, seconds: float) -> None:
        """Let time pass, tick by tick as the proxy asks for it."""
        until_s = self.now_s + seconds
        while (due_s := self.proxy.due_s()) is not None and due_s <= until_s:
            self.now_s = max(self.now_s, due_s)
            self.proxy.tick(self.now_s)
            self.pump()
        self.now_s = until_s

    def pump(self) -> None:
        """Let arrive what the proxy sends."""
        for outgoing in self.proxy.take_outgoing():
            self.sent.append(outgoing)
            party = self.phone if outgoing.flow.face == "phone" else self.pbx
            party.heard.append(parse_message(outgoing.data, is_stream=True))

    def is_empty(self) -> bool:
        """Say whether the proxy keeps nothing."""
        counts = self.proxy.counts
        return (
            counts.transactions == counts.pending == counts.stored_bytes == 0 and self.proxy.due_s() is None
        )


def elsewhere(flow: Flow, port: int, connection: int = 0) -> Flow:
    """Return the same way, from another port or on another connection."""
    return replace(flow, remote=(flow.remote[0], port), connection=connection or flow.connection)


def _flow(face: str, transport: Transport, remote: tuple[str, int]) -> Flow:
    return Flow(
        transport=transport,
        local=NEAR[face],
        remote=remote,
        connection=int(transport.is_reliable),
        face=face,
    )
