"""One timer for what is due next: of an endpoint or a proxy, within one asyncio event loop."""

import asyncio
from collections.abc import Callable
from typing import Final

TICK_S: Final = 0.02
"""Nobody is woken more often than this; the shortest time of SIP is 0.5 s (T1)."""


class Waker:
    """Calls `wake` when it is due; a timer that comes too early does no harm and is kept."""

    def __init__(self, wake: Callable[[], None], now_s: Callable[[], float]) -> None:
        self._wake = wake
        self._now_s = now_s
        self._timer: asyncio.TimerHandle | None = None
        self._due_s = 0.0

    def set(self, due_s: float | None) -> None:
        """Have it called at that time at the latest; None where nothing waits."""
        if due_s is None:
            return
        now_s = self._now_s()
        due_s = max(due_s, now_s + TICK_S)
        if self._timer is not None:
            if self._due_s <= due_s:
                return
            self._timer.cancel()
        self._due_s = due_s
        self._timer = asyncio.get_running_loop().call_later(due_s - now_s, self._ring)

    def stop(self) -> None:
        """Call nobody any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        self._timer = None
        self._wake()
