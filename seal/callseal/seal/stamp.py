"""The stamp: somebody outside says that a checkpoint was there at a time. RFC 3161, over SHA-256.

`request` makes the question for a time-stamping authority. Its answer, byte for byte, is the stamp.
`open_stamp` checks all that can be checked of it without trusting anybody: that it is granted, on this note,
signed, and signed by a certificate for time stamping and nothing else. That is *not checked*, never ok: who
stamped may be anyone. `read_stamp` asks also whether one of the roots given vouches for that certificate at
the time stamped.

Conventions: times are UTC, the authority's. A certificate counts at the time stamped, not now: a stamp stays
good after its certificate ended. Revocation of an authority is not looked at. Only the ``RemoteError`` family
escapes, whatever the bytes: `StampError`, `StampUnchecked` and `UntrustedSigner`.

Source: RFC 3161, sections 2.2 to 2.4; RFC 5816.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from rfc3161_client import (
    PKIStatus,
    TimeStampResponse,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from callseal.seal import der
from callseal.seal.cms import (
    MALFORMED,
    SignedToken,
    certificate_number,
    open_token,
    sorted_certificates,
    token_missing,
    unwarned,
)
from callseal.seal.errors import StampError, StampUnchecked, UntrustedSigner

MAX_NOTE_BYTES: Final = 64 * 1024
MAX_STAMP_BYTES: Final = 256 * 1024
"""An answer with a long chain and CRLs has some 10 KiB."""
MAX_NONCE_BITS: Final = 64

_WHAT: Final = "time stamp"
_VERSION: Final = b"\x01"
_TRUE: Final = b"\x01\x01\xff"
_NULL: Final = b"\x05\x00"
_SHA256: Final = bytes.fromhex("608648016503040201")
_SHA256_NAME: Final = "2.16.840.1.101.3.4.2.1"
_MAX_WORDS: Final = 200
_VERIFY_ERROR: Final = re.compile(r"Verify error: ([a-z0-9 ,.()-]{1,100})", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """What a time-stamping authority says: this note was there `at` that time.

    `authority` is the subject of its certificate, `serial` its own number for this stamp (up to 160 bits).
    """

    at: datetime
    authority: str
    serial: int


def request(note: bytes, *, nonce: int) -> bytes:
    """Return the question for an authority (TimeStampReq in DER); `nonce` comes back in the answer.

    ValueError for an empty or too large note, and for a nonce of other than 1 to 64 bits.
    """
    if not 0 < len(note) <= MAX_NOTE_BYTES:
        raise ValueError(f"a note has 1 to {MAX_NOTE_BYTES} bytes")
    if not 0 < nonce < 1 << MAX_NONCE_BITS:
        raise ValueError(f"a nonce has 1 to {MAX_NONCE_BITS} bits")
    algorithm = _element(der.SEQUENCE, _element(der.OBJECT_IDENTIFIER, _SHA256) + _NULL)
    imprint = algorithm + _element(der.OCTET_STRING, hashlib.sha256(note).digest())
    number = nonce.to_bytes(nonce.bit_length() // 8 + 1, "big")  # with room for the sign
    return _element(
        der.SEQUENCE,
        _element(der.INTEGER, _VERSION)
        + _element(der.SEQUENCE, imprint)
        + _element(der.INTEGER, number)
        + _TRUE,  # certReq: the answer must be enough by itself in ten years
    )


def open_stamp(data: bytes, note: bytes, *, nonce: int | None = None) -> Stamp:
    """Return what an authority's answer says of `note`, after every check but that of who the authority is.

    `nonce` is that of the request, where the caller made it. Raises StampError.
    """
    return _open(data, note, nonce)[0]


def read_stamp(
    data: bytes, note: bytes, tsa_roots: Sequence[x509.Certificate], *, nonce: int | None = None
) -> Stamp:
    """Return what an authority's answer says of `note`, if one of `tsa_roots` vouches for the authority.

    Raises StampError; UntrustedSigner where only trust is missing; StampUnchecked, which is one of those,
    where no root is given.
    """
    stamp, token, response = _open(data, note, nonce)
    if not tsa_roots:
        raise StampUnchecked(
            f"{_WHAT}: not checked: no root certificate of a time-stamping authority is known here, so"
            f" nobody vouches for {stamp.authority}"
        )
    _check_ambiguity(token, response, tsa_roots)
    verifier = VerifierBuilder(roots=list(dict.fromkeys(tsa_roots))).build()
    try:
        with unwarned():
            verifier.verify(response, hashlib.sha256(note).digest())
    except (VerificationError, *MALFORMED) as problem:
        # The signature was found to fit before: what is left is the chain.
        found = _VERIFY_ERROR.search(str(problem))
        if found is None:
            raise StampError(f"{_WHAT}: malformed: openssl can't read it") from problem
        raise UntrustedSigner(
            f"{_WHAT}: no trusted root vouches for {stamp.authority} at the time stamped: {found[1]}"
        ) from problem
    return stamp


def _open(data: bytes, note: bytes, nonce: int | None) -> tuple[Stamp, SignedToken, TimeStampResponse]:
    if len(data) > MAX_STAMP_BYTES:
        raise StampError(f"{_WHAT}: {len(data)} bytes, more than the {MAX_STAMP_BYTES} allowed")
    if token_missing(data):
        raise StampError(f"{_WHAT}: the authority refused: {_refusal(_decode(data))}")
    response = _decode(sorted_certificates(data))
    token = open_token(data)
    try:
        if response.status != PKIStatus.GRANTED:
            raise StampError(f"{_WHAT}: not granted: {_refusal(response)}")
        info = response.tst_info
        imprint = info.message_imprint
        if imprint.hash_algorithm.dotted_string != _SHA256_NAME:
            raise StampError(f"{_WHAT}: not over a SHA-256")
        if imprint.message != hashlib.sha256(note).digest():
            raise StampError(f"{_WHAT}: it was made on something else, not on this checkpoint")
        if nonce is not None and info.nonce != nonce:
            raise StampError(f"{_WHAT}: an answer to another question (its nonce is not the one sent)")
        _check_purpose(token.signer)
        stamp = Stamp(
            at=info.gen_time.astimezone(UTC),
            authority=token.signer.subject.rfc4514_string(),
            serial=info.serial_number,
        )
    except (*MALFORMED, OverflowError) as problem:
        raise StampError(f"{_WHAT}: malformed") from problem
    return stamp, token, response


def _decode(data: bytes) -> TimeStampResponse:
    try:
        return decode_timestamp_response(data)
    except MALFORMED as problem:
        raise StampError(f"{_WHAT}: not an answer as RFC 3161 means it") from problem


def _refusal(response: TimeStampResponse) -> str:
    try:
        status, texts = int(response.status), " ".join(response.status_string)
    except MALFORMED as problem:
        raise StampError(f"{_WHAT}: malformed") from problem
    known = {one.value: one.name.lower().replace("_", " ") for one in PKIStatus}
    words = "".join(sign if sign.isprintable() else " " for sign in texts)[:_MAX_WORDS]
    name = known.get(status, f"status {status}")
    return f"{name}: {words}" if words else name


def _check_purpose(signer: x509.Certificate) -> None:
    """Raise StampError unless the certificate is for time stamping alone (RFC 3161, section 2.3)."""
    usage = signer.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    if not usage.critical or list(usage.value) != [ExtendedKeyUsageOID.TIME_STAMPING]:
        raise StampError(f"{_WHAT}: signed with a certificate that is not for time stamping alone")
    try:
        constraints = signer.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return
    if constraints.ca:
        raise StampError(f"{_WHAT}: signed with the certificate of a certification authority")


def _check_ambiguity(
    token: SignedToken, response: TimeStampResponse, tsa_roots: Sequence[x509.Certificate]
) -> None:
    """Raise StampError where the chain could be checked for another certificate than the signer's.

    OpenSSL finds the signer by the issuer and number in the SignerInfo, which are not signed, and compares
    names without regard to case. A second certificate of that number and key, which nobody vouches for, would
    let an authority show another name than the one that the root certified.
    """
    number = token.signer.serial_number
    known = {token.signer_der, *(root.public_bytes(Encoding.DER) for root in tsa_roots)}
    same = {item for item in token.certificates if certificate_number(item) == number}
    try:
        (info,) = response.signed_data.signer_infos
        fits = info.issuer == token.signer.issuer and info.serial_number == number
    except MALFORMED as problem:
        raise StampError(f"{_WHAT}: malformed") from problem
    if not fits or same - known:
        raise StampError(f"{_WHAT}: altered: it is not clear which certificate signed it")


def _element(tag: int, content: bytes) -> bytes:
    return bytes([tag, len(content)]) + content  # all of ours are shorter than 128 bytes
