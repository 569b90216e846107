"""Reading a session description.

Conventions: read generously. Lines end with CRLF, LF or CR and come in any order; unknown ones are passed
over, missing ones are no fault. The letter's case of attributes, protocols and encodings does not count. What
can't be passed over is an m-line that can't be read, since the answer must have the same ones.

Source: RFC 8866; RFC 3551 (static payload types), RFC 3605 (`a=rtcp`), RFC 5761 (`a=rtcp-mux`), RFC 4574.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from callseal.agent.errors import SdpError
from callseal.agent.sdp.crypto import parse_crypto
from callseal.agent.sdp.payload_types import MAX_PAYLOAD_TYPE, static_format
from callseal.agent.sdp.session import Crypto, Direction, Format, Media, Session

MAX_SIZE_BYTES: Final = 65536
"""No more than the largest datagram can bring."""
MAX_LINES: Final = 4000
"""Empty ones among them, of which CRLF makes one for each line."""
MAX_LINE_CHARS: Final = 4096
MAX_MEDIA: Final = 64
"""M-lines: an offer of SIPREC has two, a conference of video a dozen."""
MAX_FORMATS: Final = 128
"""Payload types of one m-line: there are no more."""
MAX_CRYPTOS: Final = 32
MAX_PORT: Final = 65535
MAX_PTIME_MS: Final = 1000
MAX_CLOCK_HZ: Final = 192_000
MAX_CHANNELS: Final = 8

_CONTROLS: Final = bytes({*range(32), 127} - {ord("\n")})
"""Taken out of every line: what is echoed in an answer must not end a line in it."""
_DIRECTIONS: Final = {direction.value: direction for direction in Direction}
_MLINE_FIELDS: Final = 2


@dataclass(slots=True)
class _Section:
    """The lines of the session, or of one m-line."""

    first: str = ""
    """What stands behind "m="."""
    address: str = ""
    lines: list[tuple[str, str]] = field(default_factory=list)
    """Attributes: name in lower case, value."""


@dataclass(slots=True)
class _Top:
    """What stands above the first m-line, and is no attribute."""

    username: str = "-"
    session_id: str = "0"
    version: int = 0
    origin: str = ""
    name: str = "-"


def parse_session(text: bytes) -> Session:
    """Read a session description; raises SdpError, and nothing else, for what is none."""
    top, sections = _sections(text)
    session, *streams = sections
    address = session.address or top.origin
    direction = _direction(session.lines, Direction.SENDRECV)
    return Session(
        username=top.username,
        session_id=top.session_id,
        session_version=top.version,
        address=address,
        media=tuple(_media(stream, session.address, direction) for stream in streams),
        name=top.name,
        attributes=tuple(line for line in session.lines if line[0] not in _DIRECTIONS),
    )


def _sections(text: bytes) -> tuple[_Top, list[_Section]]:
    top, sections = _Top(), [_Section()]
    is_one = False
    for key, value in _typed_lines(text):
        is_one = is_one or key in "vom"
        match key:
            case "m":
                if len(sections) > MAX_MEDIA:
                    raise SdpError("the session description has too many media")
                sections.append(_Section(first=value))
            case "c":
                sections[-1].address = sections[-1].address or _address(value.split())
            case "a":
                name, _, rest = value.partition(":")
                sections[-1].lines.append((name.strip().lower(), rest.strip()))
            case "o":
                _read_origin(top, value.split())
            case "s":
                top.name = value or "-"
    if not is_one:
        raise SdpError("this is no session description")
    return top, sections


def _typed_lines(text: bytes) -> Iterator[tuple[str, str]]:
    """Walk through `<type>=<value>`, types in lower case; what is no such line is passed over."""
    if len(text) > MAX_SIZE_BYTES:
        raise SdpError("the session description is too long")
    plain = text.replace(b"\r", b"\n").translate(None, _CONTROLS)
    lines = plain.decode("utf-8", "replace").split("\n")
    if len(lines) > MAX_LINES:
        raise SdpError("the session description has too many lines")
    for line in lines:
        if len(line) > MAX_LINE_CHARS:
            raise SdpError("a line of the session description is too long")
        kind, equals, value = line.strip().partition("=")
        if equals and len(kind) == 1:
            yield kind.lower(), value.strip()


def _read_origin(top: _Top, fields: list[str]) -> None:
    """Read `<username> <sess-id> <sess-version> <nettype> <addrtype> <unicast-address>`."""
    if len(fields) > 2:  # noqa: PLR2004 - a username, an id and a version; the address may be missing
        top.username, top.session_id = fields[:2]
        top.version = _number(fields[2], 10**20) or 0
        top.origin = _address(fields[3:])


def _address(fields: list[str]) -> str:
    """Read `<nettype> <addrtype> <address>[/ttl]`; empty for another network than the Internet."""
    if len(fields) < 3 or fields[0].upper() != "IN":  # noqa: PLR2004 - as the docstring shows
        return ""
    return fields[2].partition("/")[0]


def _media(section: _Section, address: str, default: Direction) -> Media:
    fields = section.first.split()
    if len(fields) < _MLINE_FIELDS:
        raise SdpError("an m-line of the session description is cut short")
    port = _number(fields[1].partition("/")[0], MAX_PORT)
    if port is None:
        raise SdpError("an m-line of the session description has no port that could be one")
    types = tuple(fields[3:])
    if len(types) > MAX_FORMATS:
        raise SdpError("an m-line of the session description has too many formats")
    protocol = fields[2].upper() if len(fields) > _MLINE_FIELDS else ""
    reader = _Attributes()
    for name, value in section.lines:
        reader.read(name, value)
    return Media(
        kind=fields[0].lower(),
        port=port,
        protocol=protocol,
        formats=reader.formats(types) if "RTP/" in protocol else (),
        payload_types=types,
        address=section.address or address,
        direction=_direction(section.lines, default),
        label=reader.label,
        ptime_ms=reader.ptime_ms,
        rtcp_port=reader.rtcp_port,
        rtcp_mux=reader.rtcp_mux,
        crypto=tuple(reader.crypto),
        attributes=tuple(reader.others),
    )


class _Attributes:
    """The attributes of one m-line."""

    def __init__(self) -> None:
        self.label = ""
        self.ptime_ms: int | None = None
        self.rtcp_port: int | None = None
        self.rtcp_mux = False
        self.crypto: list[Crypto] = []
        self.others: list[tuple[str, str]] = []
        self._maps: dict[int, str] = {}
        self._fmtp: dict[int, str] = {}

    def read(self, name: str, value: str) -> None:
        match name:
            case "rtpmap" | "fmtp":
                self._read_format(self._maps if name == "rtpmap" else self._fmtp, value)
            case "label":
                self.label = self.label or value
            case "ptime":
                # Some write "20.0", which the grammar allows since RFC 8866.
                self.ptime_ms = _number(value.partition(".")[0], MAX_PTIME_MS) or None
            case "rtcp":
                self.rtcp_port = _number((value.split() or [""])[0], MAX_PORT) or None
            case "rtcp-mux":
                self.rtcp_mux = True
            case "crypto":
                crypto = parse_crypto(value)
                if crypto is not None and len(self.crypto) < MAX_CRYPTOS:
                    self.crypto.append(crypto)
            case _ if name not in _DIRECTIONS:
                self.others.append((name, value))

    def _read_format(self, into: dict[int, str], value: str) -> None:
        fields = value.split(None, 1)
        if len(fields) > 1:
            payload_type = _number(fields[0], MAX_PAYLOAD_TYPE)
            if payload_type is not None:
                into.setdefault(payload_type, fields[1])

    def formats(self, types: tuple[str, ...]) -> tuple[Format, ...]:
        """Give what the payload types mean, each once; those of which nobody says it are passed over."""
        found: dict[int, Format] = {}
        for text in types:
            payload_type = _number(text, MAX_PAYLOAD_TYPE)
            if payload_type is None or payload_type in found:
                continue
            fmtp = self._fmtp.get(payload_type, "")
            mapped = _mapped(payload_type, self._maps.get(payload_type, ""), fmtp)
            known = mapped or static_format(payload_type, fmtp)
            if known is not None:
                found[payload_type] = known
        return tuple(found.values())


def _mapped(payload_type: int, text: str, fmtp: str) -> Format | None:
    """Read `<encoding name>/<clock rate>[/<channels>]`."""
    name, _, rest = text.partition("/")
    clock, _, channels = rest.partition("/")
    clock_hz = _number(clock, MAX_CLOCK_HZ)
    if not name.strip() or not clock_hz:
        return None
    return Format(
        payload_type=payload_type,
        name=name.strip().upper(),
        clock_hz=clock_hz,
        channels=_number(channels, MAX_CHANNELS) or 1,
        fmtp=fmtp,
    )


def _direction(lines: list[tuple[str, str]], default: Direction) -> Direction:
    found = [name for name, _ in lines if name in _DIRECTIONS]
    return _DIRECTIONS[found[-1]] if found else default


def _number(text: str, maximum: int) -> int | None:
    """Read a whole number that is not negative, None for what is none or too large."""
    text = text.strip()
    if not (text.isascii() and text.isdecimal()) or len(text) > len(str(maximum)):
        return None
    number = int(text)
    return number if number <= maximum else None
