"""What goes to an S3 store and what comes from it: bodies that are paced, hashed and counted on the way.

A body is read once, onto the wire, as fast as `Pace` lets it: its hash is known, and signed. It is hashed on
the way: if the file was changed meanwhile, its last piece is never handed out, so that the store gets fewer
bytes than it was promised and keeps nothing.

A store may refuse a large body before it is sent (`EXPECT_SIZE_BYTES`). It is then still read, and paced,
though nothing goes out: the connection does not tell.

botocore wraps whatever a body raises, or takes it for a failed connection: a body remembers what it raised
(`problem`), and who sends it asks for that first.

Conventions: positions count from the first byte that is sent, not from the file's.
"""

import contextlib
import hashlib
import io
import os
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, BinaryIO, Final, cast

from callseal.store.errors import SourceAltered, StoreError, StoreUnreachable
from callseal.store.interface import Content, Pace, Span
from callseal.store.s3_errors import REMOTE_ERRORS, translate

if TYPE_CHECKING:
    from botocore.response import StreamingBody

PIECE_SIZE_BYTES: Final = 64 * 1024
"""How much is let go at a time; what is no larger is sent from memory."""

EXPECT_SIZE_BYTES: Final = 256 * 1024
"""Bodies larger than this are sent only once the store has said that it will take them.

A smaller one is sent at once, which saves a round trip. A larger one that is refused meanwhile (the name is
taken) would cost the bandwidth, and the store's closing of the connection would hide its answer: servers read
on for no more than this (Go's net/http) before they close.
"""

_BUFFER_SIZE_BYTES: Final = 256 * 1024


class SentBody:
    """`span` of an open file, on its way in pieces; the bytes must have that SHA-256. Used once.

    It has no `read`, so that the connection takes the pieces as they are.
    """

    def __init__(self, file: BinaryIO, span: Span, sha256: bytes, *, pace: Pace, what: str) -> None:
        self._file = file
        self._span = span
        self._sha256 = sha256
        self._pace = pace
        self._what = what
        self.problem: Exception | None = None

    def __len__(self) -> int:
        return self._span.size_bytes

    def __iter__(self) -> Iterator[bytes]:
        """Yield the pieces; raises SourceAltered instead of the last one, and what `Pace` raises."""
        try:
            yield from self._pieces()
        except Exception as problem:
            self.problem = problem
            raise

    def _pieces(self) -> Iterator[bytes]:
        digest, left_bytes = hashlib.sha256(), len(self)
        _seek(self._file, self._span.offset_bytes, self._what)
        while left_bytes:
            size_bytes = min(PIECE_SIZE_BYTES, left_bytes)
            self._pace(size_bytes)
            data = _read(self._file, size_bytes, self._what)
            digest.update(data)
            left_bytes -= size_bytes
            if len(data) < size_bytes or (not left_bytes and digest.digest() != self._sha256):
                raise altered(self._what)
            yield data


@contextlib.contextmanager
def opened_body(
    content: Content, sha256: bytes, *, pace: Pace, span: Span | None = None
) -> Iterator[bytes | SentBody]:
    """Give what to send: bytes where they are few, which are paced and right already; else a `SentBody`.

    Without `span` it is all of it. Raises SourceAltered for a file that can't be read or is shorter.
    """
    what = "what was given" if isinstance(content, bytes) else str(content)
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(_open(content))
        whole = span or Span(offset_bytes=0, size_bytes=_size(file, what))
        if whole.size_bytes > PIECE_SIZE_BYTES:
            yield SentBody(file, whole, sha256, pace=pace, what=what)
            return
        _seek(file, whole.offset_bytes, what)
        data = _read(file, whole.size_bytes, what)
        if len(data) < whole.size_bytes or hashlib.sha256(data).digest() != sha256:
            raise altered(what)
        pace(len(data))
        yield data


def file_sha256(file: BinaryIO) -> bytes:
    """Return the SHA-256 of what is left of a file."""
    digest = hashlib.sha256()
    while block := file.read(_BUFFER_SIZE_BYTES):
        digest.update(block)
    return digest.digest()


def altered(what: str) -> SourceAltered:
    """Return the error for bytes that are not those that their SHA-256 was taken of."""
    return SourceAltered(f"{what}: not the bytes that its SHA-256 was taken of; nothing was stored")


class _ReceivedBody(io.RawIOBase):
    """The bytes of an object as they come; a body that breaks off, or is short, is StoreUnreachable."""

    def __init__(self, body: "StreamingBody", size_bytes: int, what: str) -> None:
        self._body = body
        self._left_bytes = size_bytes
        self._what = what
        self._problem: StoreError | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # typeshed: any buffer
        """Read what is there; what failed stays failed."""
        if self._problem is not None:
            raise self._problem
        view = memoryview(buffer).cast("B")
        if not view:
            return 0
        try:
            count = self._body.readinto(cast("IO[bytes]", view))  # its stubs know files only
        except REMOTE_ERRORS as problem:
            self._problem = translate(problem, self._what)
            raise self._problem from problem
        self._left_bytes -= count
        if self._left_bytes < 0 or (not count and self._left_bytes):
            self._problem = StoreUnreachable(f"{self._what}: the answer has another length than it said")
            raise self._problem
        return count

    def readall(self) -> bytes:
        pieces = []
        buffer = bytearray(_BUFFER_SIZE_BYTES)
        while count := self.readinto(buffer):
            pieces.append(bytes(memoryview(buffer)[:count]))
        return b"".join(pieces)

    def close(self) -> None:
        # Ends the connection where not all was read; gives it back where all was.
        if not self.closed:
            self._body.close()
        super().close()


def received_body(body: "StreamingBody", size_bytes: int, what: str) -> BinaryIO:
    """Return an object's body as a file to read; `what` names the object in errors."""
    return io.BufferedReader(_ReceivedBody(body, size_bytes, what), _BUFFER_SIZE_BYTES)


def _open(content: Content) -> BinaryIO:
    if isinstance(content, bytes):
        return io.BytesIO(content)
    try:
        return content.open("rb", buffering=0)
    except OSError as problem:
        raise SourceAltered(f"{content}: can't be read: {problem.strerror}") from problem


def _size(file: BinaryIO, what: str) -> int:
    try:
        return file.seek(0, os.SEEK_END)
    except OSError as problem:
        raise SourceAltered(f"{what}: not a file that can be sent") from problem


def _seek(file: BinaryIO, offset_bytes: int, what: str) -> None:
    try:
        file.seek(offset_bytes)
    except OSError as problem:
        raise SourceAltered(f"{what}: can't be read: {problem.strerror}") from problem


def _read(file: BinaryIO, size_bytes: int, what: str) -> bytes:
    """Return so many bytes, or fewer at the file's end."""
    pieces = []
    left_bytes = size_bytes
    try:
        while left_bytes and (piece := file.read(left_bytes)):
            pieces.append(piece)
            left_bytes -= len(piece)
    except OSError as problem:
        raise SourceAltered(f"{what}: can't be read: {problem.strerror}") from problem
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
