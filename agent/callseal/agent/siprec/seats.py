"""Who sits in a conversation: its participants with their numbers, as far as these can be read.

Conventions: a participant whose number was withheld has the number "". A participant without any address or
name, or one that the gateway put there to hold a place, is a dummy: it is left out while at least two real
ones are there. A number that calls for help is nobody's of the house, as short as it is, unless the settings
name it to the digit.

Sources: RFC 3261 section 19.1 (URIs), RFC 3323 section 4.1.1.3 (anonymous).
"""

from dataclasses import dataclass
from typing import Final

from callseal.agent.call import Party
from callseal.agent.errors import SipSyntaxError
from callseal.agent.numbering import Numbering, matches
from callseal.agent.sip.message import Headers
from callseal.agent.sip.uri import Uri, parse_name_addr, parse_uri
from callseal.agent.siprec.conversation import Conversation
from callseal.agent.siprec.model import Attribute, Participant
from callseal.agent.siprec.vendors import legible

MAX_EXTENSION_DIGITS: Final = 6
"""The longest extension, or service number of a house; subscribers' numbers have seven digits and more."""
MAX_URI_CHARS: Final = 256
MAX_DISPLAY_CHARS: Final = 128

_WITHHELD: Final = frozenset(
    {"anonymous", "nocallerid", "private", "restricted", "unavailable", "unknown", "withheld"}
)
_WITHHELD_HOST: Final = "anonymous.invalid"
_DUMMIES: Final = frozenset({"dummy", "placeholder"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """One who takes part."""

    id: str
    party: Party
    is_inside: bool
    """Whether the number is one of this house's, as the settings have it."""
    is_extension: bool
    """Whether the number is too short for anybody outside."""
    is_name: bool
    """Whether there is a name in the place of a number, as telephones of a house have it."""
    is_emergency: bool = False
    """Whether the number calls for help."""
    is_dummy: bool = False
    attributes: tuple[Attribute, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What tells this house's people from others: its numbering, and globs of its numbers."""

    numbering: Numbering
    inside: tuple[str, ...]

    def party(self, address: str, name: str = "") -> Party:
        """Read an address as a gateway wrote it, whether it is a URI or not."""
        display, written, uri = _taken_apart(legible(address))
        user = uri.user if uri is not None else _before_host(written)
        return Party(
            number="" if _is_withheld(user, uri) else self.numbering.normalise(user),
            uri=written[:MAX_URI_CHARS],
            name=(name or display)[:MAX_DISPLAY_CHARS],
        )

    def number(self, address: str) -> str:
        """Give the number alone."""
        return self.party(address).number

    def seat(self, who: Participant) -> Seat:
        """Seat a participant, by the first of its addresses that has a number."""
        parties = [self.party(aor, name) for aor, name in zip(who.aors, who.names, strict=False)]
        fallback = parties[0] if parties else Party(number="")
        party = next((party for party in parties if party.number), fallback)
        is_dummy = not (party.uri or party.name) or party.number.lower() in _DUMMIES
        return self.seat_of(who.id, party, who.attributes, is_dummy=is_dummy)

    def seat_of(
        self, name: str, party: Party, attributes: tuple[Attribute, ...] = (), *, is_dummy: bool = False
    ) -> Seat:
        """Seat a party."""
        number = party.number
        dialled = number.removeprefix("+")
        is_inside = bool(number) and self.is_inside(party)
        is_emergency = not is_inside and self.numbering.is_emergency(number)
        is_short = number.isdecimal() and len(number) <= MAX_EXTENSION_DIGITS
        return Seat(
            id=name,
            party=party,
            is_inside=is_inside,
            is_extension=is_short and not is_emergency,
            is_name=bool(number) and not dialled.isdecimal(),
            is_emergency=is_emergency,
            is_dummy=is_dummy,
            attributes=attributes,
        )

    def is_inside(self, party: Party) -> bool:
        """Say whether one of the globs fits the number, in E.164 or as it was dialled."""
        numbers = {party.number, _before_host(party.uri)}
        if self.numbering.is_emergency(party.number):
            return not numbers.isdisjoint(self.inside)
        return any(matches(glob, number) for glob in self.inside for number in numbers)


def seats_of(conversation: Conversation, headers: Headers, house: House) -> tuple[Seat, ...]:
    """Seat everybody; where the metadata names nobody, who the INVITE's headers name."""
    seats = tuple(house.seat(who) for who in conversation.participants)
    real = tuple(seat for seat in seats if not seat.is_dummy)
    if len(real) > 1 or (real and len(real) == len(seats)):
        return real
    return _first_two(real, seats) if any(seat.party.uri for seat in seats) else _named_in(headers, house)


def _first_two(real: tuple[Seat, ...], seats: tuple[Seat, ...]) -> tuple[Seat, ...]:
    return (real + tuple(seat for seat in seats if seat.is_dummy))[:2]


def _named_in(headers: Headers, house: House) -> tuple[Seat, ...]:
    """Seat who calls by P-Asserted-Identity or From, and whom To names if that is not the recorder itself."""
    caller = _first(headers, "p-asserted-identity", "from")
    called = _first(headers, "to")
    seats = []
    if caller:
        seats.append(house.seat_of("from", house.party(caller)))
    if called:
        party = house.party(called)
        if party.number.startswith("+") or house.is_inside(party):
            seats.append(house.seat_of("to", party))
    return tuple(seats)


def _first(headers: Headers, *names: str) -> str:
    return next((value for name in names if (value := headers.get(name))), "")


def _taken_apart(address: str) -> tuple[str, str, Uri | None]:
    """Give the display name, the address alone, and that taken apart; None for what is no URI."""
    text = address.strip()
    try:
        if "<" in text or text.startswith('"'):
            named = parse_name_addr(text)
            return named.display, named.uri, named.address
        return "", text, parse_uri(text)
    except SipSyntaxError:
        return "", text, None


def _before_host(address: str) -> str:
    """Give what stands before the host, without scheme and parameters, however the rest looks."""
    scheme, colon, rest = address.partition(":")
    user = rest if colon and scheme.lower() in {"sip", "sips", "tel"} else address
    return user.partition("@")[0].partition(";")[0].strip("<> ")


def _is_withheld(user: str, uri: Uri | None) -> bool:
    return user.lower() in _WITHHELD or (uri is not None and uri.host.endswith(_WITHHELD_HOST))
