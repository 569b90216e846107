"""One signature around one payload: JSON Web Signature, General JSON Serialization, EdDSA.

Conventions: exactly one signature; everything that a check believes stands in the *protected* header, the
certificate chain (`x5c`) included. An unprotected header is not signed, so it is not read: where the key
could be named there, whoever alters a document could name his own. `alg` is EdDSA and nothing else; a
`crit` header is refused (none of its extensions is known here). base64url is the one canonical spelling
without padding, so that two texts never stand for one signature.

`open_jws` checks the signature with the key of the chain's leaf. Whether anybody vouches for that key is
the question of `keys.TrustStore.check`.

Source: RFC 7515 (JWS; section 7.2.1 for the serialization, 4.1.6 for `x5c`), RFC 8037 (EdDSA in it).
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from callseal.seal.errors import SealError, SignatureError, UntrustedSigner
from callseal.seal.fields import Fields, JsonObject, JsonValue, read_object
from callseal.seal.keys import MAX_CERTIFICATE_BYTES, MAX_CHAIN, leaf_public_key

ALGORITHM: Final = "EdDSA"
MAX_SIZE_BYTES: Final = 8 * 1024 * 1024
MAX_HEADER_BYTES: Final = 64 * 1024

_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]*")
_ALGORITHM_PATTERN: Final = re.compile(ALGORITHM)
_WHERE: Final = "JWS"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedJws:
    """What a JWS carried, its signature checked: the payload, the protected header and the chain in it."""

    payload: bytes
    header: JsonObject
    chain: tuple[bytes, ...]


def sign_jws(
    payload: bytes, key: Ed25519PrivateKey, chain: Sequence[bytes], header: Mapping[str, JsonValue]
) -> bytes:
    """Return `payload` signed, as JSON; `header` is added to `alg` and `x5c` in the protected header.

    SealError if the chain's leaf names another key, or if the result would be too large to be read again.
    """
    if leaf_public_key(chain) != key.public_key():
        raise SealError("the certificate chain belongs to another signing key")
    x5c: list[JsonValue] = [base64.b64encode(item).decode() for item in chain]
    protected = json.dumps({"alg": ALGORITHM, **header, "x5c": x5c}, separators=(",", ":"))
    parts = encode(protected.encode()), encode(payload)
    signature = encode(key.sign(".".join(parts).encode()))
    signatures = [{"protected": parts[0], "signature": signature}]
    data = json.dumps({"payload": parts[1], "signatures": signatures}, separators=(",", ":")).encode()
    if len(data) > MAX_SIZE_BYTES or len(protected) > MAX_HEADER_BYTES:
        raise SealError(f"a JWS of {len(data)} bytes, more than the {MAX_SIZE_BYTES} that a reader allows")
    return data


def open_jws(data: bytes, *, error: type[SealError]) -> OpenedJws:
    """Return what a JWS carries, after checking its one signature.

    `error` is raised for what is malformed, SignatureError for a signature that does not fit, and
    for a key that can't be read.
    """
    values = read_object(data, what=_WHERE, limit_bytes=MAX_SIZE_BYTES, error=error)
    fields = Fields(values, where=_WHERE, error=error)
    signatures = fields.children("signatures", limit=1)
    if not signatures:
        raise fields.wrong("signatures", "one signature")
    protected = signatures[0].text("protected", _BASE64URL)
    payload = fields.text("payload", _BASE64URL)
    header_bytes = decode(protected, what="protected", error=error)
    header = read_object(header_bytes, what=f"{_WHERE}: protected", limit_bytes=MAX_HEADER_BYTES, error=error)
    if "crit" in header:
        raise error(f"{_WHERE}: protected: crit names extensions that are unknown here")
    header_fields = Fields(header, where=f"{_WHERE}: protected", error=error)
    header_fields.text("alg", _ALGORITHM_PATTERN)
    chain = header_fields.base64_list("x5c", limit=MAX_CHAIN, limit_bytes=MAX_CERTIFICATE_BYTES)
    signature = decode(signatures[0].text("signature", _BASE64URL), what="signature", error=error)
    body = decode(payload, what="payload", error=error)
    try:
        leaf_public_key(chain).verify(signature, f"{protected}.{payload}".encode())
    except InvalidSignature as problem:
        raise SignatureError(f"{_WHERE}: the signature does not fit: the document was altered") from problem
    except UntrustedSigner as problem:
        raise SignatureError(f"{_WHERE}: {problem}") from problem
    return OpenedJws(payload=body, header=header, chain=chain)


def encode(data: bytes) -> str:
    """Return base64url without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str, *, what: str, error: type[SealError]) -> bytes:
    """Return the bytes of canonical base64url without padding; raises `error` for any other spelling."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as problem:
        raise error(f"{_WHERE}: {what}: not base64url") from problem
    if encode(data) != text:
        raise error(f"{_WHERE}: {what}: not the canonical base64url")
    return data
