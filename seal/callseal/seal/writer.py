"""The sealed writer: plaintext goes in, only age ciphertext reaches the disk.

Plaintext stays in memory, less than one 64 KiB chunk of it; what is written is never written again. The
writer hashes as it goes, both what it is given and what it writes, so that closing costs no second reading.
`flush` makes durable what has been written so far: whole chunks. The chunk that is not yet full is the
business of the tail, which is not part of this file.

Conventions: one writer, one file, one thread. After any error of the disk the writer is dead: what the
kernel has kept of a failed write or ``fsync`` is unknown, so that trying again could only pretend. Every
further call raises SpoolError; the file stays as it is for whoever recovers it.

Source: C2SP age.md for the format; "fsyncgate" (2018) for why a failed ``fsync`` is final.
"""

import contextlib
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

from callseal.seal import durable
from callseal.seal.age import Encryptor, Recipient
from callseal.seal.errors import SpoolError

Buffer: TypeAlias = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedObject:
    """A finished sealed file: its own size and SHA-256, and those of what is inside."""

    size_bytes: int
    sha256: bytes
    plaintext_sha512: bytes
    plaintext_size_bytes: int


class SealedWriter(Protocol):
    """What takes plaintext and leaves a sealed file; append only."""

    def write(self, data: Buffer) -> None:
        """Append plaintext."""

    def flush(self) -> None:
        """Make durable what has been written."""

    def close(self) -> SealedObject:
        """Finish the file, make it durable and say what it is."""


class SealedFile:
    """A sealed file that grows: created with its age header, closed once."""

    def __init__(self, path: Path, recipients: Sequence[Recipient]) -> None:
        self._path = path
        self._encryptor = Encryptor(recipients)
        self._sha256 = hashlib.sha256()
        self._plaintext_sha512 = hashlib.sha512()
        self._size_bytes = 0
        self._plaintext_size_bytes = 0
        self._descriptor: int | None = None
        header = self._encryptor.header()
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self._descriptor = os.open(path, flags, durable.FILE_MODE)
            self._append(header)
            os.fsync(self._descriptor)
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
        self._plaintext_sha512.update(data)
        self._plaintext_size_bytes += memoryview(data).nbytes
        try:
            self._append(self._encryptor.update(data))
        except OSError as problem:
            raise self._died(problem) from problem

    def flush(self) -> None:
        """Make the whole chunks written so far durable. SpoolError if the disk refuses or refused."""
        descriptor = self._alive()
        try:
            os.fdatasync(descriptor)
        except OSError as problem:
            raise self._died(problem) from problem

    def close(self) -> SealedObject:
        """Write the last chunk, make the file durable, and say what it is.

        SpoolError if the disk refuses or refused, and on a second call.
        """
        descriptor = self._alive()
        try:
            self._append(self._encryptor.finish())
            os.fsync(descriptor)
        except OSError as problem:
            raise self._died(problem) from problem
        self._release()
        return SealedObject(
            size_bytes=self._size_bytes,
            sha256=self._sha256.digest(),
            plaintext_sha512=self._plaintext_sha512.digest(),
            plaintext_size_bytes=self._plaintext_size_bytes,
        )

    def abandon(self) -> None:
        """Let go of the file without finishing it: for a recording that is being discarded."""
        self._release()

    def _append(self, sealed: bytes) -> None:
        if self._descriptor is not None and sealed:
            durable.write_all(self._descriptor, sealed)
            self._sha256.update(sealed)
            self._size_bytes += len(sealed)

    def _alive(self) -> int:
        if self._descriptor is None:
            raise SpoolError(f"{self._path}: closed, or dead after an error: nothing more can be written")
        return self._descriptor

    def _died(self, problem: OSError) -> SpoolError:
        self._release()
        return SpoolError(f"{self._path}: the disk refused: {problem.strerror}")

    def _release(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            # The bytes are where fsync left them: what close(2) could report comes too late to act on.
            with contextlib.suppress(OSError):
                os.close(descriptor)


def seal_bytes(path: Path, data: bytes, recipients: Sequence[Recipient]) -> SealedObject:
    """Seal `data` into the file `path`, whole or not at all, in place of what may be there.

    For the vCon, which is sealed anew at every change, each time with a new file key: age.md forbids one key
    for two files. SpoolError if the disk refuses.
    """
    encryptor = Encryptor(recipients)
    sealed = b"".join((encryptor.header(), encryptor.update(data), encryptor.finish()))
    try:
        durable.replace_file(path, sealed)
    except OSError as problem:
        raise SpoolError(f"{path}: the disk refused: {problem.strerror}") from problem
    return SealedObject(
        size_bytes=len(sealed),
        sha256=hashlib.sha256(sealed).digest(),
        plaintext_sha512=hashlib.sha512(data).digest(),
        plaintext_size_bytes=len(data),
    )
