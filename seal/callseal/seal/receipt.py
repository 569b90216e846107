"""The receipt: a custodian read a recording back from a store, checked it, and vouches for what lies there.

It is a JWS as in `jws`, signed with the custodian's key. Its protected header has ``typ``
``callseal-receipt+jws``, which is required on reading: nothing else that the same key signs can be taken for
a receipt, and no receipt for something else (RFC 8725, section 3.11).

Conventions: `site` is the name of the store that was read. An object's `name` is the one in that store, its
`version` what the store calls these bytes (empty where it has no versions). Hashes are SHA-256, of the bytes
as they lie there.

Source: docs/format.md, "The ledger".
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from callseal.seal.errors import ReceiptError
from callseal.seal.fields import MAX_INTEGER, Fields, JsonObject, JsonValue, read_object
from callseal.seal.jws import open_jws, sign_jws
from callseal.seal.timestamp import to_milliseconds, write_time

TYPE: Final = "callseal-receipt/1"
JWS_TYPE: Final = "callseal-receipt+jws"

MAX_SIZE_BYTES: Final = 1024 * 1024
MAX_OBJECTS: Final = 256
MAX_NAME: Final = 1024
MAX_VERSION: Final = 1024  # bytes of a version in S3

_SHA256_SIZE_BYTES: Final = 32
_WHERE: Final = "receipt"

_TYPE_PATTERN: Final = re.compile(re.escape(TYPE))
_ID_PATTERN: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DEVICE_PATTERN: Final = re.compile(r"dev-[a-z2-7]{12}")
_SITE_PATTERN: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_NAME_PATTERN: Final = re.compile(rf"(?!.*//)[A-Za-z0-9][A-Za-z0-9._=/-]{{0,{MAX_NAME - 1}}}")
_VERSION_PATTERN: Final = re.compile(rf"[\x21-\x7e]{{0,{MAX_VERSION}}}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptObject:
    """One object that was read back; ValueError for what a receipt could not say."""

    name: str
    version: str
    size_bytes: int
    sha256: bytes

    def __post_init__(self) -> None:
        if _NAME_PATTERN.fullmatch(self.name) is None or _VERSION_PATTERN.fullmatch(self.version) is None:
            raise ValueError("an object has the name and the version that it has in the store")
        if not 0 <= self.size_bytes <= MAX_INTEGER:
            raise ValueError("size_bytes is out of range")
        if len(self.sha256) != _SHA256_SIZE_BYTES:
            raise ValueError("sha256 is not 32 bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What a custodian vouches for; ValueError for what a receipt could not say.

    `manifest` is the SHA-256 of the exact bytes of ``manifest.json``.
    """

    id: UUID
    device: str
    site: str
    received_at: datetime
    manifest: bytes
    objects: tuple[ReceiptObject, ...]

    def __post_init__(self) -> None:
        if _DEVICE_PATTERN.fullmatch(self.device) is None:
            raise ValueError("a device is dev- and 12 characters of base32")
        if _SITE_PATTERN.fullmatch(self.site) is None:
            raise ValueError("a store's name is lower-case letters, digits and . _ -")
        to_milliseconds(self.received_at)
        if len(self.manifest) != _SHA256_SIZE_BYTES:
            raise ValueError("manifest is not 32 bytes")
        names = {item.name for item in self.objects}
        if not 1 <= len(self.objects) <= MAX_OBJECTS or len(names) != len(self.objects):
            raise ValueError(f"objects are 1 to {MAX_OBJECTS}, each name once")


def sign_receipt(receipt: Receipt, key: Ed25519PrivateKey, chain: Sequence[bytes]) -> bytes:
    """Return the signed form; `chain` is the custodian's certificate in DER, leaf first.

    SealError if the chain belongs to another key or the receipt is too large.
    """
    values: JsonObject = {
        "type": TYPE,
        "id": str(receipt.id),
        "device": receipt.device,
        "site": receipt.site,
        "received_at": write_time(receipt.received_at),
        "manifest": receipt.manifest.hex(),
        "objects": [_write_object(item) for item in receipt.objects],
    }
    return sign_jws(json.dumps(values, separators=(",", ":")).encode(), key, chain, {"typ": JWS_TYPE})


def open_receipt(data: bytes) -> tuple[Receipt, tuple[bytes, ...]]:
    """Return the receipt in a signed form, and the signer's certificate chain (DER, leaf first).

    Raises ReceiptError and SignatureError. The signature is checked; whether the signer is a custodian whom
    we trust is for `keys.TrustStore.check` to say (``at=receipt.received_at, role=Role.CUSTODIAN``), and
    whether it is about this recording for who compares `id`, `device` and `manifest`.
    """
    opened = open_jws(data, error=ReceiptError)
    if opened.header.get("typ") != JWS_TYPE:
        raise ReceiptError(f"{_WHERE}: the protected header's typ is not {JWS_TYPE}: this is no receipt")
    values = read_object(opened.payload, what=_WHERE, limit_bytes=MAX_SIZE_BYTES, error=ReceiptError)
    fields = Fields(values, where=_WHERE, error=ReceiptError)
    fields.text("type", _TYPE_PATTERN)
    try:
        receipt = Receipt(
            id=UUID(fields.text("id", _ID_PATTERN)),
            device=fields.text("device", _DEVICE_PATTERN),
            site=fields.text("site", _SITE_PATTERN),
            received_at=fields.time("received_at"),
            manifest=fields.hexadecimal("manifest", size_bytes=_SHA256_SIZE_BYTES),
            objects=tuple(map(_read_object, fields.children("objects", limit=MAX_OBJECTS))),
        )
    except ValueError as problem:
        raise ReceiptError(f"{_WHERE}: {problem}") from problem
    return receipt, opened.chain


def _write_object(item: ReceiptObject) -> JsonValue:
    return {
        "name": item.name,
        "version": item.version,
        "size_bytes": item.size_bytes,
        "sha256": item.sha256.hex(),
    }


def _read_object(fields: Fields) -> ReceiptObject:
    return ReceiptObject(
        name=fields.text("name", _NAME_PATTERN),
        version=fields.text("version", _VERSION_PATTERN),
        size_bytes=fields.integer("size_bytes"),
        sha256=fields.hexadecimal("sha256", size_bytes=_SHA256_SIZE_BYTES),
    )
