"""What happened in a call so far, within limits: who goes on telling must not fill the memory. Pure.

Of each kind of event the first one and the newest ones are kept; what lies between them goes when there are
too many, and is counted. So it is with documents and their bytes too: the INVITE that began the call stays.
"""

import dataclasses
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from callseal.agent.call import (
    Answered,
    CodecChanged,
    Digit,
    Disclosure,
    Document,
    Event,
    Gap,
    Held,
    MediaLost,
    PartiesChanged,
)

MAX_OF_A_KIND: Final = 1024
"""Events of one kind; an hour of a call with a pause every 3 s has 1,200."""
MAX_DOCUMENT_BYTES: Final = 64 * 1024
"""What is longer is cut: an INVITE with metadata has 3 to 20 KB, a datagram can't have more than this."""
MAX_DOCUMENTS_BYTES: Final = 512 * 1024
"""All of a call's documents together: they are sealed anew with every change."""
MAX_DOCUMENTS: Final = 256
MAX_CHANGES: Final = 256
"""Changes of the parties."""

_MOST: Final[Mapping[type[Event], int]] = MappingProxyType(
    {Document: MAX_DOCUMENTS, PartiesChanged: MAX_CHANGES}
)


class Happenings:
    """The events of one call, in the order in which they came."""

    __slots__ = ("_numbers", "_of_kind", "_unlisted")

    def __init__(self) -> None:
        self._of_kind: dict[type[Event], list[tuple[int, Event]]] = {}
        self._numbers = itertools.count()
        self._unlisted: Counter[type[Event]] = Counter()

    def __iter__(self) -> Iterator[Event]:
        every = [item for items in self._of_kind.values() for item in items]
        return iter([event for _, event in sorted(every, key=lambda item: item[0])])

    @property
    def unlisted(self) -> Mapping[type[Event], int]:
        """How many events of a kind there were besides those that are kept."""
        return MappingProxyType(self._unlisted)

    def add(self, event: Event) -> None:
        """Keep one more."""
        if isinstance(event, Document) and len(event.body) > MAX_DOCUMENT_BYTES:
            event = dataclasses.replace(event, body=event.body[:MAX_DOCUMENT_BYTES], is_cut=True)
        kind = type(event)
        items = self._of_kind.setdefault(kind, [])
        items.append((next(self._numbers), event))
        while len(items) > _MOST.get(kind, MAX_OF_A_KIND) or (
            kind is Document and _size_bytes(items) > MAX_DOCUMENTS_BYTES
        ):
            del items[1]
            self._unlisted[kind] += 1


def moved(event: Event, by: int) -> Event:
    """Return an event with its positions counted from another sample."""
    if isinstance(event, Answered | MediaLost | Digit | Held | CodecChanged | PartiesChanged):
        return dataclasses.replace(event, position_samples=event.position_samples + by)
    if isinstance(event, Gap):
        return dataclasses.replace(
            event, start_samples=event.start_samples + by, end_samples=event.end_samples + by
        )
    if isinstance(event, Disclosure):
        start, end = event.start_samples, event.end_samples
        return dataclasses.replace(
            event,
            start_samples=None if start is None else start + by,
            end_samples=None if end is None else end + by,
        )
    return event


def _size_bytes(items: list[tuple[int, Event]]) -> int:
    return sum(len(event.body) for _, event in items if isinstance(event, Document))
