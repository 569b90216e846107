"""One RTP packet, read from bytes and written to them.

Conventions: `ts` counts in units of the payload's clock. A packet that is read and written again is the
same, but for the padding, whose bytes are not kept and are written as zeros. Many packets at once are read
by `callseal.codecs.packets`; this is for tools, tests and rare paths.

Source: RFC 3550 section 5.1 (header), 5.3.1 (extension).
"""

import struct
from dataclasses import dataclass
from typing import Final, Self

from callseal.codecs.errors import RtpError

VERSION: Final = 2
HEADER_BYTES: Final = 12
MARKER: Final = 0x80
"""The bit beside the payload type."""
MAX_CSRC: Final = 15
"""What four bits can count."""
MAX_EXTENSION_BYTES: Final = 0xFFFF * 4
"""What a count of words in 16 bits allows; a datagram allows less."""
MAX_PADDING_BYTES: Final = 255

_HEADER: Final = struct.Struct(">BBHII")
_EXTENSION: Final = struct.Struct(">HH")
_PADDED: Final = 0x20
_EXTENDED: Final = 0x10


@dataclass(frozen=True, slots=True, kw_only=True)
class Extension:
    """A header extension; `data` is whole words of four bytes, else ValueError."""

    profile: int
    data: bytes

    def __post_init__(self) -> None:
        """Refuse what can't be written."""
        if len(self.data) % 4 or len(self.data) > MAX_EXTENSION_BYTES:
            raise ValueError("a header extension is whole words of four bytes, up to 65535 of them")


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """One packet; ValueError for what its fields can't hold."""

    payload_type: int
    sequence: int
    ts: int
    ssrc: int
    payload: bytes = b""
    marker: bool = False
    csrc: tuple[int, ...] = ()
    extension: Extension | None = None
    padding_bytes: int = 0

    def __post_init__(self) -> None:
        """Refuse what can't be written."""
        fields = (
            (self.payload_type, 0x7F),
            (self.sequence, 0xFFFF),
            (self.ts, 0xFFFFFFFF),
            (self.ssrc, 0xFFFFFFFF),
            (len(self.csrc), MAX_CSRC),
            (self.padding_bytes, MAX_PADDING_BYTES),
            *((source, 0xFFFFFFFF) for source in self.csrc),
        )
        if any(not 0 <= value <= most for value, most in fields):
            raise ValueError("a field of an RTP packet is out of its range")

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a packet that fills `data`; RtpError for what is none."""
        if len(data) < HEADER_BYTES:
            raise RtpError(f"a packet of {len(data)} bytes is shorter than its header")
        flags, kind, sequence, ts, ssrc = _HEADER.unpack_from(data)
        if flags >> 6 != VERSION:
            raise RtpError(f"version {flags >> 6} is not {VERSION}")
        start = HEADER_BYTES + 4 * (flags & 0x0F)
        if start > len(data):
            raise RtpError("the contributing sources end beyond the packet")
        csrc = struct.unpack_from(f">{flags & 0x0F}I", data, HEADER_BYTES)
        extension = None
        if flags & _EXTENDED:
            extension = _parse_extension(data, start)
            start += _EXTENSION.size + len(extension.data)
        end = len(data)
        if flags & _PADDED:
            end -= data[-1]
            if end == len(data) or end < start:
                raise RtpError("the padding is longer than the payload, or nothing")
        return cls(
            payload_type=kind & 0x7F,
            sequence=sequence,
            ts=ts,
            ssrc=ssrc,
            payload=data[start:end],
            marker=bool(kind & MARKER),
            csrc=csrc,
            extension=extension,
            padding_bytes=len(data) - end,
        )

    def __bytes__(self) -> bytes:
        """Give the packet as it is sent."""
        flags = VERSION << 6 | len(self.csrc)
        parts = [struct.pack(f">{len(self.csrc)}I", *self.csrc)]
        if self.extension is not None:
            flags |= _EXTENDED
            parts.append(_EXTENSION.pack(self.extension.profile, len(self.extension.data) // 4))
            parts.append(self.extension.data)
        parts.append(self.payload)
        if self.padding_bytes:
            flags |= _PADDED
            parts.append(bytes(self.padding_bytes - 1) + bytes((self.padding_bytes,)))
        kind = self.payload_type | (MARKER if self.marker else 0)
        return b"".join((_HEADER.pack(flags, kind, self.sequence, self.ts, self.ssrc), *parts))


def _parse_extension(data: bytes, start: int) -> Extension:
    if start + _EXTENSION.size > len(data):
        raise RtpError("the header extension ends beyond the packet")
    profile, words = _EXTENSION.unpack_from(data, start)
    end = start + _EXTENSION.size + 4 * words
    if end > len(data):
        raise RtpError("the header extension ends beyond the packet")
    return Extension(profile=profile, data=data[start + _EXTENSION.size : end])
