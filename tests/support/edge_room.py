"""The desk's edge without sockets: its router in the real proxy, and scripted peers around it.

A message that is sent anywhere but to one of the peers fails the test: the edge is no open relay.
"""

import itertools
from collections import defaultdict
from dataclasses import dataclass, field, replace

from callseal.agent.call import Side as Who
from callseal.agent.sip.flow import Flow, Outgoing, Transport
from callseal.agent.sip.message import Request, Response, parse_message, respond
from callseal.agent.sip.proxy import Proxy
from callseal.agent.sip.proxying import Reply
from callseal.agent.sources.bridge.edge.faces import LINE, PBX, PHONE, Address, Faces
from callseal.agent.sources.bridge.edge.facts import Facts, Party
from callseal.agent.sources.bridge.edge.gate import Admission
from callseal.agent.sources.bridge.edge.refer import Referred
from callseal.agent.sources.bridge.edge.router import EdgeRouter

EDGE: Address = ("127.0.0.1", 5060)
EDGE_OUTSIDE: Address = ("192.0.2.10", 5060)
EDGE_INSIDE: Address = ("127.0.0.1", 40_000)
CHILD_AT: Address = ("127.0.0.1", 40_001)
PHONE_AT: Address = ("127.0.0.1", 6000)
PBX_AT: Address = ("192.0.2.1", 5060)
SDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"

FACES = Faces(
    phone=EDGE,
    pbx=EDGE_OUTSIDE,
    line=EDGE_INSIDE,
    pbx_target=PBX_AT,
    pbx_host="pbx.example.com",
    pbx_addresses=frozenset({PBX_AT[0]}),
    child=CHILD_AT,
)
_numbers = itertools.count(1)


def random(size: int) -> bytes:
    """Give bytes that are never the same."""
    return next(_numbers).to_bytes(size, "big")


@dataclass
class ScriptedGate:
    """A bridge that says what the test wants, and notes what it hears."""

    admission: Admission = field(default_factory=lambda: Admission(way="line"))
    reply: Reply = field(default_factory=lambda: Reply(status=202, reason="Accepted"))
    admitted: list[tuple[Party, str, Facts]] = field(default_factory=list)
    declines: list[tuple[str, int]] = field(default_factory=list)
    passed_calls: list[tuple[str, str]] = field(default_factory=list)
    answered: list[str] = field(default_factory=list)
    ended: list[tuple[str, bool, int, Who | None]] = field(default_factory=list)
    referrals: list[Referred] = field(default_factory=list)
    parties: list[tuple[str, str]] = field(default_factory=list)

    def admit(self, side: Party, user: str, facts: Facts) -> Admission:
        self.admitted.append((side, user, facts))
        return self.admission

    def declined(self, token: str, status: int) -> None:
        self.declines.append((token, status))

    def passed(self, facts: Facts, reason: str) -> None:
        self.passed_calls.append((facts.token, reason))

    def passed_answered(self, token: str) -> None:
        self.answered.append(token)

    def passed_ended(self, token: str, *, answered: bool, status: int, by: Who | None) -> None:
        self.ended.append((token, answered, status, by))

    def referred(self, referred: Referred) -> Reply:
        self.referrals.append(referred)
        return self.reply

    def party_changed(self, token: str, address: str) -> None:
        self.parties.append((token, address))


@dataclass
class Lobby:
    """Who keeps INVITEs that wait."""

    kept: list[tuple[Request, Flow]] = field(default_factory=list)
    cancelled: set[str] = field(default_factory=set)
    is_full: bool = False
    since_s: float = -1.0

    def keep(self, request: Request, flow: Flow, now_s: float) -> bool:
        self.since_s = now_s
        if self.is_full:
            return False
        self.kept.append((request, flow))
        return True

    def is_cancelled(self, request: Request) -> bool:
        return request.call_id in self.cancelled


class Room:
    """The edge, and everybody around it."""

    def __init__(self, faces: Faces = FACES, *, configured: str = "") -> None:
        self.gate = ScriptedGate()
        self.lobby = Lobby()
        self.router = EdgeRouter(
            gate=self.gate, waiting=self.lobby, random=random, faces=faces, phone=configured
        )
        self.proxy = Proxy(self.router, random=random)
        self.now_s = 0.0
        self.inboxes: dict[tuple[str, Address], list[Request | Response]] = defaultdict(list)
        self.sent: list[Outgoing] = []
        self.phone = Peer(self, PHONE, PHONE_AT)
        self.pbx = Peer(self, PBX, faces.pbx_target, transport=faces.pbx_transport)
        self.child = Peer(self, LINE, CHILD_AT)

    def deliver(self, message: Request | Response, flow: Flow) -> None:
        """Give the edge a message, and everybody what it sends then."""
        self.proxy.receive(message, flow, self.now_s)
        self.pump()

    def pump(self) -> None:
        """Give everybody what the edge has sent."""
        for request, hop in self.router.take_requests():
            self.proxy.originate(request, hop, self.now_s)
        for outgoing in self.proxy.take_outgoing():
            where = (outgoing.flow.face, outgoing.destination)
            assert where in self.inboxes, f"something was sent to {where}"
            self.sent.append(outgoing)
            self.inboxes[where].append(parse_message(outgoing.data, is_stream=True))
        assert self.proxy.take_faults() == []

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        end_s = self.now_s + seconds
        while (due_s := self.proxy.due_s()) is not None and due_s <= end_s:
            self.now_s = max(self.now_s, due_s)
            self.proxy.tick(self.now_s)
            self.pump()
        self.now_s = end_s


class Peer:
    """Somebody who speaks SIP with the edge, and has no transactions of its own."""

    def __init__(
        self,
        room: Room,
        face: str,
        address: Address,
        *,
        transport: Transport = Transport.UDP,
        connection: int = 0,
    ) -> None:
        self.room = room
        self.address = address
        local = {PHONE: room.router.faces.phone, PBX: room.router.faces.pbx, LINE: room.router.faces.line}
        self.flow = Flow(
            transport=transport, local=local[face], remote=address, connection=connection, face=face
        )
        self.inbox = room.inboxes[face, address]

    @property
    def host(self) -> str:
        """host:port of it."""
        host, port = self.address
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def write(
        self,
        method: str,
        uri: str,
        *more: str,
        call: str = "call",
        cseq: int = 1,
        who: str = "<sip:100@pbx.example.com>;tag=near",
        to: str = "<sip:200@pbx.example.com>",
        branch: str = "",
        body: str = "",
        hops: int = 70,
    ) -> bytes:
        """Write a request with further headers."""
        via = f"SIP/2.0/{self.flow.transport.value} {self.host}"
        lines = (
            f"{method} {uri} SIP/2.0",
            f"Via: {via};branch={branch or f'z9hG4bK{next(_numbers)}'};rport",
            f"From: {who}",
            f"To: {to}",
            f"Call-ID: {call}",
            f"CSeq: {cseq} {method}",
            f"Max-Forwards: {hops}",
            *more,
            f"Content-Length: {len(body)}",
            "",
            body,
        )
        return "\r\n".join(lines).encode()

    def send(self, data: bytes, *, flow: Flow | None = None) -> None:
        """Send bytes that are a message."""
        self.room.deliver(parse_message(data, is_stream=False), flow or self.flow)

    def ask(self, method: str, uri: str, *more: str, **parts: object) -> Request:
        """Send a request, and give it."""
        data = self.write(method, uri, *more, **parts)  # type: ignore[arg-type]  # passed on as it is
        self.send(data)
        request = parse_message(data, is_stream=False)
        assert isinstance(request, Request)
        return request

    def got(self, method: str) -> Request:
        """Take the request that has come, of this method; anything before it is thrown away but requests."""
        for index, message in enumerate(self.inbox):
            if isinstance(message, Request) and message.method == method:
                del self.inbox[: index + 1]
                return message
        raise AssertionError(f"no {method} came: {[_first(each) for each in self.inbox]}")

    @property
    def statuses(self) -> list[int]:
        """Statuses of the responses that have come and were not taken."""
        return [message.status for message in self.inbox if isinstance(message, Response)]

    def heard(self, status: int) -> Response:
        """Take the response that has come, with this status."""
        for index, message in enumerate(self.inbox):
            if isinstance(message, Response) and message.status == status:
                del self.inbox[: index + 1]
                return message
        raise AssertionError(f"no {status} came: {[_first(each) for each in self.inbox]}")

    @property
    def requests(self) -> list[str]:
        """Methods of the requests that have come and were not taken."""
        return [message.method for message in self.inbox if isinstance(message, Request)]

    def answer(
        self, request: Request, status: int, *more: tuple[str, str], tag: str = "far", body: str = ""
    ) -> None:
        """Answer a request."""
        response = respond(
            request,
            status,
            "Something",
            to_tag=tag,
            headers=more,
            body=body.encode(),
            content_type="application/sdp" if body else "",
        )
        self.room.deliver(response, self.flow)

    def ack(self, invite: Request, answer: Response) -> None:
        """Acknowledge a 2xx."""
        self.within(invite, answer, "ACK", cseq=invite.cseq.number)

    def within(self, invite: Request, answer: Response, method: str, *more: str, cseq: int = 2) -> Request:
        """Send a request of the dialog that an INVITE of this peer has made."""
        routes = tuple(f"Route: {route}" for route in reversed(answer.headers.all("record-route")))
        return self.ask(
            method,
            uri_of(answer.headers.get("contact")),
            *routes,
            *more,
            call=invite.call_id,
            cseq=cseq,
            who=answer.headers.get("from") or "",
            to=answer.headers.get("to") or "",
        )

    def back(self, invite: Request, method: str, *more: str, cseq: int = 1, tag: str = "far") -> Request:
        """Send a request of the dialog that an INVITE to this peer has made."""
        routes = tuple(f"Route: {route}" for route in invite.headers.all("record-route"))
        return self.ask(
            method,
            uri_of(invite.headers.get("contact")),
            *routes,
            *more,
            call=invite.call_id,
            cseq=cseq,
            who=f"{invite.headers.get('to')};tag={tag}",
            to=invite.headers.get("from") or "",
        )

    def register(
        self,
        contact: str = "<sip:100@127.0.0.1:6000>",
        *more: str,
        expires_s: int = 600,
        cseq: int = 1,
        aor: str = "100",
    ) -> Response:
        """Register, at a registrar that says yes to everything."""
        address = f"<sip:{aor}@pbx.example.com>"
        self.ask(
            "REGISTER", "sip:pbx.example.com", f"Contact: {contact}", f"Expires: {expires_s}", *more,
            call=f"register-{aor}-{self.address[1]}", cseq=cseq, who=f"{address};tag=r", to=address,
        )  # fmt: skip
        request = self.room.pbx.got("REGISTER")
        kept = tuple(
            ("contact", f"{value};expires={expires_s}")
            for value in request.headers.all("contact")
            if "expires=0" not in value and expires_s
        )
        self.room.pbx.answer(request, 200, *kept)
        return self.heard(200)


def uri_of(contact: str | None) -> str:
    """Give the URI of a Contact with brackets."""
    return (contact or "").partition("<")[2].partition(">")[0]


def with_child(room: Room, child: Address | None) -> None:
    """Have another child, or none."""
    room.router.faces = replace(room.router.faces, child=child)


def _first(message: Request | Response) -> str:
    return message.method if isinstance(message, Request) else str(message.status)
