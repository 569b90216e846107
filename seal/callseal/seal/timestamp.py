"""Points in time as text: UTC, milliseconds, always the same width.

Conventions: ``2026-11-21T19:00:00.000Z``, the profile of RFC 3339 that every file of ours uses, so that
texts sort as the times do and nobody has to guess a zone.
"""

import re
from datetime import UTC, datetime
from typing import Final

_PATTERN: Final = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z", re.ASCII)


def to_milliseconds(time: datetime) -> datetime:
    """Return `time` in UTC, cut down to whole milliseconds; ValueError for a time without a zone."""
    if time.tzinfo is None:
        raise ValueError("a time without a zone: give one in UTC")
    utc = time.astimezone(UTC)
    return utc.replace(microsecond=utc.microsecond // 1000 * 1000)


def write_time(time: datetime) -> str:
    """Return `time` as text; ValueError for a time without a zone."""
    return to_milliseconds(time).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def read_time(text: str) -> datetime:
    """Return the time in `text`, in UTC; ValueError for any other spelling of a time."""
    if _PATTERN.fullmatch(text) is None:
        raise ValueError("not a time of the form 2026-11-21T19:00:00.000Z")
    return datetime.fromisoformat(text)
