"""What one SRTP stream's packets are authenticated and decrypted with: the inner part of `srtp`.

Conventions: `view` is the memory of many packets, `start` and `stop` are offsets in it. An *index* is the
48 bits of roll-over counter and sequence number (RFC 3711 section 3.3.1).

HMAC-SHA1 is by far the most that a packet costs, so its two halves, which begin alike for each packet of a
stream, are begun once and copied. AES in counter mode costs next to nothing when all counters of a batch are
encrypted in one call. See docs/adr/014.

Source: RFC 3711 sections 4.1.1 and 4.2.1, RFC 2104, RFC 7714 section 8.
"""

import hashlib
import hmac
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from callseal.codecs.srtp_suite import SessionKeys

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK_BYTES: Final = 16
ROC_BYTES: Final = 4
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
"""Of GCM."""
_SHA1_BLOCK_BYTES: Final = 64
_INNER: Final = bytes(value ^ 0x36 for value in range(256))
_OUTER: Final = bytes(value ^ 0x5C for value in range(256))


class CounterCipher:
    """AES in counter mode with HMAC-SHA1."""

    def __init__(self, keys: SessionKeys) -> None:
        padded = keys.authentication_key.ljust(_SHA1_BLOCK_BYTES, b"\0")
        # RFC 3711 knows no other hash, and what breaks SHA-1 does not break HMAC with it (RFC 6194).
        self._inner = hashlib.sha1(padded.translate(_INNER))  # noqa: S324 - see above
        self._outer = hashlib.sha1(padded.translate(_OUTER))  # noqa: S324 - see above
        # Encrypting counters one by one is counter mode; the mode of that name would need an object a packet.
        self._aes = Cipher(AES(keys.key), ECB()).encryptor()  # noqa: S305 - see above
        self.salt: NDArray[np.uint8] = np.frombuffer(keys.salt.ljust(BLOCK_BYTES, b"\0"), np.uint8)
        """The salt where it stands in a counter block, shape (16,)."""

    def tags(self, view: memoryview, spans: Iterable[tuple[int, int]]) -> list[bytes]:
        """Give the whole HMAC, 20 bytes, of each span, whose last four bytes are the roll-over counter."""
        found = []
        inner, outer = self._inner, self._outer
        for start, stop in spans:
            digest = inner.copy()
            digest.update(view[start:stop])
            outside = outer.copy()
            outside.update(digest.digest())
            found.append(outside.digest())
        return found

    def is_authentic(self, packet: bytes, tag: bytes) -> bool:
        """Say whether a tag, which may be shortened, fits a packet with what is to stand behind it."""
        (whole,) = self.tags(memoryview(packet), [(0, len(packet))])
        return hmac.compare_digest(whole[: len(tag)], tag)

    def key_stream(self, counters: memoryview, into: memoryview) -> None:
        """Encrypt counter blocks; `into` must have room for a block more."""
        self._aes.update_into(counters, into)

    def apply(self, data: bytes, *, ssrc: int, index: int) -> bytes:
        """Encrypt or decrypt one packet's payload."""
        blocks = -(-len(data) // BLOCK_BYTES)
        iv = int.from_bytes(self.salt.tobytes(), "big") ^ ssrc << 64 ^ index << 16
        counters = b"".join((iv + block).to_bytes(BLOCK_BYTES, "big") for block in range(blocks))
        stream = self._aes.update(counters)[: len(data)]
        size = len(data)
        return (int.from_bytes(data, "big") ^ int.from_bytes(stream, "big")).to_bytes(size, "big")


class GcmCipher:
    """AES-GCM, which encrypts and authenticates at once."""

    def __init__(self, keys: SessionKeys) -> None:
        self._aes = AESGCM(keys.key)
        self.salt: NDArray[np.uint8] = np.frombuffer(keys.salt, np.uint8)
        """Shape (12,)."""

    def opened(self, nonce: bytes, sealed: memoryview | bytes, header: memoryview | bytes) -> bytes | None:
        """Decrypt a payload with its tag; None where it is not authentic."""
        try:
            return self._aes.decrypt(nonce, sealed, header)
        except InvalidTag:
            return None

    def open_all(self, view: memoryview, nonces: bytes, spans: Iterable[tuple[int, int, int]]) -> list[bool]:
        """Decrypt packets in place, and say which were authentic; the others stay as they are.

        A span tells where a packet begins, its payload and its tag; the nonces lie one behind the other.
        """
        done = []
        decrypt = self._aes.decrypt
        at = 0
        for start, payload, tag in spans:
            try:
                view[payload:tag] = decrypt(
                    nonces[at : at + NONCE_BYTES], view[payload : tag + TAG_BYTES], view[start:payload]
                )
                done.append(True)
            except InvalidTag:
                done.append(False)
            at += NONCE_BYTES
        return done

    def sealed(self, nonce: bytes, plain: bytes, header: bytes) -> bytes:
        """Encrypt a payload, its tag behind it."""
        return self._aes.encrypt(nonce, plain, header)

    def nonce(self, *, ssrc: int, index: int) -> bytes:
        """Give the nonce of a sound packet (RFC 7714 section 8.1)."""
        return (int.from_bytes(self.salt.tobytes(), "big") ^ ssrc << 48 ^ index).to_bytes(NONCE_BYTES, "big")


StreamCipher = CounterCipher | GcmCipher


def cipher_of(keys: SessionKeys) -> StreamCipher:
    """Give the cipher of a suite with these keys."""
    return GcmCipher(keys) if keys.suite.shape.is_aead else CounterCipher(keys)
