"""What a key file holds, told without its secrets: keys for reading and signing, and what vouches for them.

Conventions: the kind of a file is told by its content, never by its name. Only public halves leave this
module: recipients, fingerprints, device ids, certificates, requests, revocations.
This module touches files.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, TypeAlias

import typer
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from callseal.cli import passphrase
from callseal.cli.disk import readable
from callseal.cli.i18n import _
from callseal.seal.age import Recipient, fingerprint
from callseal.seal.enrolment import REQUEST_BEGIN, Request, key_fingerprint, read_request
from callseal.seal.errors import KeyFileError
from callseal.seal.keyfile import read_identities, read_recipients
from callseal.seal.keys import device_id, device_name, read_certificates, read_signing_key
from callseal.seal.revocation import CRL, Revocations, entries_of, number_of
from callseal.seal.secret import Secret
from callseal.seal.timestamp import write_time

CERTIFICATE_SUFFIX: Final = ".pem"

_FILE_LIMIT_BYTES: Final = 1024 * 1024
_LOCKED_PEM: Final = b"-----BEGIN ENCRYPTED PRIVATE KEY-----"
_AGE_FILE: Final = (b"age-encryption.org/", b"-----BEGIN AGE")


Root: TypeAlias = Annotated[Path, typer.Option("--root", metavar="FILE", help=_("The root's private key."))]
RootCertificate: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--root-certificate",
        metavar="PEM",
        help=_("The root's certificate; otherwise the root's file with .pem at its end."),
        show_default=False,
    ),
]


class Kind(StrEnum):
    """What a key file is."""

    RECIPIENTS = "recipients"
    IDENTITIES = "identities"
    CERTIFICATES = "certificates"
    SIGNING_KEY = "signing-key"
    PUBLIC_KEY = "public-key"
    REQUEST = "request"
    REVOCATIONS = "revocations"


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
        Kind.REQUEST: _("a device's request for a certificate (public)"),
        Kind.REVOCATIONS: _("revocations (public)"),
    }
    return _("{kind}, locked with a passphrase").format(kind=names[kind]) if locked else names[kind]


def read(path: Path, ask: Callable[[], Secret]) -> KeyFile:
    """Return what a file holds; `ask` is called only for a locked one. Raises KeyFileError, UsageFault."""
    data = _bytes(path)
    public = _read_public_file(path, data)
    if public is not None:
        kind, keys = public
        return KeyFile(kind=kind, locked=False, keys=tuple(keys))
    if b"PRIVATE KEY-----" in data:
        locked = _LOCKED_PEM in data
        key = read_signing_key(path, ask() if locked else None)
        return KeyFile(kind=Kind.SIGNING_KEY, locked=locked, keys=(_signer(key.public_key()),))
    locked = data.lstrip().startswith(_AGE_FILE)
    if locked or b"AGE-SECRET-KEY-" in data:
        identities = read_identities(path, passphrase=ask)
        found = tuple(_recipient(one.recipient) for one in identities)
        return KeyFile(kind=Kind.IDENTITIES, locked=locked, keys=found)
    return KeyFile(kind=Kind.RECIPIENTS, locked=False, keys=tuple(map(_recipient, read_recipients(path))))


def _read_public_file(path: Path, data: bytes) -> tuple[Kind, Iterable[Mapping[str, str]]] | None:
    if b"-----BEGIN CERTIFICATE-----" in data:
        return Kind.CERTIFICATES, map(_certificate, read_certificates(path))
    if b"-----BEGIN PUBLIC KEY-----" in data:
        return Kind.PUBLIC_KEY, [_signer(_public(path, data))]
    if REQUEST_BEGIN in data:
        asked = _request(path, data)
        return Kind.REQUEST, [{**_signer(asked.public_key), "site": asked.site}]
    if b"-----BEGIN X509 CRL-----" in data:
        lists = Revocations.from_file(path).lists
        return Kind.REVOCATIONS, (one for item in lists for one in _revocations(item))
    return None


def read_public(path: Path) -> Ed25519PublicKey:
    """Return a public signing key from its own file, from a request or from the private key's."""
    data = _bytes(path)
    if REQUEST_BEGIN in data:
        return _request(path, data).public_key
    if b"PRIVATE KEY-----" in data:
        return read_signing_key(path).public_key()
    return _public(path, data)


def read_root(
    root: Path, certificate: Path | None, passphrase_file: Path | None
) -> tuple[Ed25519PrivateKey, x509.Certificate]:
    """Return the root's key, whose passphrase is asked for, and its certificate, by default beside it."""
    issuer = read_certificates(certificate or root.with_name(root.name + CERTIFICATE_SUFFIX))[0]
    secret = passphrase.asked(root, passphrase_file)() if is_locked(root) else None
    return read_signing_key(root, secret), issuer


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


def _request(path: Path, data: bytes) -> Request:
    try:
        return read_request(data)
    except KeyFileError as problem:
        raise KeyFileError(problem.message, path=path) from problem


def _signer(key: Ed25519PublicKey) -> Mapping[str, str]:
    return {"device": device_id(key), "fingerprint": key_fingerprint(key)}


def _revocations(item: CRL) -> Iterator[Mapping[str, str]]:
    next_update = item.next_update_utc
    yield {
        "issuer": item.issuer.rfc4514_string(),
        "number": str(number_of(item)),
        "issued_at": write_time(item.last_update_utc),
        "next_update": "" if next_update is None else write_time(next_update),
    }
    for entry in entries_of(item):
        yield {
            "device": "" if entry.key is None else device_name(entry.key),
            "serial": f"{entry.serial:x}",
            "since": write_time(entry.since),
            "reason": entry.reason.value,
        }


def _recipient(recipient: Recipient) -> Mapping[str, str]:
    return {
        "algorithm": recipient.kind,
        "recipient": recipient.text,
        "fingerprint": fingerprint(recipient),
    }


def _certificate(certificate: x509.Certificate) -> Mapping[str, str]:
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):  # another organisation's certificate may hold any key
        key = None
    signer = _signer(key) if isinstance(key, Ed25519PublicKey) else {"device": "", "fingerprint": ""}
    return {
        "subject": certificate.subject.rfc4514_string(),
        "issuer": certificate.issuer.rfc4514_string(),
        **signer,
        "not_before": write_time(certificate.not_valid_before_utc),
        "not_after": write_time(certificate.not_valid_after_utc),
    }
