"""How long to wait before something is tried again. Pure: randomness is an argument.

Conventions: the wait is drawn between nothing and a limit that doubles with each failure ("full jitter"), so
that a fleet whose store comes back does not knock all at once: of the ways to spread them it is the one with
the least work for all together (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
"""

from typing import Final

FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 300.0
"""A store that is back is found within so many seconds; one that is not hears this seldom of each of us."""

_MAX_DOUBLINGS: Final = 32


def limit_s(failures: int, *, first_s: float = FIRST_WAIT_S, longest_s: float = LONGEST_WAIT_S) -> float:
    """Return the longest wait after so many failures in a row, 1 or more."""
    doublings = min(max(failures - 1, 0), _MAX_DOUBLINGS)
    return min(longest_s, first_s * float(1 << doublings))


def wait_s(
    failures: int, random: float, *, first_s: float = FIRST_WAIT_S, longest_s: float = LONGEST_WAIT_S
) -> float:
    """Return the wait after so many failures in a row; `random` is from 0 to 1."""
    return random * limit_s(failures, first_s=first_s, longest_s=longest_s)
