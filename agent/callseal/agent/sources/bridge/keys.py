"""Keys that are pressed in a call: passed on to the other leg, and told without saying which.

A key is passed on when it goes down, with the library's own duration; it is told when it has been let go,
or when no more is heard of it (RFC 4733 section 2.5.1.4: the end may be lost).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from callseal.agent.sources.bridge.protocol import CallSide

SILENT_S: Final = 1.0
"""A key that is held down is heard of every 20 to 50 ms."""


@dataclass(slots=True)
class _Down:
    """A key that is down."""

    at_s: float
    heard_s: float
    duration_ms: int


class Keys:
    """Follows both sides of a call."""

    def __init__(self, pressed: Callable[[CallSide, float, int], None]) -> None:
        """`pressed` takes the side, when the key went down, and the milliseconds that it was."""
        self._pressed = pressed
        self._down: dict[CallSide, _Down] = {}

    def heard(self, side: CallSide, duration_ms: int, *, first: bool, last: bool, now_s: float) -> None:
        """Take what was heard of a key."""
        if first:
            self._let_go(side)
            self._down[side] = _Down(now_s, now_s, duration_ms)
        down = self._down.get(side)
        if down is None:
            return
        down.heard_s, down.duration_ms = now_s, max(down.duration_ms, duration_ms)
        if last:
            self._let_go(side)

    def turn(self, now_s: float) -> None:
        """Tell of keys that nothing more is heard of."""
        for side in [side for side, down in self._down.items() if now_s - down.heard_s > SILENT_S]:
            self._let_go(side)

    def close(self) -> None:
        """Tell of the keys that are still down."""
        for side in list(self._down):
            self._let_go(side)

    def _let_go(self, side: CallSide) -> None:
        down = self._down.pop(side, None)
        if down is not None:
            self._pressed(side, down.at_s, down.duration_ms)
