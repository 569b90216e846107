"""Revocation: from when on an organisation's root no longer vouches for a key.

A list is an X.509 CRL, signed by the root like its certificates, so that stock tools read it. It names
certificates by their serial numbers, as every CRL does, and in an entry extension of our own the *key*: a key
that was stolen is no better under another certificate. A list that follows holds all that its predecessors
held, and counts one up; of several by one root those with the highest number count.

Conventions: an entry's revocation date is the time from which on nothing that the key signed is believed for
itself, which may be long before the list was made. The extension is not critical; its value is a DER OCTET
STRING of 32 bytes, the SHA-256 of the raw Ed25519 public key. Dates have whole seconds and are rounded down.
A list whose `next_update` passed is still believed, and is *stale*: there may be a newer one that did not
come here, so whoever checks says so (`Revocations.stale`).

Source: RFC 5280, section 5 (CRLs), 5.3.1 (reasons); ITU-T X.667 (object identifiers under 2.25).
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Self, TypeAlias, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from callseal.seal.errors import KeyFileError
from callseal.seal.pem import MALFORMED, read_bounded
from callseal.seal.timestamp import write_time

CRL: TypeAlias = x509.CertificateRevocationList
_Key = TypeVar("_Key")

KEY_OID: Final = x509.ObjectIdentifier("2.25.177426496864459306299645084244260803624")
"""Names the key in an entry: the UUID 857b19ae-d3b9-4b05-b08c-913b1569d428."""
VALID_FOR: Final = timedelta(days=400)
"""A list is to be renewed once a year, even if nothing was revoked, and may be a month late."""
MAX_REVOCATIONS_FILE_BYTES: Final = 4 * 1024 * 1024
MAX_LISTS: Final = 32

_BLOCK: Final = re.compile(rb"-----BEGIN X509 CRL-----.+?-----END X509 CRL-----", re.DOTALL)
_BEGIN: Final = b"-----BEGIN X509 CRL-----"
_OCTET_STRING: Final = b"\x04\x20"
# These two say that an entry may be taken back: nothing that was believed of a key can be unstolen.
_PASSING: Final = frozenset({x509.ReasonFlags.certificate_hold, x509.ReasonFlags.remove_from_crl})


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of a list; `key` is the SHA-256 of the key, None where another program made the entry."""

    serial: int
    since: datetime
    reason: x509.ReasonFlags
    key: bytes | None


def key_hash(public_key: Ed25519PublicKey) -> bytes:
    """Return the name of a key in revocation lists."""
    return hashlib.sha256(public_key.public_bytes_raw()).digest()


def revoke(
    root_key: Ed25519PrivateKey,
    root_certificate: x509.Certificate,
    previous: Sequence[CRL],
    certificates: Iterable[x509.Certificate],
    *,
    since: datetime,
    reason: x509.ReasonFlags,
    now: datetime,
) -> CRL:
    """Return the root's next list: all that its `previous` ones hold, and `certificates` since then.

    What was revoked before keeps its date, unless the new one is earlier. Without certificates the list is
    only renewed. KeyFileError for a certificate or a list that is not this root's, for a key and certificate
    of the root that do not belong together, and for a date that is no date of a revocation.
    """
    if root_certificate.public_key() != root_key.public_key():
        raise KeyFileError("the root's key and its certificate do not belong together")
    if since > now:
        raise KeyFileError(f"revoked since {write_time(since)}: that is still to come")
    if reason in _PASSING:
        raise KeyFileError("a revocation is for good: there is none that can be taken back")
    entries: dict[int, Entry] = {}
    number = 0
    for item in previous:
        _check_issuer(item, [root_certificate])
        number = max(number, _number(item))
        for entry in _entries(item):
            _add(entries, entry)
    since = since.replace(microsecond=0)
    for certificate in certificates:
        key = _issued_key(certificate, root_certificate)
        _add(entries, Entry(serial=certificate.serial_number, since=since, reason=reason, key=key))
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(root_certificate.subject)
        .last_update(now)
        .next_update(now + VALID_FOR)
        .add_extension(x509.CRLNumber(number + 1), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False
        )
    )
    try:
        for entry in entries.values():
            builder = builder.add_revoked_certificate(_revoked(entry))
        return builder.sign(root_key, None)
    except ValueError as problem:
        raise KeyFileError(f"revoked since {write_time(since)}: no date that a list can hold") from problem


def write_pem(lists: Iterable[CRL]) -> bytes:
    """Return lists as a file holds them."""
    return b"".join(item.public_bytes(serialization.Encoding.PEM) for item in lists)


def number_of(item: CRL) -> int:
    """Return which of its root's lists this is; KeyFileError if it does not say."""
    return _number(item)


def entries_of(item: CRL) -> tuple[Entry, ...]:
    """Return what a list says; KeyFileError where that can't be told."""
    return tuple(_entries(item))


class Revocations:
    """The lists of a file. Nobody vouches for them until `vouched_by` returned them."""

    __slots__ = ("_by_key", "_by_serial", "_lists", "_path")

    def __init__(self, lists: Iterable[CRL] = (), *, path: Path | None = None) -> None:
        """Take lists; `path` is where they come from, for what is said of them. Raises KeyFileError."""
        self._lists = tuple(lists)
        self._path = path
        self._by_key: dict[bytes, datetime] = {}
        self._by_serial: dict[tuple[x509.Name, int], datetime] = {}
        try:
            for item in self._lists:
                for entry in _entries(item):
                    _note(self._by_serial, (item.issuer, entry.serial), entry.since)
                    if entry.key is not None:
                        _note(self._by_key, entry.key, entry.since)
                _number(item)
        except KeyFileError as problem:
            raise KeyFileError(problem.message, path=path) from problem

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """Return the lists in a PEM file; none at all if the file is not there. Raises KeyFileError.

        A file that is there and holds none is not taken for "nothing is revoked": it was cut off.
        """
        try:
            path.stat()
        except FileNotFoundError:
            return cls(path=path)
        except OSError as problem:
            raise KeyFileError(f"can't be read: {problem.strerror}", path=path) from problem
        data = read_bounded(path, MAX_REVOCATIONS_FILE_BYTES)
        blocks = _BLOCK.findall(data)
        if not blocks or len(blocks) != data.count(_BEGIN):
            raise KeyFileError("no revocation list in PEM, or one that is cut off", path=path)
        if len(blocks) > MAX_LISTS:
            raise KeyFileError(f"more than {MAX_LISTS} revocation lists", path=path)
        try:
            return cls(map(x509.load_pem_x509_crl, blocks), path=path)
        except MALFORMED as problem:
            raise KeyFileError("holds a revocation list that is malformed", path=path) from problem

    @property
    def lists(self) -> tuple[CRL, ...]:
        """The lists themselves."""
        return self._lists

    def vouched_by(self, roots: Iterable[x509.Certificate]) -> Self:
        """Return the lists that count: by each root those with its highest number.

        KeyFileError, which names the file, for a list that none of the roots signed.
        """
        trusted = tuple(roots)
        newest: dict[x509.Certificate, list[CRL]] = {}
        for item in self._lists:
            try:
                root = _check_issuer(item, trusted)
            except KeyFileError as problem:
                raise KeyFileError(problem.message, path=self._path) from problem
            known = newest.setdefault(root, [])
            if known and _number(item) > _number(known[0]):
                known.clear()
            # Two with one number: two people revoked at the same time. Neither's word is lost.
            if not known or _number(item) == _number(known[0]):
                known.append(item)
        return type(self)([item for items in newest.values() for item in items], path=self._path)

    def by_root(self, root: x509.Certificate) -> tuple[CRL, ...]:
        """Return all lists that this root signed."""
        return tuple(item for item in self._lists if _signed_by(item, root))

    def since(self, certificate: x509.Certificate) -> datetime | None:
        """Return since when a certificate, or the key in it, is revoked; None if it is not."""
        found = [self._by_serial.get((certificate.issuer, certificate.serial_number))]
        try:
            key = certificate.public_key()
        except MALFORMED:
            key = None
        if isinstance(key, Ed25519PublicKey):
            found.append(self._by_key.get(key_hash(key)))
        return min((one for one in found if one is not None), default=None)

    @property
    def next_update(self) -> datetime | None:
        """When the first of the lists is to be renewed; None without lists, or if none of them says."""
        times = [item.next_update_utc for item in self._lists]
        return min((time for time in times if time is not None), default=None)

    def stale(self, now: datetime) -> bool:
        """Whether a newer list should have come by now: what is revoked may be more than is known here."""
        return self.next_update is not None and self.next_update < now


def _add(entries: dict[int, Entry], entry: Entry) -> None:
    known = entries.get(entry.serial)
    if known is None or entry.since < known.since:
        entries[entry.serial] = entry


def _note(dates: dict[_Key, datetime], key: _Key, since: datetime) -> None:
    dates[key] = min(since, dates.get(key, since))


def _issued_key(certificate: x509.Certificate, root: x509.Certificate) -> bytes:
    if certificate == root:
        raise KeyFileError("a root can't revoke itself: who verifies takes it out of the trusted roots")
    try:
        certificate.verify_directly_issued_by(root)
        key = certificate.public_key()
    except MALFORMED as problem:
        raise KeyFileError(
            "a certificate was not issued by this root: only that root can revoke it which issued it"
        ) from problem
    if not isinstance(key, Ed25519PublicKey):
        raise KeyFileError("a certificate's key is not Ed25519; callseal knows no other")
    return key_hash(key)


def _revoked(entry: Entry) -> x509.RevokedCertificate:
    builder = x509.RevokedCertificateBuilder().serial_number(entry.serial).revocation_date(entry.since)
    # RFC 5280, 5.3.1: the reason is left out rather than said to be unspecified.
    if entry.reason is not x509.ReasonFlags.unspecified:
        builder = builder.add_extension(x509.CRLReason(entry.reason), critical=False)
    if entry.key is not None:
        extension = x509.UnrecognizedExtension(KEY_OID, _OCTET_STRING + entry.key)
        builder = builder.add_extension(extension, critical=False)
    return builder.build()


def _number(item: CRL) -> int:
    try:
        return item.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except MALFORMED as problem:
        raise KeyFileError("a revocation list says not which of its root's lists it is") from problem


def _entries(item: CRL) -> Iterator[Entry]:
    # RFC 5280, 5.2 and 5.3: a list with a critical extension that is unknown says something else than it
    # seems to, such as that it is only a part. None of those is known here.
    try:
        critical = any(extension.critical for extension in item.extensions)
        for revoked in item:
            critical = critical or any(extension.critical for extension in revoked.extensions)
            yield Entry(
                serial=revoked.serial_number,
                since=revoked.revocation_date_utc,
                reason=_reason(revoked.extensions),
                key=_key(revoked.extensions),
            )
    except MALFORMED as problem:
        raise KeyFileError("a revocation list is malformed") from problem
    if critical:
        raise KeyFileError("a revocation list has a critical extension, and none is known here")


def _reason(extensions: x509.Extensions) -> x509.ReasonFlags:
    try:
        return extensions.get_extension_for_class(x509.CRLReason).value.reason
    except x509.ExtensionNotFound:
        return x509.ReasonFlags.unspecified


def _key(extensions: x509.Extensions) -> bytes | None:
    try:
        value = extensions.get_extension_for_oid(KEY_OID).value
    except x509.ExtensionNotFound:
        return None
    data = value.value if isinstance(value, x509.UnrecognizedExtension) else b""
    if not data.startswith(_OCTET_STRING) or len(data) != len(_OCTET_STRING) + hashlib.sha256().digest_size:
        raise KeyFileError("a revocation list names a key in a way that is unknown here")
    return data.removeprefix(_OCTET_STRING)


def _check_issuer(item: CRL, roots: Iterable[x509.Certificate]) -> x509.Certificate:
    for root in roots:
        if _signed_by(item, root):
            return root
    raise KeyFileError("holds a revocation list that no trusted root signed")


def _signed_by(item: CRL, root: x509.Certificate) -> bool:
    try:
        key = root.public_key()
        return (
            item.issuer == root.subject and isinstance(key, Ed25519PublicKey) and item.is_signature_valid(key)
        )
    except MALFORMED:
        return False
