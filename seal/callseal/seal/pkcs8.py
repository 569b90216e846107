"""A private key under a passphrase, in the form that OpenSSL reads: PKCS #8 with PBES2.

`cryptography` writes this form with 2,048 rounds of PBKDF2 and cannot be told otherwise: a passphrase that a
person remembers would fall in an afternoon. The form itself carries the number of rounds, so we fill it in
ourselves and leave reading to the library. scrypt would be stronger; OpenSSL's own memory limit refuses it
at any setting worth having, and the organisation's root must open with stock tools in ten years.

Source: RFC 8018 (PBES2, PBKDF2), RFC 5958 (EncryptedPrivateKeyInfo), X.690 (DER).
"""

import base64
import hashlib
import textwrap
from typing import Final

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

ROUNDS: Final = 600_000  # OWASP Password Storage Cheat Sheet, PBKDF2-HMAC-SHA256
SALT_SIZE_BYTES: Final = 16
IV_SIZE_BYTES: Final = 16

_KEY_SIZE_BYTES: Final = 32
_SEQUENCE: Final = 0x30
_INTEGER: Final = 0x02
_OCTETS: Final = 0x04
# Object identifiers, DER with tag and length.
_PBES2: Final = bytes.fromhex("06092a864886f70d01050d")
_PBKDF2: Final = bytes.fromhex("06092a864886f70d01050c")
_HMAC_SHA256: Final = bytes.fromhex("06082a864886f70d02090500")
_AES256_CBC: Final = bytes.fromhex("060960864801650304012a")
_PEM_LABEL: Final = "ENCRYPTED PRIVATE KEY"
_PEM_WIDTH: Final = 64


def seal_private_key(private_key_info: bytes, passphrase: str, *, salt: bytes, iv: bytes) -> bytes:
    """Return the PEM of a PKCS #8 PrivateKeyInfo (DER) sealed with a passphrase.

    `salt` and `iv` are `SALT_SIZE_BYTES` and `IV_SIZE_BYTES` bytes from a generator fit for keys, new for
    each file. ValueError for other lengths.
    """
    if len(salt) != SALT_SIZE_BYTES or len(iv) != IV_SIZE_BYTES:
        raise ValueError(f"a salt of {SALT_SIZE_BYTES} and an IV of {IV_SIZE_BYTES} bytes are needed")
    key = hashlib.pbkdf2_hmac("sha256", passphrase.encode(), salt, ROUNDS, _KEY_SIZE_BYTES)
    padder = padding.PKCS7(algorithms.AES.block_size).padder()
    encryptor = Cipher(algorithms.AES256(key), modes.CBC(iv)).encryptor()
    sealed = encryptor.update(padder.update(private_key_info) + padder.finalize()) + encryptor.finalize()
    rounds = ROUNDS.to_bytes((ROUNDS.bit_length() + 8) // 8, "big")
    derivation = _der(
        _SEQUENCE,
        _PBKDF2
        + _der(_SEQUENCE, _der(_OCTETS, salt) + _der(_INTEGER, rounds) + _der(_SEQUENCE, _HMAC_SHA256)),
    )
    cipher = _der(_SEQUENCE, _AES256_CBC + _der(_OCTETS, iv))
    scheme = _der(_SEQUENCE, _PBES2 + _der(_SEQUENCE, derivation + cipher))
    return _pem(_der(_SEQUENCE, scheme + _der(_OCTETS, sealed)))


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:  # noqa: PLR2004 - X.690, 8.1.3: one byte up to 127, else the count of bytes first
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def _pem(der: bytes) -> bytes:
    lines = "\n".join(textwrap.wrap(base64.b64encode(der).decode(), _PEM_WIDTH))
    return f"-----BEGIN {_PEM_LABEL}-----\n{lines}\n-----END {_PEM_LABEL}-----\n".encode()
