"""Anything at all: whatever the three sides send, the edge raises nothing and sends to nobody else."""

from dataclasses import replace
from typing import Literal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from callseal.agent.errors import SipSyntaxError
from callseal.agent.sip.flow import Transport
from callseal.agent.sip.message import Request, parse_message
from callseal.agent.sip.proxying import Forward
from callseal.agent.sources.bridge.edge.bindings import MAX_BINDINGS
from callseal.agent.sources.bridge.edge.gate import Admission
from callseal.agent.sources.bridge.edge.places import MAX_PLACES
from support.edge_room import CHILD_AT, EDGE, FACES, PBX_AT, Peer, Room

METHODS = (
    "INVITE",
    "ACK",
    "BYE",
    "CANCEL",
    "REGISTER",
    "SUBSCRIBE",
    "NOTIFY",
    "REFER",
    "UPDATE",
    "OPTIONS",
    "X",
)
USERS = ("", "100@", "200@", "callseal-line@", "callseal-phone@", "a;b=c@", "x@y@", "%00@", "100:pw@", "é@")
HOSTS = (
    "127.0.0.1:6000", "127.0.0.1:6002", "localhost:6000", "127.0.0.1", "localhost", "127.0.0.1:40000",
    "127.0.0.1:40001", "192.0.2.10:5060", "192.0.2.10", "192.0.2.1", "pbx.example.com", "203.0.113.66",
    "[::1]:5060", "[::ffff:127.0.0.1]:6000", "[", ":0", "127.0.0.1:99999", "",
)  # fmt: skip
PARAMS = (
    "", ";lr", ";lr;cs=line", ";lr;cs=pbx", ";lr;cs=phone", ";cs", ";transport=tcp", ";transport=x",
    ";maddr=203.0.113.66", ";gr", ";gr=urn:uuid:1", ";expires=0", "?Replaces=a%3Bto-tag%3Db", ";method=BYE",
)  # fmt: skip
SCHEMES = ("sip:", "sip:", "sip:", "sips:", "tel:", "SIP:", "x:", "")
NAMES = (
    "Contact", "Contact", "Route", "Route", "Record-Route", "Expires", "P-Asserted-Identity", "Refer-To",
    "X-Callseal-Call", "X-Callseal-To", "Proxy-Authorization", "Replaces", "Session-Expires",
)  # fmt: skip
OTHERS = (
    "*",
    "0",
    "99999999999",
    "pbx",
    "phone",
    '"',
    "<",
    "<<>>",
    "a,b",
    "<sip:100@127.0.0.1:6000>;expires=60;q=1",
)

Way = Literal["line", "pass", "refuse", "wait"]

uris = st.builds("".join, st.tuples(*map(st.sampled_from, (SCHEMES, USERS, HOSTS, PARAMS))))
values = st.one_of(
    uris.map("<{}>".format),
    uris,
    st.sampled_from(OTHERS),
    st.lists(uris.map("<{}>".format), min_size=2, max_size=12).map(", ".join),
    st.tuples(uris, st.sampled_from(PARAMS)).map(lambda pair: f'"x, <y>" <{pair[0]}>{pair[1]}'),
    st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF), max_size=40),
)
lines = st.lists(st.tuples(st.sampled_from(NAMES), values).map(": ".join), max_size=5)
WAYS: tuple[Way, ...] = ("line", "pass", "refuse", "wait")
ALLOWED = {
    ("phone", PHONE_AT) for PHONE_AT in (("127.0.0.1", 6000), ("127.0.0.1", 6002), ("127.0.0.1", 5060))
}
ALLOWED |= {("pbx", PBX_AT), ("line", CHILD_AT)}


class Storm(RuleBasedStateMachine):
    """Three sides that do what they like."""

    @initialize(way=st.sampled_from(WAYS), configured=st.sampled_from(("", "sip:desk@127.0.0.1:6002")))
    def begin(self, way: Way, configured: str) -> None:
        self.room = Room(configured=configured)
        self.room.gate.admission = Admission(way=way)
        second = Peer(self.room, "phone", ("127.0.0.1", 6002))
        by_tcp = Peer(self.room, "phone", ("127.0.0.1", 6002), transport=Transport.TCP, connection=4)
        self.peers = [self.room.phone, second, by_tcp, self.room.pbx, self.room.child]
        self.now_s = 0.0

    @rule(
        who=st.integers(0, 4),
        method=st.sampled_from(METHODS),
        uri=uris,
        more=lines,
        tags=st.tuples(st.sampled_from(("", ";tag=a", ";tag=b")), st.sampled_from((";tag=a", ";tag=b"))),
        call=st.sampled_from("xyz"),
        cseq=st.integers(1, 3),
        branch=st.integers(1, 9),
    )
    def send(
        self,
        *,
        who: int,
        method: str,
        uri: str,
        more: list[str],
        tags: tuple[str, str],
        call: str,
        cseq: int,
        branch: int,
    ) -> None:
        peer = self.peers[who]
        to, near = (
            f"<sip:{number}@pbx.example.com>{tag}" for number, tag in zip((200, 100), tags, strict=True)
        )
        data = peer.write(
            method, uri, *more, call=call, cseq=cseq, branch=f"z9hG4bK{branch}", who=near, to=to, body="v=0"
        )  # fmt: skip
        try:
            message = parse_message(data, is_stream=False)
        except SipSyntaxError as error:
            self.room.proxy.reject_malformed(error, peer.flow, self.room.now_s)
            self.room.pump()
            return
        self.room.deliver(message, peer.flow)

    @rule(
        who=st.integers(0, 4),
        which=st.integers(0, 9),
        status=st.sampled_from((100, 180, 200, 200, 302, 401, 407, 481, 486, 503)),
        more=st.lists(
            st.tuples(st.sampled_from(("contact", "expires", "p-asserted-identity")), values), max_size=3
        ),
    )
    def answer(self, *, who: int, which: int, status: int, more: list[tuple[str, str]]) -> None:
        peer = self.peers[who]
        asked = [
            message for message in peer.inbox if isinstance(message, Request) and message.method != "ACK"
        ]
        if asked:
            peer.answer(asked[which % len(asked)], status, *(pair for pair in more if pair[1].isprintable()))

    @rule(who=st.integers(0, 4), which=st.integers(0, 9), method=st.sampled_from(METHODS))
    def go_on(self, *, who: int, which: int, method: str) -> None:
        peer = self.peers[who]
        invites = [each for each in peer.inbox if isinstance(each, Request) and each.method == "INVITE"]
        if invites:
            invite = invites[which % len(invites)]
            uri = invite.headers.get("contact") or ""
            routes = tuple(f"Route: {route}" for route in invite.headers.all("record-route"))
            data = peer.write(
                method, uri.partition("<")[2].partition(">")[0] or "sip:x", *routes, call=invite.call_id,
                who=f"{invite.headers.get('to')};tag=far", to=invite.headers.get("from") or "",
            )  # fmt: skip
            try:
                self.room.deliver(parse_message(data, is_stream=False), peer.flow)
            except SipSyntaxError:
                return

    @rule(seconds=st.sampled_from((0.6, 5.0, 40.0, 4000.0)))
    def wait(self, seconds: float) -> None:
        self.room.wait(seconds)

    @rule()
    def lose_the_child(self) -> None:
        room = self.room
        room.proxy.abandon_from("line", room.now_s)
        room.proxy.abandon_to("line", 503, "Service Unavailable", room.now_s)
        for request, hop in room.router.take_endings():
            room.proxy.originate(request, hop, room.now_s)
        room.router.faces = replace(room.router.faces, child=None)
        room.pump()

    @rule()
    def have_another_child(self) -> None:
        self.room.router.faces = replace(self.room.router.faces, child=CHILD_AT)

    @rule(way=st.sampled_from(WAYS))
    def decide(self, way: Way) -> None:
        self.room.gate.admission = Admission(way=way)

    @invariant()
    def nothing_grows_without_end(self) -> None:
        if hasattr(self, "room"):
            assert len(self.room.router.registrations(self.room.now_s)) <= MAX_BINDINGS


TestStorm = Storm.TestCase
TestStorm.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(
    who=st.integers(0, 2),
    method=st.sampled_from(METHODS),
    uri=uris,
    more=lines,
    to=st.sampled_from(("", ";tag=x")),
    way=st.sampled_from(WAYS),
)
def test_a_single_message_goes_to_one_of_the_three_or_nowhere(
    *, who: int, method: str, uri: str, more: list[str], to: str, way: Way
) -> None:
    room = Room()
    room.gate.admission = Admission(way=way)
    room.phone.register()
    peer = (room.phone, room.pbx, room.child)[who]
    try:
        request = parse_message(
            peer.write(method, uri, *more, to=f"<sip:200@pbx.example.com>{to}"), is_stream=False
        )
    except SipSyntaxError:
        return

    assert isinstance(request, Request)
    decision = room.router.route(request, peer.flow, 0.0)

    if isinstance(decision, Forward):
        assert (decision.hop.flow.face, decision.hop.destination) in ALLOWED - {("phone", EDGE)}
        assert bytes(decision.request)


def test_telephones_that_are_heard_of_once_do_not_pile_up() -> None:
    room = Room(FACES)
    room.phone.register()

    for number in range(500):
        room.phone.ask(
            "SUBSCRIBE",
            "sip:200@pbx.example.com",
            f"Contact: <sip:{number}@127.0.0.1:6000>",
            call=str(number),
        )

    places = [number for number in range(500) if room.router.bindings.find(str(number), 0.0) is not None]
    assert len(places) == MAX_PLACES
    assert {499, 100} <= set(places)
