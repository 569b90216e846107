"""The manifest: what a recording is and which sealed objects it consists of. Public, no personal data.

``manifest.json`` is UTF-8 JSON; ``manifest.sig`` beside it is the raw 64-byte Ed25519 signature over its
exact bytes. Who checks uses the bytes as they lie there, never a text written again from what was read.
`x5c` carries the signer's certificate, leaf first, so that a check needs nothing but public material.

Conventions: times are UTC with milliseconds, hashes lower-case hexadecimal. `encoding` is the number that
the Sun/NeXT ``.au`` file inside the seal carries (1 µ-law, 27 A-law, 3 PCM16); it and `rate_hz` are null
for a bundle without audio. `plaintext_sha512` is null for an object recovered after a crash: who recovers
holds no key. A name that this version does not know is passed over; another major `type` is refused.

A manifest begins with ``{``, which the base64url text that a JWS signs never holds: one device key can
sign both without one being taken for the other.
"""

import base64
import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from callseal.seal.errors import ManifestError, SignatureError
from callseal.seal.fields import MAX_INTEGER, Fields, JsonValue, read_object, write_object
from callseal.seal.timestamp import to_milliseconds, write_time

MANIFEST_NAME: Final = "manifest.json"
SIGNATURE_NAME: Final = "manifest.sig"

TYPE: Final = "callseal-manifest/1"
PROFILE: Final = "age-v1"

SIGNATURE_SIZE_BYTES: Final = 64  # RFC 8032, section 5.1.6
MAX_SIZE_BYTES: Final = 256 * 1024
MAX_OBJECTS: Final = 64
MAX_REASONS: Final = 64
MAX_STORES: Final = 16
MAX_RECIPIENTS: Final = 64
MAX_CERTIFICATES: Final = 4
MAX_CERTIFICATE_BYTES: Final = 8 * 1024

_SHA256_SIZE_BYTES: Final = 32
_SHA512_SIZE_BYTES: Final = 64
_HASH_HEAD_SIZE_BYTES: Final = 32
_OFFSET: Final = "plaintext_offset"

_TYPE_PATTERN: Final = re.compile(re.escape(TYPE))
_PROFILE_PATTERN: Final = re.compile(re.escape(PROFILE))
_ID_PATTERN: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DEVICE_PATTERN: Final = re.compile(r"dev-[a-z2-7]{12}")
_TOKEN_PATTERN: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
# A line as a person would write it. Paths and control characters have no business in any of them.
_LINE_PATTERN: Final = re.compile(r"[^\x00-\x1f\x7f/\\\u0080-\u009f\u2028\u2029]{0,128}")
_SOFTWARE_PATTERN: Final = re.compile(r"[\x20-\x7e]{1,128}")
_FINGERPRINT_PATTERN: Final = re.compile(r"[\x21-\x7e]{1,128}")
# The kind, then the SHA-256 of the bytes: the name says what must be inside. Later additions are called
# add-<n>-<sha256>.age and are no part of a manifest.
_OBJECT_PATTERN: Final = re.compile(r"(?!add-)[a-z]{1,16}-[0-9a-f]{64}\.age")


class Origin(StrEnum):
    """Where the recording came from."""

    LIVE = "live"
    IMPORTED = "imported"


class Direction(StrEnum):
    """Who called whom, seen from the agent."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"
    INTERNAL = "internal"
    IN_PERSON = "in-person"
    UNKNOWN = "unknown"


class Result(StrEnum):
    """What became of the recording; the reasons stand beside it."""

    OK = "ok"
    DEGRADED = "degraded"
    FAILED = "failed"
    EXEMPT = "exempt"


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestObject:
    """One sealed file of the recording; `name` is ``<kind>-<sha256>.age``.

    `plaintext_offset` is where in the inner file the content of a tail belongs; other objects have none.
    """

    name: str
    size_bytes: int
    sha256: bytes
    plaintext_sha512: bytes | None
    plaintext_offset: int | None = None

    def __post_init__(self) -> None:
        if _OBJECT_PATTERN.fullmatch(self.name) is None:
            raise ValueError("an object is called <kind>-<sha256>.age")
        if self.name != object_name(self.kind, self.sha256):
            raise ValueError("an object's name does not carry its SHA-256")
        if not 0 <= self.size_bytes <= MAX_INTEGER:
            raise ValueError("size_bytes is out of range")
        if self.plaintext_sha512 is not None and len(self.plaintext_sha512) != _SHA512_SIZE_BYTES:
            raise ValueError("plaintext_sha512 is not 64 bytes")
        if self.plaintext_offset is not None and not 0 <= self.plaintext_offset <= MAX_INTEGER:
            raise ValueError("plaintext_offset is out of range")

    @property
    def kind(self) -> str:
        """What the object is: audio, call or tail."""
        return self.name.partition("-")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerPlace:
    """Where the device's ledger speaks of this recording."""

    sequence: int
    head: bytes

    def __post_init__(self) -> None:
        if not 0 <= self.sequence <= MAX_INTEGER or len(self.head) != _HASH_HEAD_SIZE_BYTES:
            raise ValueError("a ledger place is a sequence number and a head of 32 bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What ``manifest.json`` says; ValueError for what it could not say."""

    id: UUID
    device: str
    site: str
    source: str
    origin: Origin
    direction: Direction
    started_at: datetime
    ended_at: datetime
    duration_samples: int
    rate_hz: int | None
    encoding: int | None
    business_type: str | None
    retention_class: str | None
    stores: tuple[str, ...]
    result: Result
    reasons: tuple[str, ...]
    recipients: tuple[str, ...]
    objects: tuple[ManifestObject, ...]
    ledger: LedgerPlace | None
    software: str
    x5c: tuple[bytes, ...]

    def __post_init__(self) -> None:
        for name, value, pattern in (
            ("device", self.device, _DEVICE_PATTERN),
            ("site", self.site, _LINE_PATTERN),
            ("source", self.source, _TOKEN_PATTERN),
            ("business_type", self.business_type, _TOKEN_PATTERN),
            ("retention_class", self.retention_class, _TOKEN_PATTERN),
            ("software", self.software, _SOFTWARE_PATTERN),
        ):
            if value is not None and pattern.fullmatch(value) is None:
                raise ValueError(f"{name} is not of the form {pattern.pattern}")
        for name, values, pattern, limit in (
            ("stores", self.stores, _TOKEN_PATTERN, MAX_STORES),
            ("reasons", self.reasons, _TOKEN_PATTERN, MAX_REASONS),
            ("recipients", self.recipients, _FINGERPRINT_PATTERN, MAX_RECIPIENTS),
        ):
            if len(values) > limit or not all(map(pattern.fullmatch, values)):
                raise ValueError(f"{name} is not a list of at most {limit} of the form {pattern.pattern}")
        if to_milliseconds(self.started_at) > to_milliseconds(self.ended_at):
            raise ValueError("ended_at is before started_at")
        if not 0 <= self.duration_samples <= MAX_INTEGER:
            raise ValueError("duration_samples is out of range")
        names = {item.name for item in self.objects}
        if not 1 <= len(self.objects) <= MAX_OBJECTS or len(names) != len(self.objects):
            raise ValueError(f"objects are 1 to {MAX_OBJECTS}, each name once")
        if not 1 <= len(self.x5c) <= MAX_CERTIFICATES or max(map(len, self.x5c)) > MAX_CERTIFICATE_BYTES:
            raise ValueError(f"x5c is 1 to {MAX_CERTIFICATES} certificates of {MAX_CERTIFICATE_BYTES} bytes")

    def to_bytes(self) -> bytes:
        """Return ``manifest.json``: the exact bytes that get signed."""
        values: dict[str, JsonValue] = {
            "type": TYPE,
            "profile": PROFILE,
            "id": str(self.id),
            "device": self.device,
            "site": self.site,
            "source": self.source,
            "origin": self.origin.value,
            "direction": self.direction.value,
            "started_at": write_time(self.started_at),
            "ended_at": write_time(self.ended_at),
            "duration_samples": self.duration_samples,
            "rate_hz": self.rate_hz,
            "encoding": self.encoding,
            "business_type": self.business_type,
            "retention_class": self.retention_class,
            "stores": list(self.stores),
            "result": self.result.value,
            "reasons": list(self.reasons),
            "recipients": list(self.recipients),
            "objects": [_write_manifest_object(item) for item in self.objects],
            "ledger": _write_ledger(self.ledger),
            "software": self.software,
            "x5c": [base64.b64encode(certificate).decode() for certificate in self.x5c],
        }
        return write_object(values)


def object_name(kind: str, sha256: bytes) -> str:
    """Return the name of the object of this kind with these bytes; ValueError for another hash length."""
    if len(sha256) != _SHA256_SIZE_BYTES:
        raise ValueError("sha256 is not 32 bytes")
    return f"{kind}-{sha256.hex()}.age"


def parse(data: bytes) -> Manifest:
    """Return what the bytes of a ``manifest.json`` say; raises only ManifestError.

    The signature is another matter: see `verify_signature`.
    """
    values = read_object(data, what=MANIFEST_NAME, limit_bytes=MAX_SIZE_BYTES, error=ManifestError)
    fields = Fields(values, where=MANIFEST_NAME, error=ManifestError)
    fields.text("type", _TYPE_PATTERN)
    fields.text("profile", _PROFILE_PATTERN)
    try:
        return Manifest(
            id=UUID(fields.text("id", _ID_PATTERN)),
            device=fields.text("device", _DEVICE_PATTERN),
            site=fields.text("site", _LINE_PATTERN),
            source=fields.text("source", _TOKEN_PATTERN),
            origin=fields.choice("origin", Origin),
            direction=fields.choice("direction", Direction),
            started_at=fields.time("started_at"),
            ended_at=fields.time("ended_at"),
            duration_samples=fields.integer("duration_samples"),
            rate_hz=None if fields.is_null("rate_hz") else fields.integer("rate_hz", low=1),
            encoding=None if fields.is_null("encoding") else fields.integer("encoding", low=1),
            business_type=_optional_token(fields, "business_type"),
            retention_class=_optional_token(fields, "retention_class"),
            stores=fields.texts("stores", _TOKEN_PATTERN, limit=MAX_STORES),
            result=fields.choice("result", Result),
            reasons=fields.texts("reasons", _TOKEN_PATTERN, limit=MAX_REASONS),
            recipients=fields.texts("recipients", _FINGERPRINT_PATTERN, limit=MAX_RECIPIENTS),
            objects=tuple(map(_read_manifest_object, fields.children("objects", limit=MAX_OBJECTS))),
            ledger=None if fields.is_null("ledger") else _read_ledger(fields.child("ledger")),
            software=fields.text("software", _SOFTWARE_PATTERN),
            x5c=fields.base64_list("x5c", limit=MAX_CERTIFICATES, limit_bytes=MAX_CERTIFICATE_BYTES),
        )
    except ValueError as problem:
        raise ManifestError(f"{MANIFEST_NAME}: {problem}") from problem


def sign(data: bytes, key: Ed25519PrivateKey) -> bytes:
    """Return ``manifest.sig`` for the exact bytes of a ``manifest.json``."""
    return key.sign(data)


def verify_signature(data: bytes, signature: bytes, key: Ed25519PublicKey) -> None:
    """Raise SignatureError unless `signature` was made over exactly `data` with the key's private half."""
    if len(signature) != SIGNATURE_SIZE_BYTES:
        raise SignatureError(
            f"{SIGNATURE_NAME}: {SIGNATURE_SIZE_BYTES} bytes expected, {len(signature)} there"
        )
    try:
        key.verify(signature, data)
    except InvalidSignature as problem:
        raise SignatureError(
            f"{MANIFEST_NAME} and {SIGNATURE_NAME} do not belong together: one of them was altered"
        ) from problem


def _optional_token(fields: Fields, key: str) -> str | None:
    return None if fields.is_null(key) else fields.text(key, _TOKEN_PATTERN)


def _read_manifest_object(fields: Fields) -> ManifestObject:
    hash_missing = fields.is_null("plaintext_sha512")
    return ManifestObject(
        name=fields.text("name", _OBJECT_PATTERN),
        size_bytes=fields.integer("size_bytes"),
        sha256=fields.hexadecimal("sha256", size_bytes=_SHA256_SIZE_BYTES),
        plaintext_sha512=(
            None if hash_missing else fields.hexadecimal("plaintext_sha512", size_bytes=_SHA512_SIZE_BYTES)
        ),
        plaintext_offset=fields.integer(_OFFSET) if _OFFSET in fields.names() else None,
    )


def _write_manifest_object(item: ManifestObject) -> dict[str, JsonValue]:
    values: dict[str, JsonValue] = {
        "name": item.name,
        "size_bytes": item.size_bytes,
        "sha256": item.sha256.hex(),
        "plaintext_sha512": None if item.plaintext_sha512 is None else item.plaintext_sha512.hex(),
    }
    if item.plaintext_offset is not None:
        values[_OFFSET] = item.plaintext_offset
    return values


def _read_ledger(fields: Fields) -> LedgerPlace:
    return LedgerPlace(
        sequence=fields.integer("sequence"),
        head=fields.hexadecimal("head", size_bytes=_HASH_HEAD_SIZE_BYTES),
    )


def _write_ledger(place: LedgerPlace | None) -> JsonValue:
    return None if place is None else {"sequence": place.sequence, "head": place.head.hex()}
