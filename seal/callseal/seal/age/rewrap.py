"""Re-wrapping: the same payload under a new header, sealed to other recipients.

The file key stays, and with it every byte of the payload: nothing is decrypted, and what the file says inside
is as true as before. So this gives access, and takes none away: whoever has an old key and an old copy opens
that copy as ever.

Conventions: binary age files, not armored. The old header's MAC must fit before its file key is wrapped
anew. The payload is copied unseen: a file that was damaged stays as damaged as it was.
Source: C2SP age.md, "Header".
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import BinaryIO, Final

from callseal.seal.age.decryptor import unwrap_file_key
from callseal.seal.age.header import Header, read_header, write_header
from callseal.seal.age.identity import Identity
from callseal.seal.age.payload import PAYLOAD_NONCE_SIZE_BYTES
from callseal.seal.age.recipient import Recipient, check_together
from callseal.seal.errors import HeaderError

BLOCK_SIZE_BYTES: Final = 1024 * 1024


def rewrap_header(header: Header, identities: Iterable[Identity], recipients: Iterable[Recipient]) -> bytes:
    """Return a header by which `recipients`, and nobody else, open the payload that belongs to `header`.

    Raises KeyFileError for recipients that one file cannot have, NoIdentityMatch, and HeaderMacError for a
    header that was altered.
    """
    wanted = tuple(recipients)
    check_together(wanted)
    file_key = unwrap_file_key(header, identities)
    return write_header([recipient.wrap(file_key) for recipient in wanted], file_key)


def rewrap(
    source: BinaryIO, identities: Iterable[Identity], recipients: Iterable[Recipient]
) -> Iterator[bytes]:
    """Return an age file in pieces: the payload of the one in `source`, sealed to `recipients`.

    The header is read at once. Raises HeaderError and what `rewrap_header` raises; while iterating, only
    what reading `source` raises.
    """
    header = rewrap_header(read_header(source), identities, recipients)
    nonce = b"".join(_blocks(source, PAYLOAD_NONCE_SIZE_BYTES))
    if len(nonce) < PAYLOAD_NONCE_SIZE_BYTES:
        raise HeaderError("cut off behind the header")
    return chain([header + nonce], iter(lambda: source.read(BLOCK_SIZE_BYTES), b""))


def _blocks(source: BinaryIO, size_bytes: int) -> Iterator[bytes]:
    """Read that many bytes, fewer only at the end: a pipe may hand out less at a time."""
    while size_bytes and (block := source.read(size_bytes)):
        size_bytes -= len(block)
        yield block
