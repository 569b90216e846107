"""The tail: keeps safe what the sealed file can't hold yet, the chunk of 64 KiB that is not full.

::

    slot 0   header 64 bytes, age file | zeros
    slot 1   …                           of SLOT_SIZE_BYTES each; an age file holds the whole chunk so far
    slot 2   …

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
without any key.

Source: docs/format.md; docs/adr/007.
"""

import contextlib
import hashlib
import os
import secrets
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from callseal.seal import durable
from callseal.seal.age import CHUNK_SIZE_BYTES, Encryptor, Recipient, ScryptRecipient
from callseal.seal.durable import Step, no_step
from callseal.seal.errors import KeyFileError
from callseal.seal.secret import Secret
from callseal.seal.spool import TAIL_KEY_NAME, TAIL_NAME

SLOTS: Final = 3
SLOT_SIZE_BYTES: Final = 17 * 4096
"""A full chunk, sealed, with both headers, in whole pages: slots share none, so one torn harms no other."""

_MAGIC: Final = b"csltail1"
_HEADER: Final = struct.Struct(">8sQQQ")
_HASH_SIZE_BYTES: Final = 32
_AGE_START: Final = _HEADER.size + _HASH_SIZE_BYTES
_WORK_FACTOR: Final = 1
_PASSPHRASE_SIZE_BYTES: Final = 32
_NOTHING: Final = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A whole slot: `age_file` holds the beginning of chunk number `chunk`."""

    number: int
    chunk: int
    age_file: bytes


class TailFile:
    """The tail of one recording: `put` as often as wanted, `synced` or `sync` to say that it is on the disk.

    Every method lets OSError through; after one the tail is of no more use, and what it held still is.
    """

    def __init__(
        self,
        folder: Path,
        recipients: Sequence[Recipient],
        *,
        preallocate: bool = True,
        step: Step = no_step,
    ) -> None:
        """Make both files, durable when this returns but for the entry in the folder, which the caller syncs.

        With `preallocate` later writings change no metadata of the file, which makes each ``fdatasync``
        cheap; without it the file grows as it is used, for who syncs a whole bank at once.
        """
        self._path = folder / TAIL_NAME
        self._key_path = folder / TAIL_KEY_NAME
        self._step = step
        passphrase = Secret(secrets.token_urlsafe(_PASSPHRASE_SIZE_BYTES))
        self._recipient = ScryptRecipient(passphrase=passphrase, work_factor=_WORK_FACTOR)
        self._newest = 0
        self._durable = 0
        self._slots = [_NOTHING] * SLOTS
        key = _seal(recipients, passphrase.reveal_bytes() + b"\n")
        durable.create_file(self._key_path, key, step=step)
        step("create tail")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._descriptor = os.open(self._path, flags, durable.FILE_MODE)
        if preallocate:
            try:
                step("write tail")
                durable.write_all(self._descriptor, bytes(SLOTS * SLOT_SIZE_BYTES))
                step("sync tail")
                os.fsync(self._descriptor)
            except OSError:
                self.release()
                raise

    def put(self, chunk: int, plaintext: bytes | bytearray | memoryview) -> int:
        """Seal the beginning of chunk number `chunk` into a slot, and return how many bytes were written."""
        age_file = _seal([self._recipient], plaintext)
        number = self._newest + 1
        head = _HEADER.pack(_MAGIC, number, chunk, len(age_file))
        data = b"".join((head, hashlib.sha256(head + age_file).digest(), age_file))
        keep = {self._newest, self._durable}
        slot = min(
            (index for index, held in enumerate(self._slots) if held not in keep), key=self._slots.__getitem__
        )
        self._slots[slot] = _NOTHING
        self._step("write tail")
        written = 0
        while written < len(data):
            written += os.pwrite(self._descriptor, data[written:], slot * SLOT_SIZE_BYTES + written)
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
    for start in range(0, min(len(data), SLOTS * SLOT_SIZE_BYTES), SLOT_SIZE_BYTES):
        part = data[start : start + SLOT_SIZE_BYTES]
        if len(part) < _AGE_START:
            continue
        magic, number, chunk, size_bytes = _HEADER.unpack_from(part)
        age_file = part[_AGE_START : _AGE_START + size_bytes]
        digest = part[_HEADER.size : _AGE_START]
        if magic == _MAGIC and hashlib.sha256(part[: _HEADER.size] + age_file).digest() == digest:
            found.append(Slot(number=number, chunk=chunk, age_file=age_file))
    return tuple(sorted(found, key=lambda slot: slot.number, reverse=True))


def choose_slot(slots: Sequence[Slot], chunks: int) -> Slot | None:
    """Return the slot that goes on where a sealed file of that many whole chunks ends, the newest of them.

    A slot of an earlier chunk holds nothing that the file has not. One of a later chunk can only be there if
    a disk lost what it had promised to keep: it is better than nothing, and its place is known.
    """
    fitting = [slot for slot in slots if slot.chunk == chunks] or [
        slot for slot in slots if slot.chunk > chunks
    ]
    return fitting[0] if fitting else None


def open_passphrase(plaintext: bytes) -> Secret:
    """Return the passphrase in an opened tail key; KeyFileError for what is none."""
    try:
        text = plaintext.decode("ascii").strip()
    except UnicodeDecodeError as problem:
        raise KeyFileError("the tail's key is no passphrase") from problem
    if not text or len(plaintext) > CHUNK_SIZE_BYTES:
        raise KeyFileError("the tail's key is no passphrase")
    return Secret(text)


def _seal(recipients: Sequence[Recipient], plaintext: bytes | bytearray | memoryview) -> bytes:
    encryptor = Encryptor(recipients)
    return b"".join((encryptor.header(), encryptor.update(plaintext), encryptor.finish()))
