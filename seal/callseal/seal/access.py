"""Access records: who opened which recordings, with which keys, where and why.

A record is put into a store before the first byte of plaintext is given out, and never changed. It is not
signed: who opens recordings needs no key for signing, and a record that somebody invents accuses himself.
What keeps it is the store, to which such an account can only add.

Conventions: texts are single lines without signs that a terminal obeys. `keys` are the fingerprints of the
public keys that belong to the private ones used. `action` is a word; a reader shows one that it does not know
as it is. `write` is what `read` reads, and nothing else can be made.

Source: docs/format.md, "What the custodian and the readers write".
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from callseal.seal.errors import AccessError
from callseal.seal.fields import MAX_INTEGER, Fields, JsonObject, read_object, write_object
from callseal.seal.timestamp import to_milliseconds, write_time
from callseal.seal.uuid7 import time_ms

TYPE: Final = "callseal-access/1"

OPEN: Final = "open"
EVIDENCE: Final = "evidence"
LIST: Final = "list"
REWRAP: Final = "rewrap"

MAX_SIZE_BYTES: Final = 1024 * 1024
MAX_RECORDINGS: Final = 10_000
MAX_KEYS: Final = 256
MAX_REASON: Final = 500
MAX_NAME: Final = 256
"""Characters of the name of an account, a machine, an address, a program."""

_WHERE: Final = "access record"
# No control characters, no separators of lines, nothing that turns the direction of writing, no surrogates:
# as code points, because a class of Unicode grows with its versions.
_SIGN: Final = (
    "[^\\x00-\\x1f\\x7f-\\x9f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069\\ufeff\\ud800-\\udfff]"
)
_VISIBLE: Final = r"(?=.*\S)"
_REASON_PATTERN: Final = re.compile(f"{_VISIBLE}{_SIGN}{{1,{MAX_REASON}}}")
_LINE_PATTERN: Final = re.compile(f"{_VISIBLE}{_SIGN}{{1,{MAX_NAME}}}")
_UNFIT: Final = re.compile(_SIGN.replace("[^", "[", 1))
_REPLACEMENT: Final = "�"
_TYPE_PATTERN: Final = re.compile(re.escape(TYPE))
_ACTION_PATTERN: Final = re.compile(r"[a-z][a-z-]{0,31}")
_ID_PATTERN: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_KEY_PATTERN: Final = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account of the operating system; `sudo_from` is the one that became it by ``sudo``, if one did."""

    name: str
    uid: int
    sudo_from: str | None = None

    def __post_init__(self) -> None:
        _check_line("account", self.name)
        _check_line("sudo_from", self.sudo_from)
        if not 0 <= self.uid <= MAX_INTEGER:
            raise ValueError("uid is out of range")


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessRecord:
    """One access; ValueError for what a record could not say.

    `recordings` is empty where files were named of which no recording can be told. `remote` is the address of
    a remote session (``from`` in the file), None for one at the machine itself.
    """

    record: UUID
    at: datetime
    action: str
    recordings: tuple[UUID, ...]
    reason: str
    account: Account
    machine: str
    remote: str | None
    keys: tuple[str, ...]
    software: str

    def __post_init__(self) -> None:
        to_milliseconds(self.at)
        if time_ms(self.record) is None:
            raise ValueError("a record's id is a UUID of version 7")
        if _ACTION_PATTERN.fullmatch(self.action) is None:
            raise ValueError("an action is one word of lower-case letters")
        if len(self.recordings) > MAX_RECORDINGS or len(set(self.recordings)) != len(self.recordings):
            raise ValueError(f"recordings are at most {MAX_RECORDINGS}, each once")
        check_reason(self.reason)
        _check_line("machine", self.machine)
        _check_line("from", self.remote)
        if len(self.keys) > MAX_KEYS or len(set(self.keys)) != len(self.keys):
            raise ValueError(f"keys are at most {MAX_KEYS}, each once")
        if any(_KEY_PATTERN.fullmatch(key) is None for key in self.keys):
            raise ValueError("a key is known by sha256: and 64 hexadecimal digits")
        _check_line("software", self.software)


def check_reason(reason: str) -> None:
    """Raise ValueError for what is no reason: empty, too long, or with signs that a terminal obeys."""
    if _REASON_PATTERN.fullmatch(reason) is None:
        raise ValueError(f"a reason is 1 to {MAX_REASON} characters, in one line, without control characters")


def fit_line(text: str) -> str:
    """Return a name of a machine, an account or an address as a record can say it, cut where it is too long.

    What the system or its environment says may hold anything; an access is told all the same.
    """
    line = _UNFIT.sub(_REPLACEMENT, text)[:MAX_NAME]
    return line if line.strip() else _REPLACEMENT


def write(access: AccessRecord) -> bytes:
    """Return the file of a record."""
    account = access.account
    values: JsonObject = {
        "type": TYPE,
        "record": str(access.record),
        "at": write_time(access.at),
        "action": access.action,
        "recordings": [str(one) for one in access.recordings],
        "reason": access.reason,
        "account": {"name": account.name, "uid": account.uid, "sudo_from": account.sudo_from},
        "machine": access.machine,
        "from": access.remote,
        "keys": list(access.keys),
        "software": access.software,
    }
    return write_object(values)


def read(data: bytes) -> AccessRecord:
    """Return the record in a file; AccessError for anything else.

    Whether it lies under its own name is for who knows the name.
    """
    values = read_object(data, what=_WHERE, limit_bytes=MAX_SIZE_BYTES, error=AccessError)
    fields = Fields(values, where=_WHERE, error=AccessError)
    fields.text("type", _TYPE_PATTERN)
    account = fields.child("account")
    try:
        return AccessRecord(
            record=UUID(fields.text("record", _ID_PATTERN)),
            at=fields.time("at"),
            action=fields.text("action", _ACTION_PATTERN),
            recordings=tuple(map(UUID, fields.texts("recordings", _ID_PATTERN, limit=MAX_RECORDINGS))),
            reason=fields.text("reason", _REASON_PATTERN),
            account=Account(
                name=account.text("name", _LINE_PATTERN),
                uid=account.integer("uid"),
                sudo_from=_line_or_none(account, "sudo_from"),
            ),
            machine=fields.text("machine", _LINE_PATTERN),
            remote=_line_or_none(fields, "from"),
            keys=fields.texts("keys", _KEY_PATTERN, limit=MAX_KEYS),
            software=fields.text("software", _LINE_PATTERN),
        )
    except ValueError as problem:
        raise AccessError(f"{_WHERE}: {problem}") from problem


def _line_or_none(fields: Fields, key: str) -> str | None:
    return None if fields.is_null(key) else fields.text(key, _LINE_PATTERN)


def _check_line(what: str, text: str | None) -> None:
    if text is not None and _LINE_PATTERN.fullmatch(text) is None:
        raise ValueError(f"{what} is 1 to {MAX_NAME} characters, in one line, without control characters")
