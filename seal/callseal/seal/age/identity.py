"""Identities: what opens a sealed file.

Source: C2SP age.md, the section of each recipient type.
"""

from collections.abc import Sequence
from typing import Protocol

from callseal.seal import bech32
from callseal.seal.age import hybrid, x25519
from callseal.seal.age.hybrid import HybridIdentity
from callseal.seal.age.recipient import Recipient
from callseal.seal.age.stanza import Stanza
from callseal.seal.age.x25519 import X25519Identity
from callseal.seal.errors import KeyFileError
from callseal.seal.secret import Secret


class Identity(Protocol):
    """A private key or passphrase; `kind` is that of its recipient."""

    @property
    def kind(self) -> str:
        """The stanza type that it opens."""

    @property
    def text(self) -> Secret:
        """The identity string."""

    @property
    def recipient(self) -> Recipient:
        """Whom to seal to, so that this identity opens it."""

    def unwrap(self, stanzas: Sequence[Stanza]) -> bytes | None:
        """Return the file key, or None if no stanza is for it; a malformed one is a `HeaderError`."""


def parse_identity(text: str) -> Identity:
    """Read an identity string; raise `KeyFileError`, which never repeats the text, if it is none."""
    prefix, data = bech32.decode(text)
    if prefix == x25519.IDENTITY_PREFIX:
        return X25519Identity.from_bytes(data)
    if prefix == hybrid.IDENTITY_PREFIX:
        return HybridIdentity(seed=data)
    if prefix.upper() in (x25519.IDENTITY_PREFIX, hybrid.IDENTITY_PREFIX):
        raise KeyFileError("an identity is written in upper case")
    if prefix in (x25519.RECIPIENT_PREFIX, hybrid.RECIPIENT_PREFIX):
        raise KeyFileError("this is a recipient, the public half: its private key is needed here")
    raise KeyFileError("not a kind of identity that is known here: AGE-SECRET-KEY-1... or -PQ-1... is needed")
