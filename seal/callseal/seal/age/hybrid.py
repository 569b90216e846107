"""MLKEM768-X25519: the post-quantum kind of recipient, for recordings that are kept for ten years and more.

Conventions: recipients are written "age1pq1…" (1,959 characters), identities "AGE-SECRET-KEY-PQ-1…".
age opens this kind from version 1.3; older ones open only X25519.
Source: C2SP age.md, "The MLKEM768-X25519 recipient type"; HPKE RFC 9180; X-Wing
(draft-connolly-cfrg-xwing-kem).
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, hpke
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from callseal.seal import bech32
from callseal.seal.age.stanza import WRAPPED_KEY_SIZE_BYTES, Stanza, encode_base64
from callseal.seal.age.x25519 import POINT_SIZE_BYTES, check_share
from callseal.seal.errors import HeaderError, KeyFileError
from callseal.seal.secret import Secret

KIND = "mlkem768x25519"
RECIPIENT_PREFIX = "age1pq"
IDENTITY_PREFIX = "AGE-SECRET-KEY-PQ-"
SEED_SIZE_BYTES = 32

_MLKEM_PUBLIC_SIZE_BYTES = 1184
_MLKEM_SEED_SIZE_BYTES = 64
_MLKEM_CIPHERTEXT_SIZE_BYTES = 1088
_PUBLIC_SIZE_BYTES = _MLKEM_PUBLIC_SIZE_BYTES + POINT_SIZE_BYTES
_SHARE_SIZE_BYTES = _MLKEM_CIPHERTEXT_SIZE_BYTES + POINT_SIZE_BYTES
_INFO = b"age-encryption.org/mlkem768x25519"
_SUITE = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.CHACHA20_POLY1305)


@dataclass(frozen=True, slots=True, kw_only=True)
class HybridRecipient:
    """A public key to seal to."""

    kind: ClassVar[str] = KIND
    public_key: bytes = field(repr=False)
    _key: hpke.MLKEM768X25519PublicKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.public_key) != _PUBLIC_SIZE_BYTES:
            raise KeyFileError(f"the recipient is not {_PUBLIC_SIZE_BYTES} bytes long")
        lattice, point = (
            self.public_key[:_MLKEM_PUBLIC_SIZE_BYTES],
            self.public_key[_MLKEM_PUBLIC_SIZE_BYTES:],
        )
        try:
            check_share(X25519PrivateKey.generate(), point)
            key = hpke.MLKEM768X25519PublicKey(
                MLKEM768PublicKey.from_public_bytes(lattice), X25519PublicKey.from_public_bytes(point)
            )
        except ValueError as error:
            raise KeyFileError("the recipient is not a valid post-quantum public key") from error
        object.__setattr__(self, "_key", key)

    @property
    def text(self) -> str:
        """The recipient string."""
        return bech32.encode(RECIPIENT_PREFIX, self.public_key)

    def wrap(self, file_key: bytes) -> Stanza:
        """Wrap a file key under a fresh encapsulated key."""
        sealed = _SUITE.encrypt(file_key, self._key, _INFO)
        share, body = sealed[:_SHARE_SIZE_BYTES], sealed[_SHARE_SIZE_BYTES:]
        return Stanza(kind=KIND, args=(encode_base64(share).decode("ascii"),), body=body)


@dataclass(frozen=True, slots=True, kw_only=True)
class HybridIdentity:
    """A private key, expanded from a seed of 32 bytes, that opens what was sealed to its recipient."""

    kind: ClassVar[str] = KIND
    seed: bytes = field(repr=False)
    recipient: HybridRecipient = field(init=False)
    _point_key: X25519PrivateKey = field(init=False, repr=False, compare=False)
    _key: hpke.MLKEM768X25519PrivateKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.seed) != SEED_SIZE_BYTES:
            raise KeyFileError("the private key is not 32 bytes long")
        expansion = hashes.Hash(hashes.SHAKE256(digest_size=_MLKEM_SEED_SIZE_BYTES + POINT_SIZE_BYTES))
        expansion.update(self.seed)
        expanded = expansion.finalize()
        lattice_key = MLKEM768PrivateKey.from_seed_bytes(expanded[:_MLKEM_SEED_SIZE_BYTES])
        point_key = X25519PrivateKey.from_private_bytes(expanded[_MLKEM_SEED_SIZE_BYTES:])
        public_key = lattice_key.public_key().public_bytes_raw() + point_key.public_key().public_bytes_raw()
        object.__setattr__(self, "recipient", HybridRecipient(public_key=public_key))
        object.__setattr__(self, "_point_key", point_key)
        object.__setattr__(self, "_key", hpke.MLKEM768X25519PrivateKey(lattice_key, point_key))

    @classmethod
    def generate(cls) -> "HybridIdentity":
        """Make a new key pair."""
        return cls(seed=os.urandom(SEED_SIZE_BYTES))

    @property
    def text(self) -> Secret:
        """The identity string."""
        return Secret(bech32.encode(IDENTITY_PREFIX, self.seed))

    def unwrap(self, stanzas: Iterable[Stanza]) -> bytes | None:
        """Return the file key, or None if no stanza is for this key; a malformed one is a `HeaderError`."""
        for stanza in stanzas:
            if stanza.kind != KIND:
                continue
            if len(stanza.args) != 1:
                raise HeaderError("a post-quantum stanza has not exactly one argument")
            share = stanza.decode_arg(0)
            if len(share) != _SHARE_SIZE_BYTES or len(stanza.body) != WRAPPED_KEY_SIZE_BYTES:
                raise HeaderError("a post-quantum stanza has not the right length")
            # The HPKE call below cannot tell a share of low order from a stanza that is for somebody
            # else; the format wants the former refused, so the exchange is tried by itself first.
            try:
                check_share(self._point_key, share[_MLKEM_CIPHERTEXT_SIZE_BYTES:])
            except ValueError as error:
                raise HeaderError("a post-quantum stanza has a share of low order") from error
            try:
                return _SUITE.decrypt(share + stanza.body, self._key, _INFO)
            except InvalidTag:
                continue
            except ValueError as error:
                raise HeaderError("a post-quantum stanza has a malformed share") from error
        return None
