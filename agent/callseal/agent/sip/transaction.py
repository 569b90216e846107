"""Transactions: a request with its answers, and what is sent again until the other side has heard.

The state machines are the tables below, from RFC 3261 section 17 (figures 6, 7 and 8) as amended by RFC 6026.
What a table doesn't have is ignored in that state. `table_text` gives them as text.

One thing is drawn together that the RFCs divide: a 2xx answer to INVITE is sent again by the transaction's
user there, by the transaction here, over reliable transports too (section 13.3.1.4). Hence the state
CONFIRMED_2XX, which is RFC 6026's Accepted after the ACK.

Conventions: seconds; a transaction decides, its endpoint sends.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from callseal.agent.sip.events import DialogId
from callseal.agent.sip.flow import Flow
from callseal.agent.sip.limits import GIVE_UP_S, T1_S, T2_S, T4_S
from callseal.agent.sip.message import Request

Key = tuple[str, str, str, int, str, str]
"""Branch, sent-by, Call-ID, CSeq number, From tag and method."""


class State(Enum):
    """Where a transaction stands."""

    TRYING = "trying"
    PROCEEDING = "proceeding"
    ACCEPTED = "accepted"
    CONFIRMED_2XX = "confirmed-2xx"
    COMPLETED = "completed"
    CONFIRMED = "confirmed"
    TERMINATED = "terminated"


class Input(Enum):
    """What happens to a transaction."""

    REQUEST = "the request again"
    ACK = "ACK"
    PROVISIONAL = "1xx"
    SUCCESS = "2xx"
    FAILURE = "300-699"
    RESEND = "time to send again"
    END = "time is up"


class Action(Enum):
    """What is to be done about it."""

    NOTHING = "nothing"
    SEND = "send"
    TELL = "tell"
    GIVE_UP = "give up"


Step = tuple[State, Action]
Table = Mapping[tuple[State, Input], Step]

_HEARD: Final = (State.CONFIRMED, State.CONFIRMED_2XX)
"""The answer has arrived: it is not sent again."""

_INVITE_SERVER: Final[Table] = {
    (State.PROCEEDING, Input.REQUEST): (State.PROCEEDING, Action.SEND),
    (State.PROCEEDING, Input.PROVISIONAL): (State.PROCEEDING, Action.SEND),
    (State.PROCEEDING, Input.SUCCESS): (State.ACCEPTED, Action.SEND),
    (State.PROCEEDING, Input.FAILURE): (State.COMPLETED, Action.SEND),
    (State.PROCEEDING, Input.END): (State.PROCEEDING, Action.GIVE_UP),
    (State.ACCEPTED, Input.REQUEST): (State.ACCEPTED, Action.SEND),
    (State.ACCEPTED, Input.RESEND): (State.ACCEPTED, Action.SEND),
    (State.ACCEPTED, Input.ACK): (State.CONFIRMED_2XX, Action.TELL),
    (State.ACCEPTED, Input.END): (State.TERMINATED, Action.GIVE_UP),
    (State.CONFIRMED_2XX, Input.END): (State.TERMINATED, Action.NOTHING),
    (State.COMPLETED, Input.REQUEST): (State.COMPLETED, Action.SEND),
    (State.COMPLETED, Input.RESEND): (State.COMPLETED, Action.SEND),
    (State.COMPLETED, Input.ACK): (State.CONFIRMED, Action.NOTHING),
    (State.COMPLETED, Input.END): (State.TERMINATED, Action.NOTHING),
    (State.CONFIRMED, Input.END): (State.TERMINATED, Action.NOTHING),
}
"""RFC 3261 figure 7 with RFC 6026 figure 5. PROCEEDING's time is the application's (`Limits.answer_s`)."""

_SERVER: Final[Table] = {
    (State.TRYING, Input.SUCCESS): (State.COMPLETED, Action.SEND),
    (State.TRYING, Input.FAILURE): (State.COMPLETED, Action.SEND),
    (State.TRYING, Input.END): (State.TRYING, Action.GIVE_UP),
    (State.COMPLETED, Input.REQUEST): (State.COMPLETED, Action.SEND),
    (State.COMPLETED, Input.END): (State.TERMINATED, Action.NOTHING),
}
"""RFC 3261 figure 8."""

_CLIENT: Final[Table] = {
    (State.TRYING, Input.RESEND): (State.TRYING, Action.SEND),
    (State.TRYING, Input.PROVISIONAL): (State.PROCEEDING, Action.NOTHING),
    (State.TRYING, Input.SUCCESS): (State.COMPLETED, Action.TELL),
    (State.TRYING, Input.FAILURE): (State.COMPLETED, Action.TELL),
    (State.TRYING, Input.END): (State.TERMINATED, Action.GIVE_UP),
    (State.PROCEEDING, Input.RESEND): (State.PROCEEDING, Action.SEND),
    (State.PROCEEDING, Input.SUCCESS): (State.COMPLETED, Action.TELL),
    (State.PROCEEDING, Input.FAILURE): (State.COMPLETED, Action.TELL),
    (State.PROCEEDING, Input.END): (State.TERMINATED, Action.GIVE_UP),
    (State.COMPLETED, Input.END): (State.TERMINATED, Action.NOTHING),
}
"""RFC 3261 figure 6: requests of our own other than INVITE."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long a state lasts once it is entered; None leaves what was set before."""

    lasts_s: float | None
    lasts_reliably_s: float | None
    """The same over reliable transports."""
    resends: bool = False
    resends_reliably: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A kind of transaction."""

    name: str
    begins: State
    table: Table
    timings: Mapping[State, Timing]
    """Timers G to L, E, F and K of RFC 3261 table 4, and L of RFC 6026."""


INVITE_SERVER: Final = Machine(
    name="INVITE, server",
    begins=State.PROCEEDING,
    table=_INVITE_SERVER,
    timings={
        State.ACCEPTED: Timing(
            lasts_s=GIVE_UP_S, lasts_reliably_s=GIVE_UP_S, resends=True, resends_reliably=True
        ),
        State.COMPLETED: Timing(lasts_s=GIVE_UP_S, lasts_reliably_s=GIVE_UP_S, resends=True),
        State.CONFIRMED: Timing(lasts_s=T4_S, lasts_reliably_s=0.0),
    },
)
SERVER: Final = Machine(
    name="other requests, server",
    begins=State.TRYING,
    table=_SERVER,
    timings={State.COMPLETED: Timing(lasts_s=GIVE_UP_S, lasts_reliably_s=0.0)},
)
CLIENT: Final = Machine(
    name="other requests, client",
    begins=State.TRYING,
    table=_CLIENT,
    timings={
        State.TRYING: Timing(lasts_s=GIVE_UP_S, lasts_reliably_s=GIVE_UP_S, resends=True),
        State.PROCEEDING: Timing(lasts_s=None, lasts_reliably_s=None, resends=True),
        State.COMPLETED: Timing(lasts_s=T4_S, lasts_reliably_s=0.0),
    },
)
MACHINES: Final = (INVITE_SERVER, SERVER, CLIENT)


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
            self._pause_s = min(2 * self._pause_s, T2_S)
            self._resend_s = now_s + self._pause_s
        return action

    def on_time(self, now_s: float) -> Action:
        """Do what is due."""
        return self.take(Input.END if self.end_s <= now_s else Input.RESEND, now_s)

    def _enter(self, state: State, now_s: float) -> None:
        self.state = state
        self._resend_s = math.inf
        if state in _HEARD:
            self.data = b""
        timing = self.machine.timings.get(state)
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


def table_text(machine: Machine) -> str:
    """Return a machine's table as Markdown: state, what happens, next state, what is done."""
    rows = ["| state | on | next | do |", "| --- | --- | --- | --- |"]
    rows += [
        f"| {state.value} | {what.value} | {after.value} | {action.value} |"
        for (state, what), (after, action) in machine.table.items()
    ]
    return "\n".join(rows) + "\n"
