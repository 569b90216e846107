"""A look through all names under which a ledger lies: what is gone, and what was put there besides.

Of what lies below the base only the number is known, and so is compared; of the tail, each name.

Conventions: names that a stranger chose are made fit for one line. Pure.
"""

from collections.abc import Iterable
from typing import Final

from callseal.archive.ledger_memory import Wrong
from callseal.archive.ledger_shelf import Listed
from callseal.seal.ledger import Code
from callseal.seal.verify.findings import ALTERED, NOT_CHECKED
from callseal.store.probe_names import is_probe_name

EXTRA: Final = "extra-object"
EXTRA_VERSION: Final = "extra-version"
MAX_EXTRA: Final = 20
"""Of a kind that are told one by one."""

_MAX_NAME: Final = 200
_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"


class Look:
    """Names as they come. `read` is how many segments were read below the `base`, `tail` those from it on."""

    def __init__(self, *, base: int, read: int, tail: Iterable[int]) -> None:
        self._base = base
        self._read = read
        self._tail = frozenset(tail)
        self._below = 0
        self._seen: set[int] = set()
        self._new: list[Listed] = []
        self._extra: list[Wrong] = []

    def take(self, item: Listed | str, versions: int = 1) -> None:
        """Go on by a segment, which lies there in so many versions of different bytes, or by a stranger."""
        if isinstance(item, str):
            if is_probe_name(item):
                return
            name = "".join(sign if sign.isprintable() else _REPLACEMENT for sign in item)[:_MAX_NAME]
            self._tell(EXTRA, f"{name}: no segment of a ledger is called that", NOT_CHECKED)
            return
        below = item.first < self._base
        if below:
            self._below += 1
        else:
            self._seen.add(item.first)
        if versions > 1:
            words = f"the segment from entry {item.first} lies there in {versions} versions"
            self._tell(EXTRA_VERSION, words, ALTERED)
        if not below and (versions > 1 or item.first not in self._tail):
            self._new.append(item)

    def new(self) -> list[Listed]:
        """Return the segments that were not read yet, or not in all versions, sorted."""
        return sorted(self._new, key=lambda item: item.first)

    def wrong(self) -> tuple[Wrong, ...]:
        """Return what is wrong."""
        found: list[Wrong] = []
        if (less := self._read - self._below) > 0:
            words = f"{less} segments before entry {self._base}, which had been read, are gone"
            found.append(Wrong(code=Code.GAP.value, words=words, exit_code=ALTERED))
        elif less < 0:
            words = f"{-less} segments were put between those before entry {self._base}"
            found.append(Wrong(code=EXTRA, words=words, exit_code=ALTERED))
        for first in sorted(self._tail - self._seen)[:MAX_EXTRA]:
            words = f"the segment from entry {first}, which had been read, is gone"
            found.append(Wrong(code=Code.GAP.value, words=words, exit_code=ALTERED))
        return (*found, *self._extra)

    def _tell(self, code: str, words: str, exit_code: int) -> None:
        if len(self._extra) < MAX_EXTRA:
            self._extra.append(Wrong(code=code, words=words, exit_code=exit_code))
