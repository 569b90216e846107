"""The checkpoint: a device's signature over its whole ledger so far, in three lines of text.

::

    callseal.ledger/dev-…⏎
    <number of entries>⏎
    <base64 of the RFC 6962 root over them>⏎
    ⏎
    — callseal.ledger/dev-… <base64 of 4 bytes of key hash and the signature>⏎

A note that any witness of transparency logs can check and sign too: further signature lines are theirs, and
are passed over like those of any key that is not asked for. Extension lines behind the root are passed
over as well; ours has none. The signature is over the text up to and without the empty line.

In a segment of the ledger the note stands as one line, ``{"checkpoint":"<note>"}⏎``.

Source: C2SP ``signed-note.md`` and ``tlog-checkpoint.md``. Pure.
"""

import base64
import binascii
import hashlib
import json
import re
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from callseal.seal.errors import LedgerError, SignatureError
from callseal.seal.fields import MAX_INTEGER, Fields, read_object
from callseal.seal.ledger.entry import SIGNATURE_SIZE_BYTES
from callseal.seal.ledger.merkle import HASH_SIZE_BYTES

MAX_NOTE_BYTES: Final = 64 * 1024
MAX_SIGNATURES: Final = 64  # signed-note.md asks for at least 16
LINE_PREFIX: Final = b'{"checkpoint":'

_KEY_HASH_SIZE_BYTES: Final = 4
_ED25519: Final = b"\x01"  # signed-note.md, "Signature types"
_DASH: Final = "\u2014 "
_SIZE_PATTERN: Final = re.compile(r"0|[1-9][0-9]{0,15}")
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f]")
_KEY_NAME: Final = re.compile(r"[^\s+]+")
_MAX_LINE_BYTES: Final = 2 * MAX_NOTE_BYTES
_ANYTHING: Final = re.compile(r"(?s).*")
_WHERE: Final = "checkpoint"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What a checkpoint says: the ledger's first `size` entries have this root."""

    origin: str
    size: int
    root: bytes

    def __post_init__(self) -> None:
        if not self.origin or "\n" in self.origin:
            raise ValueError("origin is not a line of text")
        if not 0 <= self.size <= MAX_INTEGER or len(self.root) != HASH_SIZE_BYTES:
            raise ValueError("size or root is out of range")

    def text(self) -> str:
        """Return the text that is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Signature:
    name: str
    key_hash: bytes
    signature: bytes


def origin_of(device: str) -> str:
    """Return the first line of a device's checkpoints, which is its key's name too."""
    return f"callseal.ledger/{device}"


def key_hash(name: str, key: Ed25519PublicKey) -> bytes:
    """Return the 4 bytes by which a signature line names its key."""
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + key.public_bytes_raw()).digest()[
        :_KEY_HASH_SIZE_BYTES
    ]


def sign_checkpoint(device: str, size: int, root: bytes, key: Ed25519PrivateKey) -> str:
    """Return the note over the first `size` entries of the device's ledger."""
    origin = origin_of(device)
    text = Checkpoint(origin=origin, size=size, root=root).text()
    signature = key_hash(origin, key.public_key()) + key.sign(text.encode())
    return f"{text}\n{_DASH}{origin} {base64.b64encode(signature).decode()}\n"


def open_checkpoint(note: bytes, public_key: Ed25519PublicKey, device: str) -> Checkpoint:
    """Return what a device's checkpoint says, its signature checked.

    LedgerError for a note that is malformed or another ledger's, SignatureError if the device's key did not
    sign it.
    """
    checkpoint, signatures = _read(note)
    origin = origin_of(device)
    if checkpoint.origin != origin:
        raise LedgerError(f"{_WHERE}: the origin {origin} expected")
    wanted = origin, key_hash(origin, public_key)
    ours = [item.signature for item in signatures if (item.name, item.key_hash) == wanted]
    if not ours:
        raise SignatureError(f"{_WHERE}: not signed by the key of {device}")
    for signature in ours:
        try:
            public_key.verify(signature, signed_text(note))
        except InvalidSignature as problem:
            raise SignatureError(f"{_WHERE}: the signature does not fit: it was altered") from problem
    return checkpoint


def parse_checkpoint(note: bytes) -> Checkpoint:
    """Return what a checkpoint says, whoever signed it; raises only LedgerError."""
    return _read(note)[0]


def signed_text(note: bytes) -> bytes:
    """Return the exact bytes that a note's signatures are over; LedgerError for what is no note."""
    # The last empty line: a text may hold empty lines itself.
    text, separator, _ = note.rpartition(b"\n\n")
    if not separator:
        raise LedgerError(f"{_WHERE}: text, an empty line and signatures expected")
    return text + b"\n"


def signature_of(note: bytes) -> bytes:
    """Return the 64 bytes of the signature by the ledger's own key; LedgerError if there is none.

    It is the first of an Ed25519 signature's length in a line that has the origin as its name.
    """
    checkpoint, signatures = _read(note)
    for item in signatures:
        if item.name == checkpoint.origin and len(item.signature) == SIGNATURE_SIZE_BYTES:
            return item.signature
    raise LedgerError(f"{_WHERE}: not signed in the name of {checkpoint.origin}")


def write_line(note: str) -> bytes:
    """Return the line of a segment that carries a note, line feed included."""
    text = json.dumps({"checkpoint": note}, ensure_ascii=False, separators=(",", ":"))
    return text.encode() + b"\n"


def read_line(line: bytes) -> bytes:
    """Return the note that a segment's line carries; raises only LedgerError."""
    if not line.startswith(LINE_PREFIX):
        raise LedgerError(f'{_WHERE}: {{"checkpoint":"…"}} expected')
    values = read_object(line, what=_WHERE, limit_bytes=_MAX_LINE_BYTES, error=LedgerError)
    return Fields(values, where=_WHERE, error=LedgerError).text("checkpoint", _ANYTHING).encode()


def _read(note: bytes) -> tuple[Checkpoint, list[_Signature]]:
    if len(note) > MAX_NOTE_BYTES:
        raise LedgerError(f"{_WHERE}: {len(note)} bytes, more than the {MAX_NOTE_BYTES} allowed")
    text = signed_text(note)
    try:
        lines = text.decode().split("\n")[:-1]
        signature_lines = note[len(text) + 1 :].decode().split("\n")
    except UnicodeDecodeError as problem:
        raise LedgerError(f"{_WHERE}: not UTF-8") from problem
    if any(_CONTROL.search(line) for line in (*lines, *signature_lines)):
        raise LedgerError(f"{_WHERE}: a control character")
    if signature_lines.pop() or not 1 <= len(signature_lines) <= MAX_SIGNATURES:
        raise LedgerError(f"{_WHERE}: 1 to {MAX_SIGNATURES} whole lines of signatures expected")
    if len(lines) < 3 or not all(lines):  # noqa: PLR2004 - origin, size, root
        raise LedgerError(f"{_WHERE}: origin, size and root expected, a line each, and no empty line")
    if _SIZE_PATTERN.fullmatch(lines[1]) is None or int(lines[1]) > MAX_INTEGER:
        raise LedgerError(f"{_WHERE}: size: an integer from 0 to {MAX_INTEGER} expected")
    root = _base64(lines[2], "root")
    if len(root) != HASH_SIZE_BYTES:
        raise LedgerError(f"{_WHERE}: root: {HASH_SIZE_BYTES} bytes expected")
    checkpoint = Checkpoint(origin=lines[0], size=int(lines[1]), root=root)
    return checkpoint, [_signature(line) for line in signature_lines]


def _signature(line: str) -> _Signature:
    name, separator, text = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not separator or _KEY_NAME.fullmatch(name) is None:
        raise LedgerError(f"{_WHERE}: a signature line is a dash, the key's name and base64")
    data = _base64(text, "signature")
    if len(data) <= _KEY_HASH_SIZE_BYTES:
        raise LedgerError(f"{_WHERE}: signature: more than {_KEY_HASH_SIZE_BYTES} bytes expected")
    return _Signature(name=name, key_hash=data[:_KEY_HASH_SIZE_BYTES], signature=data[_KEY_HASH_SIZE_BYTES:])


def _base64(text: str, what: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as problem:
        raise LedgerError(f"{_WHERE}: {what}: base64 expected") from problem
    # The one spelling only, for a note too that somebody else signed as well.
    if base64.b64encode(data).decode() != text:
        raise LedgerError(f"{_WHERE}: {what}: canonical base64 expected")
    return data
