"""The signature of a time-stamp token: CMS SignedData with exactly one signer, whose certificate is in it.

What stands here says that the signature fits the certificate that came along, and nothing about whether
anybody trusts that certificate. The two are kept apart on purpose: an altered token and an unknown authority
are different findings.

Conventions: a certificate is bound by the signed attribute ``signingCertificate`` or its second version
(RFC 5816), not by its name and number alone, which anyone can put on a certificate. Digests are SHA-256,
SHA-384 or SHA-512; SHA-1 stands only where the first version of that attribute is defined by it. Signatures
are RSA (PKCS #1 1.5) and ECDSA: the chain is checked by OpenSSL's PKCS #7, which knows no others.

The certificates in a token are a SET OF that need not be sorted (RFC 5652, section 5.1: only what is signed
must be DER), and openssl's own authority leaves them unsorted. `sorted_certificates` puts them in the order
that strict readers insist on; they are no part of what is signed.

Source: RFC 5652, sections 5 and 11; RFC 5035 and RFC 5816 (ESSCertIDv2).
"""

import hashlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.utils import CryptographyDeprecationWarning

from callseal.seal.der import (
    CONTEXT_0,
    INTEGER,
    OBJECT_IDENTIFIER,
    OCTET_STRING,
    SEQUENCE,
    SET,
    Element,
    Reader,
)
from callseal.seal.errors import StampError

MAX_CERTIFICATES: Final = 16

# All that `cryptography` and `rfc3161_client` raise for what is not what it should be, or not known to them;
# KeyError comes from a name of an unusual type, late, when it is looked at.
MALFORMED: Final = (
    ValueError,
    TypeError,
    KeyError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.ExtensionNotFound,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)

_WHAT: Final = "time stamp"
_READ: Final = Reader(what=_WHAT, error=StampError)

# Object identifiers, their content as it is encoded.
_SIGNED_DATA: Final = bytes.fromhex("2a864886f70d010702")
_TST_INFO: Final = bytes.fromhex("2a864886f70d0109100104")
_CONTENT_TYPE: Final = bytes.fromhex("2a864886f70d010903")
_MESSAGE_DIGEST: Final = bytes.fromhex("2a864886f70d010904")
_SIGNING_CERTIFICATE: Final = bytes.fromhex("2a864886f70d010910020c")
_SIGNING_CERTIFICATE_V2: Final = bytes.fromhex("2a864886f70d010910022f")
# Names of signatures, with the digest that is part of the name. id-ecPublicKey and rsaEncryption name none.
_RSA_NAMES: Final = {
    bytes.fromhex("2a864886f70d010101"): None,
    bytes.fromhex("2a864886f70d01010b"): "sha256",
    bytes.fromhex("2a864886f70d01010c"): "sha384",
    bytes.fromhex("2a864886f70d01010d"): "sha512",
}
_ECDSA_NAMES: Final = {
    bytes.fromhex("2a8648ce3d0201"): None,
    bytes.fromhex("2a8648ce3d040302"): "sha256",
    bytes.fromhex("2a8648ce3d040303"): "sha384",
    bytes.fromhex("2a8648ce3d040304"): "sha512",
}
_DIGESTS: Final[dict[bytes, hashes.HashAlgorithm]] = {
    bytes.fromhex("608648016503040201"): hashes.SHA256(),
    bytes.fromhex("608648016503040202"): hashes.SHA384(),
    bytes.fromhex("608648016503040203"): hashes.SHA512(),
}

_SIGNED_DATA_VERSION: Final = b"\x03"
_SIGNER_INFO_VERSION: Final = b"\x01"  # the signer is named by issuer and number
_SIGNER_INFO_LEAST: Final = 6
_SIGNED_DATA_LEAST: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedToken:
    """A token whose signature fits `signer`, one of its `certificates` (DER).

    `response` is the input, its certificates sorted.
    """

    response: bytes
    signer: x509.Certificate
    signer_der: bytes
    certificates: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """The places in a response that matter here."""

    content: Element
    certificates: Element | None
    signer_info: Element


def token_missing(response: bytes) -> bool:
    """Tell whether a well-formed response holds no token: the authority refused. Raises StampError."""
    return len(_READ.children(_READ.whole(response, SEQUENCE), least=1)) == 1


def sorted_certificates(response: bytes) -> bytes:
    """Return a time-stamp response with its certificates sorted; nothing that is signed changes."""
    certificates = _parts(response).certificates
    if certificates is None:
        return response
    encodings = sorted(item.encoding for item in _READ.children(certificates))
    return response[: certificates.body] + b"".join(encodings) + response[certificates.end :]


def open_token(response: bytes) -> SignedToken:
    """Return the signer's certificate in a time-stamp response, after checking the one signature.

    Raises StampError for what is malformed or altered.
    """
    parts = _parts(response)
    info = _READ.children(parts.signer_info, least=_SIGNER_INFO_LEAST)
    version, _signer, digest_algorithm, attributes, signature_algorithm, signature = info[:6]
    if version.content != _SIGNER_INFO_VERSION:
        raise StampError(f"{_WHAT}: a signature of an unknown version")
    digest = _digest(digest_algorithm)
    values = _attributes(_READ.tagged(attributes, CONTEXT_0))
    if _READ.whole(values.get(_CONTENT_TYPE, b""), OBJECT_IDENTIFIER).content != _TST_INFO:
        raise StampError(f"{_WHAT}: what is signed is no time-stamp token")
    found = hashlib.new(digest.name, parts.content.content).digest()
    if _READ.whole(values.get(_MESSAGE_DIGEST, b""), OCTET_STRING).content != found:
        raise StampError(f"{_WHAT}: altered: its content is not what was signed")
    certificates = _certificates(parts)
    signer_der = _bound(values, certificates)
    signer = _load(signer_der)
    # "A separate encoding of the signedAttrs field is performed for message digest calculation": as a SET,
    # not with its implicit tag (RFC 5652, section 5.4).
    signed = bytes([SET]) + attributes.encoding[1:]
    algorithm = _READ.children(_READ.tagged(signature_algorithm, SEQUENCE), least=1)[0].content
    try:
        _verify(signer, signature.content, signed, algorithm=algorithm, digest=digest)
    except InvalidSignature as problem:
        raise StampError(f"{_WHAT}: altered: the signature does not fit") from problem
    except MALFORMED as problem:
        raise StampError(f"{_WHAT}: signed in a way that is unknown here") from problem
    return SignedToken(
        response=sorted_certificates(response),
        signer=signer,
        signer_der=signer_der,
        certificates=certificates,
    )


def certificate_number(certificate: bytes) -> int:
    """Return the serial number of a certificate in DER; StampError for a malformed one."""
    tbs = _READ.children(_READ.whole(certificate, SEQUENCE), least=1)[0]
    fields = _READ.children(_READ.tagged(tbs, SEQUENCE), least=2)
    number = fields[1] if fields[0].tag == CONTEXT_0 else fields[0]
    return int.from_bytes(_READ.tagged(number, INTEGER).content, "big", signed=True)


def _parts(response: bytes) -> _Parts:
    outer = _READ.children(_READ.whole(response, SEQUENCE), least=2)
    kind, explicit = _READ.children(_READ.tagged(outer[1], SEQUENCE), least=2)[:2]
    if kind.content != _SIGNED_DATA:
        raise StampError(f"{_WHAT}: no SignedData")
    signed_data = _READ.children(_READ.tagged(explicit, CONTEXT_0), least=1)[0]
    fields = _READ.children(_READ.tagged(signed_data, SEQUENCE), least=_SIGNED_DATA_LEAST)
    kind, explicit = _READ.children(_READ.tagged(fields[2], SEQUENCE), least=2)[:2]
    if kind.content != _TST_INFO or fields[0].content != _SIGNED_DATA_VERSION:
        raise StampError(f"{_WHAT}: what is signed is no time-stamp token")
    content = _READ.children(_READ.tagged(explicit, CONTEXT_0), least=1)[0]
    signer_infos = _READ.children(_READ.tagged(fields[-1], SET))
    if len(signer_infos) != 1:
        raise StampError(f"{_WHAT}: {len(signer_infos)} signatures, and exactly one is allowed")
    return _Parts(
        content=_READ.tagged(content, OCTET_STRING),
        certificates=fields[3] if fields[3].tag == CONTEXT_0 else None,
        signer_info=_READ.tagged(signer_infos[0], SEQUENCE),
    )


def _attributes(attributes: Element) -> dict[bytes, bytes]:
    """Return the signed attributes by their identifiers; each must stand there once, with one value."""
    found: dict[bytes, bytes] = {}
    for attribute in _READ.children(attributes):
        kind, values = _READ.children(_READ.tagged(attribute, SEQUENCE), least=2)[:2]
        value = _READ.children(_READ.tagged(values, SET), least=1)
        key = _READ.tagged(kind, OBJECT_IDENTIFIER).content
        if key in found or len(value) != 1:
            raise StampError(f"{_WHAT}: a signed attribute stands there twice")
        found[key] = value[0].encoding
    return found


def _certificates(parts: _Parts) -> tuple[bytes, ...]:
    found = () if parts.certificates is None else _READ.children(parts.certificates)
    if not 1 <= len(found) <= MAX_CERTIFICATES:
        raise StampError(
            f"{_WHAT}: {len(found)} certificates in it, 1 to {MAX_CERTIFICATES} expected: the authority must"
            " send its own along, as it was asked to"
        )
    return tuple(item.encoding for item in found)


def _bound(values: dict[bytes, bytes], certificates: tuple[bytes, ...]) -> bytes:
    """Return the certificate that the signed attributes name by its hash."""
    for key in (_SIGNING_CERTIFICATE_V2, _SIGNING_CERTIFICATE):
        if key in values:
            first = _READ.children(_READ.whole(values[key], SEQUENCE), least=1)[0]
            named = _READ.children(_READ.tagged(first, SEQUENCE), least=1)[0]
            fields = _READ.children(_READ.tagged(named, SEQUENCE), least=1)
            digest: hashes.HashAlgorithm = hashes.SHA256()
            if key == _SIGNING_CERTIFICATE:
                digest = hashes.SHA1()  # noqa: S303 - what RFC 2634 defines it with, and nothing else
            if fields[0].tag == SEQUENCE:  # another digest than the default one
                digest, fields = _digest(fields[0]), fields[1:]
            expected = fields[0].content if fields else b""
            for encoding in certificates:
                if hashlib.new(digest.name, encoding, usedforsecurity=False).digest() == expected:
                    return encoding
            raise StampError(f"{_WHAT}: altered, or the authority did not send its own certificate along")
    raise StampError(f"{_WHAT}: it does not say which certificate signed it (signingCertificate)")


@contextmanager
def unwarned() -> Iterator[None]:
    """Keep warnings about odd certificates to ourselves: whoever reads them here did not make them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        yield


def _load(encoding: bytes) -> x509.Certificate:
    try:
        with unwarned():
            return x509.load_der_x509_certificate(encoding)
    except MALFORMED as problem:
        raise StampError(f"{_WHAT}: the signer's certificate is malformed") from problem


def _digest(algorithm: Element) -> hashes.HashAlgorithm:
    name = _READ.children(_READ.tagged(algorithm, SEQUENCE), least=1)[0].content
    if name not in _DIGESTS:
        raise StampError(f"{_WHAT}: a digest other than SHA-256, SHA-384 and SHA-512")
    return _DIGESTS[name]


def _verify(
    signer: x509.Certificate,
    signature: bytes,
    signed: bytes,
    *,
    algorithm: bytes,
    digest: hashes.HashAlgorithm,
) -> None:
    key = signer.public_key()
    if isinstance(key, rsa.RSAPublicKey) and _RSA_NAMES.get(algorithm, "") in {None, digest.name}:
        key.verify(signature, signed, padding.PKCS1v15(), digest)
    elif isinstance(key, ec.EllipticCurvePublicKey) and _ECDSA_NAMES.get(algorithm, "") in {
        None,
        digest.name,
    }:
        key.verify(signature, signed, ec.ECDSA(digest))
    else:
        raise UnsupportedAlgorithm("a signing key of this kind")
