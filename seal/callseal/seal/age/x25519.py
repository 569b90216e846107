"""X25519: the classic kind of recipient, opened by every age.

Conventions: recipients are written "age1…", identities "AGE-SECRET-KEY-1…".
Source: C2SP age.md, "The X25519 recipient type"; RFC 7748.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from callseal.seal import bech32
from callseal.seal.age.primitives import derive_key, unwrap_key, wrap_key
from callseal.seal.age.stanza import WRAPPED_KEY_SIZE_BYTES, Stanza, encode_base64
from callseal.seal.errors import HeaderError, KeyFileError
from callseal.seal.secret import Secret

KIND = "X25519"
RECIPIENT_PREFIX = "age"
IDENTITY_PREFIX = "AGE-SECRET-KEY-"
POINT_SIZE_BYTES = 32

_INFO = b"age-encryption.org/v1/X25519"


def check_share(key: X25519PrivateKey, point: bytes) -> bytes:
    """Return the shared secret with a public point; raise `ValueError` if the point is of low order.

    Such a point gives a shared secret that everybody knows: all zeros.
    """
    return key.exchange(X25519PublicKey.from_public_bytes(point))


@dataclass(frozen=True, slots=True, kw_only=True)
class X25519Recipient:
    """A public key to seal to."""

    kind: ClassVar[str] = KIND
    public_key: bytes

    def __post_init__(self) -> None:
        if len(self.public_key) != POINT_SIZE_BYTES:
            raise KeyFileError("the recipient is not 32 bytes long")
        # Found here, at the start, and not when the first call is to be sealed.
        try:
            check_share(X25519PrivateKey.generate(), self.public_key)
        except ValueError as error:
            raise KeyFileError(
                "the recipient is a point of low order: anybody could read what it seals"
            ) from error

    @property
    def text(self) -> str:
        """The recipient string."""
        return bech32.encode(RECIPIENT_PREFIX, self.public_key)

    def wrap(self, file_key: bytes) -> Stanza:
        """Wrap a file key under a fresh ephemeral share."""
        ephemeral = X25519PrivateKey.generate()
        share = ephemeral.public_key().public_bytes_raw()
        secret = check_share(ephemeral, self.public_key)
        wrapping_key = derive_key(secret, salt=share + self.public_key, info=_INFO)
        return Stanza(
            kind=KIND, args=(encode_base64(share).decode("ascii"),), body=wrap_key(wrapping_key, file_key)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class X25519Identity:
    """A private key that opens what was sealed to its recipient."""

    kind: ClassVar[str] = KIND
    key: X25519PrivateKey = field(repr=False, compare=False)  # the recipient tells two apart
    recipient: X25519Recipient = field(init=False)

    def __post_init__(self) -> None:
        public_key = self.key.public_key().public_bytes_raw()
        object.__setattr__(self, "recipient", X25519Recipient(public_key=public_key))

    @classmethod
    def generate(cls) -> "X25519Identity":
        """Make a new key pair."""
        return cls(key=X25519PrivateKey.generate())

    @classmethod
    def from_bytes(cls, data: bytes) -> "X25519Identity":
        """Take the 32 bytes that an identity string holds."""
        if len(data) != POINT_SIZE_BYTES:
            raise KeyFileError("the private key is not 32 bytes long")
        return cls(key=X25519PrivateKey.from_private_bytes(data))

    @property
    def text(self) -> Secret:
        """The identity string."""
        return Secret(bech32.encode(IDENTITY_PREFIX, self.key.private_bytes_raw()))

    def unwrap(self, stanzas: Iterable[Stanza]) -> bytes | None:
        """Return the file key, or None if no stanza is for this key; a malformed one is a `HeaderError`."""
        for stanza in stanzas:
            if stanza.kind != KIND:
                continue
            if len(stanza.args) != 1:
                raise HeaderError("an X25519 stanza has not exactly one argument")
            share = stanza.decode_arg(0)
            if len(share) != POINT_SIZE_BYTES or len(stanza.body) != WRAPPED_KEY_SIZE_BYTES:
                raise HeaderError("an X25519 stanza has not the right length")
            try:
                secret = check_share(self.key, share)
            except ValueError as error:
                raise HeaderError("an X25519 stanza has a share of low order") from error
            wrapping_key = derive_key(secret, salt=share + self.recipient.public_key, info=_INFO)
            file_key = unwrap_key(wrapping_key, stanza.body)
            if file_key is not None:
                return file_key
        return None
