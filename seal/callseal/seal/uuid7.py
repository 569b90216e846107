"""UUID version 7: a recording's id, which sorts by the time of the call.

Conventions: time is milliseconds since 1970-01-01 UTC; randomness is given in by the caller.

Source: RFC 9562, section 5.7: 48 bits of time, version, 12 random bits, variant, 62 random bits.
"""

from typing import Final
from uuid import UUID

RANDOM_SIZE_BYTES: Final = 10
MAX_TIME_MS: Final = (1 << 48) - 1

_VERSION: Final = 7


def uuid7(now_ms: int, random: bytes) -> UUID:
    """Return the id of something that begins at `now_ms`.

    `random` is `RANDOM_SIZE_BYTES` bytes from a generator fit for keys: 74 of its 80 bits are used. Raises
    ValueError for a time outside 48 bits or another number of random bytes.
    """
    if not 0 <= now_ms <= MAX_TIME_MS:
        raise ValueError(f"now_ms is {now_ms}, allowed are 0 to {MAX_TIME_MS}: is the clock set?")
    if len(random) != RANDOM_SIZE_BYTES:
        raise ValueError(f"{len(random)} random bytes given, {RANDOM_SIZE_BYTES} needed")
    value = bytearray(now_ms.to_bytes(6, "big") + random)
    value[6] = _VERSION << 4 | value[6] & 0x0F
    value[8] = 0x80 | value[8] & 0x3F  # the variant of RFC 9562, section 4.1
    return UUID(bytes=bytes(value))


def time_ms(value: UUID) -> int | None:
    """Return the time in a version 7 id, None for an id of another version."""
    return int.from_bytes(value.bytes[:6], "big") if value.version == _VERSION else None
