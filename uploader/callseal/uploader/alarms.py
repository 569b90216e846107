"""What is wrong at the moment, and what was counted: shared by all threads of the service.

Conventions: an alarm is a code and what it is about; it stands until it is cleared, with the time of its
beginning and the words that were said last. It is logged once when it begins and once when it is over.
Counters only grow.
"""

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

import structlog

from callseal.seal.status import MAX_ALARMS, MAX_DETAIL, Alarm

_LOG: Final[structlog.typing.FilteringBoundLogger] = structlog.get_logger()


class Board:
    """The alarms that stand, and the counters."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._alarms: dict[tuple[str, str], Alarm] = {}
        self._counters: Counter[str] = Counter()
        self._changes = 0

    @property
    def changes(self) -> int:
        """How often anything here changed."""
        return self._changes

    def put(self, code: str, subject: str, detail: str) -> None:
        """Let an alarm stand; one that stands already keeps its time."""
        words = f"{subject}: {detail}" if subject else detail
        line = "".join(sign if sign.isprintable() else " " for sign in words)[:MAX_DETAIL]
        with self._lock:
            standing = self._alarms.get((code, subject))
            if standing is not None:
                if standing.detail != line:
                    self._changes += 1
                    self._alarms[code, subject] = replace(standing, detail=line)
                return
            self._changes += 1
            self._alarms[code, subject] = Alarm(code=code, since=self._now(), detail=line)
        _LOG.warning(f"uploader.{code}", subject=subject, detail=detail)

    def clear(self, code: str, subject: str) -> None:
        """Let an alarm be over."""
        with self._lock:
            found = self._alarms.pop((code, subject), None)
            self._changes += found is not None
        if found is not None:
            _LOG.info(f"uploader.{code}.over", subject=subject)

    def replace(self, code: str, details: Mapping[str, str]) -> None:
        """Let exactly these alarms of one code stand, by what they are about."""
        with self._lock:
            over = [subject for known, subject in self._alarms if known == code and subject not in details]
        for subject in over:
            self.clear(code, subject)
        for subject, detail in details.items():
            self.put(code, subject, detail)

    def alarms(self) -> tuple[Alarm, ...]:
        """Return the alarms that stand, the oldest first, as many as a status has room for.

        Where there are more, each code has its share: many of one kind hide no other.
        """
        with self._lock:
            standing = tuple(self._alarms.values())
        if len(standing) <= MAX_ALARMS:
            return standing
        before: Counter[str] = Counter()
        ranks = []
        for place, alarm in enumerate(standing):
            ranks.append((before[alarm.code], place))
            before[alarm.code] += 1
        return tuple(standing[place] for place in sorted(place for _, place in sorted(ranks)[:MAX_ALARMS]))

    def stands(self, code: str, subject: str) -> bool:
        """Tell whether an alarm stands."""
        with self._lock:
            return (code, subject) in self._alarms

    def count(self, name: str, number: int = 1) -> None:
        """Count something."""
        with self._lock:
            self._changes += 1
            self._counters[name] += number

    def counted(self, name: str) -> int:
        """Return how often something was counted."""
        with self._lock:
            return self._counters[name]
