"""The sealed writer: plaintext goes in, only age ciphertext reaches the disk.

Plaintext stays in memory, less than one 64 KiB chunk of it; what is written is never written again. The
writer hashes as it goes, both what it is given and what it writes, so that closing costs no second reading.
The chunk that is not yet full is kept safe by the tail, which lies in files of its own, and with it what is
`ahead`: plaintext that may still change, and that will be written once it can't.

Two ways to safety. `flush` brings everything to the disk, for a desk. `stage` hands it to the kernel, which
the death of this process can't harm; a bank of recordings is then synced at once (`bank`), and `synced` told.

Conventions: one writer, one file, one thread. After any error of the disk the writer is dead: what the
kernel has kept of a failed write or ``fsync`` is unknown, so that trying again could only pretend. Every
further call raises SpoolError; the file stays as it is for whoever recovers it, and `rescue` gives out what
the disk never confirmed, to be kept elsewhere.

Source: C2SP age.md for the format; "fsyncgate" (2018) for why a failed ``fsync`` is final.
"""

import contextlib
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol, TypeAlias

from callseal.seal import durable
from callseal.seal.age import CHUNK_SIZE_BYTES, Encryptor, Recipient
from callseal.seal.durable import Step, no_step
from callseal.seal.errors import SpoolError
from callseal.seal.tail import TailFile

MAX_UNSYNCED_BYTES: Final = 4 * 1024 * 1024
"""The most plaintext that is kept in memory until the disk confirms it: four minutes of a G.711 call."""

Buffer: TypeAlias = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedObject:
    """A finished sealed file: its own size and SHA-256, and those of what is inside."""

    size_bytes: int
    sha256: bytes
    plaintext_sha512: bytes
    plaintext_size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescue:
    """Plaintext that a disk never confirmed, from position `start_bytes` of the whole plaintext on."""

    start_bytes: int
    plaintext: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """How far a writer had come when it was asked; what `SealedFile.synced` takes."""

    chunks: int
    writing: int


class SealedWriter(Protocol):
    """What takes plaintext and leaves a sealed file; append only."""

    def write(self, data: Buffer) -> None:
        """Append plaintext."""

    def flush(self) -> None:
        """Make durable what has been written."""

    def close(self) -> SealedObject:
        """Finish the file, make it durable and say what it is."""


class SealedFile:
    """A sealed file that grows, and its tail: created with its age header, closed once."""

    def __init__(
        self,
        path: Path,
        recipients: Sequence[Recipient],
        *,
        banked: bool = False,
        ahead_bytes: int = 0,
        step: Step = no_step,
    ) -> None:
        """Make the file and its tail, durable when this returns.

        `banked`: they are so once the whole bank is synced, see `stage`. `ahead_bytes`: the most that is ever
        to be kept ahead; there is room for that in the tail. `step` hears the name of each writing and sync
        before it is done. SpoolError if the disk refuses.
        """
        self._path = path
        self._banked = banked
        self._step = step
        self._encryptor = Encryptor(recipients)
        self._sha256 = hashlib.sha256()
        self._plaintext_sha512 = hashlib.sha512()
        self._size_bytes = 0
        self._plaintext_size_bytes = 0
        self._staged: tuple[int, bytes] = (0, b"")
        self._synced_chunks = 0
        self._unsynced_from = 0
        self._unsynced = bytearray()
        self._descriptor: int | None = None
        self._tail: TailFile | None = None
        header = self._encryptor.header()
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            step("create sealed file")
            self._descriptor = os.open(path, flags, durable.FILE_MODE)
            self._append(header)
            if not banked:
                step("sync sealed file")
                os.fsync(self._descriptor)
            self._tail = TailFile(path.parent, recipients, banked=banked, ahead_bytes=ahead_bytes, step=step)
            if not banked:
                step("sync folder of sealed file")
                durable.sync_folder(path.parent)
        except OSError as problem:
            raise self._died(problem) from problem

    @property
    def path(self) -> Path:
        """Where the file grows."""
        return self._path

    @property
    def size_bytes(self) -> int:
        """How much ciphertext has been written."""
        return self._size_bytes

    @property
    def plaintext_size_bytes(self) -> int:
        """How much plaintext has been taken."""
        return self._plaintext_size_bytes

    def write(self, data: Buffer) -> None:
        """Append plaintext; whole chunks of it reach the file. SpoolError if the disk refuses or refused."""
        self._alive()
        view = memoryview(data).cast("B")
        self._plaintext_sha512.update(view)
        first = self._encryptor.chunk
        held_bytes = self._plaintext_size_bytes - first * CHUNK_SIZE_BYTES
        self._plaintext_size_bytes += view.nbytes
        if held_bytes + view.nbytes <= CHUNK_SIZE_BYTES:
            self._encryptor.update(view)
            return
        self._unsynced += self._encryptor.held
        sealed = self._encryptor.update(view)
        chunk_bytes = (self._encryptor.chunk - first) * CHUNK_SIZE_BYTES
        self._unsynced += view[: chunk_bytes - held_bytes]
        self._limit_unsynced()
        try:
            self._append(sealed)
        except OSError as problem:
            raise self._died(problem) from problem

    def flush(self, ahead: Buffer = b"") -> None:
        """Bring all that has been written to the disk, and what is `ahead` of it.

        SpoolError if the disk refuses or refused.
        """
        descriptor = self._alive()
        try:
            # A slot of the tail that begins a chunk is of no use without all the chunks before it.
            if self._encryptor.chunk > self._synced_chunks:
                self._step("sync sealed file")
                os.fdatasync(descriptor)
                self._note_synced(self._encryptor.chunk)
            self._stage(ahead)
            if self._tail is not None and self._tail.dirty:
                self._tail.sync()
        except OSError as problem:
            raise self._died(problem) from problem

    def stage(self, ahead: Buffer = b"") -> Staged:
        """Hand all that has been written to the kernel, and what is `ahead` of it; return how far that is.

        Safe from the death of this process, not from a power cut; SpoolError if the disk refuses or refused.
        """
        self._alive()
        try:
            self._stage(ahead)
        except OSError as problem:
            raise self._died(problem) from problem
        return Staged(chunks=self._encryptor.chunk, writing=0 if self._tail is None else self._tail.newest)

    def synced(self, staged: Staged) -> None:
        """Note that what was staged is on the disk: a sync of all that is there began after it, and ended."""
        self._note_synced(staged.chunks)
        if self._tail is not None:
            self._tail.synced(staged.writing)

    def close(self) -> SealedObject:
        """Write the last chunk, make the file durable, and say what it is.

        The tail stays until the recording is complete. SpoolError if the disk refuses or refused, and on a
        second call.
        """
        # Whoever recovers can't tell a torn chunk from a short last one: until the end it goes by the tail.
        if self._banked:
            self.stage()
        else:
            self.flush()
        descriptor = self._alive()
        last = bytes(self._encryptor.held)
        try:
            self._unsynced += last
            self._append(self._encryptor.finish())
            self._step("sync sealed file")
            os.fsync(descriptor)
        except OSError as problem:
            raise self._died(problem) from problem
        self._release()
        self._unsynced.clear()
        return SealedObject(
            size_bytes=self._size_bytes,
            sha256=self._sha256.digest(),
            plaintext_sha512=self._plaintext_sha512.digest(),
            plaintext_size_bytes=self._plaintext_size_bytes,
        )

    def rescue(self) -> Rescue:
        """Return the plaintext that the disk has not confirmed as whole chunks, for a writer elsewhere."""
        return Rescue(
            start_bytes=self._unsynced_from * CHUNK_SIZE_BYTES,
            plaintext=bytes(self._unsynced) + bytes(self._encryptor.held),
        )

    def abandon(self) -> None:
        """Let go of the file without finishing it: for a recording that is being discarded."""
        self._release()

    def _stage(self, ahead: Buffer) -> None:
        news = self._plaintext_size_bytes, bytes(ahead)
        if self._tail is not None and self._staged != news:
            self._tail.put(self._encryptor.chunk, self._encryptor.held, news[1])
            self._staged = news

    def _note_synced(self, chunks: int) -> None:
        more = max(0, chunks - self._unsynced_from)
        del self._unsynced[: more * CHUNK_SIZE_BYTES]
        self._unsynced_from += more
        self._synced_chunks = max(self._synced_chunks, chunks)

    def _limit_unsynced(self) -> None:
        """Keep no more for a rescue than memory has room for: a disk may take minutes over one sync."""
        too_many = max(0, len(self._unsynced) - MAX_UNSYNCED_BYTES) // CHUNK_SIZE_BYTES
        del self._unsynced[: too_many * CHUNK_SIZE_BYTES]
        self._unsynced_from += too_many

    def _append(self, sealed: bytes) -> None:
        if self._descriptor is not None and sealed:
            self._step("write sealed file")
            durable.write_all(self._descriptor, sealed)
            self._sha256.update(sealed)
            self._size_bytes += len(sealed)

    def _alive(self) -> int:
        if self._descriptor is None:
            raise SpoolError(f"{self._path}: closed, or dead after an error: nothing more can be written")
        return self._descriptor

    def _died(self, problem: OSError) -> SpoolError:
        self._release()
        return SpoolError(f"{problem.filename or self._path}: the disk refused: {problem.strerror}")

    def _release(self) -> None:
        if self._tail is not None:
            self._tail.release()
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            # The bytes are where fsync left them: what close(2) could report comes too late to act on.
            with contextlib.suppress(OSError):
                os.close(descriptor)


def seal_bytes(
    path: Path, data: bytes, recipients: Sequence[Recipient], *, sync: bool = True, step: Step = no_step
) -> SealedObject:
    """Seal `data` into the file `path`, whole or not at all, in place of what may be there.

    For the vCon, which is sealed anew at every change, each time with a new file key: age.md forbids one key
    for two files. `sync` as in `durable.replace_file`. SpoolError if the disk refuses.
    """
    encryptor = Encryptor(recipients)
    sealed = b"".join((encryptor.header(), encryptor.update(data), encryptor.finish()))
    try:
        durable.replace_file(path, sealed, sync=sync, step=step)
    except OSError as problem:
        raise SpoolError(f"{path}: the disk refused: {problem.strerror}") from problem
    return SealedObject(
        size_bytes=len(sealed),
        sha256=hashlib.sha256(sealed).digest(),
        plaintext_sha512=hashlib.sha512(data).digest(),
        plaintext_size_bytes=len(data),
    )
