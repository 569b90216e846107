"""How often the bridge's child has died of late, and what follows from it. Pure.

Conventions: `now_s` is seconds of a clock that never goes back.
"""

from collections import deque
from typing import Final

MANY: Final = 5
"""Deaths within `WINDOW_S` that are more than bad luck."""
WINDOW_S: Final = 60.0
PAUSE_S: Final = 10.0
"""Between one attempt and the next, once there were many."""


class Deaths:
    """The deaths of one desk's children."""

    def __init__(self) -> None:
        self._at_s: deque[float] = deque(maxlen=MANY)

    def add(self, now_s: float) -> None:
        """Note one."""
        self._at_s.append(now_s)

    def are_many(self, now_s: float) -> bool:
        """Say whether `MANY` lie within the last `WINDOW_S`: calls do not wait for a child then."""
        return len(self._at_s) == MANY and now_s - self._at_s[0] <= WINDOW_S

    def pause_s(self, now_s: float) -> float:
        """Say how long to wait before the next child is started."""
        return PAUSE_S if self.are_many(now_s) else 0.0
