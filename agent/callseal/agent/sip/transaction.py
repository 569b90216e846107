"""Transactions: a request with its answers, and what is sent again until the other side has heard.

What happens when is in the tables of `transaction_machines`.

Conventions: seconds; a transaction decides, its endpoint or proxy sends.
"""

import math
from typing import Final

from callseal.agent.sip.events import DialogId
from callseal.agent.sip.flow import Flow
from callseal.agent.sip.limits import T1_S, T2_S
from callseal.agent.sip.message import Request
from callseal.agent.sip.transaction_machines import (
    CLIENT,
    INVITE_CLIENT,
    INVITE_PROXIED,
    INVITE_SERVER,
    MACHINES,
    SERVER,
    Action,
    Input,
    Machine,
    State,
    table_text,
)

__all__ = [
    "CLIENT",
    "INVITE_CLIENT",
    "INVITE_PROXIED",
    "INVITE_SERVER",
    "MACHINES",
    "SERVER",
    "Action",
    "Input",
    "Key",
    "Machine",
    "State",
    "Transaction",
    "table_text",
]

Key = tuple[str, str, str, int, str, str]
"""Branch, sent-by, Call-ID, CSeq number, From tag and method."""

_HEARD: Final = (State.CONFIRMED, State.CONFIRMED_2XX)
"""The answer has arrived: it is not sent again."""


class Transaction:
    """One transaction. `request` is there while the answer is not; `data` is what may be sent again."""

    __slots__ = (
        "_pause_s",
        "_resend_s",
        "data",
        "destination",
        "dialog",
        "end_s",
        "flow",
        "held_bytes",
        "id",
        "key",
        "local_tag",
        "machine",
        "request",
        "request_bytes",
        "state",
    )

    def __init__(
        self,
        machine: Machine,
        number: int,
        key: Key,
        *,
        flow: Flow,
        destination: tuple[str, int],
        request: Request | None = None,
        request_bytes: int = 0,
        local_tag: str = "",
        dialog: DialogId | None = None,
    ) -> None:
        self.machine = machine
        self.id = number
        self.key = key
        self.flow = flow
        self.destination = destination
        self.request = request
        self.request_bytes = request_bytes
        self.local_tag = local_tag
        self.dialog = dialog
        self.state = machine.begins
        self.data = b""
        self.held_bytes = 0
        self.end_s = math.inf
        self._resend_s = math.inf
        self._pause_s = 0.0

    @property
    def number(self) -> int:
        """The request's CSeq number."""
        return self.key[3]

    @property
    def method(self) -> str:
        """The request's method."""
        return self.key[-1]

    @property
    def due_s(self) -> float:
        """When something is to be sent again or the state's time is up."""
        return min(self.end_s, self._resend_s)

    @property
    def is_over(self) -> bool:
        """Whether it is to be forgotten."""
        return self.state is State.TERMINATED

    @property
    def size_bytes(self) -> int:
        """How much text it keeps: its name, the request while that waits, and what may be sent again."""
        branch, sent_by, call_id, _, from_tag, _ = self.key
        name = len(branch) + len(sent_by) + len(call_id) + len(from_tag)
        return name + self.request_bytes + len(self.data)

    def answer(self, data: bytes) -> None:
        """Have an answer to send; the request is not needed any more."""
        self.data = data
        self.request = None
        self.request_bytes = 0

    def begin(self, now_s: float) -> None:
        """Set the timers of the first state."""
        self._enter(self.state, now_s)

    def take(self, what: Input, now_s: float) -> Action:
        """Go on to the next state, and return what is to be done."""
        step = self.machine.table.get((self.state, what))
        if step is None:
            return Action.NOTHING
        state, action = step
        if state is not self.state:
            self._enter(state, now_s)
        elif what is Input.RESEND:
            timing = self.machine.timings[state]
            self._pause_s = min(2 * self._pause_s, timing.longest_pause_s)
            self._resend_s = now_s + self._pause_s
        return action

    def on_time(self, now_s: float) -> Action:
        """Do what is due."""
        return self.take(Input.END if self.end_s <= now_s else Input.RESEND, now_s)

    def _enter(self, state: State, now_s: float) -> None:
        self.state = state
        timing = self.machine.timings.get(state)
        if timing is not None and timing.runs_on:
            return
        self._resend_s = math.inf
        if state in _HEARD:
            self.data = b""
        if timing is None:
            return
        reliable = self.flow.transport.is_reliable
        lasts_s = timing.lasts_reliably_s if reliable else timing.lasts_s
        if lasts_s == 0.0:
            self.state = State.TERMINATED
        elif lasts_s is not None:
            self.end_s = now_s + lasts_s
        if timing.resends_reliably if reliable else timing.resends:
            # Timer E goes on at T2 once a 1xx has come (section 17.1.2.2), every other one begins at T1.
            self._pause_s = T2_S if state is State.PROCEEDING else T1_S
            self._resend_s = now_s + self._pause_s
