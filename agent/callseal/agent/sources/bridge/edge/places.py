"""Telephones as they name themselves, each under a token that the telephone system knows it by.

Conventions: seconds of a clock that never goes back.
"""

import hashlib
import re
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Final

from callseal.agent.sip.uri import Uri
from callseal.agent.sources.bridge.edge import contacts
from callseal.agent.sources.bridge.edge.contacts import Key
from callseal.agent.sources.bridge.edge.faces import Reach

MAX_PLACES: Final = 128
"""Contacts that are remembered; the ones unheard of for longest make room, but never registered ones."""
MAX_ALIKE: Final = 64
"""Contacts with the same user part."""
TAKEN_OVER_S: Final = 3600.0
"""After so long, an unregistered Contact leaves its token to a telephone that registers under it."""
RESERVED: Final = "callseal-"
"""Users that begin so are the child's."""

_TOKEN: Final = re.compile(r"[A-Za-z0-9\-_.!~*'()&=+$,/]{1,64}")
_HASH_CHARS: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One telephone, as it names itself."""

    token: str
    """User part of the Contact that it has at the telephone system."""
    uri: str = field(repr=False)
    """Its own Contact, as it wrote it."""
    key: Key = field(repr=False)
    reach: Reach
    instance: str = field(default="", repr=False)
    seen_s: float = 0.0


class Places:
    """The telephones that are known."""

    def __init__(self, held: Callable[[float], Collection[str]]) -> None:
        """`held` gives the tokens that are registered at that time."""
        self._held = held
        self._places: OrderedDict[str, Place] = OrderedDict()
        self._tokens: dict[Key, str] = {}

    def __contains__(self, token: str) -> bool:
        return token in self._places

    def get(self, token: str) -> Place | None:
        """Return the telephone of a token."""
        return self._places.get(token)

    def find(self, token: str) -> Place | None:
        """Return the telephone of a token, which is wanted: it is not forgotten soon."""
        if token in self._places:
            self._places.move_to_end(token)
        return self._places.get(token)

    def of(self, uri: Uri, *, is_exact: bool = False) -> Place | None:
        """Return the telephone of which this is the own Contact.

        If not `is_exact`, parameters may have been left out or put in by who wrote it again.
        """
        key = contacts.key_of(uri)
        token = self._tokens.get(key)
        if token is not None or is_exact:
            return None if token is None else self.find(token)
        return next((each for each in reversed(self._places.values()) if each.key[:3] == key[:3]), None)

    def put(self, place: Place, now_s: float) -> None:
        """Remember a telephone, in place of what its token stood for."""
        known = self._places.get(place.token)
        if known is not None:
            self._tokens.pop(known.key, None)
        self._places[place.token] = place
        self._places.move_to_end(place.token)
        self._tokens[place.key] = place.token
        if len(self._places) > MAX_PLACES:
            held = self._held(now_s)
            self._drop(next(token for token in self._places if token not in held))

    def free(self, wanted: str, now_s: float, *, is_registering: bool) -> str | None:
        """Return a token that nobody has, the wanted one if that can be; None where too many are alike.

        Who registers then takes the place of somebody who has not: of such, anybody can invent any number.
        """
        tokens = [wanted if number == 1 else f"{wanted}-{number}" for number in range(1, MAX_ALIKE + 1)]
        for token in tokens:
            holder = self._places.get(token)
            if holder is None:
                return token
            is_idle = token not in self._held(now_s) and now_s - holder.seen_s > TAKEN_OVER_S
            if is_registering and is_idle:
                self._drop(token)
                return token
        held = self._held(now_s) if is_registering else tokens
        others = (token for token in tokens if token not in held)
        idle = min(others, key=lambda token: self._places[token].seen_s, default=None)
        if idle is not None:
            self._drop(idle)
        return idle

    def _drop(self, token: str) -> None:
        self._tokens.pop(self._places.pop(token).key, None)


def wanted_token(user: str, owner: str) -> str:
    """Return the token that a Contact should have: its own user where that is plain, else a stable one.

    `owner` tells a Contact without user from others.
    """
    if is_token(user):
        return user
    text = (user or owner).encode("utf-8", "surrogateescape")
    return f"desk-{hashlib.sha256(text).hexdigest()[:_HASH_CHARS]}"


def is_token(text: str) -> bool:
    """Say whether a text can be a token."""
    return _TOKEN.fullmatch(text) is not None and not text.lower().startswith(RESERVED)
