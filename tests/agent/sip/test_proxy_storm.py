"""Anything at all: whatever peers send and the router does, the proxy answers, forgets and goes on."""

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from callseal.agent.sip.flow import Transport
from callseal.agent.sip.headers import Headers
from callseal.agent.sip.message import Request, Response, respond
from callseal.agent.sip.proxy_limits import ProxyLimits
from callseal.agent.sip.proxying import Drop, Forward, Hop, Reply
from support.proxy_room import PBX, PHONE, Decision, Party, ProxyRoom

LIMITS = ProxyLimits(transactions=30, pending=6, stored_bytes=60_000)
ROOM_BYTES = 20_000
"""No message in here has more, nor do a request and its copy: by so much the limit may be passed once."""
METHODS = ("INVITE", "INVITE", "INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "REGISTER", "x")
STATUSES = (100, 180, 183, 199, 200, 200, 202, 302, 401, 408, 486, 487, 503, 603)
MOODS = (
    "forward",
    "forward",
    "forward",
    "forward",
    "reply",
    "answer early",
    "drop",
    "raise",
    "spoil",
    "strip",
)
FOREVER_S = 180.0 + 3 * 32.0 + 5.0
"""Timer C, then for the end of what is cancelled, then for what may be sent again."""


class Storm(RuleBasedStateMachine):
    """Peers that do what they like, and a router in all its moods."""

    def __init__(self) -> None:
        super().__init__()
        self.room = ProxyRoom(pbx=Transport.TCP, limits=LIMITS)
        self.room.router.decide = self._decide
        self.room.router.change = self._change
        self.mood = "forward"
        self.requests: list[tuple[Party, Request]] = []
        """What the parties have heard."""
        self.sent: list[tuple[Party, Request | Response]] = []
        """What they have said."""

    @rule(
        phone=st.booleans(),
        method=st.sampled_from(METHODS),
        number=st.integers(1, 3),
        branch=st.integers(1, 3),
        tag=st.sampled_from(("", "", "far")),
        hops=st.sampled_from(
            ("", "Max-Forwards: 70", "Max-Forwards: 70", "Max-Forwards: 1", "Max-Forwards: 0")
        ),
        size=st.sampled_from((0, 0, 6000)),
    )
    def ask(
        self, *, phone: bool, method: str, number: int, branch: int, tag: str, hops: str, size: int
    ) -> None:
        party = self.room.phone if phone else self.room.pbx
        request = party.write(
            method, number=number, branch=f"z9hG4bK-{branch}", to_tag=tag, hops=hops, body=size * b"x"
        )
        self._say(party, request)

    @precondition(lambda self: self.requests)
    @rule(
        which=st.integers(0, 99),
        status=st.sampled_from(STATUSES),
        tag=st.sampled_from(("far", "other")),
        size=st.sampled_from((0, 0, 6000)),
    )
    def answer(self, which: int, status: int, tag: str, size: int) -> None:
        party, request = self.requests[which % len(self.requests)]
        response = respond(request, status, "Said", to_tag=tag, body=size * b"x", content_type="text/plain")
        self._say(party, response)

    @precondition(lambda self: self.requests)
    @rule(which=st.integers(0, 99), method=st.sampled_from(METHODS))
    def answer_something_else(self, which: int, method: str) -> None:
        party, request = self.requests[which % len(self.requests)]
        other = request.with_headers(request.headers.with_first("cseq", f"1 {method}"))
        self._say(party, respond(other, 200, "Said", to_tag="far"))

    @precondition(lambda self: self.sent)
    @rule(which=st.integers(0, 99), crossed=st.booleans())
    def repeat(self, *, which: int, crossed: bool) -> None:
        party, message = self.sent[which % len(self.sent)]
        other = self.room.pbx if party is self.room.phone else self.room.phone
        self._say(other if crossed else party, message)

    @rule(data=st.binary(max_size=60))
    def say_nonsense(self, data: bytes) -> None:
        self.room.send(self.room.phone, b"OPTIONS sip:a@b SIP/2.0\n" + data)

    @rule(mood=st.sampled_from(MOODS))
    def change_mood(self, mood: str) -> None:
        self.mood = mood

    @precondition(lambda self: self.room.sent)
    @rule(which=st.integers(0, 99))
    def fail_to_send(self, which: int) -> None:
        self.room.proxy.undelivered(self.room.sent[-1 - which % len(self.room.sent)], self.room.now_s)
        self._hear()

    @rule(face=st.sampled_from(("phone", "pbx")))
    def lose_whoever_asked(self, face: str) -> None:
        self.room.proxy.abandon_from(face, self.room.now_s)
        self._hear()

    @rule(face=st.sampled_from(("phone", "pbx")))
    def lose_whoever_was_asked(self, face: str) -> None:
        self.room.proxy.abandon_to(face, 503, "Gone", self.room.now_s)
        self._hear()

    @precondition(lambda self: len(self.requests) < 50)
    @rule(method=st.sampled_from(("BYE", "ACK", "OPTIONS")))
    def ask_by_ourselves(self, method: str) -> None:
        request = self.room.phone.write(method, number=9, to_tag="far")
        if self.room.proxy.counts.transactions < LIMITS.transactions:
            self.room.proxy.originate(request, Hop(flow=self.room.pbx.flow, destination=PBX), self.room.now_s)
        self._hear()

    @rule(seconds=st.sampled_from((0.1, 0.6, 3.0, 5.0, 33.0, 185.0)))
    def wait(self, seconds: float) -> None:
        self.room.wait(seconds)
        self._hear()

    @invariant()
    def limits_are_kept(self) -> None:
        counts = self.room.proxy.counts
        assert 0 <= counts.pending <= counts.transactions <= LIMITS.transactions + 1 + LIMITS.pending
        assert 0 <= counts.stored_bytes <= LIMITS.stored_bytes + ROOM_BYTES
        assert len(self.room.proxy.take_faults()) <= 16

    @invariant()
    def what_waits_has_an_end(self) -> None:
        assert (self.room.proxy.due_s() is None) == (self.room.proxy.counts.transactions == 0)

    @invariant()
    def everything_goes_to_one_of_the_two(self) -> None:
        assert {(one.flow.face, one.destination[0]) for one in self.room.sent} <= {
            ("phone", PHONE[0]),
            ("pbx", PBX[0]),
        }

    def teardown(self) -> None:
        self.room.wait(FOREVER_S)
        assert self.room.is_empty()

    def _say(self, party: Party, message: Request | Response) -> None:
        self.sent.append((party, message))
        self.room.send(party, message)
        self._hear()

    def _hear(self) -> None:
        self.room.pump()
        for party in (self.room.phone, self.room.pbx):
            self.requests += [(party, one) for one in party.take() if isinstance(one, Request)]

    def _decide(self, request: Request) -> Decision | None:
        hop = self.room.router.hops["phone"]
        match self.mood:
            case "reply":
                return Reply(status=404, reason="No", body=b"no", content_type="text/plain")
            case "answer early":
                return Reply(status=180, reason="No")
            case "drop":
                return Drop()
            case "raise":
                raise RuntimeError
            case "spoil":
                return Forward(request=replace(request, uri="sip:a b\r\n"), hop=hop)
            case "strip" if request.method != "ACK":  # of which nothing is read here
                return Forward(request=request.with_headers(Headers(fields=())), hop=hop)
        return None

    def _change(self, response: Response) -> Response:
        match self.mood:
            case "raise":
                raise RuntimeError
            case "spoil":
                return replace(response, reason="\n")
            case "strip":
                return replace(response, status=200 if response.status < 200 else 100)
        return response


TestStorm = Storm.TestCase
TestStorm.settings = settings(max_examples=120, stateful_step_count=60, deadline=None)
