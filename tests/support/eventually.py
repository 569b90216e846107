"""Waits for what another thread or process is about to do."""

import time
from collections.abc import Callable

PATIENCE_S = 30.0
_INTERVAL_S = 0.01


def eventually(holds: Callable[[], bool], what: str) -> None:
    """Return as soon as `holds()` does; AssertionError naming `what` if it never does."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > deadline_s:
            raise AssertionError(f"{what}: not within {PATIENCE_S} s")
        time.sleep(_INTERVAL_S)
