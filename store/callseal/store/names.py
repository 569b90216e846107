"""The names of objects in a store.

::

    recordings/<device>/<yyyy>/<mm>/<dd>/<id>/<object>      manifest.json last: it is the commit
    recordings/…/<id>/add-<n>-<sha256>.age  add-<n>.json  add-<n>.sig
    ledger/<device>/<first>.jsonl                           a segment of the device's ledger
    stamps/<device>/<size>.tsr                              the stamp on the checkpoint of that size
    receipts/<device>/<id>.json                             what a custodian found in this store
    receipts/<device>/<id>.<site>.json                      what it found in another store
    retention/<device>/<id>/<record>.json                   until when a recording is kept, and why
    access/<yyyy>/<mm>/<dd>/<record>.json                   who opened what, why, when
    fleet/<device>.json                                     how a device is; replaced all the time

The device stands before the date, so that a device's rights can end at its own prefix; dates are UTC, of the
call's start. No class, no telephone number and no person's name stands in any name.

Conventions: a name is parts joined by single slashes, without one at either end. Parts are ASCII, begin with
a letter or a digit and have no other signs than ``. _ - =``: no store and no file system disagrees about
those, and none of them is a way out of a folder. What is built here can be parsed here, and nothing else can.
Numbers are decimal without leading zeros: a listing, which is in the order of the names' bytes, is not in the
order of the numbers.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final
from uuid import UUID

from callseal.store.errors import StoreRefused

RECORDINGS: Final = "recordings/"
LEDGER: Final = "ledger/"
STAMPS: Final = "stamps/"
RECEIPTS: Final = "receipts/"
RETENTION: Final = "retention/"
ACCESS: Final = "access/"
FLEET: Final = "fleet/"
MAX_NAME: Final = 1024  # bytes of a key in S3
MAX_PART: Final = 240  # 255 in most file systems, less what a temporary name adds
MAX_NUMBER: Final = (1 << 53) - 1  # of a ledger entry (docs/format.md)

_PART: Final = r"[A-Za-z0-9][A-Za-z0-9._=-]*"
_NAME_PATTERN: Final = re.compile(rf"{_PART}(/{_PART})*")
_PREFIX_PATTERN: Final = re.compile(rf"({_PART}/)*({_PART})?")
_DEVICE_PATTERN: Final = re.compile(r"dev-[a-z2-7]{12}")
_OBJECT_PATTERN: Final = re.compile(
    r"manifest\.json|manifest\.sig"
    r"|(?!add-)[a-z]{1,16}-[0-9a-f]{64}\.age"
    r"|add-[0-9]{1,9}(-[0-9a-f]{64}\.age|\.json|\.sig)"
)
_NUMBER_PATTERN: Final = re.compile(r"0|[1-9][0-9]{0,15}")
_RECORDING_PARTS: Final = 6
_LEDGER_ENDING: Final = ".jsonl"
_STAMP_ENDING: Final = ".tsr"
_RECEIPT_ENDING: Final = ".json"
_FLEET_ENDING: Final = ".json"
_RECORD_ENDING: Final = ".json"
_SITE_PATTERN: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_ID_LENGTH: Final = 36
_DATE_PATTERN: Final = re.compile(r"([0-9]{4})/([0-9]{2})/([0-9]{2})")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingName:
    """Where a recording lies: its device, the UTC day of its start, its id."""

    device: str
    day: date
    id: UUID

    def __post_init__(self) -> None:
        _check_device(self.device)

    @property
    def prefix(self) -> str:
        """The recording's folder, ended by a slash."""
        # isoformat, because strftime takes three times as long, and a queue asks for ten thousands of these.
        return f"{device_prefix(self.device)}{self.day.isoformat().replace('-', '/')}/{self.id}/"

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


def ledger_name(device: str, first: int) -> str:
    """Return the name of the segment that begins with entry `first`; ValueError for what has no name."""
    return _numbered(LEDGER, device, first, _LEDGER_ENDING)


def parse_ledger_name(name: str) -> tuple[str, int] | None:
    """Return the device and the first entry's number of a segment, None for any other name."""
    return _parse_numbered(LEDGER, name, _LEDGER_ENDING)


def stamp_name(device: str, size: int) -> str:
    """Return the name of the stamp on the checkpoint over `size` entries; ValueError as for a segment."""
    if size < 1:
        raise ValueError("a checkpoint is over one entry or more")
    return _numbered(STAMPS, device, size, _STAMP_ENDING)


def parse_stamp_name(name: str) -> tuple[str, int] | None:
    """Return the device and the checkpoint's size of a stamp, None for any other name."""
    found = _parse_numbered(STAMPS, name, _STAMP_ENDING)
    return None if found is None or found[1] < 1 else found


def receipt_name(device: str, recording: UUID, site: str = "") -> str:
    """Return the name of the receipt for a recording; ValueError for a malformed device or site.

    `site` is empty for the store itself in which the receipt lies, else the store that it is about.
    """
    _check_device(device)
    if site and _SITE_PATTERN.fullmatch(site) is None:
        raise ValueError("a store's name is lower-case letters, digits and . _ -")
    return f"{RECEIPTS}{device}/{recording}{'.' if site else ''}{site}{_RECEIPT_ENDING}"


def parse_receipt_name(name: str) -> tuple[str, UUID] | None:
    """Return the device and the recording of a receipt for the store itself, None for any other name."""
    found = parse_receipt_site(name)
    return None if found is None or found[2] else found[:2]


def parse_receipt_site(name: str) -> tuple[str, UUID, str] | None:
    """Return the device, the recording and the site (empty: the store itself) of a receipt."""
    found = _device_and_rest(RECEIPTS, name, _RECEIPT_ENDING)
    if found is None:
        return None
    device, rest = found
    recording, dot, site = _uuid(rest[:_ID_LENGTH]), rest[_ID_LENGTH : _ID_LENGTH + 1], rest[_ID_LENGTH + 1 :]
    if recording is None or dot not in {"", "."} or bool(dot) != bool(site):
        return None
    if site and _SITE_PATTERN.fullmatch(site) is None:
        return None
    return device, recording, site


def retention_prefix(device: str, recording: UUID) -> str:
    """Return the prefix of what was decided about keeping a recording."""
    _check_device(device)
    return f"{RETENTION}{device}/{recording}/"


def retention_name(device: str, recording: UUID, record: UUID) -> str:
    """Return the name of one such decision; `record` is a UUID of version 7, so that they sort by time."""
    return f"{retention_prefix(device, recording)}{record}{_RECORD_ENDING}"


def parse_retention_name(name: str) -> tuple[str, UUID, UUID] | None:
    """Return the device, the recording and the record of a decision, None for any other name."""
    found = _device_and_rest(RETENTION, name, _RECORD_ENDING)
    if found is None:
        return None
    first, slash, second = found[1].partition("/")
    recording, record = _uuid(first), _uuid(second)
    return (found[0], recording, record) if slash and recording is not None and record is not None else None


def access_name(day: date, record: UUID) -> str:
    """Return the name of an access record; `day` is that of its time, UTC."""
    return f"{ACCESS}{day:%Y/%m/%d}/{record}{_RECORD_ENDING}"


def parse_access_name(name: str) -> tuple[date, UUID] | None:
    """Return the day and the id of an access record, None for any other name."""
    if not name.startswith(ACCESS) or not name.endswith(_RECORD_ENDING):
        return None
    text, slash, last = name[len(ACCESS) : -len(_RECORD_ENDING)].rpartition("/")
    found, record = _DATE_PATTERN.fullmatch(text), _uuid(last)
    if not slash or found is None or record is None:
        return None
    try:
        return date(*map(int, found.groups())), record
    except ValueError:
        return None


def fleet_name(device: str) -> str:
    """Return the name of what is known of a device; ValueError for a malformed one."""
    _check_device(device)
    return f"{FLEET}{device}{_FLEET_ENDING}"


def parse_fleet_name(name: str) -> str | None:
    """Return the device that such a name is about, None for any other name."""
    if not name.startswith(FLEET) or not name.endswith(_FLEET_ENDING):
        return None
    device = name[len(FLEET) : -len(_FLEET_ENDING)]
    return device if _DEVICE_PATTERN.fullmatch(device) is not None else None


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


def _uuid(text: str) -> UUID | None:
    """Return the id that `text` spells in the one canonical way."""
    try:
        found = UUID(text)
    except ValueError:
        return None
    return found if str(found) == text else None


def _check_device(device: str) -> None:
    if _DEVICE_PATTERN.fullmatch(device) is None:
        raise ValueError("a device is dev- and 12 characters of base32")


def _numbered(prefix: str, device: str, number: int, ending: str) -> str:
    _check_device(device)
    if not 0 <= number <= MAX_NUMBER:
        raise ValueError(f"a number in a name is from 0 to {MAX_NUMBER}")
    return f"{prefix}{device}/{number}{ending}"


def _parse_numbered(prefix: str, name: str, ending: str) -> tuple[str, int] | None:
    found = _device_and_rest(prefix, name, ending)
    if found is None or _NUMBER_PATTERN.fullmatch(found[1]) is None or int(found[1]) > MAX_NUMBER:
        return None
    return found[0], int(found[1])


def _device_and_rest(prefix: str, name: str, ending: str) -> tuple[str, str] | None:
    """Take ``<prefix><device>/<rest><ending>`` apart; None for what is not of that form."""
    if not name.startswith(prefix) or not name.endswith(ending):
        return None
    device, slash, rest = name[len(prefix) : -len(ending)].partition("/")
    return (device, rest) if slash and _DEVICE_PATTERN.fullmatch(device) is not None else None
