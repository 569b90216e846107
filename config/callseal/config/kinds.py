"""The kinds of value that settings are made of: text with a rule, numbers, paths, addresses.

Each kind is an annotated type that pydantic checks. `Allowed` carries the words in which a wrong
value is refused ("must be …") and in which the docs name what may stand there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, TypeAlias, TypeVar
from urllib.parse import urlsplit

from phonenumbers import SUPPORTED_REGIONS
from pydantic import AfterValidator, ConfigDict, Field, PlainSerializer, PlainValidator, StringConstraints

from callseal.config.address import ListenAddress, PortRange, SipUri
from callseal.config.announcement import Builtin
from callseal.config.masking import is_secret_value

__all__ = [
    "MAX_TABLES",
    "TABLE",
    "Allowed",
    "AudioFile",
    "Bucket",
    "ClockTime",
    "Digits",
    "DnsName",
    "Flag",
    "HttpUrl",
    "Id",
    "KeyPrefix",
    "Label",
    "Language",
    "Listen",
    "Network",
    "NumberGlob",
    "OptionalBucket",
    "OptionalId",
    "OptionalIp",
    "OptionalListen",
    "OptionalPath",
    "OptionalSipUri",
    "PathName",
    "Ports",
    "Prefix",
    "Real",
    "Region",
    "SipAddress",
    "Whole",
]

MAX_PATH_CHARS = 4096  # PATH_MAX of Linux
MAX_TABLES = 256  # rules, announcements, … of one file

TABLE = ConfigDict(frozen=True, extra="forbid")
"""How the model of every table is configured."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Allowed:
    """The words that follow "must be" when a value is refused."""

    words: str


def _text(value: object) -> str:
    """Take text of one line; raises ValueError."""
    if not isinstance(value, str):
        raise ValueError("must be text in quotes")  # noqa: TRY004 - pydantic collects ValueErrors only
    if not value.isprintable():
        raise ValueError("must hold no control characters")
    return value


def _network(value: str) -> str:
    try:
        return str(ip_network(value))
    except ValueError:
        raise ValueError("must be an IP address or a network; behind its prefix all bits are zero") from None


def _optional_ip(value: str) -> str:
    try:
        return str(ip_address(value)) if value else ""
    except ValueError:
        raise ValueError("must be an IP address") from None


def _path(value: object) -> Path:
    text = value if isinstance(value, Path) else _text(value)
    if not text or len(str(text)) > MAX_PATH_CHARS:
        raise ValueError(f"must be a path of 1 to {MAX_PATH_CHARS} characters")
    if str(text).startswith("~"):
        raise ValueError('must be a path without "~": a service has no home folder')
    return Path(text)


def _reader(kind: type[T], parse: Callable[[str], T]) -> Callable[[object], T]:
    """Make a validator that parses text and lets a value of that kind pass, so that code can give one."""

    def read(value: object) -> T:
        return value if isinstance(value, kind) else parse(_text(value))

    return read


def _optional(read: Callable[[object], T]) -> Callable[[object], T | None]:
    def read_optional(value: object) -> T | None:
        return None if value is None or value == "" else read(value)

    return read_optional


def _optional_text(value: object) -> str:
    return "" if value is None else str(value)


def _audio_file(value: object) -> Builtin | Path:
    if isinstance(value, Builtin):
        return value
    return (Builtin.parse(value) if isinstance(value, str) else None) or _path(value)


def _http_url(value: str) -> str:
    if is_secret_value(value) or "@" in value:
        raise ValueError("must hold no user and no password: they come from the credentials chain")
    try:
        url = urlsplit(value)
        if url.scheme not in {"http", "https"} or not url.hostname or url.query or url.fragment:
            raise ValueError  # noqa: TRY301 - urlsplit and port raise the same for other mistakes
        _ = url.port
    except ValueError:
        raise ValueError('must be an address such as "https://s3.example.com"') from None
    return value


def _region(value: str) -> str:
    if value not in SUPPORTED_REGIONS:
        raise ValueError('must be the two capital letters of a country or region (ISO 3166), such as "CN"')
    return value


def _line(value: str) -> str:
    return _text(value)


_read_sip = _reader(SipUri, SipUri.parse)

Real: TypeAlias = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Whole: TypeAlias = Annotated[int, Field(strict=True)]
Flag: TypeAlias = Annotated[bool, Field(strict=True)]

Id: TypeAlias = Annotated[
    str,
    StringConstraints(pattern=r"\A[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?\z"),
    Allowed("a short name of 1 to 32 small letters, digits and inner hyphens"),
]
OptionalId: TypeAlias = Annotated[
    str,
    StringConstraints(pattern=r"\A(?:[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?)?\z"),
    Allowed('a short name of 1 to 32 small letters, digits and inner hyphens, or "" for none'),
]
Label: TypeAlias = Annotated[
    str,
    StringConstraints(max_length=64),
    AfterValidator(_line),
    Allowed("text of at most 64 characters"),
]
Language: TypeAlias = Annotated[
    str,
    StringConstraints(pattern=r"\A[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,4}\z"),
    Allowed('a language tag (BCP 47) such as "zh-CN" or "en"'),
]
Region: TypeAlias = Annotated[
    str, AfterValidator(_region), Allowed("the two capital letters of a country or region (ISO 3166)")
]
Prefix: TypeAlias = Annotated[
    str, StringConstraints(pattern=r"\A[0-9]{0,4}\z"), Allowed('at most 4 digits, or "" for none')
]
Digits: TypeAlias = Annotated[
    str, StringConstraints(pattern=r"\A[0-9]{2,15}\z"), Allowed("a number of 2 to 15 digits, in quotes")
]
NumberGlob: TypeAlias = Annotated[
    str,
    StringConstraints(pattern=r"\A[0-9A-Za-z+*?#._!\[\]-]{1,64}\z"),
    Allowed('a number with "*" for any digits and "?" for one digit, such as "+8610*", "8???" or "*"'),
]
Bucket: TypeAlias = Annotated[
    str,
    StringConstraints(pattern=r"\A[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\z"),
    Allowed("a bucket's name of 3 to 63 small letters, digits, dots and hyphens"),
]
OptionalBucket: TypeAlias = Annotated[
    str,
    StringConstraints(pattern=r"\A(?:[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])?\z"),
    Allowed('a bucket\'s name of 3 to 63 small letters, digits, dots and hyphens, or ""'),
]
KeyPrefix: TypeAlias = Annotated[
    str,
    StringConstraints(pattern=r"\A(?:[A-Za-z0-9][A-Za-z0-9._=-]{0,63}/){0,8}\z"),
    Allowed('folders such as "callseal/", each ended by a slash, or "" for none'),
]
ClockTime: TypeAlias = Annotated[
    str,
    StringConstraints(pattern=r"\A(?:[01][0-9]|2[0-3]):[0-5][0-9]\z"),
    Allowed('a time of day such as "08:00"'),
]
HttpUrl: TypeAlias = Annotated[
    str,
    StringConstraints(max_length=512),
    AfterValidator(_line),
    AfterValidator(_http_url),
    Allowed('an address such as "https://s3.example.com"'),
]
PathName: TypeAlias = Annotated[
    Path,
    PlainValidator(_path),
    PlainSerializer(str),
    Allowed("a path; a relative one starts at this file's folder"),
]
OptionalPath: TypeAlias = Annotated[
    Path | None,
    PlainValidator(_optional(_path)),
    PlainSerializer(_optional_text),
    Allowed('a path, or "" for none'),
]
AudioFile: TypeAlias = Annotated[
    Builtin | Path,
    PlainValidator(_audio_file),
    PlainSerializer(str),
    Allowed('"builtin:zh", "builtin:en" or the path of an audio file'),
]
SipAddress: TypeAlias = Annotated[
    SipUri,
    PlainValidator(_read_sip),
    PlainSerializer(str),
    Allowed('a SIP URI such as "sip:pbx.example:5060"'),
]
OptionalSipUri: TypeAlias = Annotated[
    SipUri | None,
    PlainValidator(_optional(_read_sip)),
    PlainSerializer(_optional_text),
    Allowed('a SIP URI such as "sip:6001@127.0.0.1:5070", or "" for none'),
]
Listen: TypeAlias = Annotated[
    ListenAddress,
    PlainValidator(_reader(ListenAddress, ListenAddress.parse)),
    PlainSerializer(str),
    Allowed('an IP address and a port such as "127.0.0.1:5060"'),
]
OptionalListen: TypeAlias = Annotated[
    ListenAddress | None,
    PlainValidator(_optional(_reader(ListenAddress, ListenAddress.parse))),
    PlainSerializer(_optional_text),
    Allowed('an IP address and a port such as "192.0.2.10:5061", or "" for none'),
]
Network: TypeAlias = Annotated[
    str,
    AfterValidator(_network),
    Allowed('an IP address or a network such as "192.0.2.0/24"'),
]
OptionalIp: TypeAlias = Annotated[
    str,
    AfterValidator(_optional_ip),
    Allowed('an IP address such as "192.0.2.10", or "" for none'),
]
DnsName: TypeAlias = Annotated[
    str,
    StringConstraints(
        pattern=r"\A(\*\.)?[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*\z",
        max_length=253,
    ),
    Allowed('a name such as "sbc.example.com" or "*.example.com"'),
]
Ports: TypeAlias = Annotated[
    PortRange,
    PlainValidator(_reader(PortRange, PortRange.parse)),
    PlainSerializer(str),
    Allowed('a range of ports such as "20000-20999"'),
]
