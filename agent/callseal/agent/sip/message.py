"""SIP messages: values, parsed from bytes and written to bytes (RFC 3261 section 7).

Conventions: header names are the long form in lower case ("call-id", never "i"); values are unfolded and
stripped. Where RFC 3261 lets several values of one header stand in one line, separated by commas, each is a
value of its own here. Text is UTF-8; bytes that are none are kept as surrogate escapes and written back.

A message that `parse_message` lets through has the headers without which nothing works: Via, From, To,
Call-ID and CSeq, each well-formed, and its properties raise nothing. Everything else may be missing or odd,
and is for whoever needs it to judge. `parse_message` raises SipSyntaxError and nothing else.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from callseal.agent.errors import SipSyntaxError
from callseal.agent.sip.grammar import long_name, read_fields, read_params, split_name_addr, written_name
from callseal.agent.sip.headers import CSeq, Fields, Headers
from callseal.agent.sip.uri import MAX_URI_CHARS
from callseal.agent.sip.via import Via

__all__ = [
    "MAX_BODY_BYTES",
    "MAX_DATAGRAM_BYTES",
    "MAX_HEAD_BYTES",
    "MAX_STREAM_BYTES",
    "CSeq",
    "Headers",
    "Request",
    "Response",
    "parse_head",
    "parse_message",
    "respond",
]

MAX_DATAGRAM_BYTES: Final = 64 * 1024
"""No datagram is larger."""
MAX_HEAD_BYTES: Final = 64 * 1024
"""Start line and headers: as much as a datagram could hold."""
MAX_BODY_BYTES: Final = 192 * 1024
"""Metadata of a conference with hundreds of participants comes to about 150 kB."""
MAX_STREAM_BYTES: Final = MAX_HEAD_BYTES + MAX_BODY_BYTES

HEAD_END: Final = re.compile(rb"\r?\n\r?\n")
"""Where the headers end; peers that end lines with LF alone are understood."""

_REQUEST: Final = re.compile(
    r"([A-Za-z0-9\-.!%*_+`'~]{1,64}) (.*) SIP/([0-9.]{1,16})[ \t]*", re.IGNORECASE | re.ASCII
)
_STATUS: Final = re.compile(r"SIP/2\.0 ([1-6][0-9][0-9])(?: (.*))?", re.IGNORECASE | re.ASCII)
_URI: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):[^ \t<>\"]+")
_SCHEMES: Final = frozenset(("sip", "sips", "tel"))
_FOLD: Final = re.compile(r"\n[ \t]+")
_MAX_FORWARDS: Final = re.compile(r"0*([0-9]{1,3})")
_MAX_HOPS: Final = 255
_NEEDED: Final = ("from", "to", "call-id", "cseq")
_ONCE: Final = frozenset((*_NEEDED, "max-forwards", "content-length"))
_COPIED: Final = frozenset((*_NEEDED, "via", "timestamp"))
_DIALOG_STATUSES: Final = range(101, 300)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Message:
    """What requests and responses have in common."""

    headers: Headers
    body: bytes = b""
    head: bytes = field(default=b"", repr=False, compare=False)
    """What of it stood before the body, as it came; empty for what was not parsed."""

    @property
    def via(self) -> Via:
        """The top Via."""
        return self.headers.via

    @property
    def cseq(self) -> CSeq:
        """The CSeq."""
        return self.headers.cseq

    @property
    def call_id(self) -> str:
        """The Call-ID, whose letters' case counts."""
        return self.headers.call_id

    @property
    def from_tag(self) -> str:
        """The tag in From, "" where there is none."""
        return self.headers.from_tag

    @property
    def to_tag(self) -> str:
        """The tag in To, "" where there is none."""
        return self.headers.to_tag

    @property
    def content_type(self) -> str:
        """The Content-Type with its parameters, "" where there is none."""
        return self.headers.content_type


@dataclass(frozen=True, slots=True, kw_only=True)
class Request(_Message):
    """A request."""

    method: str
    uri: str
    rest: bytes = field(default=b"", repr=False, compare=False)
    """What followed the body in its datagram: more than the Content-Length promised, and no part of it."""

    def with_headers(self, headers: Headers) -> "Request":
        """Return the same request with other headers."""
        return replace(self, headers=headers)

    def with_body(self, body: bytes, head: bytes = b"", rest: bytes = b"") -> "Request":
        """Return the same request with another body; `head` stood before it, `rest` after it."""
        return replace(self, body=body, head=head or self.head, rest=rest)

    @property
    def raw(self) -> bytes:
        """The request as it came, or as it would be sent."""
        return self.head + self.body + self.rest if self.head else bytes(self)

    def __bytes__(self) -> bytes:
        """Write it; ValueError if a header of ours has a line's end in it."""
        return _written(f"{self.method} {self.uri} SIP/2.0", self.headers.fields, self.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Response(_Message):
    """A response."""

    status: int
    reason: str

    def with_body(self, body: bytes, head: bytes = b"", rest: bytes = b"") -> "Response":
        """Return the same response with another body; `head` stood before it, of `rest` nothing is kept."""
        del rest
        return replace(self, body=body, head=head or self.head)

    def __bytes__(self) -> bytes:
        """Write it; ValueError if a header of ours has a line's end in it."""
        return _written(f"SIP/2.0 {self.status} {self.reason}", self.headers.fields, self.body)


def parse_message(data: bytes, *, is_stream: bool) -> Request | Response:
    """Parse one whole message.

    In a datagram the Content-Length is believed as far as there is something: the body of one that promises
    more is what is there, for gateways that count wrongly exist; what follows the body is no part of the
    message (RFC 3261 section 18.3), and kept as `rest`. On a stream it must be there and fit.
    """
    data = data.lstrip(b"\r\n")
    end = HEAD_END.search(data, 0, MAX_HEAD_BYTES)
    if end is None:
        raise endless(data)
    message = parse_head(data[: end.start()])
    if len(data) > (MAX_STREAM_BYTES if is_stream else MAX_DATAGRAM_BYTES):
        raise answerable(SipSyntaxError("the message is too large", status=413), message)
    body = data[end.end() :]
    length = message.headers.content_length
    if is_stream and length != len(body):
        raise answerable(SipSyntaxError("the Content-Length is missing or wrong", status=400), message)
    rest = b"" if length is None else body[length:]
    return message.with_body(body[:length], data[: end.end()], rest)


def parse_head(head: bytes) -> Request | Response:
    """Parse start line and headers, without the empty line: a message whose body is still to come."""
    text = head.decode("utf-8", "surrogateescape").replace("\r\n", "\n").replace("\r", " ")
    if "\n " in text or "\n\t" in text:
        text = _FOLD.sub(" ", text)
    lines = text.split("\n")
    fields, is_whole = read_fields(lines[1:])
    message, version = _start(lines[0], Headers(fields=fields))
    try:
        _check_start(message, version, is_whole=is_whole)
        _check_headers(message)
    except SipSyntaxError as error:
        raise answerable(error, message) from None
    return message


def endless(data: bytes) -> SipSyntaxError:
    """Return the error for a message whose headers have no end, after as many bytes as they may have."""
    try:
        message = parse_head(data[:MAX_HEAD_BYTES].rpartition(b"\n")[0].rstrip(b"\r"))
    except SipSyntaxError as error:
        return error
    status = 400 if len(data) < MAX_HEAD_BYTES else 513
    return answerable(SipSyntaxError("the headers have no end", status=status), message)


def answerable(error: SipSyntaxError, message: Request | Response) -> SipSyntaxError:
    """Return an error with the request that it is about, without a status where that has no answer."""
    if isinstance(message, Request) and message.method != "ACK" and _has_way_back(message):
        return SipSyntaxError(str(error), status=error.status, request=message)
    return SipSyntaxError(str(error))


def respond(
    request: Request,
    status: int,
    reason: str,
    *,
    to_tag: str,
    headers: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
    content_type: str = "",
) -> Response:
    """Make a response with what it has to take over from its request (RFC 3261 sections 8.2.6 and 12.1.1).

    `to_tag` is set where To has no tag yet; "" sets none (100). A request that is not sound is answered with
    what it has.
    """
    routed = request.method == "INVITE" and status in _DIALOG_STATUSES
    fields: list[tuple[str, str]] = []
    taken = set()
    for name, value in request.headers.fields:
        if name in _COPIED and (name == "via" or name not in taken):
            taken.add(name)
            fields.append((name, _tagged(value, to_tag) if name == "to" and to_tag else value))
        elif routed and name == "record-route":
            fields.append((name, value))
    fields += [(long_name(name), value) for name, value in headers]
    if body:
        fields.append(("content-type", content_type))
    return Response(status=status, reason=reason, headers=Headers(fields=tuple(fields)), body=body)


def _start(line: str, headers: Headers) -> tuple[Request | Response, str]:
    request = _REQUEST.fullmatch(line)
    if request is not None:
        return Request(method=request[1], uri=request[2], headers=headers), request[3]
    response = _STATUS.fullmatch(line)
    if response is None:
        raise SipSyntaxError("this is no SIP message")
    return Response(status=int(response[1]), reason=response[2] or "", headers=headers), ""


def _check_start(message: Request | Response, version: str, *, is_whole: bool) -> None:
    if not is_whole:
        raise SipSyntaxError("there are too many headers, or one is too long", status=513)
    if isinstance(message, Response):
        return
    if version != "2.0":
        raise SipSyntaxError("the version of SIP is not 2.0", status=505)
    if len(message.uri) > MAX_URI_CHARS:
        raise SipSyntaxError("the request's URI is too long", status=414)
    uri = _URI.fullmatch(message.uri)
    if uri is None:
        raise SipSyntaxError("the request's URI is none", status=400)
    if uri[1].lower() not in _SCHEMES:
        raise SipSyntaxError("the request's URI has a scheme of which nothing is known here", status=416)


def _check_headers(message: Request | Response) -> None:
    seen: dict[str, str] = {}
    for name, value in message.headers.fields:
        if name in _ONCE and seen.setdefault(name, value) != value:
            raise SipSyntaxError(f"there are two different {written_name(name)} headers", status=400)
    for name in _NEEDED:
        if not seen.get(name):
            raise SipSyntaxError(f"there is no {written_name(name)}", status=400)
    # Reading a header raises SipSyntaxError where it is malformed.
    headers = message.headers
    _, cseq, from_tag, _, _ = (
        headers.via,
        headers.cseq,
        headers.from_tag,
        headers.to_tag,
        headers.content_length,
    )
    hops = _MAX_FORWARDS.fullmatch(seen.get("max-forwards", "0"))
    if hops is None or int(hops[1]) > _MAX_HOPS:
        raise SipSyntaxError("the Max-Forwards is no number of hops", status=400)
    if isinstance(message, Request):
        if cseq.method != message.method:
            raise SipSyntaxError("the CSeq names another method", status=400)
        if message.method == "INVITE" and not from_tag:
            raise SipSyntaxError("the From of an INVITE has no tag", status=400)


def _has_way_back(request: Request) -> bool:
    try:
        return bool(request.via.host)
    except SipSyntaxError:
        return False


def _tagged(to: str, tag: str) -> str:
    try:
        return to if "tag" in dict(read_params(split_name_addr(to)[2])) else f"{to};tag={tag}"
    except SipSyntaxError:
        return to


def _written(start: str, fields: Fields, body: bytes) -> bytes:
    lines = [start]
    lines += [f"{written_name(name)}: {value}" for name, value in fields if name != "content-length"]
    lines.append(f"Content-Length: {len(body)}\r\n\r\n")
    text = "\r\n".join(lines)
    if text.count("\n") != len(lines) + 1 or text.count("\r") != len(lines) + 1:
        raise ValueError("a header has a line's end in it")
    return text.encode("utf-8", "surrogateescape") + body
