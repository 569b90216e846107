"""Recipients: who can open what is sealed.

Conventions: a recipient string is public; its fingerprint, the SHA-256 of the string, names it in manifests.
Source: C2SP age.md, "Recipient stanza" and the section of each type.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Protocol

from callseal.seal import bech32
from callseal.seal.age import hybrid, scrypt, x25519
from callseal.seal.age.header import STANZA_LIMIT
from callseal.seal.age.hybrid import HybridRecipient
from callseal.seal.age.stanza import Stanza
from callseal.seal.age.x25519 import X25519Recipient
from callseal.seal.errors import KeyFileError


class Recipient(Protocol):
    """Somebody who can open a file; `kind` is "X25519", "mlkem768x25519" or "scrypt"."""

    @property
    def kind(self) -> str:
        """The stanza type that it makes."""

    @property
    def text(self) -> str:
        """The recipient string."""

    def wrap(self, file_key: bytes) -> Stanza:
        """Wrap a file key, so that this recipient alone can unwrap it."""


def parse_recipient(text: str) -> Recipient:
    """Read a recipient string; raise `KeyFileError`, which never repeats the text, if it is none."""
    prefix, data = bech32.decode(text)
    if prefix == x25519.RECIPIENT_PREFIX:
        return X25519Recipient(public_key=data)
    if prefix == hybrid.RECIPIENT_PREFIX:
        return HybridRecipient(public_key=data)
    if prefix.upper() in (x25519.IDENTITY_PREFIX, hybrid.IDENTITY_PREFIX):
        raise KeyFileError("this is a PRIVATE key where a recipient (age1...) belongs")
    if prefix in (x25519.RECIPIENT_PREFIX.upper(), hybrid.RECIPIENT_PREFIX.upper()):
        raise KeyFileError("a recipient is written in lower case")
    raise KeyFileError("not a kind of recipient that is known here: age1... or age1pq1... is needed")


def fingerprint(recipient: Recipient) -> str:
    """Return the name of a recipient in manifests: "sha256:" and the hexadecimal hash of its string."""
    if recipient.kind == scrypt.KIND:
        raise KeyFileError("a passphrase has no fingerprint")
    return f"sha256:{sha256(recipient.text.encode('ascii')).hexdigest()}"


def check_together(recipients: Sequence[Recipient]) -> None:
    """Raise `KeyFileError` unless one file may be sealed to all of these."""
    if not recipients:
        raise KeyFileError("no recipient: nobody could open the file")
    if len(recipients) > STANZA_LIMIT:
        raise KeyFileError(f"more than {STANZA_LIMIT} recipients")
    kinds = {recipient.kind for recipient in recipients}
    if scrypt.KIND in kinds and len(recipients) > 1:
        raise KeyFileError("a passphrase cannot stand beside another recipient")
    # A file is as strong as its weakest recipient.
    if hybrid.KIND in kinds and len(kinds) > 1:
        raise KeyFileError("post-quantum (age1pq1...) and classic (age1...) recipients cannot be mixed")
