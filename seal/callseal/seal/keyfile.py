"""Key files: recipients in age's -R format, identities in age-keygen's, the latter sealed with a passphrase.

Conventions: UTF-8 text, one key a line; empty lines and lines that begin with "#" say nothing. A sealed
identity file is an armored age file with one scrypt recipient, what `age -p -a` makes: stock age opens it.
Every fault is a `KeyFileError` with the file and the line; no message repeats what stands in the file, which
may be a secret.
This module touches files.
"""

import io
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from callseal.seal import durable
from callseal.seal.age import (
    Encryptor,
    Identity,
    Recipient,
    ScryptIdentity,
    ScryptRecipient,
    armor,
    check_together,
    decrypt,
    open_age,
    parse_identity,
    parse_recipient,
    read_header,
)
from callseal.seal.age.header import VERSION_LINE
from callseal.seal.age.scrypt import KIND as SCRYPT_KIND
from callseal.seal.age.scrypt import WORK_FACTOR
from callseal.seal.errors import KeyFileError, NoIdentityMatch, RemoteError, WrongPassphrase
from callseal.seal.secret import Secret

KEY_FILE_LIMIT_BYTES = (
    256 * 1024
)  # 128 post-quantum recipients, the most that a file is sealed to, have 245 KiB

_PRIVATE_KEY = re.compile(r"AGE-SECRET-KEY-(PQ-)?1[0-9A-Z]{8}|PRIVATE KEY-----", re.IGNORECASE)
_ARMOR_START = b"-----BEGIN AGE"


def read_recipients(path: Path) -> tuple[Recipient, ...]:
    """Return the recipients that a file lists: at least one, none twice, all classic or all post-quantum."""
    data = _read(path)
    if _is_sealed(data):
        raise KeyFileError("this is an encrypted file, not a list of recipients (age1...)", path=path)
    lines = list(_lines(data, path))
    for number, line in lines:
        # Before anything else, and in comments too: this file is copied to every machine that records.
        if _PRIVATE_KEY.search(line):
            raise KeyFileError(
                "THERE IS A PRIVATE KEY IN THE RECIPIENTS FILE. Take it out, and treat it as stolen: "
                "whoever has seen this file can open recordings. Only public keys (age1...) belong here",
                path=path,
                line=number,
            )
    seen: dict[str, int] = {}
    recipients: list[Recipient] = []
    for number, line in lines:
        if not line or line.startswith("#"):
            continue
        try:
            recipient = parse_recipient(line)
            check_together([*recipients, recipient])
        except KeyFileError as error:
            raise KeyFileError(error.message, path=path, line=number) from error
        if recipient.text in seen:
            raise KeyFileError(
                f"the same recipient as in line {seen[recipient.text]}", path=path, line=number
            )
        seen[recipient.text] = number
        recipients.append(recipient)
    if not recipients:
        raise KeyFileError("no recipient in the file: one a line is needed (age1...)", path=path)
    return tuple(recipients)


def write_identity(
    path: Path,
    identity: Identity,
    *,
    passphrase: Secret | None,
    created: datetime,
    work_factor: int = WORK_FACTOR,
) -> None:
    """Write a new identity file that only its owner can read; durable when this returns.

    With a passphrase, no byte of the key reaches the disk unsealed. `created` needs a time zone. A file that
    is there already is never touched: `KeyFileError`.
    """
    stamp = created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    text = f"# created: {stamp}\n# public key: {identity.recipient.text}\n{identity.text.reveal()}\n"
    data = text.encode("ascii")
    if passphrase is not None:
        sealer = Encryptor([ScryptRecipient(passphrase=passphrase, work_factor=work_factor)])
        data = armor(sealer.header() + sealer.update(data) + sealer.finish())
    try:
        durable.create_file(path, data)
        durable.sync_folder(path.parent)
    except FileExistsError as error:
        raise KeyFileError("is there already; a key file is never overwritten", path=path) from error
    except OSError as error:
        raise KeyFileError(f"cannot be written: {error.strerror}", path=path) from error


def read_identities(path: Path, *, passphrase: Callable[[], Secret] | None) -> tuple[Identity, ...]:
    """Return the identities that a file holds: at least one.

    `passphrase` is asked only if the file is sealed; `WrongPassphrase` if what it gives does not open it.
    """
    data = _read(path)
    if _is_sealed(data):
        data = _unseal(data, path, passphrase)
    identities: list[Identity] = []
    for number, line in _lines(data, path):
        if not line or line.startswith("#"):
            continue
        try:
            identities.append(parse_identity(line))
        except KeyFileError as error:
            raise KeyFileError(error.message, path=path, line=number) from error
    if not identities:
        raise KeyFileError("no identity in the file: one a line is needed (AGE-SECRET-KEY-...)", path=path)
    return tuple(identities)


def _is_sealed(data: bytes) -> bool:
    start = data.lstrip()
    return start.startswith((VERSION_LINE, _ARMOR_START))


def _unseal(data: bytes, path: Path, passphrase: Callable[[], Secret] | None) -> bytes:
    try:
        if read_header(open_age(io.BytesIO(data))).kinds != (SCRYPT_KIND,):
            raise KeyFileError("is sealed to a key, not with a passphrase: open it with age first", path=path)
        if passphrase is None:
            raise KeyFileError("is sealed with a passphrase, and there is nobody to ask for it", path=path)
        identity = ScryptIdentity(passphrase=passphrase())
        return b"".join(decrypt(open_age(io.BytesIO(data)), [identity]))
    except NoIdentityMatch as error:
        raise WrongPassphrase("the passphrase does not open the key file", path=path) from error
    except RemoteError as error:
        raise KeyFileError(f"the sealed key file is damaged: {error}", path=path) from error


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(KEY_FILE_LIMIT_BYTES + 1)
    except OSError as error:
        raise KeyFileError(f"cannot be read: {error.strerror}", path=path) from error
    if len(data) > KEY_FILE_LIMIT_BYTES:
        raise KeyFileError(f"is larger than {KEY_FILE_LIMIT_BYTES} bytes: no key file is", path=path)
    return data


def _lines(data: bytes, path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines with their numbers from 1, without the white space around them."""
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        try:
            yield number, line.decode("utf-8").strip()
        except UnicodeDecodeError:
            # Not chained: its text would repeat a byte of what may be a key.
            raise KeyFileError("is not UTF-8 text", path=path, line=number) from None
