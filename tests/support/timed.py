"""Waits for what has to happen within a time that a test names."""

import time
from collections.abc import Callable


def until(holds: Callable[[], bool], what: str, limit_s: float = 10.0) -> float:
    """Wait until something holds; gives how long that took."""
    began_s = time.monotonic()
    while not holds():
        if time.monotonic() - began_s > limit_s:
            raise AssertionError(f"{what}: not within {limit_s} s")
        time.sleep(0.005)
    return time.monotonic() - began_s
