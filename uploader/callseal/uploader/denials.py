"""Whom to blame for a denial: the account, or what it was denied for. For one site; pure.

A store says "denied" to an account that has lost its rights, and to a good one for a single name: a recording
of another device's, a key that it holds protected. The one stops everything until a person mends it; if the
other did, one recording would keep all others here for ever. The answer does not tell them apart. What comes
next does:

::

    denied ──▶ the account is in doubt: the breaker opens, what was denied is set aside, something else is
               the next probe
                 ├── denied as well    still the account
                 └── taken             the account is good, by now at least: what was set aside is tried again
                                         ├── taken     somebody mended the account
                                         └── denied    it is to blame itself; and so is, for a while, whatever
                                                       is denied between things that are taken

Conventions: times are seconds on a clock that never goes back; what is denied is named by any key. Not safe
for several threads.
"""

from collections.abc import Collection, Hashable
from typing import Final

MAX_ASIDE: Final = 64
"""So many are set aside; an account that is denied for days must not gather all that waits."""
MAX_IN_A_ROW: Final = 100
"""So many denials without anything that is taken are about the account again."""
PICKY_S: Final = 3600.0
"""How long a site is known to deny some and take others, after it last did."""


class Denials:
    """What one site denied lately."""

    def __init__(self) -> None:
        self._aside: set[Hashable] = set()
        self._suspected: set[Hashable] = set()
        self._in_a_row = 0
        self._picky_until_s = float("-inf")

    @property
    def aside(self) -> Collection[Hashable]:
        """What is not to be tried while there is anything else to try."""
        return frozenset(self._aside)

    def denied(self, key: Hashable, now_s: float) -> bool:
        """Take notice of a denial; tell whether what was denied is to blame, and not the account."""
        self._in_a_row += 1
        if self._in_a_row > MAX_IN_A_ROW:
            self._picky_until_s = float("-inf")
            self._suspected.clear()
        if key in self._suspected or now_s < self._picky_until_s:
            self._suspected.discard(key)
            self._picky_until_s = now_s + PICKY_S
            return True
        if len(self._aside) < MAX_ASIDE:
            self._aside.add(key)
        return False

    def taken(self, key: Hashable) -> None:
        """Take notice of what was taken: what was set aside may be tried again, and is suspected then."""
        self._in_a_row = 0
        self._suspected |= self._aside
        self._suspected.discard(key)
        self._aside.clear()
        if len(self._suspected) > MAX_ASIDE:
            self._suspected.clear()
