"""Who called whom, and which way: what gateways say of it in their various manners.

The evidence, the strongest first:

1. who is calling, told of a participant: Oracle's `callingParty`, a `role`, NetSapiens' `callingParty` and
   `calledParty`;
2. numbers of caller and called beside the participants: BroadWorks' call type, Sonus' call data;
3. From of the INVITE, where it names one of the participants (many gateways copy the caller's);
4. the order: the caller comes first. Not with Cisco, which begins with the leg that it was told to record.

Nobody is called by an emergency number because of the order alone.

The direction is seen from the house: `X-Call-Direction` and its like, BroadWorks' origCall and termCall.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from callseal.agent.call import Direction
from callseal.agent.sip.message import Headers
from callseal.agent.siprec.conversation import Conversation
from callseal.agent.siprec.model import Attribute
from callseal.agent.siprec.seats import House, Seat

_CALLING: Final = frozenset({"calling", "caller", "originator", "originating", "orig"})
_CALLED: Final = frozenset({"called", "callee", "recipient", "terminating", "term"})
_ROLES: Final = frozenset({"role", "partytype", "participantrole"})
_DIRECTIONS: Final[Mapping[str, Direction]] = {
    "in": "inbound",
    "inbound": "inbound",
    "incoming": "inbound",
    "terminating": "inbound",
    "out": "outbound",
    "outbound": "outbound",
    "outgoing": "outbound",
    "originating": "outbound",
    "internal": "internal",
}
_DIRECTION_HEADERS: Final = ("x-call-direction", "x-calldirection", "x-direction", "x-recording-direction")
_DIRECTION_NAMES: Final = frozenset({"direction", "calldirection", "call-direction"})
_RECORDED_USER: Final = ("broadworks:userID", "netsapiens:user.userID")
_UNORDERED: Final = "cisco"


@dataclass(frozen=True, slots=True, kw_only=True)
class Calling:
    """What is said of it; ids are those of seats, "" where nothing is said."""

    caller: str = ""
    called: str = ""
    direction: Direction = "unknown"
    recorded: str = ""
    """Whose recording it is, where the gateway records for a user."""
    is_by_order: bool = False
    """Whether the caller is only taken to be because it comes first."""


def calling_of(
    seats: tuple[Seat, ...], conversation: Conversation, headers: Headers, house: House
) -> Calling:
    """Weigh what is said."""
    told = conversation.all_attributes
    numbers = {seat.party.number: seat.id for seat in reversed(seats) if seat.party.number}
    caller, called = _by_attributes(seats, told)
    if not (caller or called):
        caller, called = (
            next((numbers[number] for number in named if number in numbers), "")
            for named in _numbers_told(told, headers, house)
        )
    if caller and caller == called:
        caller = called = ""
    is_by_order = not (caller or called) and len(seats) > 1 and not _is_unordered(headers)
    if is_by_order:
        caller = next((seat.id for seat in seats if not seat.is_emergency), "")
    others = [seat.id for seat in seats if seat.id not in {caller, called}]
    if len(seats) == 2:  # noqa: PLR2004 - of two, whoever is not the one is the other
        caller, called = caller or (called and others[0]), called or (caller and others[0])
    return Calling(
        caller=caller,
        called=called,
        direction=_direction(told, headers),
        recorded=_recorded(told, numbers, house),
        is_by_order=is_by_order,
    )


def _by_attributes(seats: tuple[Seat, ...], told: tuple[Attribute, ...]) -> tuple[str, str]:
    """Give caller and called as attributes of participants, or those that name participants, have it."""
    found = {True: "", False: ""}
    for seat in seats:
        for name, value in seat.attributes:
            is_calling = _is_calling(name.partition(":")[2].lower(), value.lower())
            if is_calling is not None and not found[is_calling]:
                found[is_calling] = seat.id
    ids = {seat.id for seat in seats}
    values = dict(reversed(told))
    caller = found[True] or values.get("netsapiens:callingParty.participant_id", "")
    called = found[False] or values.get("netsapiens:calledParty.participant_id", "")
    return caller if caller in ids else "", called if called in ids else ""


def _is_calling(name: str, value: str) -> bool | None:
    """Tell from one attribute of a participant whether it is the caller; None where it says nothing of it."""
    if name == "callingparty" and value in {"true", "false", "1", "0"}:
        return value in {"true", "1"}
    if name in _ROLES and value in _CALLING | _CALLED:
        return value in _CALLING
    return None


def _numbers_told(told: tuple[Attribute, ...], headers: Headers, house: House) -> tuple[list[str], list[str]]:
    """Give the numbers that are said to be the caller's and the called one's, the best evidence first."""
    calling = [value for name, value in told if name.endswith(".callingPartyNumber")]
    calling += [value for name, value in told if name == "sonus:fromhdr"]
    called = [value for name, value in told if name.endswith((".calledPartyNumber", ".dialedDigits"))]
    called += [value for name, value in told if name == "sonus:tohdr"]
    calling += [value for value in (headers.get("p-asserted-identity"), headers.get("from")) if value]
    return [house.number(address) for address in calling], [house.number(address) for address in called]


def _is_unordered(headers: Headers) -> bool:
    return (headers.get("user-agent") or headers.get("server") or "").lower().startswith(_UNORDERED)


def _direction(told: tuple[Attribute, ...], headers: Headers) -> Direction:
    return next(_directions(told, headers), "unknown")


def _directions(told: tuple[Attribute, ...], headers: Headers) -> Iterator[Direction]:
    for header in _DIRECTION_HEADERS:
        if found := _DIRECTIONS.get((headers.get(header) or "").strip().lower()):
            yield found
    for name, value in told:
        if name.startswith("broadworks:callType.origCall"):
            yield "outbound"
        elif name.startswith("broadworks:callType.termCall"):
            yield "inbound"
        elif name.partition(":")[2].lower() in _DIRECTION_NAMES and value.lower() in _DIRECTIONS:
            yield _DIRECTIONS[value.lower()]


def _recorded(told: tuple[Attribute, ...], numbers: Mapping[str, str], house: House) -> str:
    """Give whose recording it is, where exactly one user is named who takes part."""
    users = {house.number(value) for name, value in told if name in _RECORDED_USER}
    return numbers.get(users.pop(), "") if len(users) == 1 else ""
