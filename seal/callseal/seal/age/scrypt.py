"""scrypt: a passphrase as the recipient, for identity files.

Conventions: a work factor is the base-2 logarithm of scrypt's N; memory is 2^(factor + 10) bytes. A file
that a passphrase opens has no other recipient.
Source: C2SP age.md, "The scrypt recipient type"; RFC 7914.
"""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from callseal.seal.age.primitives import KEY_SIZE_BYTES, unwrap_key, wrap_key
from callseal.seal.age.stanza import WRAPPED_KEY_SIZE_BYTES, Stanza, encode_base64
from callseal.seal.errors import HeaderError, KeyFileError
from callseal.seal.secret import Secret

KIND = "scrypt"
SALT_SIZE_BYTES = 16
WORK_FACTOR = 18  # 256 MiB and about a second: what age itself chooses
WORK_FACTOR_LIMIT = 20  # 1 GiB and some seconds: the most that a file may make its reader spend

_LABEL = b"age-encryption.org/v1/scrypt"
_DECIMAL = re.compile(r"[1-9][0-9]?")


def _wrapping_key(passphrase: Secret, salt: bytes, work_factor: int) -> bytes:
    kdf = Scrypt(salt=_LABEL + salt, length=KEY_SIZE_BYTES, n=1 << work_factor, r=8, p=1)
    return kdf.derive(passphrase.reveal_bytes())


@dataclass(frozen=True, slots=True, kw_only=True)
class ScryptRecipient:
    """A passphrase to seal with."""

    kind: ClassVar[str] = KIND
    text: ClassVar[str] = KIND  # a passphrase has no public form
    passphrase: Secret
    work_factor: int = WORK_FACTOR
    random: Callable[[int], bytes] = field(default=os.urandom, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.passphrase:
            raise KeyFileError("the passphrase is empty")
        if not 1 <= self.work_factor <= WORK_FACTOR_LIMIT:
            raise KeyFileError(f"the work factor is not between 1 and {WORK_FACTOR_LIMIT}")

    def wrap(self, file_key: bytes) -> Stanza:
        """Wrap a file key under the passphrase and a fresh salt."""
        salt = self.random(SALT_SIZE_BYTES)
        wrapping_key = _wrapping_key(self.passphrase, salt, self.work_factor)
        args = (encode_base64(salt).decode("ascii"), str(self.work_factor))
        return Stanza(kind=KIND, args=args, body=wrap_key(wrapping_key, file_key))


@dataclass(frozen=True, slots=True, kw_only=True)
class ScryptIdentity:
    """A passphrase to open with."""

    kind: ClassVar[str] = KIND
    passphrase: Secret

    @property
    def text(self) -> Secret:
        """The passphrase."""
        return self.passphrase

    @property
    def recipient(self) -> ScryptRecipient:
        """The same passphrase, to seal with."""
        return ScryptRecipient(passphrase=self.passphrase)

    def unwrap(self, stanzas: Sequence[Stanza]) -> bytes | None:
        """Return the file key, or None if the passphrase is another; `HeaderError` if malformed."""
        for stanza in stanzas:
            if stanza.kind != KIND:
                continue
            if len(stanzas) != 1:
                raise HeaderError("a scrypt stanza is not alone")
            if len(stanza.args) != 2:  # noqa: PLR2004 - salt and work factor
                raise HeaderError("a scrypt stanza has not exactly two arguments")
            salt = stanza.decode_arg(0)
            if len(salt) != SALT_SIZE_BYTES or len(stanza.body) != WRAPPED_KEY_SIZE_BYTES:
                raise HeaderError("a scrypt stanza has not the right length")
            if not _DECIMAL.fullmatch(stanza.args[1]) or int(stanza.args[1]) > WORK_FACTOR_LIMIT:
                raise HeaderError(f"a scrypt stanza has no work factor between 1 and {WORK_FACTOR_LIMIT}")
            return unwrap_key(_wrapping_key(self.passphrase, salt, int(stanza.args[1])), stanza.body)
        return None
