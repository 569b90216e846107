"""SRTCP received: reports on a stream, authenticated and decrypted one by one, for they are rare.

::

    first 8 bytes of RTCP | encrypted rest | E 1, index 31 | MKI | tag      with HMAC-SHA1
    first 8 bytes of RTCP | encrypted rest, tag | E 1, index 31 | MKI       with GCM

Conventions: no replay list is kept, since nothing is done because of a report; one that comes again says
again what it said. Source: RFC 3711 section 3.4; RFC 7714 section 9.
"""

from typing import Final

from callseal.codecs.srtp_cipher import TAG_BYTES, CounterCipher, GcmCipher, cipher_of
from callseal.codecs.srtp_suite import Suite, session_keys

MAX_PACKET_BYTES: Final = 2048
_CLEAR_BYTES: Final = 8
_INDEX_BYTES: Final = 4
_ENCRYPTED: Final = 1 << 31


class ControlUnprotector:
    """The reports of one stream's sender."""

    def __init__(self, suite: Suite, key_and_salt: bytes, *, mki: bytes = b"") -> None:
        self._cipher = cipher_of(session_keys(suite, key_and_salt, control=True))
        self._tag_bytes = suite.shape.control_tag_bytes
        self._mki = mki

    def unprotect(self, packet: bytes) -> bytes | None:
        """Give a compound RTCP packet; None for what is not authentic, or no SRTCP."""
        least = _CLEAR_BYTES + _INDEX_BYTES + len(self._mki) + self._tag_bytes
        if not least <= len(packet) <= MAX_PACKET_BYTES:
            return None
        if isinstance(self._cipher, GcmCipher):
            return self._opened(self._cipher, packet)
        return self._checked(self._cipher, packet)

    def _checked(self, cipher: CounterCipher, packet: bytes) -> bytes | None:
        covered = packet[: len(packet) - self._tag_bytes - len(self._mki)]
        named = packet[len(covered) : len(packet) - self._tag_bytes]
        tag = packet[len(packet) - self._tag_bytes :]
        if named != self._mki or not cipher.is_authentic(covered, tag):
            return None
        word = int.from_bytes(covered[-_INDEX_BYTES:], "big")
        head, body = covered[:_CLEAR_BYTES], covered[_CLEAR_BYTES:-_INDEX_BYTES]
        if word & _ENCRYPTED:
            ssrc = int.from_bytes(head[4:8], "big")
            body = cipher.apply(body, ssrc=ssrc, index=word & ~_ENCRYPTED)
        return head + body

    def _opened(self, cipher: GcmCipher, packet: bytes) -> bytes | None:
        end = len(packet) - len(self._mki)
        if packet[end:] != self._mki:
            return None
        trailer = packet[end - _INDEX_BYTES : end]
        word = int.from_bytes(trailer, "big")
        head, sealed = packet[:_CLEAR_BYTES], packet[_CLEAR_BYTES : end - _INDEX_BYTES]
        ssrc = int.from_bytes(head[4:8], "big")
        # RFC 7714 section 9.1: zeros, SSRC, zeros, index; as a sound packet's with an index of 31 bits.
        nonce = cipher.nonce(ssrc=ssrc, index=word & ~_ENCRYPTED)
        if word & _ENCRYPTED:
            plain = cipher.opened(nonce, sealed, head + trailer)
            return None if plain is None else head + plain
        body, tag = sealed[:-TAG_BYTES], sealed[-TAG_BYTES:]
        return None if cipher.opened(nonce, tag, head + body + trailer) is None else head + body
