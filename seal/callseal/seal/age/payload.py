"""The payload of an age file: chunks of 64 KiB, each encrypted and authenticated by itself (STREAM).

Conventions: a chunk's nonce is its number, counted from 0, in eleven bytes big-endian, and a byte that is 1
for the last chunk of the file. The last chunk may be shorter; it is empty only in an empty file. So no chunk
can be altered, moved or left out, and the end cannot be cut off, without the reader seeing it.
Source: C2SP age.md, "Payload"; Hoang, Reyhanitabar, Rogaway, Vizár, "Online Authenticated-Encryption and its
Nonce-Reuse Misuse-Resistance" (STREAM).
"""

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from callseal.seal.age.primitives import derive_key

CHUNK_SIZE_BYTES = 64 * 1024
TAG_SIZE_BYTES = 16
SEALED_CHUNK_SIZE_BYTES = CHUNK_SIZE_BYTES + TAG_SIZE_BYTES
PAYLOAD_NONCE_SIZE_BYTES = 16


def payload_cipher(file_key: bytes, nonce: bytes) -> ChaCha20Poly1305:
    """Return the cipher of one payload."""
    return ChaCha20Poly1305(derive_key(file_key, salt=nonce, info=b"payload"))


def chunk_nonce(chunk: int, *, last: bool) -> bytes:
    """Return the nonce of a chunk."""
    return (chunk << 8 | last).to_bytes(12, "big")
