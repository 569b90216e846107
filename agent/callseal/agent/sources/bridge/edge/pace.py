"""How fast calls may begin that the telephone's side makes. Pure.

Every call leaves a trace on the disk, also one that is refused; a program of this machine that begins them
without end would fill the disk, and keep the recorder busy. So there are only so many at a time, and then a
few a second: more than a telephone makes. A telephone that is known has its own measure, and does not share
that of the others.

Conventions: seconds of a clock that never goes back.
"""

from dataclasses import dataclass
from typing import Final

BURST: Final = 30
"""Calls that may begin at once: a few, each with a second try that has a password, all of them sent again
while the child starts."""
PER_S: Final = 2.0
MAX_KNOWN: Final = 64
"""Telephones with a measure of their own; the one that has called nobody for longest gives way."""

Who = tuple[str, int] | None
"""The address of a telephone that is known; None for all others."""


@dataclass(slots=True)
class _Measure:
    left: float
    since_s: float


class Pace:
    """Counts the calls that begin."""

    def __init__(self) -> None:
        self._measures: dict[Who, _Measure] = {}

    def allows(self, who: Who, now_s: float) -> bool:
        """Say whether one more call may begin; if so, it is counted."""
        measure = self._measures.pop(who, None) or _Measure(BURST, now_s)
        measure.left = min(BURST, measure.left + PER_S * (now_s - measure.since_s))
        measure.since_s = now_s
        while len(self._measures) >= MAX_KNOWN:
            del self._measures[next(iter(self._measures))]
        self._measures[who] = measure
        if measure.left < 1:
            return False
        measure.left -= 1
        return True
