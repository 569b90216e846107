"""ASCII armor: an age file as text, for mail and paper.

Conventions: PEM as age.md narrows it: one label, no headers, lines of 64 characters of which the last may be
shorter, padded canonical base64, LF or CRLF, white space before and after, and nothing else.
Source: C2SP age.md, "ASCII armor"; RFC 7468, the strict encoding.
"""

import io
import re
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, BinaryIO

from callseal.seal.age.stanza import COLUMNS
from callseal.seal.errors import ArmorError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BEGIN = b"-----BEGIN AGE ENCRYPTED FILE-----"
END = b"-----END AGE ENCRYPTED FILE-----"
WHITESPACE_LIMIT_BYTES = 1024  # before the first line, and after the last

_LINE_LIMIT_BYTES = COLUMNS + 2  # and its CRLF
_BUFFER_SIZE_BYTES = 64 * 1024
_BASE64 = re.compile(rb"[A-Za-z0-9+/]+={0,2}")


def armor(data: bytes) -> bytes:
    """Return an age file as text."""
    text = b64encode(data)
    lines = [text[start : start + COLUMNS] for start in range(0, len(text), COLUMNS)]
    return b"".join(line + b"\n" for line in (BEGIN, *lines, END))


def dearmor(source: BinaryIO) -> BinaryIO:
    """Return a stream of the bytes within the armor; reading raises `ArmorError` where it is malformed.

    Closing the stream leaves `source` open.
    """
    return io.BufferedReader(_Dearmored(source), _BUFFER_SIZE_BYTES)


def open_age(source: BinaryIO) -> BinaryIO:
    """Return a stream of the binary age file that `source` holds, as such or in armor.

    Closing the stream leaves `source` open.
    """
    head = bytearray()
    wanted = WHITESPACE_LIMIT_BYTES + len(BEGIN)
    while len(head) < wanted and (data := source.read(wanted - len(head))):
        head += data
    whole: BinaryIO = io.BufferedReader(_Rejoined(bytes(head), source), _BUFFER_SIZE_BYTES)
    return dearmor(whole) if head.lstrip().startswith(b"-----") else whole


class _Rejoined(io.RawIOBase):
    """What was read already, then the rest of the source."""

    def __init__(self, head: bytes, source: BinaryIO) -> None:
        self._head = memoryview(head)
        self._source = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        into = memoryview(buffer).cast("B")
        if self._head:
            size = min(len(into), len(self._head))
            into[:size] = self._head[:size]
            self._head = self._head[size:]
            return size
        data = self._source.read(len(into))
        into[: len(data)] = data
        return len(data)


class _Dearmored(io.RawIOBase):
    """Takes the armor off, some lines at a time; once it failed, it fails each time."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._started = False
        self._ended = False
        self._short_seen = False
        self._ready = bytearray()
        self._failure: ArmorError | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        into = memoryview(buffer).cast("B")
        if self._failure is not None:
            raise self._failure
        try:
            self._fill(len(into))
        except ArmorError as error:
            self._failure = error
            raise
        size = min(len(into), len(self._ready))
        into[:size] = self._ready[:size]
        del self._ready[:size]
        return size

    def _fill(self, size_bytes: int) -> None:
        if not self._started:
            self._read_begin()
            self._started = True
        while not self._ended and len(self._ready) < size_bytes:
            line = self._line()
            if line == END:
                self._check_after()
                self._ended = True
            elif self._short_seen:
                raise ArmorError("the armor goes on after a short line")
            else:
                self._ready += _decode_line(line)
                self._short_seen = len(line) < COLUMNS or line.endswith(b"=")

    def _read_begin(self) -> None:
        skipped = 0
        while skipped <= WHITESPACE_LIMIT_BYTES:
            line = self._source.readline(WHITESPACE_LIMIT_BYTES)
            if not line:
                raise ArmorError("the armor is empty")
            if line.strip():
                break
            skipped += len(line)
        else:
            raise ArmorError(f"more than {WHITESPACE_LIMIT_BYTES} bytes of white space before the armor")
        if _without_end(line) != BEGIN:
            raise ArmorError("the armor does not begin with its line of dashes")

    def _line(self) -> bytes:
        line = self._source.readline(_LINE_LIMIT_BYTES)
        if not line:
            raise ArmorError("the armor is cut off")
        return _without_end(line)

    def _check_after(self) -> None:
        after = bytearray()
        while len(after) <= WHITESPACE_LIMIT_BYTES and (data := self._source.read(WHITESPACE_LIMIT_BYTES)):
            after += data
        if after.strip():
            raise ArmorError("there is text after the armor")
        if len(after) > WHITESPACE_LIMIT_BYTES:
            raise ArmorError(f"more than {WHITESPACE_LIMIT_BYTES} bytes of white space after the armor")


def _without_end(line: bytes) -> bytes:
    if line.endswith(b"\r\n"):
        return line[:-2]
    return line.removesuffix(b"\n")


def _decode_line(line: bytes) -> bytes:
    if len(line) > COLUMNS or len(line) % 4 or not _BASE64.fullmatch(line):
        raise ArmorError("the armor has a line that is not base64")
    data = b64decode(line)
    if b64encode(data) != line:
        raise ArmorError("the armor has base64 that is not canonical")
    return data
