"""A recipient stanza: the file key, wrapped for one recipient.

Conventions: base64 is the standard alphabet, without padding and canonical (one text for each value);
a body is written in lines of 64 characters, of which the last is always shorter, so a body that fills
its last line is followed by an empty one.
Source: C2SP age.md, "Recipient stanza".
"""

import re
from base64 import b64decode, b64encode
from dataclasses import dataclass

from callseal.seal.errors import HeaderError

FILE_KEY_SIZE_BYTES = 16
WRAPPED_KEY_SIZE_BYTES = FILE_KEY_SIZE_BYTES + 16  # and Poly1305's tag
COLUMNS = 64

_BASE64 = re.compile(rb"[A-Za-z0-9+/]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stanza:
    """One stanza: its recipient type, the arguments after it, and the body."""

    kind: str
    args: tuple[str, ...]
    body: bytes

    def __bytes__(self) -> bytes:
        lines = [" ".join(("->", self.kind, *self.args)).encode("ascii")]
        body = encode_base64(self.body)
        lines += [body[start : start + COLUMNS] for start in range(0, len(body) + 1, COLUMNS)]
        return b"".join(line + b"\n" for line in lines)

    def decode_arg(self, index: int) -> bytes:
        """Return an argument that is base64, decoded; raise `HeaderError` if it is not."""
        return decode_base64(self.args[index].encode("ascii"))


def encode_base64(data: bytes) -> bytes:
    """Return unpadded base64."""
    return b64encode(data).rstrip(b"=")


def decode_base64(text: bytes) -> bytes:
    """Read unpadded, canonical base64; raise `HeaderError` for anything else."""
    if not _BASE64.fullmatch(text) or len(text) % 4 == 1:
        raise HeaderError("the header holds something that is not unpadded base64")
    data = b64decode(text + b"=" * (-len(text) % 4))
    # Bits that the last character has to spare must be zero, or an altered header could mean the same.
    if encode_base64(data) != text:
        raise HeaderError("the header holds base64 that is not canonical")
    return data
