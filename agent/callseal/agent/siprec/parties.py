"""Who is the agent and who the customer, and whose voice goes to which channel.

Who is the agent, by the strongest evidence there is:

1. a number that the settings call one of this house's (`inside`), in E.164 or as it was dialled;
2. an extension: a number too short for anybody outside;
3. who was the agent before, in the same call: nobody changes places because a gateway tells things in another
   order;
4. the user for whom the gateway says that it records;
5. the direction, where the gateway tells it: called when inbound, calling when outbound;
6. a name in the place of a number;
7. whoever was called: most calls to a house come from outside.

Of several who are in the house, 3 to 5 and 7 choose. The call is internal when all numbers are the house's.
Else the direction is what the gateway says, else it follows from who called (`calling`), else it is unknown.
A call with an emergency number goes out, whatever else is said, unless that number is said to have called;
and whom the number calls for is never the agent.

A stream goes to the channel of who sends it (`lines`); with more than two parties, those of the house to the
agent's channel and all others to the customer's.
"""

from dataclasses import dataclass
from typing import Final

from callseal.agent.call import AGENT, CUSTOMER, Direction, Party
from callseal.agent.numbering import Numbering
from callseal.agent.sip.message import Headers
from callseal.agent.siprec.calling import Calling, calling_of
from callseal.agent.siprec.conversation import Conversation
from callseal.agent.siprec.lines import BOTH, lines_of
from callseal.agent.siprec.seats import House, Seat, seats_of

NOBODY: Final = Party(number="")

_BY_ORDER: Final = "who called whom was taken from the order of the participants"
_NOT_KNOWN: Final = "nothing tells the agent from the customer; who calls was taken for the customer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """Who plays which part in a call."""

    agent: Party
    """`NOBODY` where nobody is known."""
    customer: Party
    others: tuple[Party, ...]
    direction: Direction
    channels: tuple[tuple[int, ...], ...]
    """For each stream, in the order of the labels that were given: its channels, as `StreamPlan` has them.

    Empty for a stream that only mixes what others bring one by one.
    """
    speakers: tuple[tuple[Party, ...], ...]
    """For each stream: whose voice it is, as far as it is known."""
    is_mixed: bool
    """Whether all sound comes in one stream, so that both channels hold the same."""
    oddities: tuple[str, ...] = ()


def parties_of(
    conversation: Conversation,
    headers: Headers,
    *,
    numbering: Numbering,
    inside: tuple[str, ...],
    labels: tuple[str, ...] | None = None,
    before: Roles | None = None,
) -> Roles:
    """Tell who is who.

    `headers` are the INVITE's, `inside` globs of the house's numbers, `labels` those of the audio m-lines in
    their order ("" for one without; None: as the metadata names them), `before` what was told the last time
    in this call.
    """
    house = House(numbering=numbering, inside=inside)
    seats = seats_of(conversation, headers, house)
    calling = calling_of(seats, conversation, headers, house)
    agent, is_guessed = _agent(seats, calling, before)
    customer = _customer(seats, agent, calling, before)
    others = tuple(seat for seat in seats if seat not in (agent, customer))
    channel_of = {seat.id: _channel(seat, agent, customer) for seat in seats}
    if labels is None:
        labels = tuple(stream.label for stream in conversation.streams)
    lines = lines_of(labels, conversation.streams, channel_of, channel_of.get(calling.caller, CUSTOMER))
    party_of = {seat.id: seat.party for seat in seats}
    oddities = [_BY_ORDER] if calling.is_by_order else []
    oddities += [_NOT_KNOWN] if is_guessed else []
    return Roles(
        agent=agent.party if agent else NOBODY,
        customer=customer.party if customer else NOBODY,
        others=tuple(seat.party for seat in others),
        direction=_direction(seats, agent, customer, calling, is_guessed=is_guessed),
        channels=lines.channels,
        speakers=tuple(tuple(party_of[who] for who in voices) for voices in lines.voices),
        is_mixed=bool(lines.channels) and all(line == BOTH for line in lines.channels),
        oddities=(*oddities, *lines.oddities),
    )


def _agent(seats: tuple[Seat, ...], calling: Calling, before: Roles | None) -> tuple[Seat | None, bool]:
    """Give the agent, and whether that is no more than a guess."""
    people = tuple(seat for seat in seats if not seat.is_emergency)
    inside = _inside(people)
    chosen = _chosen(inside or people, calling, before)
    if chosen is not None:
        return chosen, False
    if people != seats:  # who speaks with those whom everybody may call is ours
        return _by_id(people, calling.caller) or next(iter(people), None), False
    names = [seat for seat in seats if seat.is_name]
    if not inside and 0 < len(names) < len(seats):
        return names[0], False
    called = _by_id(inside or seats, calling.called)
    if called is not None or inside:
        return called or inside[0], not inside
    return (seats[-1], True) if len(seats) > 1 else (None, bool(seats))


def _inside(seats: tuple[Seat, ...]) -> tuple[Seat, ...]:
    """Give those whose numbers are the house's: by the settings, else extensions."""
    return tuple(seat for seat in seats if seat.is_inside) or tuple(
        seat for seat in seats if seat.is_extension
    )


def _chosen(seats: tuple[Seat, ...], calling: Calling, before: Roles | None) -> Seat | None:
    """Choose by what was before, by the user who is recorded, and by the direction."""
    if before is not None:
        same = next((seat for seat in seats if seat.party.uri and seat.party.uri == before.agent.uri), None)
        customers = [seat for seat in seats if seat.party.uri and seat.party.uri == before.customer.uri]
        rest = [seat for seat in seats if seat not in customers]
        if same is not None or (customers and rest):
            return same or rest[0]
    if recorded := _by_id(seats, calling.recorded):
        return recorded
    by_direction = {"inbound": calling.called, "outbound": calling.caller}
    return _by_id(seats, by_direction.get(calling.direction, ""))


def _by_id(seats: tuple[Seat, ...], name: str) -> Seat | None:
    return next((seat for seat in seats if seat.id == name and name), None)


def _customer(
    seats: tuple[Seat, ...], agent: Seat | None, calling: Calling, before: Roles | None
) -> Seat | None:
    """Give whom the agent speaks with: who was the customer before, else caller or called, else the next."""
    rest = tuple(seat for seat in seats if seat is not agent)
    outside = tuple(seat for seat in rest if seat not in _inside(seats)) or rest
    if before is not None:
        for seat in outside:
            if seat.party.uri and seat.party.uri == before.customer.uri:
                return seat
    other_end = {calling.caller, calling.called}
    return next((seat for seat in outside if seat.id in other_end), outside[0] if outside else None)


def _channel(seat: Seat, agent: Seat | None, customer: Seat | None) -> int:
    if seat is agent or (seat is not customer and (seat.is_inside or seat.is_extension)):
        return AGENT
    return CUSTOMER


def _direction(
    seats: tuple[Seat, ...],
    agent: Seat | None,
    customer: Seat | None,
    calling: Calling,
    *,
    is_guessed: bool,
) -> Direction:
    if len(seats) > 1 and len(_inside(seats)) == len(seats):
        return "internal"
    if customer is not None and customer.is_emergency and customer.id != calling.caller:
        return "outbound"
    if calling.direction != "unknown" or agent is None or is_guessed:
        return calling.direction
    return "outbound" if agent.id == calling.caller else "inbound" if calling.caller else "unknown"
