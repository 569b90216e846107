"""When to try a store again that could not be reached. Pure: time and randomness are arguments.

Conventions: times are seconds on a clock that never goes back. The wait doubles with each failure up to a
limit, and is drawn between half of that and all of it, so that a fleet whose store comes back does not
knock all at once.
"""

from dataclasses import dataclass, replace
from typing import Final, Self

FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 300.0

_MAX_DOUBLINGS: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How often a store has failed in a row, and when it may be tried again."""

    failures: int = 0
    not_before_s: float = 0.0

    def due(self, now_s: float) -> bool:
        """Tell whether the store may be tried."""
        return now_s >= self.not_before_s

    def failed(self, now_s: float, random: float) -> Self:
        """Return what holds after one more failure; `random` is from 0 to 1."""
        longest_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(self.failures, _MAX_DOUBLINGS))
        wait_s = longest_s * (0.5 + 0.5 * random)
        return replace(self, failures=self.failures + 1, not_before_s=now_s + wait_s)
