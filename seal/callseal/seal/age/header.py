"""The header of an age file: a version line, the stanzas, and a MAC over all of it.

Conventions: lines end with LF alone. The MAC covers everything up to and with the three dashes. Reading is
streaming and stops behind the header's last line; what a peer can make us read is limited by name.
Source: C2SP age.md, "Header".
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO

from cryptography.hazmat.primitives import constant_time, hashes, hmac

from callseal.seal.age import scrypt
from callseal.seal.age.primitives import derive_key
from callseal.seal.age.stanza import COLUMNS, Stanza, decode_base64, encode_base64
from callseal.seal.errors import HeaderError

VERSION_LINE = b"age-encryption.org/v1"
LINE_LIMIT_BYTES = 16 * 1024  # the line of a post-quantum stanza has 1,512
STANZA_LIMIT = 128
HEADER_LIMIT_BYTES = 256 * 1024  # 128 post-quantum stanzas have 205 KiB
MAC_SIZE_BYTES = 32

_DASHES = b"---"
_ARROW = b"-> "
_ARGUMENT = re.compile(rb"[!-~]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """A header that was read: well formed, its MAC not yet checked (that needs the file key)."""

    stanzas: tuple[Stanza, ...]
    mac: bytes
    raw: bytes

    @property
    def kinds(self) -> tuple[str, ...]:
        """The recipient type of each stanza, in their order."""
        return tuple(stanza.kind for stanza in self.stanzas)

    def mac_fits(self, file_key: bytes) -> bool:
        """Tell whether the header is the one that was written with this file key."""
        covered = self.raw[: self.raw.rindex(_DASHES) + len(_DASHES)]
        return constant_time.bytes_eq(_mac(file_key, covered), self.mac)


def write_header(stanzas: Iterable[Stanza], file_key: bytes) -> bytes:
    """Return the header's bytes, MAC and all."""
    covered = b"".join([VERSION_LINE, b"\n", *map(bytes, stanzas), _DASHES])
    return b"%s %s\n" % (covered, encode_base64(_mac(file_key, covered)))


def read_header(source: BinaryIO) -> Header:
    """Read a header from where `source` stands; raise `HeaderError` if there is none that is well formed."""
    lines = _Lines(source)
    if lines.take() != VERSION_LINE:
        raise HeaderError("not an age file: the first line is another")
    stanzas: list[Stanza] = []
    line = lines.take()
    while not line.startswith(_DASHES):
        if len(stanzas) == STANZA_LIMIT:
            raise HeaderError(f"the header has more than {STANZA_LIMIT} stanzas")
        stanzas.append(_read_stanza(line, lines))
        line = lines.take()
    if not stanzas:
        raise HeaderError("the header has no stanza")
    kinds = [stanza.kind for stanza in stanzas]
    if scrypt.KIND in kinds and len(kinds) > 1:
        raise HeaderError("a scrypt stanza is not alone")
    if line[len(_DASHES) : len(_DASHES) + 1] != b" ":
        raise HeaderError("the header's last line has no MAC")
    mac = decode_base64(line[len(_DASHES) + 1 :])
    if len(mac) != MAC_SIZE_BYTES:
        raise HeaderError("the header's MAC has not the right length")
    return Header(stanzas=tuple(stanzas), mac=mac, raw=bytes(lines.raw))


class _Lines:
    """Hands out lines without their LF and keeps what was read."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self.raw = bytearray()

    def take(self) -> bytes:
        line = self._source.readline(LINE_LIMIT_BYTES)
        if not line.endswith(b"\n"):
            if len(line) == LINE_LIMIT_BYTES:
                raise HeaderError(f"the header has a line longer than {LINE_LIMIT_BYTES} bytes")
            raise HeaderError("cut off within the header")
        self.raw += line
        if len(self.raw) > HEADER_LIMIT_BYTES:
            raise HeaderError(f"the header is longer than {HEADER_LIMIT_BYTES} bytes")
        return line[:-1]


def _read_stanza(first: bytes, lines: _Lines) -> Stanza:
    if not first.startswith(_ARROW):
        raise HeaderError("the header has a line that belongs to nothing")
    words = first[len(_ARROW) :].split(b" ")
    if not all(_ARGUMENT.fullmatch(word) for word in words):
        raise HeaderError("a stanza has an empty or unprintable argument")
    body = bytearray()
    while True:
        line = lines.take()
        if len(line) > COLUMNS:
            raise HeaderError(f"a stanza has a body line longer than {COLUMNS} characters")
        body += decode_base64(line)
        if len(line) < COLUMNS:
            break
    kind, *args = (word.decode("ascii") for word in words)
    return Stanza(kind=kind, args=tuple(args), body=bytes(body))


def _mac(file_key: bytes, covered: bytes) -> bytes:
    mac = hmac.HMAC(derive_key(file_key, salt=b"", info=b"header"), hashes.SHA256())
    mac.update(covered)
    return mac.finalize()
