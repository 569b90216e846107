"""Bodies of several parts, as gateways put them together (RFC 2046 section 5.1, RFC 5621).

What is accepted besides the standard's form: parts in any order, parts that nobody asked for, bare line
feeds, blanks behind a boundary, a boundary that the header does not give or gives wrongly, no last boundary,
no empty line before a part's content, a Content-Length within a part that is wrong (boundaries alone count),
and one multipart within another.

Conventions: names of headers and content types are lower case, content types without their parameters;
contents are the bytes between the boundaries, decoded where a transfer encoding says so. Only MetadataError
is raised.
"""

import base64
import binascii
import quopri
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from callseal.agent.errors import MetadataError

MAX_BODY_BYTES: Final = 256 * 1024
"""As much as a message may bring; see `callseal.agent.sip.message`."""
MAX_PARTS: Final = 64
"""Real gateways send two to four."""
MAX_NESTING: Final = 2
"""A multipart within a multipart; what is deeper stays in one piece."""
MAX_BOUNDARY_CHARS: Final = 200
"""RFC 2046 allows 70."""
MAX_HEADERS: Final = 32
"""Of one part."""

SDP: Final = "application/sdp"
RS_METADATA: Final = ("application/rs-metadata+xml", "application/rs-metadata")
"""RFC 7866 registered the one with the suffix; RFC 9806 calls it by the other."""

_PARAMETER: Final = re.compile(r";\s*+([^\s=;\"]++)\s*+=\s*+(?:\"((?:[^\"\\]|\\.)*+)\"|([^;\"]*+))")
_HEADER: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,64})[ \t]*:([^\r\n]*)(?:\r?\n|\Z)")
_FOLDED: Final = re.compile(rb"[ \t]+([^\r\n]+)(?:\r?\n|\Z)")
_EMPTY_LINE: Final = re.compile(rb"\r?\n")
_FIRST_BOUNDARY: Final = re.compile(rb"^--([^\r\n]{1,200}+)\r?$", re.MULTILINE)
_ROOT: Final = re.compile(
    rb"<(?:[\w.-]{1,64}:)?recording\b|<(?:[\w.-]{1,64}:)?recording[_-]?metadata\b", re.IGNORECASE
)
_SNIFFED_BYTES: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of a body, or a whole one that has no parts."""

    content_type: str
    """Lower case, without parameters; "" where none was given."""
    disposition: str
    """Lower case, without parameters: "session", "recording-session", …; "" where none was given."""
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


def parts_of(content_type: str, body: bytes) -> tuple[Part, ...]:
    """Take a body apart; raises MetadataError for one that is too large, or whose parts can't be told apart.

    `content_type` is the message's header as it stands ("" for none). An empty body has no parts.
    """
    if len(body) > MAX_BODY_BYTES:
        raise MetadataError("a body is larger than a message may be")
    if not body.strip():
        return ()
    parts: list[Part] = []
    for part in _parts(content_type, "", body, (), nesting=MAX_NESTING):
        if len(parts) >= MAX_PARTS:
            raise MetadataError("a body has more parts than any gateway sends")
        parts.append(part)
    return tuple(parts)


def sdp_of(parts: tuple[Part, ...]) -> bytes | None:
    """Give the session description, the first if there are several; None where there is none."""
    typed = (part.body for part in parts if part.content_type == SDP)
    guessed = (part.body for part in parts if not _is_typed(part) and part.body.lstrip().startswith(b"v=0"))
    return next(typed, None) or next(guessed, None)


def metadata_of(parts: tuple[Part, ...]) -> tuple[bytes, ...]:
    """Give the documents of recording metadata, in their order."""
    return tuple(part.body for part in parts if _is_metadata(part))


def _is_typed(part: Part) -> bool:
    return part.content_type == SDP or part.content_type in RS_METADATA


def _is_metadata(part: Part) -> bool:
    """Tell by the type; where that says nothing, by what the content begins with."""
    if _is_typed(part):
        return part.content_type != SDP
    if part.content_type and "xml" not in part.content_type and part.disposition != "recording-session":
        return False
    return _ROOT.search(part.body[:_SNIFFED_BYTES]) is not None


def _parts(
    content_type: str,
    disposition: str,
    body: bytes,
    headers: tuple[tuple[str, str], ...],
    *,
    nesting: int,
) -> Iterator[Part]:
    kind = _plain(content_type)
    if not kind.startswith("multipart/") or nesting == 0:
        yield Part(content_type=kind, disposition=_plain(disposition), body=body, headers=headers)
        return
    for piece in _pieces(content_type, body):
        inner_headers, content = _headers(piece)
        named = dict(reversed(inner_headers))
        yield from _parts(
            named.get("content-type", ""),
            named.get("content-disposition", ""),
            _transferred(content, named.get("content-transfer-encoding", "").strip().lower()),
            inner_headers,
            nesting=nesting - 1,
        )


def _plain(value: str) -> str:
    """Give a header's value without its parameters."""
    return value.partition(";")[0].strip().lower()


def _pieces(content_type: str, body: bytes) -> list[bytes]:
    """Cut a body at its boundaries: those of the header, else those that it seems to have."""
    for boundary in _boundaries(content_type, body):
        delimiter = re.compile(
            rb"(?:\A|\r?\n)--" + re.escape(boundary) + rb"(?:[ \t]*+(?=\r?\n|\Z)|(--)[^\r\n]*)"
        )
        cuts: list[re.Match[bytes]] = []
        for cut in delimiter.finditer(body):
            cuts.append(cut)
            if cut[1] or len(cuts) > MAX_PARTS + 1:
                break
        if cuts:
            ends = [cut.start() for cut in cuts[1:]]
            if not cuts[-1][1] and cuts[-1].end() < len(body):
                ends.append(len(body))
            return [body[cut.end() : end] for cut, end in zip(cuts, ends, strict=False)]
    if body.lstrip().startswith((b"v=0", b"<")):  # one part, whatever the header says
        return [b"\r\n\r\n" + body.lstrip()]
    raise MetadataError("a body is said to have parts, and none can be told from another")


def _boundaries(content_type: str, body: bytes) -> Iterator[bytes]:
    parameters = {found[1].lower(): found[2] or found[3] or "" for found in _PARAMETER.finditer(content_type)}
    named = re.sub(r"\\(.)", r"\1", parameters.get("boundary", "")).strip()
    if named and len(named) <= MAX_BOUNDARY_CHARS:
        yield named.encode("utf-8", errors="surrogateescape")
    found = _FIRST_BOUNDARY.search(body)
    if found and (guessed := found[1].rstrip()):
        yield guessed


def _headers(piece: bytes) -> tuple[tuple[tuple[str, str], ...], bytes]:
    """Split a part into its headers and its content.

    The piece begins with the line's end behind its boundary. Where no empty line follows the headers, the
    content begins with the first line that can't be a header.
    """
    begin = _EMPTY_LINE.match(piece)
    position = begin.end() if begin else 0
    fields: list[tuple[str, str]] = []
    while found := _HEADER.match(piece, position):
        lines, position = [found[2]], found.end()
        while folded := _FOLDED.match(piece, position):
            lines.append(folded[1])
            position = folded.end()
        if len(fields) < MAX_HEADERS:
            fields.append((_text(found[1]).lower(), _text(b" ".join(lines)).strip()))
    end = _EMPTY_LINE.match(piece, position)
    return tuple(fields), piece[end.end() if end else position :]


def _text(value: bytes) -> str:
    return value.decode("utf-8", errors="surrogateescape")


def _transferred(content: bytes, encoding: str) -> bytes:
    """Undo a transfer encoding; content that is not in it stays as it is (SIP sends binary)."""
    if encoding == "quoted-printable":
        return quopri.decodestring(content)
    if encoding == "base64":
        try:
            return base64.b64decode(b"".join(content.split()), validate=True)
        except binascii.Error:
            return content
    return content
