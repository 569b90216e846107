"""What is logged of peers and of faults of our own: seldom, and without what peers sent."""

import time
import traceback
from collections.abc import Callable

import structlog

from callseal.agent.sip.counters import Counters
from callseal.agent.sip.seldom import Seldom

log = structlog.get_logger("callseal.sip")


class Teller:
    """Logs each thing of each host once a minute at most; the `blame` and `tell` of a `Receiver`."""

    def __init__(self, counters: Counters, now_s: Callable[[], float] = time.monotonic) -> None:
        self._counters = counters
        self._now_s = now_s
        self._told = Seldom()
        self._told_bugs = Seldom()

    def blame(self, error: Exception, host: str) -> None:
        """Count a fault of our own code and tell where it is; its text may hold what the peer sent."""
        self._counters.bugs += 1
        if self._told_bugs.is_due(host, self._now_s()):
            where = "".join(traceback.format_tb(error.__traceback__))
            log.error("sip.bug", error=type(error).__name__, peer=host, traceback=where)

    def tell(self, event: str, host: str, why: str = "") -> None:
        """Log what a peer does."""
        if self._told.is_due(f"{event} {host}", self._now_s()):
            log.warning(event, peer=host, why=why)
