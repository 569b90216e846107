"""Signing keys, the certificates that vouch for them, and the roots that we trust.

The organisation has one offline root: an Ed25519 key under a passphrase and a certificate that it signed
itself. The root certifies devices and custodians directly: every chain is leaf, then root. One step is
enough for that and leaves path building, where other checkers had their faults, out of this one: a leaf
counts if one of our roots signed it, and whatever else a chain carries is not looked at.

A device that is not yet enrolled signs with a certificate of its own making (`self_signed`): its signatures
hold, and nobody vouches for them, so that every check says "signer untrusted" until the root certifies it.

Conventions: keys are Ed25519 and nothing else (RFC 8032, RFC 8410); private keys are PKCS #8 PEM, ``0600``,
never written over another file. `device_id` is ``dev-`` and the first 12 characters of the lower-case base32
of the SHA-256 of the raw 32-byte public key; it stands as the leaf's common name, and what the key is for as
a URI in its subject alternative name: ``urn:callseal:role:device`` or ``…:custodian``. Key generation takes
the operating system's randomness; everything else here takes time and randomness as arguments.

Source: RFC 5280 (certificates), RFC 8410 (Ed25519 in them).
"""

import base64
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final, Self

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.x509.oid import NameOID

from callseal.seal import pkcs8
from callseal.seal.errors import KeyFileError, UntrustedSigner, WrongPassphrase
from callseal.seal.pem import MALFORMED, read_bounded, write_new
from callseal.seal.revocation import Revocations, key_hash
from callseal.seal.secret import Secret
from callseal.seal.timestamp import write_time

DEVICE_ID_LENGTH: Final = 12
MAX_KEY_FILE_BYTES: Final = 64 * 1024
MAX_ROOTS_FILE_BYTES: Final = 1024 * 1024
MAX_CHAIN: Final = 4
MAX_CERTIFICATE_BYTES: Final = 8 * 1024
MAX_COMMON_NAME: Final = 64  # RFC 5280, appendix A: ub-common-name

# A certificate made a moment ago must hold for a device whose clock is a little behind.
CLOCK_TOLERANCE: Final = timedelta(minutes=5)

# A BIT STRING of 64 bytes without unused bits. The library also takes one that calls its last bits unused,
# which would be a second certificate with the same meaning.
_SIGNATURE_HEAD: Final = b"\x03\x41\x00"

_ROLE_URI: Final = "urn:callseal:role:"
_DAYS_A_YEAR: Final = 365.2425


class Role(StrEnum):
    """What a certified key may sign."""

    DEVICE = "device"
    CUSTODIAN = "custodian"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """Who signed, vouched for by `root`; since `revoked_since` only for what was anchored before."""

    device_id: str
    role: Role
    certificate: x509.Certificate
    root: x509.Certificate
    revoked_since: datetime | None = None


def generate_signing_key() -> Ed25519PrivateKey:
    """Return a new signing key from the operating system's randomness."""
    return Ed25519PrivateKey.generate()


def device_id(public_key: Ed25519PublicKey) -> str:
    """Return the name of the device that holds this key."""
    return device_name(key_hash(public_key))


def device_name(digest: bytes) -> str:
    """Return the name of the device whose raw public key has this SHA-256."""
    return "dev-" + base64.b32encode(digest).decode().lower()[:DEVICE_ID_LENGTH]


def write_signing_key(path: Path, key: Ed25519PrivateKey, passphrase: Secret | None = None) -> None:
    """Write a private key to a new file, durably; KeyFileError if the name is taken or the disk refuses.

    Without a passphrase the key lies there open: right for a device that must start by itself, never for
    the organisation's root.
    """
    encoding = serialization.Encoding.DER if passphrase else serialization.Encoding.PEM
    data = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    if passphrase:
        salt, iv = os.urandom(pkcs8.SALT_SIZE_BYTES), os.urandom(pkcs8.IV_SIZE_BYTES)
        data = pkcs8.seal_private_key(data, passphrase.reveal(), salt=salt, iv=iv)
    write_new(path, data)


def read_signing_key(path: Path, passphrase: Secret | None = None) -> Ed25519PrivateKey:
    """Return the signing key in a file; KeyFileError, or WrongPassphrase where the passphrase is at fault."""
    data = read_bounded(path, MAX_KEY_FILE_BYTES)
    sealed = b"ENCRYPTED" in data
    if sealed and not passphrase:
        raise WrongPassphrase("the key is sealed with a passphrase: give it", path=path)
    secret = passphrase.reveal().encode() if sealed and passphrase else None
    try:
        key = serialization.load_pem_private_key(data, secret)
    except (ValueError, TypeError, UnsupportedAlgorithm) as problem:
        if sealed:
            raise WrongPassphrase("the passphrase does not open it, or it is damaged", path=path) from problem
        raise KeyFileError("no private key in PEM (PKCS #8)", path=path) from problem
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError("not an Ed25519 key; callseal signs with no other", path=path)
    return key


def write_certificates(path: Path, certificates: Iterable[x509.Certificate]) -> None:
    """Write certificates to a new PEM file, durably; KeyFileError as for a key."""
    write_new(path, b"".join(item.public_bytes(serialization.Encoding.PEM) for item in certificates))


def read_certificates(path: Path) -> tuple[x509.Certificate, ...]:
    """Return the certificates in a PEM file; KeyFileError where there is none."""
    try:
        return tuple(x509.load_pem_x509_certificates(read_bounded(path, MAX_ROOTS_FILE_BYTES)))
    except MALFORMED as problem:
        raise KeyFileError("no certificates in PEM", path=path) from problem


def create_root(
    organisation: str, *, now: datetime, years: int
) -> tuple[Ed25519PrivateKey, x509.Certificate]:
    """Return an organisation's new root key and its certificate, which may certify but not delegate.

    KeyFileError for a name that no certificate can carry.
    """
    key = generate_signing_key()
    name = _name(organisation, organisation)
    certificate = (
        _builder(name, name, key.public_key(), now=now, years=years)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(certify=True), critical=True)
        .sign(key, None)
    )
    return key, certificate


def certify(
    root_key: Ed25519PrivateKey,
    root_certificate: x509.Certificate,
    public_key: Ed25519PublicKey,
    *,
    role: Role,
    now: datetime,
    years: int,
) -> x509.Certificate:
    """Return the certificate by which the root vouches for a device's or a custodian's key.

    KeyFileError if the root's key and certificate do not belong together.
    """
    if root_certificate.public_key() != root_key.public_key():
        raise KeyFileError("the root's key and its certificate do not belong together")
    issuer = root_certificate.subject
    organisation = issuer.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    subject = x509.Name([*organisation, x509.NameAttribute(NameOID.COMMON_NAME, device_id(public_key))])
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key())
    return (
        _leaf(subject, issuer, public_key, role=role, now=now, years=years)
        .add_extension(authority, critical=False)
        .sign(root_key, None)
    )


def self_signed(key: Ed25519PrivateKey, *, role: Role, now: datetime, years: int) -> x509.Certificate:
    """Return the certificate that a device makes for itself until the root certifies it."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, device_id(key.public_key()))])
    return _leaf(name, name, key.public_key(), role=role, now=now, years=years).sign(key, None)


def chain_der(certificates: Iterable[x509.Certificate]) -> tuple[bytes, ...]:
    """Return certificates, leaf first, as a manifest and a JWS carry them."""
    return tuple(item.public_bytes(serialization.Encoding.DER) for item in certificates)


def leaf_public_key(chain: Sequence[bytes]) -> Ed25519PublicKey:
    """Return the key that a chain's leaf names, trusted or not; UntrustedSigner for a malformed chain."""
    return _public_key(_load_leaf(chain))


class TrustStore:
    """The roots whose word we take, and what they took back."""

    __slots__ = ("_revocations", "_roots")

    def __init__(
        self, roots: Iterable[x509.Certificate] = (), revocations: Revocations | None = None
    ) -> None:
        """Take the word of `roots`; KeyFileError for one that is none, and for a list that none signed."""
        self._roots = tuple(roots)
        for root in self._roots:
            _check_root(root)
        # Without a root nobody is trusted, and no list can be judged.
        known = revocations if revocations is not None and self._roots else Revocations()
        self._revocations = known.vouched_by(self._roots)

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """Return the roots in a PEM file, without revocations; otherwise as `from_files`."""
        return cls.from_files(path, None)

    @classmethod
    def from_files(cls, roots: Path, revocations_file: Path | None) -> Self:
        """Return the roots in a PEM file and what they revoked, by another; a missing file holds none.

        Raises KeyFileError, which names the file, and OSError where the disk does not tell.
        """
        revocations = None if revocations_file is None else Revocations.from_file(revocations_file)
        if not roots.exists():
            return cls(revocations=revocations)
        certificates = read_certificates(roots)
        try:
            store = cls(certificates)
        except KeyFileError as problem:
            raise KeyFileError(problem.message, path=roots) from problem
        return store if revocations is None else cls(certificates, revocations)

    @property
    def roots(self) -> tuple[x509.Certificate, ...]:
        """The roots themselves."""
        return self._roots

    @property
    def revocations(self) -> Revocations:
        """What the roots took back."""
        return self._revocations

    def check(
        self, chain: Sequence[bytes], *, at: datetime, role: Role, anchored_before: datetime | None = None
    ) -> Signer:
        """Return who signed, if one of our roots vouched for that key, in that role, at that time.

        A key that was revoked signs nothing for itself any more: who has it writes any time into what he
        signs. It counts for what was demonstrably there before: `anchored_before` is the time of a proof by
        somebody else, a receipt or an RFC 3161 stamp, and must be earlier than the revocation.

        UntrustedSigner says why not. `chain` is DER, leaf first; only its leaf is looked at.
        """
        leaf = _load_leaf(chain)
        public_key = _public_key(leaf)
        name = device_id(public_key)
        if not self._roots:
            raise UntrustedSigner(f"{name}: no trusted root is known here, so nobody vouches for it")
        root = self._issuer(leaf)
        if root is None:
            raise UntrustedSigner(f"{name}: no trusted root issued its certificate")
        for whose, certificate in (("its", leaf), ("its root's", root)):
            if not certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc:
                raise UntrustedSigner(
                    f"{name}: {whose} certificate does not hold at {write_time(at)}, only from"
                    f" {write_time(certificate.not_valid_before_utc)}"
                    f" to {write_time(certificate.not_valid_after_utc)}"
                )
        _check_leaf(leaf, name, role)
        revoked = self._revocations.since(leaf)
        if revoked is not None and (anchored_before is None or anchored_before >= revoked):
            known = "no proof" if anchored_before is None else f"no proof from before {write_time(revoked)}"
            raise UntrustedSigner(
                f"{name}: revoked since {write_time(revoked)}: what it signed counts only where somebody"
                f" else proves that it was there before, and {known} is known here"
            )
        return Signer(device_id=name, role=role, certificate=leaf, root=root, revoked_since=revoked)

    def _issuer(self, leaf: x509.Certificate) -> x509.Certificate | None:
        for root in self._roots:
            try:
                leaf.verify_directly_issued_by(root)
            except MALFORMED:
                continue
            return root
        return None


def _load_leaf(chain: Sequence[bytes]) -> x509.Certificate:
    if not 1 <= len(chain) <= MAX_CHAIN or len(chain[0]) > MAX_CERTIFICATE_BYTES:
        raise UntrustedSigner(
            f"a chain is 1 to {MAX_CHAIN} certificates of at most {MAX_CERTIFICATE_BYTES} bytes"
        )
    try:
        leaf = x509.load_der_x509_certificate(chain[0])
    except MALFORMED as problem:
        raise UntrustedSigner("the signer's certificate is malformed") from problem
    if not chain[0].endswith(_SIGNATURE_HEAD + leaf.signature):
        raise UntrustedSigner("the signer's certificate is malformed: not signed as Ed25519 signs")
    return leaf


def _public_key(certificate: x509.Certificate) -> Ed25519PublicKey:
    try:
        key = certificate.public_key()
    except MALFORMED as problem:
        raise UntrustedSigner("the signer's certificate holds no key that can be read") from problem
    if not isinstance(key, Ed25519PublicKey):
        raise UntrustedSigner("the signer's key is not Ed25519; callseal believes no other")
    return key


def _check_leaf(leaf: x509.Certificate, name: str, role: Role) -> None:
    try:
        extensions = leaf.extensions
        common_names = [item.value for item in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        constraints = extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
        alternative = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except MALFORMED as problem:
        raise UntrustedSigner(f"{name}: its certificate lacks what a signer's must have") from problem
    if any(item.critical and isinstance(item.value, x509.UnrecognizedExtension) for item in extensions):
        raise UntrustedSigner(f"{name}: its certificate has a critical extension that is unknown here")
    if constraints.ca or not usage.digital_signature:
        raise UntrustedSigner(f"{name}: its certificate is not one for signing")
    if common_names != [name]:
        raise UntrustedSigner(f"{name}: its certificate was issued for another device")
    if alternative.get_values_for_type(x509.UniformResourceIdentifier) != [_ROLE_URI + role.value]:
        raise UntrustedSigner(f"{name}: its certificate is not one for the role of {role.value}")


def _check_root(root: x509.Certificate) -> None:
    subject = "a certificate"
    try:
        subject = root.subject.rfc4514_string()
        root.verify_directly_issued_by(root)
        constraints = root.extensions.get_extension_for_class(x509.BasicConstraints).value
        key = root.public_key()
    except MALFORMED as problem:
        raise KeyFileError(f"{subject}: not a root certificate: it did not sign itself") from problem
    if not constraints.ca or not isinstance(key, Ed25519PublicKey):
        raise KeyFileError(f"{subject}: not a root certificate of callseal (a CA's, with an Ed25519 key)")


def _name(organisation: str, common_name: str) -> x509.Name:
    try:
        return x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
                x509.NameAttribute(NameOID.COMMON_NAME, common_name),
            ]
        )
    except ValueError as problem:
        raise KeyFileError(
            f"the organisation's name must have 1 to {MAX_COMMON_NAME} characters"
        ) from problem


def _builder(
    subject: x509.Name, issuer: x509.Name, key: Ed25519PublicKey, *, now: datetime, years: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_TOLERANCE)
        .not_valid_after(now + timedelta(days=_DAYS_A_YEAR * years))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _leaf(
    subject: x509.Name, issuer: x509.Name, key: Ed25519PublicKey, *, role: Role, now: datetime, years: int
) -> x509.CertificateBuilder:
    role_name = x509.UniformResourceIdentifier(_ROLE_URI + role.value)
    return (
        _builder(subject, issuer, key, now=now, years=years)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(certify=False), critical=True)
        .add_extension(x509.SubjectAlternativeName([role_name]), critical=False)
    )


def _usage(*, certify: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not certify,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certify,
        crl_sign=certify,
        encipher_only=False,
        decipher_only=False,
    )
