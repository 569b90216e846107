"""The tail: keeps safe what the sealed file can't hold yet, the chunk of 64 KiB that is not full.

::

    slot 0   header 64 bytes, age file | zeros
    slot 1   …                           of whole pages each; an age file holds the whole chunk so far,
    slot 2   …                           and what may still change of the sound behind it

A chunk in the sealed file can't be written before it is full, since its nonce may be used once, and waiting
for it would cost up to 4 s of a call. So the beginning of the chunk is sealed again and again, each time as a
complete little age file with a file key of its own, into one slot after the other.

Sealing to the recipients at each flush would cost a public-key operation a recipient. Instead the tail has a
passphrase of 256 random bits for this one call, which lies beside it, sealed to the recipients once; a slot's
age file has a scrypt stanza with the lowest work factor, for there is nothing to guess. While the call runs
the passphrase is in this process's memory, as is the file key of the sealed file; then it is forgotten.

Conventions: integers are big-endian; writings are numbered from 1. The slot that was last known to be on the
disk is never written over before another one is, nor is the newest: a torn writing costs what was said since
the one before, and no more. A slot's header is public, says nothing about the call, and lets recovery choose
without any key. Slots begin at whole pages, and are as large as who writes needs them: a reader looks at
every page.

Source: docs/format.md; docs/adr/007.
"""

import contextlib
import hashlib
import os
import secrets
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final, TypeAlias

from callseal.seal import durable
from callseal.seal.age import (
    CHUNK_SIZE_BYTES,
    SEALED_CHUNK_SIZE_BYTES,
    Encryptor,
    Recipient,
    ScryptRecipient,
    read_header,
)
from callseal.seal.age.payload import PAYLOAD_NONCE_SIZE_BYTES, TAG_SIZE_BYTES
from callseal.seal.durable import Step, no_step
from callseal.seal.errors import KeyFileError, RemoteError
from callseal.seal.secret import Secret
from callseal.seal.spool import TAIL_KEY_NAME, TAIL_NAME

SLOTS: Final = 3
PAGE_SIZE_BYTES: Final = 4096
"""Slots are whole pages: they share none, so one torn harms no other."""
SLOT_SIZE_BYTES: Final = 17 * PAGE_SIZE_BYTES
"""A full chunk, sealed, with both headers; more where something is to be kept ahead of it."""
MAX_AHEAD_BYTES: Final = 1024 * 1024
"""The most that is kept ahead: 5 s of the widest sound that there is."""
MAX_TAIL_BYTES: Final = 4 * 1024 * 1024
"""No tail is larger; a reader reads no more."""

_OVERHEAD_BYTES: Final = 512
"""More than both headers and the tags of the chunks ahead take, up to their limit."""
_MAGIC: Final = b"csltail1"
_HEADER: Final = struct.Struct(">8sQQQ")
_HASH_SIZE_BYTES: Final = 32
_AGE_START: Final = _HEADER.size + _HASH_SIZE_BYTES
_WORK_FACTOR: Final = 1
_PASSPHRASE_SIZE_BYTES: Final = 32
_NOTHING: Final = -1

Buffer: TypeAlias = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A whole slot: `age_file` holds `size_bytes` of plaintext, from the beginning of chunk `chunk` on."""

    number: int
    chunk: int
    age_file: bytes
    size_bytes: int

    @property
    def end_bytes(self) -> int:
        """Where in the whole plaintext it ends."""
        return self.chunk * CHUNK_SIZE_BYTES + self.size_bytes


class TailFile:
    """The tail of one recording: `put` as often as wanted, `synced` or `sync` to say that it is on the disk.

    Every method lets OSError through; after one the tail is of no more use, and what it held still is.
    """

    def __init__(
        self,
        folder: Path,
        recipients: Sequence[Recipient],
        *,
        banked: bool = False,
        ahead_bytes: int = 0,
        step: Step = no_step,
    ) -> None:
        """Make both files, durable when this returns but for the entry in the folder, which the caller syncs.

        The file is written to its full size, so that later writings change no metadata of it, which makes
        each ``fdatasync`` cheap. `banked`: nothing is durable yet and the file grows as it is used, for who
        syncs a whole bank at once. There is room for `ahead_bytes` besides a chunk.
        """
        self._path = folder / TAIL_NAME
        self._key_path = folder / TAIL_KEY_NAME
        self._step = step
        passphrase = Secret(secrets.token_urlsafe(_PASSPHRASE_SIZE_BYTES))
        self._recipient = ScryptRecipient(passphrase=passphrase, work_factor=_WORK_FACTOR)
        self._newest = 0
        self._durable = 0
        self._slots = [_NOTHING] * SLOTS
        pages = -(-min(ahead_bytes, MAX_AHEAD_BYTES) // PAGE_SIZE_BYTES)
        self._slot_bytes = SLOT_SIZE_BYTES + pages * PAGE_SIZE_BYTES
        key = b"".join(_seal(recipients, passphrase.reveal_bytes() + b"\n"))
        durable.create_file(self._key_path, key, sync=not banked, step=step)
        step("create tail")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._descriptor = os.open(self._path, flags, durable.FILE_MODE)
        if not banked:
            try:
                step("write tail")
                durable.write_all(self._descriptor, bytes(SLOTS * self._slot_bytes))
                step("sync tail")
                os.fsync(self._descriptor)
            except OSError:
                self.release()
                raise

    def put(self, chunk: int, plaintext: Buffer, ahead: Buffer = b"") -> int:
        """Seal the beginning of a chunk, and what is `ahead` of it, into a slot; return the bytes written.

        What there is no room for is left out, the end of `ahead` first.
        """
        room = self._slot_bytes - _OVERHEAD_BYTES - len(plaintext)
        age_file = _seal([self._recipient], plaintext, memoryview(ahead)[:room])
        number = self._newest + 1
        head = _HEADER.pack(_MAGIC, number, chunk, sum(map(len, age_file)))
        digest = hashlib.sha256(head)
        for part in age_file:
            digest.update(part)
        keep = {self._newest, self._durable}
        slot = min(
            (index for index, held in enumerate(self._slots) if held not in keep), key=self._slots.__getitem__
        )
        self._slots[slot] = _NOTHING
        self._step("write tail")
        data = b"".join((head, digest.digest(), *age_file))
        written = 0
        while written < len(data):
            written += os.pwrite(self._descriptor, data[written:], slot * self._slot_bytes + written)
        self._slots[slot] = self._newest = number
        return written

    @property
    def newest(self) -> int:
        """The number of the last writing: what to give to `synced` when a sync begun after it has ended."""
        return self._newest

    @property
    def dirty(self) -> bool:
        """Whether the last writing is not known to be on the disk."""
        return self._newest != self._durable

    def synced(self, number: int) -> None:
        """Note that this writing is on the disk: from now on an older one may be written over."""
        # A sync may last so long that its slot has been written over meanwhile: then nothing is known of it.
        if number > self._durable and number in self._slots:
            self._durable = number

    def sync(self) -> None:
        """Bring the last writing to the disk."""
        self._step("sync tail")
        os.fdatasync(self._descriptor)
        self.synced(self._newest)

    def release(self) -> None:
        """Close the file and leave everything as it is."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with contextlib.suppress(OSError):
                os.close(descriptor)


def read_slots(data: bytes) -> tuple[Slot, ...]:
    """Return the whole slots in the bytes of a tail, newest first; torn and empty ones are passed over."""
    found = []
    for start in range(0, min(len(data), MAX_TAIL_BYTES), PAGE_SIZE_BYTES):
        if not data.startswith(_MAGIC, start) or len(data) < start + _AGE_START:
            continue
        _, number, chunk, size_bytes = _HEADER.unpack_from(data, start)
        head = data[start : start + _HEADER.size]
        digest = data[start + _HEADER.size : start + _AGE_START]
        age_file = data[start + _AGE_START : start + _AGE_START + size_bytes]
        if hashlib.sha256(head + age_file).digest() != digest:
            continue
        # One that was made by nobody of ours may be no age file at all.
        with contextlib.suppress(RemoteError):
            plaintext_bytes = _plaintext_size_bytes(age_file)
            found.append(Slot(number=number, chunk=chunk, age_file=age_file, size_bytes=plaintext_bytes))
    return tuple(sorted(found, key=lambda slot: slot.number, reverse=True))


def choose_slot(slots: Sequence[Slot], chunks: int) -> Slot | None:
    """Return the slot by which a sealed file of that many whole chunks goes on farthest; None if by none.

    Of several the newest: it has what came late. A slot of an earlier chunk may reach beyond the file, by
    what was kept ahead of it: then the file is to be cut where the slot begins. One of a later chunk can only
    be there if a disk lost what it had promised to keep: it is better than nothing, and its place is known.
    """
    end_bytes = chunks * CHUNK_SIZE_BYTES
    fitting = [
        slot for slot in slots if slot.chunk == chunks or (slot.chunk < chunks and slot.end_bytes > end_bytes)
    ]
    if fitting:
        return max(fitting, key=lambda slot: (slot.end_bytes, slot.number))
    return max((slot for slot in slots if slot.chunk > chunks), key=lambda slot: slot.number, default=None)


def open_passphrase(plaintext: bytes) -> Secret:
    """Return the passphrase in an opened tail key; KeyFileError for what is none."""
    try:
        text = plaintext.decode("ascii").strip()
    except UnicodeDecodeError as problem:
        raise KeyFileError("the tail's key is no passphrase") from problem
    if not text or len(plaintext) > CHUNK_SIZE_BYTES:
        raise KeyFileError("the tail's key is no passphrase")
    return Secret(text)


def _seal(recipients: Sequence[Recipient], *plaintext: Buffer) -> list[bytes]:
    """Return an age file, in pieces: they are large, and need not be copied together."""
    encryptor = Encryptor(recipients)
    return [encryptor.header(), *map(encryptor.update, plaintext), encryptor.finish()]


def _plaintext_size_bytes(age_file: bytes) -> int:
    """Return how much plaintext an age file holds; RemoteError if it is none."""
    payload_bytes = len(age_file) - len(read_header(BytesIO(age_file)).raw) - PAYLOAD_NONCE_SIZE_BYTES
    chunks = -(-payload_bytes // SEALED_CHUNK_SIZE_BYTES)
    return max(0, payload_bytes - chunks * TAG_SIZE_BYTES)
