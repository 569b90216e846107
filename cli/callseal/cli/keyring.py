"""What a key file holds, told without its secrets: age recipients and identities, signing keys, certificates.

Conventions: the kind of a file is told by its content, never by its name. Only public halves leave this
module: recipients, fingerprints, device ids, certificates.
This module touches files.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from callseal.cli.disk import readable
from callseal.cli.i18n import _
from callseal.seal.age import Recipient, fingerprint
from callseal.seal.errors import KeyFileError
from callseal.seal.keyfile import read_identities, read_recipients
from callseal.seal.keys import device_id, read_certificates, read_signing_key
from callseal.seal.secret import Secret
from callseal.seal.timestamp import write_time

_FILE_LIMIT_BYTES: Final = 1024 * 1024
_LOCKED_PEM: Final = b"-----BEGIN ENCRYPTED PRIVATE KEY-----"
_AGE_FILE: Final = (b"age-encryption.org/", b"-----BEGIN AGE")


class Kind(StrEnum):
    """What a key file is."""

    RECIPIENTS = "recipients"
    IDENTITIES = "identities"
    CERTIFICATES = "certificates"
    SIGNING_KEY = "signing-key"
    PUBLIC_KEY = "public-key"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFile:
    """The public side of a key file's content; `locked` says that a passphrase opened it."""

    kind: Kind
    locked: bool
    keys: tuple[Mapping[str, str], ...]


def words(kind: Kind, *, locked: bool) -> str:
    """Return what a kind of file is called."""
    names = {
        Kind.RECIPIENTS: _("recipients (public)"),
        Kind.IDENTITIES: _("private keys that open recordings"),
        Kind.CERTIFICATES: _("certificates (public)"),
        Kind.SIGNING_KEY: _("a private signing key"),
        Kind.PUBLIC_KEY: _("a public signing key"),
    }
    return _("{kind}, locked with a passphrase").format(kind=names[kind]) if locked else names[kind]


def read(path: Path, ask: Callable[[], Secret]) -> KeyFile:
    """Return what a file holds; `ask` is called only for a locked one. Raises KeyFileError, UsageFault."""
    data = _bytes(path)
    if b"-----BEGIN CERTIFICATE-----" in data:
        found = tuple(map(_certificate, read_certificates(path)))
        return KeyFile(kind=Kind.CERTIFICATES, locked=False, keys=found)
    if b"-----BEGIN PUBLIC KEY-----" in data:
        keys = ({"device": device_id(_public(path, data))},)
        return KeyFile(kind=Kind.PUBLIC_KEY, locked=False, keys=keys)
    if b"PRIVATE KEY-----" in data:
        locked = _LOCKED_PEM in data
        key = read_signing_key(path, ask() if locked else None)
        return KeyFile(kind=Kind.SIGNING_KEY, locked=locked, keys=({"device": device_id(key.public_key())},))
    locked = data.lstrip().startswith(_AGE_FILE)
    if locked or b"AGE-SECRET-KEY-" in data:
        identities = read_identities(path, passphrase=ask)
        found = tuple(_recipient(one.recipient) for one in identities)
        return KeyFile(kind=Kind.IDENTITIES, locked=locked, keys=found)
    return KeyFile(kind=Kind.RECIPIENTS, locked=False, keys=tuple(map(_recipient, read_recipients(path))))


def read_public(path: Path) -> Ed25519PublicKey:
    """Return a public signing key from its own file or from the private key's."""
    data = _bytes(path)
    if b"PRIVATE KEY-----" in data:
        return read_signing_key(path).public_key()
    return _public(path, data)


def is_locked(path: Path) -> bool:
    """Tell whether a signing key's file needs a passphrase."""
    return _LOCKED_PEM in _bytes(path)


def _bytes(path: Path) -> bytes:
    with readable(path), path.open("rb") as file:
        return file.read(_FILE_LIMIT_BYTES)


def _public(path: Path, data: bytes) -> Ed25519PublicKey:
    try:
        key = load_pem_public_key(data)
    except (ValueError, TypeError, UnsupportedAlgorithm) as problem:
        raise KeyFileError(_("no public key in PEM"), path=path) from problem
    if not isinstance(key, Ed25519PublicKey):
        raise KeyFileError(_("not an Ed25519 key; callseal signs with no other"), path=path)
    return key


def _recipient(recipient: Recipient) -> Mapping[str, str]:
    return {
        "algorithm": recipient.kind,
        "recipient": recipient.text,
        "fingerprint": fingerprint(recipient),
    }


def _certificate(certificate: x509.Certificate) -> Mapping[str, str]:
    try:
        key = certificate.public_key()
        device = device_id(key) if isinstance(key, Ed25519PublicKey) else ""
    except (ValueError, UnsupportedAlgorithm):  # another organisation's certificate may hold any key
        device = ""
    return {
        "subject": certificate.subject.rfc4514_string(),
        "issuer": certificate.issuer.rfc4514_string(),
        "device": device,
        "not_before": write_time(certificate.not_valid_before_utc),
        "not_after": write_time(certificate.not_valid_after_utc),
    }
