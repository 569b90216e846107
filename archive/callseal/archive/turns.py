"""Turns: several devices' work done a while each, one after the other, round and round.

Whoever may add can make work without end for one device; the others' is done in between all the same.

Conventions: a device's work is an iterator that yields after each piece. What it raises ends it, and is let
through; the others go on with the next call.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final

PIECES_A_TURN: Final = 100
"""Pieces of one device's work until the others have their turn."""


class Turns:
    """The devices' work; `device` is whose turn it is, None before the first piece and after the last."""

    def __init__(self, works: Iterable[tuple[str, Iterator[None]]]) -> None:
        """`works` is gone through as it is needed."""
        self._new = iter(works)
        self._again: deque[tuple[str, Iterator[None]]] = deque()
        self._work: Iterator[None] | None = None
        self._pieces = 0
        self.device: str | None = None

    def next(self) -> str | None:
        """Do the next piece of work; return whose it was, None if nothing is left."""
        while True:
            if self._work is None and not self._begin():
                return None
            work, device = self._work, self.device
            self._work = None  # what it raises ends it
            for _piece in work or ():
                self._pieces += 1
                if self._pieces < PIECES_A_TURN:
                    self._work = work
                elif work is not None and device is not None:
                    self._again.append((device, work))
                return device

    def _begin(self) -> bool:
        """Begin a turn: of a device that had none yet, else of the one that waits longest."""
        self.device, self._pieces = None, 0
        found = next(self._new, None) or (self._again.popleft() if self._again else None)
        if found is None:
            return False
        self.device, self._work = found
        return True
