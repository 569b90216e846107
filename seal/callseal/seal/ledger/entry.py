"""One entry of the ledger, and the line that carries it with its signature.

::

    {"entry":{…},"signature":"<88 characters>"}⏎

The signature is over the exact bytes of the entry as they stand in the line. They are found by their place,
behind a prefix and before a suffix of fixed length, and never written again from what was read: two writers
of JSON seldom agree, and a signature is about bytes. It begins with a text of its own, so that no signature
that the device makes over something else can pass for one over an entry.

Conventions: written without white space, names in the order of ``docs/format.md``; hashes lower-case
hexadecimal. Names that this version does not know are passed over; a `kind` that it does not know is refused
here (`chain` passes over such an entry, and says so). Pure: keys and clocks come from the caller.
"""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from callseal.seal.errors import LedgerError, SignatureError
from callseal.seal.fields import MAX_INTEGER, Fields, JsonObject, JsonValue, read_object
from callseal.seal.ledger.clock import BOOT_PATTERN, Clocks
from callseal.seal.manifest import MAX_CERTIFICATE_BYTES, MAX_CERTIFICATES, MAX_REASONS, Result
from callseal.seal.timestamp import write_time

SIGNED_PREFIX: Final = b"callseal-ledger/1\n"
LINE_PREFIX: Final = b'{"entry":'
SIGNATURE_PREFIX: Final = b',"signature":"'
LINE_SUFFIX: Final = b'"}\n'

HASH_SIZE_BYTES: Final = 32
SIGNATURE_SIZE_BYTES: Final = 64  # RFC 8032, section 5.1.6
SIGNATURE_LENGTH: Final = 88  # the same in padded base64
MAX_ENTRY_BYTES: Final = 64 * 1024  # four certificates, twice over
MAX_LINE_BYTES: Final = MAX_ENTRY_BYTES + 256

DEVICE_PATTERN: Final = re.compile(r"dev-[a-z2-7]{12}")
ID_PATTERN: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

_TOKEN_PATTERN: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_SOFTWARE_PATTERN: Final = re.compile(r"[\x20-\x7e]{1,128}")
_WHERE: Final = "entry"
_TAIL_LENGTH: Final = len(SIGNATURE_PREFIX) + SIGNATURE_LENGTH + len(LINE_SUFFIX)


class Kind(StrEnum):
    """What an entry tells."""

    STARTED = "started"
    STOPPED = "stopped"
    HEARTBEAT = "heartbeat"
    SETTINGS = "settings"
    CLOCK_STEPPED = "clock-stepped"
    OPENED = "opened"
    PAUSED = "paused"
    RESUMED = "resumed"
    CLOSED = "closed"
    RECOVERED = "recovered"
    EXEMPT = "exempt"
    DISCARDED = "discarded"
    FAILED = "failed"


ENDS: Final = frozenset({Kind.CLOSED, Kind.RECOVERED, Kind.EXEMPT, Kind.DISCARDED, Kind.FAILED})

_MAY_BE_NULL: Final = {Kind.FAILED: ("manifest",), Kind.DISCARDED: ("manifest",)}
_END_FIELDS: Final = ("recording", "manifest", "result", "reasons")
# The fields of each kind, in the order in which they are written.
_FIELDS: Final[dict[Kind, tuple[str, ...]]] = {
    Kind.STARTED: ("software", "settings", "x5c"),
    Kind.STOPPED: ("code",),
    Kind.HEARTBEAT: ("open",),
    Kind.SETTINGS: ("settings",),
    Kind.CLOCK_STEPPED: ("by_ms",),
    Kind.OPENED: ("recording",),
    Kind.PAUSED: ("recording", "sample"),
    Kind.RESUMED: ("recording", "sample"),
    **dict.fromkeys(sorted(ENDS), _END_FIELDS),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What one entry says; the fields of other kinds are None or empty. ValueError for what none could say.

    `previous` is the SHA-256 of the entry before, `settings` that of the settings file, `manifest` that of
    the recording's ``manifest.json`` (None only with `failed` and `discarded`). `open` is a number of
    recordings.
    """

    device: str
    sequence: int
    previous: bytes
    clocks: Clocks
    kind: Kind
    recording: UUID | None = None
    manifest: bytes | None = None
    result: str | None = None
    reasons: tuple[str, ...] = ()
    sample: int | None = None
    software: str | None = None
    settings: bytes | None = None
    x5c: tuple[bytes, ...] = ()
    code: str | None = None
    open: int | None = None
    by_ms: int | None = None

    def __post_init__(self) -> None:
        if DEVICE_PATTERN.fullmatch(self.device) is None:
            raise ValueError("device is not of the form dev-…")
        if not 0 <= self.sequence <= MAX_INTEGER or len(self.previous) != HASH_SIZE_BYTES:
            raise ValueError("sequence or previous is out of range")
        fields = _FIELDS[self.kind]
        for name, fits in _FITS.items():
            value = getattr(self, name)
            if name not in fields:
                if value not in (None, ()):
                    raise ValueError(f"an entry {self.kind.value} has no {name}")
            elif not (fits(value) or (value is None and name in _MAY_BE_NULL.get(self.kind, ()))):
                raise ValueError(f"an entry {self.kind.value} can't have this {name}")

    @property
    def at(self) -> datetime:
        """When it was written, by the wall clock."""
        return self.clocks.at

    def to_bytes(self) -> bytes:
        """Return the exact bytes that are hashed and signed."""
        values: dict[str, JsonValue] = {
            "device": self.device,
            "sequence": self.sequence,
            "previous": self.previous.hex(),
            "at": write_time(self.clocks.at),
            "boot": self.clocks.boot,
            "uptime_ms": self.clocks.uptime_ms,
            "kind": self.kind.value,
        }
        for name in _FIELDS[self.kind]:
            values[name] = _as_json(getattr(self, name))
        return json.dumps(values, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def _is_number(value: object) -> bool:
    return isinstance(value, int) and 0 <= value <= MAX_INTEGER


def _is_hash(value: object) -> bool:
    return isinstance(value, bytes) and len(value) == HASH_SIZE_BYTES


def _is_token(value: object) -> bool:
    return isinstance(value, str) and _TOKEN_PATTERN.fullmatch(value) is not None


def _are_certificates(value: object) -> bool:
    return (
        isinstance(value, tuple)
        and 1 <= len(value) <= MAX_CERTIFICATES
        and max(map(len, value)) <= MAX_CERTIFICATE_BYTES
    )


# What each field of its own may be, in an entry whose kind has it.
_FITS: Final[dict[str, Callable[[object], bool]]] = {
    "recording": lambda value: isinstance(value, UUID),
    "manifest": _is_hash,
    "result": lambda value: isinstance(value, str) and value in {result.value for result in Result},
    "reasons": lambda value: (
        isinstance(value, tuple) and len(value) <= MAX_REASONS and all(map(_is_token, value))
    ),
    "sample": _is_number,
    "software": lambda value: isinstance(value, str) and _SOFTWARE_PATTERN.fullmatch(value) is not None,
    "settings": _is_hash,
    "x5c": _are_certificates,
    "code": _is_token,
    "open": _is_number,
    "by_ms": lambda value: isinstance(value, int) and abs(value) <= MAX_INTEGER,
}


def first_previous(device: str) -> bytes:
    """Return what stands as `previous` in a device's first entry, which has none before it."""
    return hashlib.sha256(f"callseal-ledger/1 {device}".encode()).digest()


def entry_hash(data: bytes) -> bytes:
    """Return the SHA-256 of an entry's exact bytes: what the next entry and the manifests name."""
    return hashlib.sha256(data).digest()


def sign_line(data: bytes, key: Ed25519PrivateKey) -> bytes:
    """Return the line that carries the entry `data`, line feed included."""
    signature = base64.b64encode(key.sign(SIGNED_PREFIX + data))
    return LINE_PREFIX + data + SIGNATURE_PREFIX + signature + LINE_SUFFIX


def split_line(line: bytes) -> tuple[bytes, bytes]:
    """Return the exact bytes of the entry in a line, and its signature of 64 bytes; LedgerError for another.

    The line ends with its line feed. That the entry is one, and the signature its own, is not looked at.
    """
    if len(line) > MAX_LINE_BYTES:
        raise LedgerError(f"line: {len(line)} bytes, more than the {MAX_LINE_BYTES} allowed")
    end = len(line) - _TAIL_LENGTH
    signature_begin = end + len(SIGNATURE_PREFIX)
    signature_end = signature_begin + SIGNATURE_LENGTH
    if (
        end <= len(LINE_PREFIX)
        or not line.startswith(LINE_PREFIX)
        or line[end:signature_begin] != SIGNATURE_PREFIX
        or line[signature_end:] != LINE_SUFFIX
        or b"\n" in line[:-1]
    ):
        raise LedgerError('line: {"entry":{…},"signature":"…"} and one line feed expected')
    text = line[signature_begin:signature_end]
    try:
        signature = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as problem:
        raise LedgerError("line: signature: base64 expected") from problem
    # The one spelling only: two texts for the same bytes would be two lines with one meaning.
    if len(signature) != SIGNATURE_SIZE_BYTES or base64.b64encode(signature) != text:
        raise LedgerError(f"line: signature: base64 of {SIGNATURE_SIZE_BYTES} bytes expected")
    return line[len(LINE_PREFIX) : end], signature


def verify_signature(data: bytes, signature: bytes, key: Ed25519PublicKey) -> None:
    """Raise SignatureError unless `signature` was made over exactly the entry `data`."""
    try:
        key.verify(signature, SIGNED_PREFIX + data)
    except InvalidSignature as problem:
        raise SignatureError(
            "entry: the signature does not fit: it was altered, or another key made it"
        ) from problem


def verify_line(line: bytes, key: Ed25519PublicKey) -> Entry:
    """Return the entry in a line after checking its signature; raises LedgerError or SignatureError."""
    data, signature = split_line(line)
    verify_signature(data, signature, key)
    return parse_entry(data)


def parse_entry(data: bytes) -> Entry:
    """Return what the exact bytes of an entry say; raises only LedgerError."""
    return entry_of(read_values(data))


def read_values(data: bytes) -> JsonObject:
    """Return the names and values of an entry as they stand there; LedgerError for what is no JSON object."""
    return read_object(data, what=_WHERE, limit_bytes=MAX_ENTRY_BYTES, error=LedgerError)


def entry_of(values: JsonObject) -> Entry:
    """Return what an entry's names and values say; raises only LedgerError."""
    fields = Fields(values, where=_WHERE, error=LedgerError)
    kind = fields.choice("kind", Kind)
    names = _FIELDS[kind]
    try:
        return Entry(
            device=fields.text("device", DEVICE_PATTERN),
            sequence=fields.integer("sequence"),
            previous=fields.hexadecimal("previous", size_bytes=HASH_SIZE_BYTES),
            clocks=Clocks(
                at=fields.time("at"),
                boot=fields.text("boot", BOOT_PATTERN),
                uptime_ms=fields.integer("uptime_ms"),
            ),
            kind=kind,
            recording=UUID(fields.text("recording", ID_PATTERN)) if "recording" in names else None,
            manifest=_optional_hash(fields, "manifest") if "manifest" in names else None,
            result=fields.choice("result", Result).value if "result" in names else None,
            reasons=(
                fields.texts("reasons", _TOKEN_PATTERN, limit=MAX_REASONS) if "reasons" in names else ()
            ),
            sample=fields.integer("sample") if "sample" in names else None,
            software=fields.text("software", _SOFTWARE_PATTERN) if "software" in names else None,
            settings=_optional_hash(fields, "settings") if "settings" in names else None,
            x5c=(
                fields.base64_list("x5c", limit=MAX_CERTIFICATES, limit_bytes=MAX_CERTIFICATE_BYTES)
                if "x5c" in names
                else ()
            ),
            code=fields.text("code", _TOKEN_PATTERN) if "code" in names else None,
            open=fields.integer("open") if "open" in names else None,
            by_ms=fields.integer("by_ms", low=-MAX_INTEGER) if "by_ms" in names else None,
        )
    except (ValueError, OverflowError) as problem:
        raise LedgerError(f"{_WHERE}: {problem}") from problem


def _optional_hash(fields: Fields, key: str) -> bytes | None:
    return None if fields.is_null(key) else fields.hexadecimal(key, size_bytes=HASH_SIZE_BYTES)


def _as_json(value: object) -> JsonValue:
    match value:
        case bytes():
            return value.hex()
        case UUID():
            return str(value)
        case tuple():
            # Reasons are texts, certificates bytes: these are the two lists of an entry.
            return [base64.b64encode(item).decode() if isinstance(item, bytes) else item for item in value]
        case None | str() | int():
            return value
        case _:
            raise TypeError("no value of an entry")
