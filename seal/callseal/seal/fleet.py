"""The fleet record: how a device is, by the newest word of a custodian.

It is a JWS as in `jws`, signed with the custodian's key. Its protected header has ``typ``
``callseal-fleet+jws``, which is required on reading: nothing else that the same key signs can be taken for a
fleet record, and no fleet record for something else (RFC 8725, section 3.11).

It is replaced all the time and proves nothing: what it says is proved by ledger and receipts. Who may write
there could put an old one in place of the newest, and it would still be well signed: a reader judges by `at`.

Conventions: what is not known is None (null). Details are single lines for people, without signs that a
terminal obeys; codes never change their meaning, and a reader shows one that it does not know as it is.

Source: docs/format.md, "What the custodian and the readers write".
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from callseal.seal.errors import FleetError
from callseal.seal.fields import MAX_INTEGER, Fields, JsonObject, JsonValue, read_object
from callseal.seal.jws import open_jws, sign_jws
from callseal.seal.timestamp import to_milliseconds, write_time

TYPE: Final = "callseal-fleet/1"
JWS_TYPE: Final = "callseal-fleet+jws"

MAX_SIZE_BYTES: Final = 256 * 1024
MAX_FINDINGS: Final = 100
MAX_DETAIL: Final = 400
MAX_SITE: Final = 128

_WHERE: Final = "fleet record"
# One line that says something, without signs that a terminal obeys or that turn the direction of writing.
_SIGN: Final = r"[^\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
_UNFIT: Final = re.compile(_SIGN.replace("[^", "[", 1))
_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"

_TYPE_PATTERN: Final = re.compile(re.escape(TYPE))
_DEVICE_PATTERN: Final = re.compile(r"dev-[a-z2-7]{12}")
_SOFTWARE_PATTERN: Final = re.compile(r"[\x20-\x7e]{1,128}")
_CODE_PATTERN: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_SITE_PATTERN: Final = re.compile(rf"(?=.*\S){_SIGN}{{1,{MAX_SITE}}}")
_DETAIL_PATTERN: Final = re.compile(rf"(?=.*\S){_SIGN}{{1,{MAX_DETAIL}}}")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewestEntry:
    """The newest entry of a device's ledger, and when it says that it was written."""

    sequence: int
    at: datetime

    def __post_init__(self) -> None:
        if not 0 <= self.sequence <= MAX_INTEGER:
            raise ValueError("sequence is out of range")
        to_milliseconds(self.at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many recordings of a device were received, never came whole, and were refused."""

    received: int = 0
    incomplete: int = 0
    refused: int = 0

    def __post_init__(self) -> None:
        if not all(0 <= count <= MAX_INTEGER for count in (self.received, self.incomplete, self.refused)):
            raise ValueError("a count is out of range")


NO_RECORDINGS: Final = Counts()


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetFinding:
    """One thing that is wrong."""

    code: str
    detail: str

    def __post_init__(self) -> None:
        if _CODE_PATTERN.fullmatch(self.code) is None or _DETAIL_PATTERN.fullmatch(self.detail) is None:
            raise ValueError(f"a finding is a code and one line of at most {MAX_DETAIL} characters")


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetRecord:
    """How a device is; ValueError for what a fleet record could not say.

    `site` is where it stands; `open` are the recordings in the making by its newest heartbeat; `arrived_at`
    is when the store took its newest segment.
    """

    device: str
    at: datetime
    site: str | None = None
    newest_entry: NewestEntry | None = None
    newest_heartbeat_at: datetime | None = None
    open: int | None = None
    arrived_at: datetime | None = None
    software: str | None = None
    recordings: Counts = NO_RECORDINGS
    findings: tuple[FleetFinding, ...] = ()

    def __post_init__(self) -> None:
        if _DEVICE_PATTERN.fullmatch(self.device) is None:
            raise ValueError("a device is dev- and 12 characters of base32")
        if self.site is not None and _SITE_PATTERN.fullmatch(self.site) is None:
            raise ValueError(f"a site is one line of at most {MAX_SITE} characters")
        if self.software is not None and _SOFTWARE_PATTERN.fullmatch(self.software) is None:
            raise ValueError("software is a line of at most 128 characters")
        if self.open is not None and not 0 <= self.open <= MAX_INTEGER:
            raise ValueError("open is out of range")
        if len(self.findings) > MAX_FINDINGS:
            raise ValueError(f"at most {MAX_FINDINGS} findings")
        for time in (self.at, self.newest_heartbeat_at, self.arrived_at):
            if time is not None:
                to_milliseconds(time)


def fit_detail(words: str) -> str:
    """Return words as a detail can carry them: one line, of a length that fits everywhere."""
    return _UNFIT.sub(_REPLACEMENT, words)[:MAX_DETAIL].strip() or _REPLACEMENT


def fit_site(site: str | None) -> str | None:
    """Return a site's name as a record can carry it, None for an empty one."""
    return (fit_detail(site)[:MAX_SITE].strip() if site else "") or None


def sign_fleet(record: FleetRecord, key: Ed25519PrivateKey, chain: Sequence[bytes]) -> bytes:
    """Return the signed form; `chain` is the custodian's certificate in DER, leaf first.

    SealError if the chain belongs to another key.
    """
    newest, counts = record.newest_entry, record.recordings
    values: JsonObject = {
        "type": TYPE,
        "device": record.device,
        "site": record.site,
        "at": write_time(record.at),
        "newest_entry": None
        if newest is None
        else {"sequence": newest.sequence, "at": write_time(newest.at)},
        "newest_heartbeat_at": _write_time(record.newest_heartbeat_at),
        "open": record.open,
        "arrived_at": _write_time(record.arrived_at),
        "software": record.software,
        "recordings": {
            "received": counts.received,
            "incomplete": counts.incomplete,
            "refused": counts.refused,
        },
        "findings": [{"code": item.code, "detail": item.detail} for item in record.findings],
    }
    payload = json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode()
    return sign_jws(payload, key, chain, {"typ": JWS_TYPE})


def open_fleet(data: bytes) -> tuple[FleetRecord, tuple[bytes, ...]]:
    """Return what a fleet record says and the signer's chain, its signature checked.

    FleetError for what is malformed or no fleet record, SignatureError for a signature that does not fit.
    Whether the signer is a custodian that we trust is the question of `keys.TrustStore.check`.
    """
    opened = open_jws(data, error=FleetError)
    if opened.header.get("typ") != JWS_TYPE:
        raise FleetError(f"{_WHERE}: the protected header's typ is not {JWS_TYPE}: this is no fleet record")
    values = read_object(opened.payload, what=_WHERE, limit_bytes=MAX_SIZE_BYTES, error=FleetError)
    fields = Fields(values, where=_WHERE, error=FleetError)
    fields.text("type", _TYPE_PATTERN)
    newest = None if fields.is_null("newest_entry") else fields.child("newest_entry")
    counts = fields.child("recordings")
    try:
        record = FleetRecord(
            device=fields.text("device", _DEVICE_PATTERN),
            site=_text(fields, "site", _SITE_PATTERN),
            at=fields.time("at"),
            newest_entry=None
            if newest is None
            else NewestEntry(sequence=newest.integer("sequence"), at=newest.time("at")),
            newest_heartbeat_at=_time(fields, "newest_heartbeat_at"),
            open=None if fields.is_null("open") else fields.integer("open"),
            arrived_at=_time(fields, "arrived_at"),
            software=_text(fields, "software", _SOFTWARE_PATTERN),
            recordings=Counts(
                received=counts.integer("received"),
                incomplete=counts.integer("incomplete"),
                refused=counts.integer("refused"),
            ),
            findings=tuple(
                FleetFinding(
                    code=item.text("code", _CODE_PATTERN), detail=item.text("detail", _DETAIL_PATTERN)
                )
                for item in fields.children("findings", limit=MAX_FINDINGS)
            ),
        )
    except ValueError as problem:
        raise FleetError(f"{_WHERE}: {problem}") from problem
    return record, opened.chain


def _write_time(time: datetime | None) -> JsonValue:
    return None if time is None else write_time(time)


def _time(fields: Fields, key: str) -> datetime | None:
    return None if fields.is_null(key) else fields.time(key)


def _text(fields: Fields, key: str, pattern: re.Pattern[str]) -> str | None:
    return None if fields.is_null(key) else fields.text(key, pattern)
