"""What is looked for in the sealed metadata: who took part, which conversation, what a gateway said.

Conventions: in a pattern ``*`` stands for any signs, none included, and ``?`` for one; every other sign
stands for itself, and upper and lower case are the same: identifiers are copied from systems that write them
either way. Of several wishes all must hold. What held earlier in the call counts like what held at last.
Where a gateway said several values under one name they stand in one text, with commas between them
(docs/format.md): each of them is found, and the whole text too.
"""

import fnmatch
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final, Self

from callseal.agent.errors import SipSyntaxError
from callseal.agent.numbering import Numbering
from callseal.agent.sip.uri import parse_uri
from callseal.cli.conversation import Party, Told
from callseal.cli.errors import UsageFault
from callseal.cli.i18n import _
from callseal.config.settings import Settings

_SEPARATOR: Final = ", "
_WILD: Final = frozenset("*?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What to look for, as it was typed."""

    parties: Sequence[str]
    conversation: str | None
    attributes: Sequence[str]

    def __bool__(self) -> bool:
        return bool(self.parties or self.attributes) or self.conversation is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What must be so of a recording; nothing asked for fits every recording."""

    parties: tuple[tuple[re.Pattern[str], ...], ...]
    """Of each party that is looked for, the ways in which it may be written."""
    conversation: re.Pattern[str] | None
    attributes: tuple[tuple[re.Pattern[str], re.Pattern[str]], ...]
    """Names and values."""

    @classmethod
    def of(cls, wish: Wish, settings: Settings | None) -> Self:
        """Read what was typed; UsageFault for what is empty, and for an attribute that is not NAME=VALUE.

        A party's number is also looked for in the form that the settings' numbering plan gives it.
        """
        if not all(wish.parties) or wish.conversation == "":
            raise UsageFault(_("--party and --conversation: say what to look for; * fits everything"))
        return cls(
            parties=tuple(tuple(map(_pattern, _spellings(one, settings))) for one in wish.parties),
            conversation=None if wish.conversation is None else _pattern(wish.conversation),
            attributes=tuple(map(_attribute, wish.attributes)),
        )

    def fits(self, told: Told) -> bool:
        """Tell whether a recording is one of those that are looked for."""
        return (
            all(_any_fits(ways, _written(told.parties)) for ways in self.parties)
            and (self.conversation is None or _any_fits([self.conversation], _conversations(told)))
            and all(_is_said(name, value, told) for name, value in self.attributes)
        )


def _is_said(name: re.Pattern[str], value: re.Pattern[str], told: Told) -> bool:
    return any(
        name.fullmatch(known) is not None and _any_fits([value], _values(text))
        for known, text in chain(told.attributes.items(), told.earlier_attributes.items())
    )


def _conversations(told: Told) -> Iterator[str]:
    yield from filter(None, (told.conversation, *told.earlier_conversations))


def _attribute(wish: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    name, sign, value = wish.partition("=")
    if not name or not sign:
        raise UsageFault(_("--attribute: give NAME=VALUE, such as oracle:ucid=00FA* or *:ucid=00FA080018*"))
    return _pattern(name), _pattern(value)


def _pattern(text: str) -> re.Pattern[str]:
    """Return a pattern as an expression, one that never tries the same twice however many ``*`` it has."""
    return re.compile(fnmatch.translate(text.replace("[", "[[]")), re.IGNORECASE)


def _spellings(party: str, settings: Settings | None) -> Iterator[str]:
    yield party
    if settings is not None and not _WILD & set(party):
        numbers = settings.numbers
        yield Numbering(
            region=numbers.region, outside_prefix=numbers.outside_prefix, emergency=numbers.emergency
        ).normalise(party)


def _written(parties: Iterable[Party]) -> Iterator[str]:
    """Yield all that parties are known by: numbers, addresses and the users in them, names."""
    for party in parties:
        yield from filter(None, (party.tel, party.sip, party.name))
        if party.sip:
            try:
                yield parse_uri(party.sip).user
            except SipSyntaxError:
                continue


def _values(text: str) -> Iterator[str]:
    yield text
    if _SEPARATOR in text:
        yield from text.split(_SEPARATOR)


def _any_fits(patterns: Iterable[re.Pattern[str]], texts: Iterable[str]) -> bool:
    found = list(texts)
    return any(pattern.fullmatch(text) is not None for pattern in patterns for text in found)
