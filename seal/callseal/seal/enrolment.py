"""How a device joins: its request for a certificate, and what is checked of the certificate that comes back.

::

    device                      two people, on the telephone         offline machine
    request ──── device.csr ─────────────────────────────────────▶ read_request
    key_fingerprint ◀──────── read out, compared ────────────────▶ key_fingerprint
    check_certificate ◀──── device.pem, root.pem ──────────────── certify

The request proves that whoever made it holds the key; that it is the right device's is what the two people
establish by comparing fingerprints. The request's site is what the device says of itself: it is shown and
does not go into the certificate.

Conventions: a request is PKCS #10 in PEM, Ed25519, its subject the device id of its key as common name and
the site as locality. The same key and site give the same bytes. Fingerprints are the SHA-256 of the raw
32-byte public key, of which the device id is the beginning in another spelling.

Source: RFC 2986 (PKCS #10), RFC 8410 (Ed25519 in it).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.x509.oid import NameOID

from callseal.seal.errors import KeyFileError
from callseal.seal.keys import Role, Signer, TrustStore, chain_der, device_id
from callseal.seal.pem import MALFORMED
from callseal.seal.revocation import key_hash

MAX_REQUEST_BYTES: Final = 16 * 1024
MAX_SITE: Final = 128  # RFC 5280, appendix A: ub-locality-name
REQUEST_BEGIN: Final = b"-----BEGIN CERTIFICATE REQUEST-----"

_GROUP: Final = 4  # digits; what a person reads out in one breath


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request that was read: the key that it proves, and where its device says that it stands."""

    public_key: Ed25519PublicKey
    device: str
    site: str


def key_fingerprint(public_key: Ed25519PublicKey) -> str:
    """Return a key's fingerprint as two people compare it: 16 groups of 4 hexadecimal digits."""
    digits = key_hash(public_key).hex()
    return " ".join(digits[start : start + _GROUP] for start in range(0, len(digits), _GROUP))


def request(key: Ed25519PrivateKey, *, site: str) -> bytes:
    """Return a device's request for a certificate, PEM; KeyFileError for a site that it can't carry."""
    if not 1 <= len(site) <= MAX_SITE:
        raise KeyFileError(f"a request can't carry a site of {len(site)} characters, only 1 to {MAX_SITE}")
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.LOCALITY_NAME, site),
            x509.NameAttribute(NameOID.COMMON_NAME, device_id(key.public_key())),
        ]
    )
    made = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, None)
    return made.public_bytes(serialization.Encoding.PEM)


def read_request(data: bytes) -> Request:
    """Return what a request asks for, once its signature proved that it was made with that key.

    KeyFileError for anything else, whatever the bytes are.
    """
    if len(data) > MAX_REQUEST_BYTES:
        raise KeyFileError(f"a request has at most {MAX_REQUEST_BYTES} bytes")
    try:
        found = x509.load_pem_x509_csr(data)
        fits = found.is_signature_valid
        key = found.public_key()
        names = [str(item.value) for item in found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        sites = [str(item.value) for item in found.subject.get_attributes_for_oid(NameOID.LOCALITY_NAME)]
    except MALFORMED as problem:
        raise KeyFileError("no certificate request in PEM (PKCS #10), or one that is malformed") from problem
    if not isinstance(key, Ed25519PublicKey):
        raise KeyFileError("the request's key is not Ed25519; callseal certifies no other")
    if not fits:
        raise KeyFileError("the request was altered: whoever made it does not hold the key in it")
    name = device_id(key)
    if names != [name]:
        raise KeyFileError(f"the request is not a device's: its name is not that of its key, {name}")
    if len(sites) != 1 or not 1 <= len(sites[0]) <= MAX_SITE:
        raise KeyFileError(f"the request does not say in 1 to {MAX_SITE} characters where the device stands")
    return Request(public_key=key, device=name, site=sites[0])


def check_certificate(
    certificate: x509.Certificate, root: x509.Certificate, public_key: Ed25519PublicKey, *, now: datetime
) -> Signer:
    """Return what a certificate makes of a device: it is for this key, the root issued it, and it holds now.

    KeyFileError for another key's and for a root that is none, UntrustedSigner for everything else.
    """
    trust = TrustStore([root])
    signer = trust.check(chain_der([certificate]), at=now, role=Role.DEVICE)
    if signer.device_id != device_id(public_key) or certificate.public_key() != public_key:
        raise KeyFileError(
            f"the certificate is for {signer.device_id}, and this device is {device_id(public_key)}: have"
            " this device's request certified"
        )
    return signer
