"""Our clock beside the store's, before anything is protected until a time that we reckon.

A protection in compliance mode can't be taken back: a clock that is ten years ahead would keep everything for
ten years too long, and one that is behind would let it end. So a small object is put, and the time at which
the store says that it took it is compared with ours. It lies where things are replaced all the time
(``fleet/``), so that none of it stays.

Conventions: differences below `TOLERANCE` matter to no protection. What was found holds for `HOLDS_FOR`, by
our own clock: one that leaps further is looked at again. Which of the two is wrong can't be told from here.
"""

from datetime import datetime, timedelta
from typing import ClassVar, Final, Protocol

from callseal.seal.timestamp import write_time
from callseal.store.errors import StoreError
from callseal.store.interface import StoreBoard, StoreReader
from callseal.store.names import FLEET

TOLERANCE: Final = timedelta(days=1)
HOLDS_FOR: Final = timedelta(hours=1)
CLOCK_NAME: Final = f"{FLEET}clock"
"""No device is called that: who reads the fleet's state passes it over."""


class ClocksDiffer(StoreError):  # noqa: N818 - says what is wrong better than "...Error" would
    """Our clock and the store's differ by more than a day, or the store does not tell its time."""

    exit_code: ClassVar[int] = 15
    permanent: ClassVar[bool] = False


class Clock(Protocol):
    """What is asked before anything is protected."""

    def check(self, now: datetime) -> None:
        """Raise ClocksDiffer where `now` is not to be relied on, and StoreError where that can't be told."""


class Board(StoreReader, StoreBoard, Protocol):
    """A store as far as it is needed here."""


class StoreClock:
    """The clock of one store."""

    def __init__(self, store: Board) -> None:
        self._store = store
        self._checked_at: datetime | None = None

    def check(self, now: datetime) -> None:
        """Compare `now` with the store's time; see `Clock`."""
        if self._checked_at is not None and timedelta() <= now - self._checked_at <= HOLDS_FOR:
            return
        self._checked_at = None
        self._store.replace(CLOCK_NAME, f"{write_time(now)}\n".encode("ascii"))
        times = [item.modified_at for item in self._store.list(CLOCK_NAME) if item.name == CLOCK_NAME]
        theirs = next(iter(times), None)
        if theirs is None:
            raise ClocksDiffer(f"{CLOCK_NAME}: the store does not tell when it took this, just now")
        ahead = now - theirs
        if abs(ahead) > TOLERANCE:
            # Whole days: the same words in each round.
            days = abs(ahead) // timedelta(days=1)
            which = "ahead of" if ahead > timedelta() else "behind"
            raise ClocksDiffer(
                f"this machine's clock is {days} days {which} the store's: no protection is extended until"
                " the wrong one is set right"
            )
        self._checked_at = now
