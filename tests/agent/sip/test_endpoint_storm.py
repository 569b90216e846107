"""Anything at all: whatever peers send, in whatever order, the endpoint answers, forgets and goes on."""

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from callseal.agent.sip.events import Asked, DialogId, Ended, Invited
from callseal.agent.sip.flow import Transport
from callseal.agent.sip.limits import Limits
from callseal.agent.sip.message import parse_message
from support.sip_caller import (
    ANSWER,
    METADATA,
    METADATA_TYPE,
    SDP,
    SDP_TYPE,
    SipCaller,
    answer_to,
    flow_over,
    statuses,
)

LIMITS = Limits(dialogs=4, transactions=40, pending=4, pending_in_dialog=2, stored_bytes=60_000)
METHODS = ("INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "UPDATE", "INFO", "PRACK", "REGISTER")
HEADERS = (
    "",
    "Require: siprec",
    "Require: foo",
    "Supported: timer\nSession-Expires: 90;refresher=uac",
    "Supported: timer\nSession-Expires: 91;refresher=uas\nAllow: UPDATE",
    "Session-Expires: 5\nMin-SE: x",
    "Contact: <<<>>>\nRecord-Route: <sip:192.0.2.7>",
)
BODIES = ((b"", SDP_TYPE), (SDP, SDP_TYPE), (METADATA, METADATA_TYPE), (b"\xff" * 3000, "multipart/mixed"))


class Storm(RuleBasedStateMachine):
    """Peers that do what they like, and an application that answers when it likes."""

    def __init__(self) -> None:
        super().__init__()
        first = SipCaller(limits=LIMITS, flow=flow_over(Transport.UDP))
        transports = (Transport.TCP, Transport.UDP, Transport.TLS, Transport.UDP)
        others = [
            SipCaller(first.endpoint, call_id=f"call-{number}", flow=flow_over(transport))
            for number, transport in enumerate(transports, 2)
        ]
        self.callers = [first, *others]
        self.endpoint = first.endpoint
        self.now_s = 0.0
        self.waiting: list[Invited | Asked] = []
        self.tags = ["", "unknown"]
        self.sent: list[bytes] = []
        self.open: set[DialogId] = set()
        self.requests_of_ours: list[bytes] = []

    @rule(
        who=st.integers(0, 4),
        method=st.sampled_from(METHODS),
        tag=st.integers(0, 9),
        cseq=st.integers(1, 6),
        branch=st.integers(1, 6),
        headers=st.sampled_from(HEADERS),
        body=st.sampled_from(BODIES),
    )
    def send(
        self,
        *,
        who: int,
        method: str,
        tag: int,
        cseq: int,
        branch: int,
        headers: str,
        body: tuple[bytes, str],
    ) -> None:
        caller = self.callers[who]
        data = caller.write(
            method,
            cseq=cseq,
            branch=f"z9hG4bK-{branch}",
            headers=headers,
            body=body[0],
            content_type=body[1],
            to_tag=self.tags[tag % len(self.tags)],
        )
        self.sent.append(data)
        self._deliver(caller, data)

    @precondition(lambda self: self.sent)
    @rule(which=st.integers(0, 99), who=st.integers(0, 4))
    def repeat(self, which: int, who: int) -> None:
        self._deliver(self.callers[who], self.sent[which % len(self.sent)])

    @precondition(lambda self: self.waiting)
    @rule(which=st.integers(0, 9), status=st.sampled_from((200, 200, 200, 404, 503)))
    def answer(self, which: int, status: int) -> None:
        event = self.waiting.pop(which % len(self.waiting))
        if status != 200:
            self.endpoint.reject(event.transaction, status, "No", now_s=self.now_s)
        elif self.endpoint.accept(
            event.transaction, body=ANSWER, content_type=SDP_TYPE, now_s=self.now_s
        ) and isinstance(event, Invited):
            self.open.add(event.dialog)
        self._look()

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0, 9))
    def hang_up(self, which: int) -> None:
        dialogs = sorted(self.open, key=str)
        self.endpoint.hang_up(dialogs[which % len(dialogs)], self.now_s)
        self._look()

    @precondition(lambda self: self.requests_of_ours)
    @rule(status=st.sampled_from((100, 200, 405, 408, 422, 481, 500)))
    def answer_ours(self, status: int) -> None:
        caller = self.callers[0]
        request = parse_message(self.requests_of_ours.pop(), is_stream=True)
        self._deliver(caller, answer_to(request, status, "Something", "Min-SE: 700"))

    @rule(ready=st.booleans())
    def readiness(self, ready: bool) -> None:  # noqa: FBT001 - as the method's
        self.endpoint.set_readiness(ready)

    @rule(seconds=st.sampled_from((0.1, 0.5, 3.0, 33.0, 500.0)))
    def wait(self, seconds: float) -> None:
        self.now_s += seconds
        self.endpoint.tick(self.now_s)
        self._look()

    @invariant()
    def stays_within_its_limits(self) -> None:
        counts = self.endpoint.counts
        assert counts.dialogs <= LIMITS.dialogs
        assert counts.pending <= LIMITS.pending
        # Requests of our own, which end dialogs, come on top: one or two a dialog.
        assert counts.transactions <= LIMITS.transactions + 2 * len(self.sent)
        assert 0 <= counts.stored_bytes <= LIMITS.stored_bytes + 20_000
        assert set(self.endpoint.dialogs) >= self.open

    def teardown(self) -> None:
        self.endpoint.tick(self.now_s + 100.0)
        for dialog in self.endpoint.dialogs:
            self.endpoint.hang_up(dialog, self.now_s + 100.0)
        self.endpoint.tick(self.now_s + 200.0)
        self.endpoint.tick(self.now_s + 300.0)
        self._look()
        counts = self.endpoint.counts
        assert (counts.dialogs, counts.transactions, counts.pending, counts.stored_bytes) == (0, 0, 0, 0)
        assert self.open == set()
        assert self.endpoint.due_s() is None

    def _deliver(self, caller: SipCaller, data: bytes) -> None:
        caller.now_s = self.now_s
        caller.hand_over(data)
        self._look()

    def _look(self) -> None:
        for outgoing in self.endpoint.take_outgoing():
            if not outgoing.data.startswith(b"SIP/2.0"):
                self.requests_of_ours.append(outgoing.data)
        for event in self.endpoint.take_events():
            if isinstance(event, Invited | Asked):
                self.waiting.append(event)
            if isinstance(event, Invited):
                self.tags.append(event.dialog.local_tag)
            if isinstance(event, Ended):
                self.open.discard(event.dialog)


@given(
    method=st.sampled_from(METHODS),
    at=st.floats(0, 1),
    cut=st.integers(0, 40),
    garbage=st.binary(max_size=40),
    is_second=st.booleans(),
)
def test_a_damaged_message_harms_no_call(
    *, method: str, at: float, cut: int, garbage: bytes, is_second: bool
) -> None:
    caller = SipCaller()
    beside = SipCaller(caller.endpoint, call_id="beside")
    running = beside.established()
    if is_second:
        caller.established()
    data = caller.write(method, body=SDP, headers="Require: siprec\nSupported: timer\nSession-Expires: 600")
    place = int(at * len(data))

    caller.hand_over(data[:place] + garbage + data[place + cut :])
    caller.endpoint.take_outgoing()  # an answer may be as damaged as its request

    assert running.dialog in caller.endpoint.dialogs
    assert statuses(beside.send("BYE"))[-1:] == [200]


TestStorm = Storm.TestCase
TestStorm.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)
