"""The files of a device's identity on this machine: its private key, and what is public beside it.

Conventions: a private key is ``0600`` and never written over, whatever is asked. What is public is ``0644``
and replaced whole; where the same stands there already, nothing is written.
This module touches files.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from callseal.cli import output
from callseal.cli.disk import is_there, readable, writable
from callseal.cli.errors import UsageFault
from callseal.cli.i18n import _
from callseal.seal import durable
from callseal.seal.keys import generate_signing_key, read_signing_key, write_signing_key

_PUBLIC_MODE: Final = 0o644


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A file, and whether it was written now or was there already."""

    path: Path
    written: bool


def device_key(path: Path) -> tuple[Ed25519PrivateKey, Made]:
    """Return the key in a file; where there is none it is made. Raises KeyFileError."""
    if is_there(path):
        return read_signing_key(path), Made(path=path, written=False)
    key = generate_signing_key()
    write_signing_key(path, key)
    return key, Made(path=path, written=True)


def write_public(path: Path, data: bytes, *, replace: bool) -> Made:
    """Write a public file; UsageFault where something else stands there and `replace` was not asked for."""
    if holds(path, data):
        return Made(path=path, written=False)
    if not replace and is_there(path):
        raise differs(path)
    replace_public(path, data)
    return Made(path=path, written=True)


def holds(path: Path, data: bytes) -> bool:
    """Tell whether exactly these bytes stand in a file."""
    if not is_there(path):
        return False
    with readable(path), path.open("rb") as file:
        return file.read(len(data) + 1) == data


def replace_public(path: Path, data: bytes) -> None:
    """Write a public file in place of what may be there, whole or not at all."""
    with writable(path):
        durable.replace_file(path, data)
        path.chmod(_PUBLIC_MODE)


def differs(path: Path) -> UsageFault:
    """Return the refusal to write over something else."""
    words = _("{path}: something else is there already; nothing was written. --force replaces it")
    return UsageFault(words.format(path=path))


def tell(made: Made) -> None:
    """Say what became of a file."""
    words = _("written: {path}") if made.written else _("kept, was there already: {path}")
    output.line(words.format(path=made.path))
