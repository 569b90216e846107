"""Messages out of a stream of bytes, as TCP and TLS bring them.

Conventions: bytes go in as they come; every byte is looked at a fixed number of times, however the stream is
cut. On a stream a Content-Length is needed, since nothing else says where a message ends. A framer that has
raised SipSyntaxError stays failed, for it no longer knows where the next message begins: answer what can be
answered, then close the connection.

Sources: RFC 3261 sections 7.5 and 18.3, RFC 5626 section 4.4.1 (keep-alives).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from callseal.agent.errors import SipSyntaxError
from callseal.agent.sip.message import (
    HEAD_END,
    MAX_BODY_BYTES,
    MAX_HEAD_BYTES,
    Request,
    Response,
    answerable,
    endless,
    parse_head,
)

PONG: Final = b"\r\n"
"""What a keep-alive is answered with."""

_BLANK_LINES: Final = re.compile(rb"[\r\n]+")
_PING_LINES: Final = 2
_END_OVERLAP: Final = 3  # an end of four bytes may have begun this much before what is new
_NUL_KEEP_ALIVE: Final = b"\r\n\0 "


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepAlive:
    """The peer asks whether the connection lives: a `PONG` is due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pong:
    """The peer has answered our own keep-alive."""


Item = Request | Response | KeepAlive | Pong


def is_keep_alive(datagram: bytes) -> bool:
    """Say whether a datagram only keeps an address translation alive: blank lines, NULs or nothing at all."""
    return not datagram.strip(_NUL_KEEP_ALIVE)


class Framer:
    """Takes one connection's bytes, gives its messages."""

    __slots__ = ("_awaits_pong", "_blank_lines", "_buffer", "_failure", "_missing", "_pending", "_scanned")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._scanned = 0
        self._pending: Request | Response | None = None
        self._missing = 0
        self._blank_lines = 0
        self._awaits_pong = False
        self._failure: SipSyntaxError | None = None

    @property
    def is_mid_message(self) -> bool:
        """Whether a message has begun that has not ended."""
        return self._pending is not None or bool(self._buffer)

    def expect_pong(self) -> None:
        """Take the next blank line that stands alone for the answer to a keep-alive of ours.

        Two of them are still the peer's own keep-alive: there are peers that send those and answer none.
        """
        self._awaits_pong = True
        self._blank_lines = 0

    def feed(self, data: bytes) -> Iterator[Item]:
        """Take bytes, give what they complete, one after the other; b"" gives what was not fetched yet.

        What came before something malformed is given before SipSyntaxError is raised, so iterate and handle
        each item as it comes.
        """
        self._buffer += data
        return self._items()

    def _items(self) -> Iterator[Item]:
        while (item := self._next()) is not None:
            yield item

    def _next(self) -> Item | None:
        if self._failure is not None:
            self._buffer.clear()
            raise self._failure
        try:
            if self._pending is None:
                if sign := self._skip_blank_lines():
                    return sign
                self._read_head()
            return self._finish()
        except SipSyntaxError as failure:
            self._failure = failure
            self._buffer.clear()
            self._pending = None
            raise

    def _skip_blank_lines(self) -> KeepAlive | Pong | None:
        """Drop what stands before a message, and say what it means; several keep-alives count as one."""
        if self._scanned or not (found := _BLANK_LINES.match(self._buffer)):
            return None
        lines = found[0].count(b"\n")
        del self._buffer[: found.end()]
        if self._awaits_pong and lines == 1 and not self._blank_lines:
            self._awaits_pong = False
            return Pong()
        self._blank_lines += lines
        is_ping = self._blank_lines >= _PING_LINES
        self._blank_lines %= _PING_LINES
        return KeepAlive() if is_ping else None

    def _read_head(self) -> None:
        end = HEAD_END.search(self._buffer, max(0, self._scanned - _END_OVERLAP), MAX_HEAD_BYTES)
        if end is None:
            self._scanned = len(self._buffer)
            if self._scanned >= MAX_HEAD_BYTES:
                raise endless(bytes(self._buffer))
            return
        message = parse_head(bytes(self._buffer[: end.start()]))
        length = message.headers.content_length
        if length is None:
            raise answerable(SipSyntaxError("the Content-Length is missing", status=400), message)
        if length > MAX_BODY_BYTES:
            raise answerable(SipSyntaxError("the body is too large", status=413), message)
        self._pending = message.with_body(b"", bytes(self._buffer[: end.end()]))
        self._missing = length
        del self._buffer[: end.end()]
        self._scanned = self._blank_lines = 0

    def _finish(self) -> Request | Response | None:
        if self._pending is None or len(self._buffer) < self._missing:
            return None
        message = self._pending.with_body(bytes(self._buffer[: self._missing]))
        del self._buffer[: self._missing]
        self._pending = None
        return message
