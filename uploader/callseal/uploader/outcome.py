"""What an answer of a store means for the object that was being sent. Pure: one table.

::

    held ──all others of its recording there──▶ waiting ──▶ stored
                                                  │  ▲
                                                  ▼  │ its wait is over
                                          doubt, refused, broken

``waiting``: to be sent. ``held``: the manifest, until everything that it speaks of is there. ``stored``: the
store said so, or said that the name is taken after a try of ours whose answer was lost. ``doubt``: somebody
put something under this name, or we did and the store no longer knows; only a receipt can tell, and if none
comes, it is put again. ``refused``, ``broken``: a person must look; tried again now and then.

`attempted` is the memory that makes this safe: it is on the disk before the request that makes the object
visible (`put`, `end_parts`) leaves, and taken back only by an answer which proves that this request changed
nothing. While it is set, a name that is taken is ours: object names carry the SHA-256 of the bytes, or are
written by this device alone. While it is not, it is somebody else's, and never counted as stored. And what a
store calls an object is known for certain only where no try was attempted before the one that it answered:
there may be two versions of the same bytes, and the receipt may name either.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from callseal.store.errors import (
    NameTaken,
    SourceAltered,
    StoreDenied,
    StoreError,
    StoreUnreachable,
    UploadGone,
)


class RowState(StrEnum):
    """Where one object stands on its way to one site."""

    HELD = "held"
    WAITING = "waiting"
    STORED = "stored"
    DOUBT = "doubt"
    REFUSED = "refused"
    BROKEN = "broken"


class Event(StrEnum):
    """What came of a try."""

    STORED = "stored"
    TAKEN = "taken"
    PART_GONE = "part-gone"
    END_GONE = "end-gone"
    UNREACHABLE = "unreachable"
    DENIED = "denied"
    REFUSED = "refused"
    ALTERED = "altered"


class Wait(StrEnum):
    """How long until the object is looked at again."""

    NONE = "none"
    RETRY = "retry"
    DOUBT = "doubt"
    AGAIN = "again"


class Sign(StrEnum):
    """What the answer says of the site."""

    REACHED = "reached"
    UNREACHABLE = "unreachable"
    DENIED = "denied"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What follows from an answer.

    `unchanged` means that the answer proves that this try made nothing visible. `restart` means that the
    undertaking in parts is over: whatever comes next begins another.
    """

    state: RowState
    wait: Wait = Wait.NONE
    sign: Sign = Sign.REACHED
    unchanged: bool = False
    restart: bool = False


_STORED: Final = Verdict(state=RowState.STORED, restart=True)
_AGAIN: Final = Verdict(state=RowState.WAITING, wait=Wait.RETRY, unchanged=True, restart=True)
_UNREACHABLE: Final = Verdict(state=RowState.WAITING, wait=Wait.RETRY, sign=Sign.UNREACHABLE)
_DENIED: Final = Verdict(state=RowState.WAITING, sign=Sign.DENIED, unchanged=True)
_REFUSED: Final = Verdict(state=RowState.REFUSED, wait=Wait.AGAIN, unchanged=True, restart=True)
_BROKEN: Final = Verdict(
    state=RowState.BROKEN, wait=Wait.AGAIN, sign=Sign.NOTHING, unchanged=True, restart=True
)

TABLE: Final[Mapping[tuple[Event, bool], Verdict]] = MappingProxyType(
    {
        (Event.STORED, False): _STORED,
        (Event.STORED, True): _STORED,
        (Event.TAKEN, False): Verdict(state=RowState.DOUBT, wait=Wait.DOUBT, unchanged=True, restart=True),
        (Event.TAKEN, True): _STORED,
        (Event.PART_GONE, False): _AGAIN,
        (Event.PART_GONE, True): _AGAIN,
        (Event.END_GONE, False): _AGAIN,
        (Event.END_GONE, True): Verdict(state=RowState.DOUBT, wait=Wait.DOUBT, restart=True),
        (Event.UNREACHABLE, False): _UNREACHABLE,
        (Event.UNREACHABLE, True): _UNREACHABLE,
        (Event.DENIED, False): _DENIED,
        (Event.DENIED, True): _DENIED,
        (Event.REFUSED, False): _REFUSED,
        (Event.REFUSED, True): _REFUSED,
        (Event.ALTERED, False): _BROKEN,
        (Event.ALTERED, True): _BROKEN,
    }
)
"""By what happened, and whether an earlier try was attempted whose answer is not known."""


def verdict(event: Event, *, attempted: bool) -> Verdict:
    """Return what follows; `attempted` is what was known *before* this try."""
    return TABLE[event, attempted]


def event_of(problem: StoreError, *, ending: bool) -> Event:
    """Return what a store's error is; `ending` tells that it came from `end_parts`."""
    # The narrower class first: each is one of those below it, too.
    if isinstance(problem, UploadGone):
        return Event.END_GONE if ending else Event.PART_GONE
    if isinstance(problem, StoreUnreachable):
        return Event.UNREACHABLE
    if isinstance(problem, NameTaken):
        return Event.TAKEN
    if isinstance(problem, StoreDenied):
        return Event.DENIED
    if isinstance(problem, SourceAltered):
        return Event.ALTERED
    return Event.REFUSED
