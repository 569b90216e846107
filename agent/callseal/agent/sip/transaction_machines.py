"""The state machines of transactions: tables and timers.

From RFC 3261 section 17 (figures 5 to 8) as amended by RFC 6026. What a table doesn't have is ignored in that
state. `table_text` gives them as text.

Two things are drawn together that the RFCs divide. A 2xx answer to INVITE is sent again by the transaction's
user there, by the transaction here, over reliable transports too (section 13.3.1.4). Hence the state
CONFIRMED_2XX, which is RFC 6026's Accepted after the ACK. A proxy's 2xx is sent again by whoever gave it: its
INVITE has a machine of its own. And how an INVITE of ours is cancelled, or rings for too long, is in its
table (sections 9.1 and 16.8), so that CANCEL never goes out before the first provisional answer.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from callseal.agent.sip.limits import GIVE_UP_S, T2_S, T4_S, TIMER_C_S


class State(Enum):
    """Where a transaction stands."""

    CALLING = "calling"
    CALLING_CANCELLED = "calling-cancelled"
    CANCELLED = "cancelled"
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
    CANCEL = "is to be cancelled"
    UNSENT = "cannot be sent"
    RESEND = "time to send again"
    END = "time is up"


class Action(Enum):
    """What is to be done about it."""

    NOTHING = "nothing"
    SEND = "send"
    TELL = "tell"
    ACKNOWLEDGE = "send ACK, tell"
    CANCEL = "send CANCEL"
    GIVE_UP = "give up"


Step = tuple[State, Action]
Table = Mapping[tuple[State, Input], Step]

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

_INVITE_PROXIED: Final[Table] = {
    (State.PROCEEDING, Input.REQUEST): (State.PROCEEDING, Action.SEND),
    (State.PROCEEDING, Input.PROVISIONAL): (State.PROCEEDING, Action.SEND),
    (State.PROCEEDING, Input.SUCCESS): (State.ACCEPTED, Action.SEND),
    (State.PROCEEDING, Input.FAILURE): (State.COMPLETED, Action.SEND),
    (State.ACCEPTED, Input.SUCCESS): (State.ACCEPTED, Action.SEND),
    (State.ACCEPTED, Input.ACK): (State.ACCEPTED, Action.TELL),
    (State.ACCEPTED, Input.END): (State.TERMINATED, Action.NOTHING),
    (State.COMPLETED, Input.REQUEST): (State.COMPLETED, Action.SEND),
    (State.COMPLETED, Input.RESEND): (State.COMPLETED, Action.SEND),
    (State.COMPLETED, Input.ACK): (State.CONFIRMED, Action.NOTHING),
    (State.COMPLETED, Input.END): (State.TERMINATED, Action.NOTHING),
    (State.CONFIRMED, Input.END): (State.TERMINATED, Action.NOTHING),
}
"""RFC 3261 figure 7 as RFC 6026 has it. PROCEEDING ends with the INVITE that was passed on."""

_SERVER: Final[Table] = {
    (State.TRYING, Input.SUCCESS): (State.COMPLETED, Action.SEND),
    (State.TRYING, Input.FAILURE): (State.COMPLETED, Action.SEND),
    (State.TRYING, Input.END): (State.TRYING, Action.GIVE_UP),
    (State.COMPLETED, Input.REQUEST): (State.COMPLETED, Action.SEND),
    (State.COMPLETED, Input.END): (State.TERMINATED, Action.NOTHING),
}
"""RFC 3261 figure 8, without provisional answers (RFC 4320 section 4.1)."""

_INVITE_CLIENT: Final[Table] = {
    (State.CALLING, Input.RESEND): (State.CALLING, Action.SEND),
    (State.CALLING, Input.PROVISIONAL): (State.PROCEEDING, Action.TELL),
    (State.CALLING, Input.SUCCESS): (State.ACCEPTED, Action.TELL),
    (State.CALLING, Input.FAILURE): (State.COMPLETED, Action.ACKNOWLEDGE),
    (State.CALLING, Input.CANCEL): (State.CALLING_CANCELLED, Action.NOTHING),
    (State.CALLING, Input.UNSENT): (State.TERMINATED, Action.GIVE_UP),
    (State.CALLING, Input.END): (State.TERMINATED, Action.GIVE_UP),
    (State.CALLING_CANCELLED, Input.RESEND): (State.CALLING_CANCELLED, Action.SEND),
    (State.CALLING_CANCELLED, Input.PROVISIONAL): (State.CANCELLED, Action.CANCEL),
    (State.CALLING_CANCELLED, Input.SUCCESS): (State.ACCEPTED, Action.TELL),
    (State.CALLING_CANCELLED, Input.FAILURE): (State.COMPLETED, Action.ACKNOWLEDGE),
    (State.CALLING_CANCELLED, Input.UNSENT): (State.TERMINATED, Action.GIVE_UP),
    (State.CALLING_CANCELLED, Input.END): (State.TERMINATED, Action.GIVE_UP),
    (State.PROCEEDING, Input.PROVISIONAL): (State.PROCEEDING, Action.TELL),
    (State.PROCEEDING, Input.SUCCESS): (State.ACCEPTED, Action.TELL),
    (State.PROCEEDING, Input.FAILURE): (State.COMPLETED, Action.ACKNOWLEDGE),
    (State.PROCEEDING, Input.CANCEL): (State.CANCELLED, Action.CANCEL),
    (State.PROCEEDING, Input.END): (State.CANCELLED, Action.CANCEL),
    (State.CANCELLED, Input.PROVISIONAL): (State.CANCELLED, Action.TELL),
    (State.CANCELLED, Input.SUCCESS): (State.ACCEPTED, Action.TELL),
    (State.CANCELLED, Input.FAILURE): (State.COMPLETED, Action.ACKNOWLEDGE),
    (State.CANCELLED, Input.END): (State.TERMINATED, Action.GIVE_UP),
    (State.ACCEPTED, Input.SUCCESS): (State.ACCEPTED, Action.TELL),
    (State.ACCEPTED, Input.END): (State.TERMINATED, Action.NOTHING),
    (State.COMPLETED, Input.FAILURE): (State.COMPLETED, Action.SEND),
    (State.COMPLETED, Input.END): (State.TERMINATED, Action.NOTHING),
}
"""RFC 3261 figure 5 as RFC 6026 has it. What COMPLETED sends is the ACK."""

_CLIENT: Final[Table] = {
    (State.TRYING, Input.RESEND): (State.TRYING, Action.SEND),
    (State.TRYING, Input.PROVISIONAL): (State.PROCEEDING, Action.NOTHING),
    (State.TRYING, Input.SUCCESS): (State.COMPLETED, Action.TELL),
    (State.TRYING, Input.FAILURE): (State.COMPLETED, Action.TELL),
    (State.TRYING, Input.UNSENT): (State.TERMINATED, Action.GIVE_UP),
    (State.TRYING, Input.END): (State.TERMINATED, Action.GIVE_UP),
    (State.PROCEEDING, Input.RESEND): (State.PROCEEDING, Action.SEND),
    (State.PROCEEDING, Input.SUCCESS): (State.COMPLETED, Action.TELL),
    (State.PROCEEDING, Input.FAILURE): (State.COMPLETED, Action.TELL),
    (State.PROCEEDING, Input.UNSENT): (State.TERMINATED, Action.GIVE_UP),
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
    longest_pause_s: float = T2_S
    """Between two sendings: timer A alone goes on doubling (section 17.1.1.2)."""
    runs_on: bool = False
    """Both timers go on as they were set in the state before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A kind of transaction."""

    name: str
    begins: State
    table: Table
    timings: Mapping[State, Timing]
    """The timers of RFC 3261 table 4 and of RFC 6026, each with its state."""
    is_client: bool = False
    """Whether the request is ours."""


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
INVITE_PROXIED: Final = Machine(
    name="INVITE, server, at a proxy",
    begins=State.PROCEEDING,
    table=_INVITE_PROXIED,
    timings={
        State.ACCEPTED: Timing(lasts_s=GIVE_UP_S, lasts_reliably_s=GIVE_UP_S),
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
INVITE_CLIENT: Final = Machine(
    name="INVITE, client",
    begins=State.CALLING,
    table=_INVITE_CLIENT,
    timings={
        State.CALLING: Timing(
            lasts_s=GIVE_UP_S, lasts_reliably_s=GIVE_UP_S, resends=True, longest_pause_s=math.inf
        ),
        State.CALLING_CANCELLED: Timing(
            lasts_s=None, lasts_reliably_s=None, longest_pause_s=math.inf, runs_on=True
        ),
        State.PROCEEDING: Timing(lasts_s=TIMER_C_S, lasts_reliably_s=TIMER_C_S),
        State.CANCELLED: Timing(lasts_s=GIVE_UP_S, lasts_reliably_s=GIVE_UP_S),
        State.ACCEPTED: Timing(lasts_s=GIVE_UP_S, lasts_reliably_s=GIVE_UP_S),
        State.COMPLETED: Timing(lasts_s=GIVE_UP_S, lasts_reliably_s=0.0),
    },
    is_client=True,
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
    is_client=True,
)
MACHINES: Final = (INVITE_SERVER, INVITE_PROXIED, SERVER, INVITE_CLIENT, CLIENT)


def table_text(machine: Machine) -> str:
    """Return a machine's table as Markdown: state, what happens, next state, what is done."""
    rows = ["| state | on | next | do |", "| --- | --- | --- | --- |"]
    rows += [
        f"| {state.value} | {what.value} | {after.value} | {action.value} |"
        for (state, what), (after, action) in machine.table.items()
    ]
    return "\n".join(rows) + "\n"
