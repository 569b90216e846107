"""The files that TLS stands on, read whole into a context: a fault is said in words that name the file.

Conventions: files are PEM; a certificate's file holds its chain after it. A state of files is told from
another by their time, number and size.
"""

import ssl
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from cryptography import x509

from callseal.agent.errors import SourceError

Stamp = tuple[int, int, int]


def look(files: Iterable[Path | None]) -> tuple[Stamp | None, ...]:
    """Return what tells one state of the files from another; None for a file that can't be seen."""
    return tuple(_stamp(file) for file in files if file is not None)


def load_own(context: ssl.SSLContext, certificate_file: Path, key_file: Path) -> datetime:
    """Have a context show a certificate, and return when that runs out (UTC); SourceError in words."""
    expires = _expiry(certificate_file)
    _read(key_file)
    try:
        # A key that asks for a passphrase would wait at a terminal that a service does not have.
        context.load_cert_chain(certificate_file, key_file, password=lambda: "")
    except (OSError, ValueError) as problem:
        raise SourceError(
            f"{key_file}: must be the key of {certificate_file}, PEM without a passphrase"
        ) from problem
    return expires


def load_authorities(context: ssl.SSLContext, ca_file: Path) -> None:
    """Have a context trust authorities; SourceError in words."""
    _read(ca_file)
    try:
        context.load_verify_locations(ca_file)
    except (OSError, ValueError) as problem:
        raise SourceError(f"{ca_file}: must hold certificates, PEM") from problem


def _expiry(path: Path) -> datetime:
    try:
        return x509.load_pem_x509_certificate(_read(path)).not_valid_after_utc
    except ValueError as problem:
        raise SourceError(f"{path}: must hold a certificate, PEM") from problem


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as problem:
        raise SourceError(f"{path}: cannot be read: {problem.strerror}") from problem


def _stamp(path: Path) -> Stamp | None:
    try:
        seen = path.stat()
    except OSError:
        return None
    return seen.st_mtime_ns, seen.st_ino, seen.st_size
