"""Whether a site is tried at all: one breaker a site, so that one that is down costs and slows nothing else.

::

    closed ──FAILURES_TO_OPEN in a row──▶ open ──its wait is over──▶ probing ──success──▶ closed
                                           ▲                            │
                                           └───────────failure──────────┘

Closed, everything goes. Open, nothing does. Probing, one try is under way and nothing else goes until it has
an end. An account that was denied opens it at once, for longer: only a person can mend that.

Pure: time and randomness are arguments. Conventions: times are seconds on a clock that never goes back.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Self

from callseal.uploader.retry import wait_s

FAILURES_TO_OPEN: Final = 3
"""One lost connection is no outage; three in a row, with nothing that went well between them, are one."""
DENIED_AGAIN_S: Final = 60.0
"""How often an account that was denied is tried again: often enough for who stands there mending it."""


class Position(StrEnum):
    """Where a breaker stands."""

    CLOSED = "closed"
    OPEN = "open"
    PROBING = "probing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """What is known of one site; a new one knows nothing and lets everything go."""

    position: Position = Position.CLOSED
    failures: int = 0
    not_before_s: float = 0.0

    def admits(self, now_s: float) -> bool:
        """Tell whether a try may begin; the first one of an open breaker is its probe, see `begun`."""
        if self.position is Position.OPEN:
            return now_s >= self.not_before_s
        return self.position is Position.CLOSED

    def begun(self) -> Self:
        """Return what holds once an admitted try has begun."""
        return replace(self, position=Position.PROBING) if self.position is Position.OPEN else self

    def withdrawn(self) -> Self:
        """Return what holds after a try that said nothing of the site: another one may probe it."""
        return replace(self, position=Position.OPEN) if self.position is Position.PROBING else self

    def succeeded(self) -> Self:
        """Return what holds after the site answered, whatever it said of the object."""
        return type(self)()

    def failed(self, now_s: float, random: float) -> Self:
        """Return what holds after the site could not be reached; `random` is from 0 to 1."""
        if self.position is Position.OPEN:
            return self  # it began before the breaker opened, and says nothing new
        failures = self.failures + 1
        if failures < FAILURES_TO_OPEN:
            return replace(self, failures=failures)
        wait = wait_s(failures - FAILURES_TO_OPEN + 1, random)
        return type(self)(position=Position.OPEN, failures=failures, not_before_s=now_s + wait)

    def denied(self, now_s: float) -> Self:
        """Return what holds after the site refused the account."""
        return type(self)(
            position=Position.OPEN,
            failures=max(self.failures, FAILURES_TO_OPEN),
            not_before_s=now_s + DENIED_AGAIN_S,
        )
