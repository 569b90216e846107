"""Says how often a thing may be told: what strangers do a thousand times a second is one line a minute."""

from typing import Final

INTERVAL_S: Final = 60.0
MAX_REMEMBERED: Final = 256
"""Addresses told of within the interval; beyond them none is. Who sends UDP can invent any number."""


class Seldom:
    """Lets each key through once in an interval; `now_s` never goes backwards."""

    def __init__(self) -> None:
        self._told: dict[str, float] = {}

    def is_due(self, key: str, now_s: float) -> bool:
        """Say whether to tell of this key now; if so, it counts as told."""
        while self._told:
            oldest = next(iter(self._told))
            if now_s - self._told[oldest] < INTERVAL_S:
                break
            del self._told[oldest]
        if key in self._told or len(self._told) >= MAX_REMEMBERED:
            return False
        self._told[key] = now_s
        return True
