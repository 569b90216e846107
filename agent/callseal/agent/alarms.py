"""The alarms that stand at the moment: raised once, kept until they are over, shown with their beginning."""

import threading
from collections.abc import Callable
from datetime import datetime
from typing import Final

from callseal.seal.status import MAX_DETAIL, Alarm

MAX_ALARMS: Final = 32


class Alarms:
    """What needs a person; used from several threads."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._standing: dict[str, Alarm] = {}
        self._lock = threading.Lock()

    def raise_(self, code: str, detail: str) -> None:
        """Raise an alarm, or bring the words of one that stands up to date."""
        words = "".join(letter if letter.isprintable() else " " for letter in detail)
        line = " ".join(words.split())[:MAX_DETAIL]
        with self._lock:
            standing = self._standing.get(code)
            if standing is None and len(self._standing) >= MAX_ALARMS:
                return
            since = self._now() if standing is None else standing.since
            self._standing[code] = Alarm(code=code, since=since, detail=line)

    def clear(self, code: str) -> None:
        """End an alarm, if it stands."""
        with self._lock:
            self._standing.pop(code, None)

    def standing(self) -> tuple[Alarm, ...]:
        """Give the alarms that stand, the oldest first."""
        with self._lock:
            return tuple(sorted(self._standing.values(), key=lambda alarm: alarm.since))
