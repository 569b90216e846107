"""Which spool takes the next recording: the first that is still trusted and has room.

A disk that refused to write or to sync is not asked again until the agent starts anew: what the kernel kept
of it is unknown, and trying again could only pretend. A disk that was full is asked again once it has room.

Conventions: used from several threads; what they share is one set that only grows. `alarm` takes a code and
words, `clear` a code.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from callseal.seal.errors import SpoolError
from callseal.seal.spool import Spool, SpoolInUse

FAILED: Final = "spool-failed"
FULL: Final = "spool-full"
SECOND: Final = "second-spool-used"


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
    ) -> None:
        self._spools = tuple(spools)
        self._min_free_bytes = min_free_bytes
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

    def distrust(self, spool: Spool, error: SpoolError) -> None:
        """Put no recording there any more: its disk refused, other than for being full."""
        if not error.full and spool.root not in self._failed:
            self._failed.add(spool.root)
            words = f"{error}: nothing is recorded there until the disk is repaired and the agent restarted"
            self._alarm(FAILED, words)

    def usable(self, *, other_than: Spool | None = None, with_sound: bool = True) -> Iterator[Spool]:
        """Yield the spools that a recording may go to now, the best first.

        The room that must stay free is for what has no sound: the traces of calls that are not recorded.
        """
        for spool in self._spools:
            trusted = spool is not other_than and spool.root not in self._failed
            if trusted and (not with_sound or self._has_room(spool)):
                yield spool

    def why_not(self) -> str | None:
        """Return the code that says why nothing can be recorded, None where something can; set the alarms."""
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

    def _has_room(self, spool: Spool) -> bool:
        try:
            return spool.free_bytes() >= self._min_free_bytes
        except SpoolError:
            return False
