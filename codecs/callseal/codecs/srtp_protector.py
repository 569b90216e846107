"""SRTP sent: for load generators, the demo's gateway and tests; the recorder itself sends no sound.

Conventions: one source, packets in order. Source: RFC 3711 sections 3.3 and 4; RFC 7714.
"""

import struct
from typing import Final

from callseal.codecs.errors import RtpError
from callseal.codecs.srtp_cipher import ROC_BYTES, CounterCipher, cipher_of
from callseal.codecs.srtp_suite import Suite, session_keys

_HEADER_BYTES: Final = 12
_SEQUENCES: Final = 1 << 16


class Protector:
    """Encrypts the packets of one source."""

    def __init__(self, suite: Suite, key_and_salt: bytes, *, mki: bytes = b"", roll_over: int = 0) -> None:
        """Take the master key; `roll_over` is the counter of the first packet."""
        self._cipher = cipher_of(session_keys(suite, key_and_salt))
        self._tag_bytes = suite.shape.tag_bytes
        self._mki = mki
        self._roll_over = roll_over
        self._newest: int | None = None

    def protect(self, packet: bytes) -> bytes:
        """Encrypt one RTP packet; raises RtpError for what is none."""
        header = _header_bytes(packet)
        sequence, ssrc = struct.unpack_from("!H4xI", packet, 2)
        if self._newest is not None and sequence < self._newest - _SEQUENCES // 2:
            self._roll_over += 1
        self._newest = sequence
        index = self._roll_over << 16 | sequence
        head, payload = packet[:header], packet[header:]
        if not isinstance(self._cipher, CounterCipher):
            nonce = self._cipher.nonce(ssrc=ssrc, index=index)
            return head + self._cipher.sealed(nonce, payload, head) + self._mki
        covered = head + self._cipher.apply(payload, ssrc=ssrc, index=index)
        signed = covered + self._roll_over.to_bytes(ROC_BYTES, "big")
        (tag,) = self._cipher.tags(memoryview(signed), [(0, len(signed))])
        return covered + self._mki + tag[: self._tag_bytes]


def _header_bytes(packet: bytes) -> int:
    """Give how long a packet's header is (RFC 3550 section 5.1)."""
    if len(packet) >= _HEADER_BYTES and packet[0] >> 6 == 2:  # noqa: PLR2004 - RTP's version
        size = _HEADER_BYTES + 4 * (packet[0] & 0x0F)
        if packet[0] & 0x10 and len(packet) >= size + 4:
            size += 4 + 4 * int.from_bytes(packet[size + 2 : size + 4], "big")
        if size <= len(packet):
            return size
    raise RtpError("this is no RTP packet")
