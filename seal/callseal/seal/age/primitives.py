"""The two steps that all recipient types share: deriving a key, and wrapping the file key with it.

Conventions: keys are 32 bytes. A wrapping key is used once, so its nonce is zero (age.md says so).
Source: C2SP age.md; HKDF RFC 5869; ChaCha20-Poly1305 RFC 8439.
"""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_SIZE_BYTES = 32

_ZERO_NONCE = bytes(12)


def derive_key(secret: bytes, *, salt: bytes, info: bytes) -> bytes:
    """Return HKDF-SHA-256 of `secret`."""
    return HKDF(algorithm=hashes.SHA256(), length=KEY_SIZE_BYTES, salt=salt, info=info).derive(secret)


def wrap_key(wrapping_key: bytes, file_key: bytes) -> bytes:
    """Encrypt a file key under a wrapping key that is used for nothing else."""
    return ChaCha20Poly1305(wrapping_key).encrypt(_ZERO_NONCE, file_key, None)


def unwrap_key(wrapping_key: bytes, body: bytes) -> bytes | None:
    """Decrypt a file key; None if it was wrapped under another key."""
    try:
        return ChaCha20Poly1305(wrapping_key).decrypt(_ZERO_NONCE, body, None)
    except InvalidTag:
        return None
