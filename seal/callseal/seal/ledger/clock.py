"""The two clocks that every entry of the ledger carries, and how far they went apart.

The wall clock can be set by hand; the time since the machine's start can not. An entry has both, so that a
step of the wall clock shows in the ledger: between two entries of one start of the machine both clocks must
have gone the same way. A new start tells nothing: the uptime begins anew, the wall clock may have been set.

Conventions: the wall clock is UTC and counts to the millisecond, the rest is cut off. `uptime_ms` counts
the time asleep too (CLOCK_BOOTTIME, clock_gettime(2)): a machine that slept has not been set. `boot` is 16
hexadecimal digits that stand for one start of the machine, and say nothing about which machine it is.
"""

import hashlib
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Final

from callseal.seal.errors import SealError
from callseal.seal.fields import MAX_INTEGER

STEP_MS: Final = 1000  # from here on a difference between the clocks is a step, not the cost of reading two
BOOT_PATTERN: Final = re.compile(r"[0-9a-f]{16}")

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_BOOT_ID_PATH: Final = Path("/proc/sys/kernel/random/boot_id")
_BOOT_SIZE_BYTES: Final = 8
_READINGS: Final = 10
_TOGETHER_NS: Final = 20_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """What both clocks showed at one moment."""

    at: datetime
    boot: str
    uptime_ms: int

    def __post_init__(self) -> None:
        if self.at.tzinfo is None:
            raise ValueError("at is a time without a zone: give one in UTC")
        if BOOT_PATTERN.fullmatch(self.boot) is None:
            raise ValueError("boot is not 16 hexadecimal digits")
        if not 0 <= self.uptime_ms <= MAX_INTEGER:
            raise ValueError("uptime_ms is out of range")

    @property
    def at_ms(self) -> int:
        """The wall clock in whole milliseconds since 1970."""
        return milliseconds(self.at)


def milliseconds(at: datetime) -> int:
    """Return the whole milliseconds from the beginning of 1970, UTC, to `at`."""
    return (at - _EPOCH) // _MILLISECOND


def from_milliseconds(at_ms: int) -> datetime:
    """Return the time, in UTC, that is `at_ms` after the beginning of 1970."""
    return _EPOCH + at_ms * _MILLISECOND


def stepped_ms(before: Clocks | None, now: Clocks) -> int:
    """Return by how much the wall clock was set between two readings; 0 for less than `STEP_MS`.

    0 also where nothing can be said: at the first reading, and after a new start of the machine.
    """
    if before is None or before.boot != now.boot:
        return 0
    step_ms = (now.at_ms - before.at_ms) - (now.uptime_ms - before.uptime_ms)
    return step_ms if abs(step_ms) >= STEP_MS else 0


def system_clocks() -> Clocks:
    """Read this machine's clocks; SealError where the system does not tell its starts apart."""
    boot = _boot()
    for _ in range(_READINGS):
        earlier_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        at = datetime.now(UTC)
        later_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        # Put aside or asleep between the readings, this process would take its own pause for a step.
        if later_ns - earlier_ns < _TOGETHER_NS:
            break
    return Clocks(
        at=at.replace(microsecond=at.microsecond // 1000 * 1000), boot=boot, uptime_ms=later_ns // 1_000_000
    )


@cache
def _boot() -> str:
    try:
        boot_id = _BOOT_ID_PATH.read_bytes().strip()
    except OSError as problem:
        raise SealError(f"{_BOOT_ID_PATH}: {problem.strerror}; the ledger needs Linux's /proc") from problem
    # Hashed: the kernel's own id is one that other programs on the machine use to know it again.
    return hashlib.sha256(b"callseal-ledger/1 boot " + boot_id).digest()[:_BOOT_SIZE_BYTES].hex()
