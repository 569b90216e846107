"""Times as gateways write them, brought to UTC.

RFC 7865 asks for the date and time of RFC 3339. What comes besides: no zone at all, "+0300", a blank in the
place of the T, a comma before the fraction, and the time since the gateway was switched on, which looks like
the spring of 1970.

Conventions: a time without a zone is taken as UTC; one before 2000 or after 2099 is none that could be
believed.
"""

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Final, NamedTuple

MAX_TIME_CHARS: Final = 64

_FIRST_YEAR: Final = 2000
_LAST_YEAR: Final = 2099
_TIME: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ]+(\d\d):(\d\d)(?::(\d\d)(?:[.,](\d+))?)?\s*(?:([Zz])|([+-])(\d\d):?(\d\d)?)?",
    re.ASCII,
)
_LEAP_SECOND: Final = 60
_MICROSECOND_DIGITS: Final = 6

_NO_TIME: Final = "a time is none"
_NO_ZONE: Final = "a time has no zone; it was taken as UTC"
_UNBELIEVABLE: Final = "a time is from a clock that was not set"


class Reading(NamedTuple):
    """What a text said of a time, and what was odd about it ("" for nothing)."""

    time: datetime | None
    oddity: str


def read_time(text: str) -> Reading:
    """Read a time; None for what is none or can't be believed."""
    text = text.strip()
    if not text:
        return Reading(None, "")
    found = _TIME.fullmatch(text) if len(text) <= MAX_TIME_CHARS else None
    if found is None:
        return Reading(None, _NO_TIME)
    year, month, day, hour, minute = (int(found[group]) for group in range(1, 6))
    if not _FIRST_YEAR <= year <= _LAST_YEAR:
        return Reading(None, _UNBELIEVABLE)
    second = int(found[6] or 0)
    fraction = int((found[7] or "0")[:_MICROSECOND_DIGITS].ljust(_MICROSECOND_DIGITS, "0"))
    if second == _LEAP_SECOND:  # "23:59:60" happens (RFC 3339 section 5.7), and Python has no such second
        second, fraction = _LEAP_SECOND - 1, 10**_MICROSECOND_DIGITS - 1
    try:
        zone = _zone(found)
        time = datetime(year, month, day, hour, minute, second, fraction, tzinfo=zone).astimezone(UTC)
    except ValueError:
        return Reading(None, _NO_TIME)
    return Reading(time, "" if found[8] or found[9] else _NO_ZONE)


def _zone(found: re.Match[str]) -> timezone:
    """Give the zone that was written, UTC for none; raises ValueError for one that can't be."""
    if not found[9]:
        return UTC
    offset = timedelta(hours=int(found[10]), minutes=int(found[11] or 0))
    return timezone(-offset if found[9] == "-" else offset)
