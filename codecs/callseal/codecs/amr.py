"""AMR and AMR-WB payloads taken apart into the frames that a decoder takes.

::

    octet-aligned          CMR 4, 0000 | ToC: F 1, FT 4, Q 1, 00 | … | frame, padded to a byte | …
    bandwidth-efficient    CMR 4 | ToC: F 1, FT 4, Q 1 | … | frame, bit after bit | … | padding
    a decoder's frame                    0, FT 4, Q 1, 00 | frame, padded to a byte

Conventions: one channel, no CRC, no interleaving, no robust sorting.

Source: RFC 4867 sections 4.3, 4.4 and 5.3; 3GPP TS 26.101 and 26.201 for the sizes of frames.
"""

from typing import Final

from callseal.codecs.errors import PayloadError

MAX_FRAMES: Final = 12
"""Frames of 20 ms in a packet: RFC 4867 sets no limit, and telephones put in one to three."""

_BITS: Final = {
    # TS 26.101: eight rates, then silence descriptors: of AMR, and of three other systems.
    "AMR": (95, 103, 118, 134, 148, 159, 204, 244, 39, 43, 38, 37),
    # TS 26.201: nine rates, then the silence descriptor.
    "AMR-WB": (132, 177, 253, 285, 317, 365, 397, 461, 477, 40),
}
_MODE_REQUEST_BITS: Final = 4
_ENTRY_BITS: Final = 6
_ALIGNED_ENTRY_BITS: Final = 8
_LOST: Final = {"AMR": (15,), "AMR-WB": (14, 15)}
"""Frame types without a frame; 14 of AMR-WB says that one was lost (TS 26.201)."""


def frames(payload: bytes, *, encoding: str, octet_aligned: bool) -> list[bytes]:
    """Give the frames of a payload, each with its own table of contents in front; b"" for one without data.

    `encoding` is "AMR" or "AMR-WB". Raises PayloadError for a payload that is not what it must be.
    """
    bits = _Bits(payload)
    bits.take(8 if octet_aligned else _MODE_REQUEST_BITS)
    types: list[tuple[int, int]] = []
    more = 1
    while more:
        if len(types) == MAX_FRAMES:
            raise PayloadError("an AMR payload has too many frames")
        entry = bits.take(_ALIGNED_ENTRY_BITS if octet_aligned else _ENTRY_BITS) >> 2 * octet_aligned
        more, kind, quality = entry >> 5, entry >> 1 & 0x0F, entry & 1
        types.append((kind, quality))
    return [_frame(bits, kind, quality, encoding, octet_aligned=octet_aligned) for kind, quality in types]


def _frame(bits: "_Bits", kind: int, quality: int, encoding: str, *, octet_aligned: bool) -> bytes:
    if kind in _LOST[encoding]:
        return b""
    sizes = _BITS[encoding]
    if kind >= len(sizes):
        raise PayloadError("an AMR frame is of a type that does not exist")
    size = sizes[kind]
    padding = -size % 8
    value = bits.take(size + padding) >> padding if octet_aligned else bits.take(size)
    return bytes((kind << 3 | quality << 2,)) + (value << padding).to_bytes((size + padding) // 8, "big")


class _Bits:
    """Bits of a payload, taken from its beginning."""

    def __init__(self, payload: bytes) -> None:
        self._value = int.from_bytes(payload, "big")
        self._left = 8 * len(payload)

    def take(self, count: int) -> int:
        if count > self._left:
            raise PayloadError("an AMR payload is cut short")
        self._left -= count
        return self._value >> self._left & (1 << count) - 1
