"""Where what is verified is read from: a store, or a folder on this machine.

Conventions: names are parts joined by slashes; whatever can't be read is an OSError.
"""

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Protocol

_BLOCK_SIZE_BYTES: Final = 1024 * 1024


class ListedObject(Protocol):
    """What a listing says of an object."""

    @property
    def name(self) -> str:
        """Its full name."""

    @property
    def size_bytes(self) -> int:
        """Its size."""


class ObjectReader(Protocol):
    """Where objects are read from; a store's reader is one. Raises OSError for what can't be read."""

    def get(self, name: str) -> BinaryIO:
        """Open an object."""

    def list(self, prefix: str) -> Iterator[ListedObject]:
        """Yield the objects whose names begin with `prefix`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _LocalObject:
    name: str
    size_bytes: int


class LocalFolder:
    """One recording's folder on this machine, as a reader; its `prefix` is what to verify."""

    __slots__ = ("_path",)

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def prefix(self) -> str:
        """The prefix under which this reader shows the folder's files."""
        return f"{self._path.resolve().name}/"

    def get(self, name: str) -> BinaryIO:
        """Open a file; OSError if it can't be read, or for a name that is no file of this folder."""
        folder, _, file = name.rpartition("/")
        if f"{folder}/" != self.prefix or file in {"", ".", ".."}:
            raise FileNotFoundError(f"{name}: not in {self._path}")
        return open_file(self._path / file)

    def list(self, prefix: str) -> Iterator[_LocalObject]:
        """Yield what lies in the folder, folders in it included: they do not belong there either."""
        for path in sorted(self._path.iterdir()):
            if (name := self.prefix + path.name).startswith(prefix):
                yield _LocalObject(name=name, size_bytes=path.lstat().st_size)


def open_file(path: Path) -> BinaryIO:
    """Open a file that somebody else may have put there; OSError for a pipe or device, which could block."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a plain file", str(path))
    return os.fdopen(descriptor, "rb")


def fetch(reader: ObjectReader, name: str, limit_bytes: int) -> bytes:
    """Return an object's bytes, up to one more than the limit, which the caller's parser then refuses."""
    with contextlib.closing(reader.get(name)) as file:
        return read_up_to(file, limit_bytes + 1)


def read_up_to(file: BinaryIO, limit_bytes: int) -> bytes:
    """Return what there is, at most `limit_bytes`."""
    data = bytearray()
    while len(data) < limit_bytes and (block := file.read(limit_bytes - len(data))):
        data += block
    return bytes(data)


def hash_up_to(file: BinaryIO, size_bytes: int) -> tuple[int, bytes]:
    """Return how many bytes there are, counted to at most one more than expected, and their SHA-256."""
    digest, count = hashlib.sha256(), 0
    while count <= size_bytes and (block := file.read(min(_BLOCK_SIZE_BYTES, size_bytes + 1 - count))):
        digest.update(block)
        count += len(block)
    return count, digest.digest()


def why(problem: OSError) -> str:
    """Return what the disk or the store says."""
    return problem.strerror or str(problem)
