"""Which spool takes the next recording: the first that is still trusted and has room.

A disk that refused to write or to sync is not asked again until the agent starts anew: what the kernel kept
of it is unknown, and trying again could only pretend. A disk that was full is asked again once it has room.

A disk is full for us before the kernel says so: with less than `min_free_bytes` left, or more than
`full_percent` used. That is asked when a recording begins, and of no other: one that runs goes on to its end
where it is. Fuller than `warn_percent` is an alarm, and nothing else; nothing is ever
deleted here to make room.

Conventions: used from several threads; what they share is one set that only grows. `alarm` takes a code and
words, `clear` a code.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from callseal.seal.disk import Disk
from callseal.seal.errors import SpoolError
from callseal.seal.spool import Spool, SpoolInUse

FAILED: Final = "spool-failed"
FULL: Final = "spool-full"
FILLING: Final = "spool-filling"
SECOND: Final = "second-spool-used"

_NEVER: Final = 100
"""No disk is fuller than that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AtHand:
    """The spools that a device finds at its start; without the first there is none of this."""

    spools: tuple[Spool, ...]
    """Those that take recordings, locked."""
    ledgers: tuple[Path, ...]
    """Where the ledger may stand: also in a spool that can only be read."""
    missing: str
    """In words what is wrong with another; empty when all are there."""


def take(folders: Sequence[Path], locks: ExitStack) -> AtHand:
    """Open the spools and lock them until `locks` is left; the device goes on without any but the first.

    SpoolError where the first is of no use, SpoolInUse where another agent works in any.
    """
    spools: list[Spool] = []
    ledgers: list[Path] = []
    missing = ""
    for folder in folders:
        try:
            spool = Spool.existing(folder)
            ledgers.append(spool.ledger_path)
            locks.enter_context(spool.lock())
            spools.append(spool)
        except SpoolInUse:
            raise
        except SpoolError as error:
            if not spools:
                raise
            missing = f"{error}: without a second folder a call whose disk fails is not recorded to its end"
    return AtHand(spools=tuple(spools), ledgers=tuple(ledgers), missing=missing)


class Spools:
    """The spools of a device, in the order in which they are used."""

    def __init__(
        self,
        spools: Sequence[Spool],
        *,
        min_free_bytes: int,
        alarm: Callable[[str, str], None],
        clear: Callable[[str], object],
        warn_percent: int = _NEVER,
        full_percent: int = _NEVER,
    ) -> None:
        self._spools = tuple(spools)
        self._min_free_bytes = min_free_bytes
        self._warn_percent = warn_percent
        self._full_percent = full_percent
        self._alarm = alarm
        self._clear = clear
        self._failed: set[Path] = set()

    @property
    def all(self) -> tuple[Spool, ...]:
        """Every spool, trusted or not."""
        return self._spools

    @property
    def first(self) -> Spool:
        """The one where status and locks are."""
        return self._spools[0]

    @property
    def failed(self) -> frozenset[Path]:
        """The folders of those that are not trusted any more."""
        return frozenset(self._failed)

    def distrust(self, spool: Spool, error: SpoolError) -> None:
        """Put no recording there any more: its disk refused, other than for being full."""
        if not error.full and spool.root not in self._failed:
            self._failed.add(spool.root)
            words = f"{error}: nothing is recorded there until the disk is repaired and the agent restarted"
            self._alarm(FAILED, words)

    def usable(self, *, other_than: Spool | None = None, with_sound: bool = True) -> Iterator[Spool]:
        """Yield the spools that a recording may go to now, the best first.

        The room that must stay free is for what has no sound: the traces of calls that are not recorded. A
        recording that leaves another spool in the middle of its call takes what others may not begin with.
        """
        for spool in self._spools:
            trusted = spool is not other_than and spool.root not in self._failed
            if trusted and (not with_sound or self._has_room(spool, running=other_than is not None)):
                yield spool

    def why_not(self) -> str | None:
        """Return the code that says why nothing can be recorded, None where something can; set the alarms."""
        self._tell_filling()
        chosen = next(self.usable(), None)
        if chosen is not None:
            self._clear(FULL)
        if chosen is not None and chosen is not self.first:
            self._alarm(
                SECOND, f"recordings go to {chosen.root}, the second folder: see to {self.first.root}"
            )
        elif chosen is not None:
            self._clear(SECOND)
        if chosen is not None:
            return None
        return FAILED if all(spool.root in self._failed for spool in self._spools) else FULL

    def _tell_filling(self) -> None:
        filling = [
            f"{spool.root}: {disk.used_percent} % of its disk is used"
            for spool in self._spools
            if (disk := _disk(spool)) is not None and disk.is_fuller_than(self._warn_percent)
        ]
        if filling:
            full = (
                f"above {self._full_percent} % no recording begins there: see why recordings do not leave it"
            )
            self._alarm(FILLING, "; ".join([*filling, full]))
        else:
            self._clear(FILLING)

    def _has_room(self, spool: Spool, *, running: bool) -> bool:
        disk = _disk(spool)
        if disk is None or disk.free_bytes < self._min_free_bytes:
            return False
        return running or not disk.is_fuller_than(self._full_percent)


def _disk(spool: Spool) -> Disk | None:
    """Return how full a spool's disk is, None where it does not answer."""
    try:
        return Disk.of(spool.root)
    except SpoolError:
        return None
