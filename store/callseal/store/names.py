"""The names of objects in a store.

::

    recordings/<device>/<yyyy>/<mm>/<dd>/<id>/<object>      manifest.json last: it is the commit
    recordings/…/<id>/add-<n>-<sha256>.age  add-<n>.json  add-<n>.sig

The device stands before the date, so that a device's rights can end at its own prefix; dates are UTC, of the
call's start. No class, no telephone number and no person's name stands in any name.

Conventions: a name is parts joined by single slashes, without one at either end. Parts are ASCII, begin with
a letter or a digit and have no other signs than ``. _ - =``: no store and no file system disagrees about
those, and none of them is a way out of a folder. What is built here can be parsed here, and nothing else can.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final
from uuid import UUID

from callseal.store.errors import StoreRefused

RECORDINGS: Final = "recordings/"
MAX_NAME: Final = 1024  # bytes of a key in S3
MAX_PART: Final = 240  # 255 in most file systems, less what a temporary name adds

_PART: Final = r"[A-Za-z0-9][A-Za-z0-9._=-]*"
_NAME_PATTERN: Final = re.compile(rf"{_PART}(/{_PART})*")
_PREFIX_PATTERN: Final = re.compile(rf"({_PART}/)*({_PART})?")
_DEVICE_PATTERN: Final = re.compile(r"dev-[a-z2-7]{12}")
_OBJECT_PATTERN: Final = re.compile(
    r"manifest\.json|manifest\.sig"
    r"|(?!add-)[a-z]{1,16}-[0-9a-f]{64}\.age"
    r"|add-[0-9]{1,9}(-[0-9a-f]{64}\.age|\.json|\.sig)"
)
_RECORDING_PARTS: Final = 6
_DATE_PATTERN: Final = re.compile(r"([0-9]{4})/([0-9]{2})/([0-9]{2})")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingName:
    """Where a recording lies: its device, the UTC day of its start, its id."""

    device: str
    day: date
    id: UUID

    def __post_init__(self) -> None:
        if _DEVICE_PATTERN.fullmatch(self.device) is None:
            raise ValueError("a device is dev- and 12 characters of base32")

    @property
    def prefix(self) -> str:
        """The recording's folder, ended by a slash."""
        return f"{device_prefix(self.device)}{self.day:%Y/%m/%d}/{self.id}/"

    def object(self, name: str) -> str:
        """Return the full name of one of its objects; ValueError for what no recording has."""
        if _OBJECT_PATTERN.fullmatch(name) is None:
            raise ValueError("no object of a recording is called that")
        return self.prefix + name


def recording_name(device: str, started_at: datetime, recording: UUID) -> RecordingName:
    """Return where a recording lies; ValueError for a malformed device or a time without a zone."""
    if started_at.tzinfo is None:
        raise ValueError("a time without a zone: the day in the name is that in UTC")
    return RecordingName(device=device, day=started_at.astimezone(UTC).date(), id=recording)


def device_prefix(device: str) -> str:
    """Return the prefix that all recordings of a device share."""
    return f"{RECORDINGS}{device}/"


def parse_recording_name(name: str) -> tuple[RecordingName, str] | None:
    """Return the recording and the object that a full name stands for, None for any other name.

    The object is empty where `name` is the recording's folder itself.
    """
    parts = name.split("/", _RECORDING_PARTS)
    if len(parts) != _RECORDING_PARTS + 1 or parts[0] + "/" != RECORDINGS:
        return None
    _, device, year, month, day, text, file = parts
    found = _DATE_PATTERN.fullmatch(f"{year}/{month}/{day}")
    try:
        if found is None:
            return None
        recording = RecordingName(device=device, day=date(*map(int, found.groups())), id=UUID(text))
    except ValueError:
        return None
    known = not file or _OBJECT_PATTERN.fullmatch(file) is not None
    return (recording, file) if known and recording.prefix + file == name else None


def check_name(name: str) -> None:
    """Raise StoreRefused for what is no object's name."""
    if len(name) > MAX_NAME or _NAME_PATTERN.fullmatch(name) is None:
        raise StoreRefused("no name for an object: see the rules in callseal.store.names")
    if max(map(len, name.split("/"))) > MAX_PART:
        raise StoreRefused(f"no name for an object: a part is longer than {MAX_PART}")


def check_prefix(prefix: str) -> None:
    """Raise StoreRefused for what no object's name begins with."""
    if len(prefix) > MAX_NAME or _PREFIX_PATTERN.fullmatch(prefix) is None:
        raise StoreRefused("no prefix of an object's name: see the rules in callseal.store.names")
