"""What service and child say to each other.

One JSON object a datagram over a SOCK_SEQPACKET socket pair, `{"is": <message>, …fields}`; file
descriptors travel beside the message that names them. Times are seconds of CLOCK_MONOTONIC, which both
processes share. `call` numbers a call within the life of one child.
"""

import dataclasses
import json
import math
import os
import socket
from dataclasses import dataclass
from typing import Any, Final, Literal, NoReturn, get_args, get_origin, get_type_hints

from callseal.agent.errors import ProtocolError

MAX_MESSAGE_BYTES: Final = 65_536
MAX_FDS: Final = 64
_MAX_EXACT: Final = 2**53  # the largest whole number up to which a float has them all

CallSide = Literal["agent", "customer"]
OnFailure = Literal["record", "no-record", "refuse-call"]
PhoneSrtp = Literal["off", "optional", "required"]


# --- service to child -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Begin to listen, at any free port.

    The descriptor of the agent's will comes along (`will`), and then one an announcement, as the names are.
    """

    host: str
    """Where to speak SIP: loopback."""
    edge: str
    """host:port, by UDP: the outbound proxy of every request."""
    phone_media: str
    """The address for the sound of the telephone's leg."""
    pbx_media: str
    """The address for the sound of the telephone system's legs."""
    rtp_port: int
    rtp_ports: int
    max_calls: int
    rate_hz: int
    """The clock of the bridge: 8000, or 16000 where G.722 is wanted."""
    phone_srtp: PhoneSrtp
    announcements: list[str]
    scratch: str
    """A folder of the child's own, for links that give memory files a name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Let an invited call through to `target`."""

    call: int
    token: str
    """What the edge knows the call by; every leg's INVITE carries it."""
    target: str
    """Request URI of the second leg, which goes to the other side than the caller's."""
    from_uri: str
    """From of the second leg, a name-addr without tag."""
    caller: CallSide
    """The side that sent the INVITE."""
    record: bool
    announcement: str
    """Key of the announcement; empty: none is played."""
    on_failure: OnFailure
    hold_talk: bool
    response_timeout_s: float
    """How long the called side may say nothing at all."""
    ring_timeout_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """Turn an invited call away."""

    call: int
    code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Hangup:
    """End a call, both legs."""

    call: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """Dial `target` by way of the telephone system; who answers there takes the place of the leg at `side`.

    The child tells that leg how it goes by NOTIFY (RFC 3515 section 2.4.4) and hangs it up in the end; if
    nobody answers, everything stays as it was.
    """

    call: int
    token: str
    side: CallSide
    target: str
    from_uri: str
    refer_id: str
    """Parameter `id` of the NOTIFYs' Event; empty for the first REFER of a dialog."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """Connect the customer of `other` with the customer of `call`, in whose recording both go on.

    The agent's legs of both calls are hung up, the one of `call` after a NOTIFY that it went well; `other`
    ends as transferred.
    """

    call: int
    other: int
    refer_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """End all calls and leave."""


# --- child to service -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """The child listens."""

    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Invited:
    """An INVITE came in; the child waits for Route or Refuse."""

    call: int
    token: str
    """What the edge knows the call by; empty for an INVITE without one, which is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tapped:
    """Three memory files record from now on: agent, customer, announcement, each a descriptor."""

    call: int
    at_s: float
    """When the first sample of the synchronising ramp was let in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialled:
    """The second leg was sent out under this Call-ID."""

    call: int
    sip_call_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """Both legs have audio; it flows into the taps from `at_s` on, not earlier."""

    call: int
    at_s: float
    agent_codec: str
    customer_codec: str
    """RTP encoding names, such as PCMU."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recoded:
    """A leg's sound goes on in another coding."""

    call: int
    at_s: float
    side: CallSide
    codec: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldChanged:
    """A side put the other one on hold, or took it back (the direction of its description)."""

    call: int
    at_s: float
    side: CallSide
    held: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Pressed:
    """A key was pressed at a side, and passed on; which one is not told."""

    call: int
    at_s: float
    side: CallSide
    duration_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Transferred:
    """Somebody else took the place of the leg at `side`."""

    call: int
    at_s: float
    side: CallSide


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferFailed:
    """Who was to take the place did not; the call goes on as it was."""

    call: int
    at_s: float
    code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The called side sent 200."""

    call: int
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcing:
    """The announcement began to play to these sides; once more to whom a transfer brought."""

    call: int
    at_s: float
    heard_by: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Announced:
    """The announcement's player has ended, or was ended by the hang-up."""

    call: int
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnouncementFailed:
    """It could not be played; `on_failure` was carried out."""

    call: int
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """Both legs are gone and the taps are closed."""

    call: int
    at_s: float
    ending: str
    """A value of `callseal.agent.call.Ending`; "transferred" for the other call of a Join."""
    by: str
    """"agent", "customer" or "" where neither did it."""
    code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """The child's event loop turns."""

    at_s: float
    calls: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something went wrong that the service should log; never with a customer's number."""

    where: str
    detail: str


Command = Start | Route | Refuse | Hangup | Transfer | Join | Stop
CallReport = (
    Tapped
    | Dialled
    | Media
    | Recoded
    | HoldChanged
    | Pressed
    | Answered
    | Announcing
    | Announced
    | AnnouncementFailed
    | Transferred
    | TransferFailed
    | Ended
)
"""What the child says of a call that the service has let through."""
Report = Ready | Invited | Beat | Fault | CallReport
Message = Command | Report

_KINDS: Final[dict[str, type[Message]]] = {
    kind.__name__.lower(): kind
    for kind in (
        Start, Route, Refuse, Hangup, Transfer, Join, Stop, Ready, Invited, Tapped, Dialled, Media, Recoded,
        HoldChanged, Pressed, Answered, Announcing, Announced, AnnouncementFailed, Transferred,
        TransferFailed, Ended, Beat, Fault,
    )
}  # fmt: skip
_FIELDS: Final = {kind: get_type_hints(kind) for kind in _KINDS.values()}


def encode(message: Message) -> bytes:
    """Give the datagram of a message; raises ProtocolError when it would be too long."""
    data = json.dumps({"is": type(message).__name__.lower(), **dataclasses.asdict(message)}).encode()
    if len(data) > MAX_MESSAGE_BYTES:
        raise ProtocolError(f"a {type(message).__name__} of {len(data)} bytes is over {MAX_MESSAGE_BYTES}")
    return data


def decode(data: bytes) -> Message:
    """Read a datagram; raises ProtocolError for anything that is no whole message of known kind."""
    try:
        fields: Any = json.loads(data, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ProtocolError("a message between service and bridge child is no JSON") from error
    if not isinstance(fields, dict):
        raise ProtocolError("a message between service and bridge child is no JSON object")
    kind = _KINDS.get(str(fields.pop("is", "")))
    if kind is None:
        raise ProtocolError("a message between service and bridge child is of an unknown kind")
    wanted = _FIELDS[kind]
    if fields.keys() != wanted.keys():
        raise ProtocolError(f"a {kind.__name__} has a field too many or too few")
    return kind(**{name: _value(f"{kind.__name__}.{name}", fields[name], wanted[name]) for name in wanted})


def send(channel: socket.socket, message: Message, fds: tuple[int, ...] = ()) -> None:
    """Send one message, with descriptors beside it; raises ProtocolError when there are too many."""
    if len(fds) > MAX_FDS:
        raise ProtocolError(f"a {type(message).__name__} with {len(fds)} descriptors, over {MAX_FDS}")
    socket.send_fds(channel, [encode(message)], fds)


def receive(channel: socket.socket) -> tuple[Message, list[int]] | None:
    """Take the next message; None when the other side is gone. BlockingIOError passes through.

    Raises ProtocolError as `decode` does, and for what was cut because it is over the limits.
    """
    data, fds, flags, _address = socket.recv_fds(channel, MAX_MESSAGE_BYTES, MAX_FDS)
    for fd in fds:
        os.set_inheritable(fd, False)  # recv_fds passes no MSG_CMSG_CLOEXEC on
    try:
        message = None if not data else decode(_whole(data, flags))
    except ProtocolError:
        _close(fds)
        raise
    if message is None:
        _close(fds)
        return None
    return message, fds


def _whole(data: bytes, flags: int) -> bytes:
    if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        raise ProtocolError("a message between service and bridge child is over the limits")
    return data


def _close(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)


def _value(where: str, value: Any, wanted: Any) -> Any:
    """Check one field's value; a whole number may stand for a float."""
    origin = get_origin(wanted)
    if origin is Literal:
        if not isinstance(value, str) or value not in get_args(wanted):
            raise ProtocolError(f"{where} is none of {', '.join(get_args(wanted))}")
        return value
    if origin is list:
        (inner,) = get_args(wanted)
        if not isinstance(value, list):
            raise ProtocolError(f"{where} is {type(value).__name__}, not list")
        return [_value(where, item, inner) for item in value]
    if wanted is float and type(value) is int and abs(value) <= _MAX_EXACT:
        value = float(value)
    if type(value) is not wanted:
        raise ProtocolError(f"{where} is {type(value).__name__}, not {wanted.__name__}")
    if wanted is float and not math.isfinite(value):
        raise ProtocolError(f"{where} is not finite")
    return value


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)  # NaN and Infinity are no JSON
