"""Files of certificates, keys, requests and revocation lists: reading within a limit, writing for good.

Conventions: every fault of the disk is a KeyFileError that names the file. What is written is there after a
power cut, and never written over what is there.
This module touches files.
"""

from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from callseal.seal import durable
from callseal.seal.errors import KeyFileError

# All that `cryptography` raises for a certificate, a request or a revocation list that is not one, or not one
# that it knows. Some of these come late, from looking at a part of what was loaded without complaint.
MALFORMED: Final = (
    ValueError,
    TypeError,
    InvalidSignature,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.ExtensionNotFound,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


def read_bounded(path: Path, limit_bytes: int) -> bytes:
    """Return what stands in a file; KeyFileError if it can't be read or is longer than allowed."""
    try:
        with path.open("rb") as file:
            data = file.read(limit_bytes + 1)
    except OSError as problem:
        raise KeyFileError(f"can't be read: {problem.strerror}", path=path) from problem
    if len(data) > limit_bytes:
        raise KeyFileError(f"more than the {limit_bytes} bytes allowed", path=path)
    return data


def write_new(path: Path, data: bytes) -> None:
    """Write a new file, durably; KeyFileError if the name is taken or the disk refuses."""
    try:
        durable.create_file(path, data)
        durable.sync_folder(path.parent)
    except FileExistsError as problem:
        raise KeyFileError("is already there; remove it first or choose another name", path=path) from problem
    except OSError as problem:
        raise KeyFileError(f"can't be written: {problem.strerror}", path=path) from problem
