"""A whole call over a network that loses the messages that a script says, by the gateway's own timers."""

from collections import deque

from callseal.agent.sip.events import Event, Invited
from callseal.agent.sip.flow import Outgoing
from callseal.agent.sip.message import Response, parse_message
from support.sip_caller import ANSWER, SDP, SDP_TYPE, SipCaller, read

STEP_S = 0.5
TALK_S = 5.0
LONGEST_S = 120.0


class LossyCall:
    """INVITE, ACK and BYE, sent again as in RFC 3261 sections 13.2 and 17.1; `lost` is used up in order."""

    def __init__(self, lost: list[bool]) -> None:
        self._lost = deque(lost)
        self._caller = SipCaller()
        self.endpoint = self._caller.endpoint
        self.events: list[Event] = []
        self.is_over = False
        self._asking = self._caller.write("INVITE", body=SDP)
        self._pause_s = STEP_S
        self._next_s = 0.0
        self._is_ringing = False
        self._bye_at_s: float | None = None

    def run(self) -> None:
        """Go on until the gateway has the answer to its BYE, and then until all is forgotten."""
        now_s = 0.0
        while not self.is_over and now_s < LONGEST_S:
            self._ask_again(now_s)
            self.endpoint.tick(now_s)
            self._listen(now_s)
            now_s += STEP_S
        self.endpoint.tick(now_s + LONGEST_S)
        self._listen(now_s)

    def _ask_again(self, now_s: float) -> None:
        if self._bye_at_s is not None and now_s >= self._bye_at_s:
            self._bye_at_s = None
            self._asking, self._pause_s, self._next_s = self._caller.write("BYE"), STEP_S, now_s
            self._is_ringing = False
        if self._asking and not self._is_ringing and now_s >= self._next_s:
            self._next_s, self._pause_s = now_s + self._pause_s, self._pause_s * 2
            self._send(self._asking, now_s)

    def _send(self, data: bytes, now_s: float) -> None:
        if not self._is_lost():
            self.endpoint.receive(parse_message(data, is_stream=False), self._caller.flow, now_s)
            self._answer(now_s)

    def _answer(self, now_s: float) -> None:
        events = self.endpoint.take_events()
        self.events += events
        for event in events:
            if isinstance(event, Invited):
                self.endpoint.accept(event.transaction, body=ANSWER, content_type=SDP_TYPE, now_s=now_s)

    def _listen(self, now_s: float) -> None:
        self._answer(now_s)
        while outgoing := self.endpoint.take_outgoing():
            for each in outgoing:
                if not self._is_lost():
                    self._hear(each, now_s)

    def _hear(self, outgoing: Outgoing, now_s: float) -> None:
        response = read(outgoing)
        assert isinstance(response, Response)
        if response.cseq.method == "BYE":
            self.is_over = True
        elif response.status == 100:
            self._is_ringing = True
        elif response.status == 200:
            if not self._caller.to_tag:
                self._caller.to_tag = response.to_tag
                self._asking, self._bye_at_s = b"", now_s + TALK_S
            self._send(self._caller.write("ACK", cseq=1), now_s)

    def _is_lost(self) -> bool:
        return bool(self._lost) and self._lost.popleft()
