"""The SRTP suites that can be received, and the session keys that come of a master key.

Conventions: keys and salts are bytes; "key and salt" is the master key followed by the master salt, as SDP
carries them. The key derivation rate is always 0: the session keys never change.

Source: RFC 3711 sections 4.3 and 8.2; RFC 6188 (AES-256); RFC 7714 (GCM); RFC 4568 section 6.2 for the names.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

_COUNTER_SALT_BYTES: Final = 14
_GCM_SALT_BYTES: Final = 12
_AUTHENTICATION_KEY_BYTES: Final = 20
_GCM_TAG_BYTES: Final = 16
_SRTCP_LABELS: Final = 3
"""What is added to a label of SRTP to make it one of SRTCP (RFC 3711 section 4.3.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a suite is made of."""

    key_bytes: int
    salt_bytes: int
    tag_bytes: int
    """Of a sound packet; SRTCP has always ten with HMAC-SHA1 (RFC 4568 section 6.2.2)."""
    control_tag_bytes: int
    is_aead: bool


def _counter_mode(key_bytes: int, tag_bytes: int) -> Shape:
    return Shape(
        key_bytes=key_bytes,
        salt_bytes=_COUNTER_SALT_BYTES,
        tag_bytes=tag_bytes,
        control_tag_bytes=10,
        is_aead=False,
    )


def _gcm(key_bytes: int) -> Shape:
    return Shape(
        key_bytes=key_bytes,
        salt_bytes=_GCM_SALT_BYTES,
        tag_bytes=_GCM_TAG_BYTES,
        control_tag_bytes=_GCM_TAG_BYTES,
        is_aead=True,
    )


class Suite(Enum):
    """A suite; the value is its name in SDP."""

    AES_128_CM_80 = "AES_CM_128_HMAC_SHA1_80"
    AES_128_CM_32 = "AES_CM_128_HMAC_SHA1_32"
    AES_256_CM_80 = "AES_256_CM_HMAC_SHA1_80"
    AES_256_CM_32 = "AES_256_CM_HMAC_SHA1_32"
    AES_128_GCM = "AEAD_AES_128_GCM"
    AES_256_GCM = "AEAD_AES_256_GCM"

    @classmethod
    def named(cls, name: str) -> "Suite | None":
        """Give the suite of a name in SDP, in any letter's case; None for one that can't be received."""
        return _BY_NAME.get(name.upper())

    @property
    def shape(self) -> Shape:
        """What it is made of."""
        return _SHAPES[self]

    @property
    def key_and_salt_bytes(self) -> int:
        """How long a master key and its salt are together."""
        return self.shape.key_bytes + self.shape.salt_bytes


_SHAPES: Final = {
    Suite.AES_128_CM_80: _counter_mode(16, 10),
    Suite.AES_128_CM_32: _counter_mode(16, 4),
    Suite.AES_256_CM_80: _counter_mode(32, 10),
    Suite.AES_256_CM_32: _counter_mode(32, 4),
    Suite.AES_128_GCM: _gcm(16),
    Suite.AES_256_GCM: _gcm(32),
}
_BY_NAME: Final = {suite.value: suite for suite in Suite} | {
    # As drafts of RFC 6188 had it, and gateways still write it.
    "AES_CM_256_HMAC_SHA1_80": Suite.AES_256_CM_80,
    "AES_CM_256_HMAC_SHA1_32": Suite.AES_256_CM_32,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionKeys:
    """What packets are really encrypted and authenticated with; stays out of every `repr`."""

    suite: Suite
    key: bytes = field(repr=False)
    salt: bytes = field(repr=False)
    authentication_key: bytes = field(default=b"", repr=False)
    """For HMAC-SHA1; empty with GCM."""


def session_keys(suite: Suite, key_and_salt: bytes, *, control: bool = False) -> SessionKeys:
    """Derive the keys for sound packets, or with `control` those for SRTCP (RFC 3711 section 4.3).

    Raises ValueError for a master key and salt of another length than the suite's.
    """
    shape = suite.shape
    if len(key_and_salt) != suite.key_and_salt_bytes:
        raise ValueError(f"{suite.value} has {suite.key_and_salt_bytes} bytes of key and salt")
    key, salt = key_and_salt[: shape.key_bytes], key_and_salt[shape.key_bytes :]
    first_label = _SRTCP_LABELS if control else 0

    def derived(label: int, size_bytes: int) -> bytes:
        # x = label XOR salt, where the label stands 48 bits from the end of 112; GCM's shorter salt is
        # padded with zeros at its end (RFC 7714 section 11).
        iv = bytearray(salt.ljust(16, b"\0"))
        iv[7] ^= first_label + label
        return Cipher(AES(key), CTR(bytes(iv))).encryptor().update(bytes(size_bytes))

    return SessionKeys(
        suite=suite,
        key=derived(0, shape.key_bytes),
        authentication_key=b"" if shape.is_aead else derived(1, _AUTHENTICATION_KEY_BYTES),
        salt=derived(2, shape.salt_bytes),
    )
