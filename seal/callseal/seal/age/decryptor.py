"""Opening: an age file in, as a stream; authenticated plaintext out, chunk by chunk, in flat memory.

Conventions: nothing is handed out before its chunk is authenticated. A file that breaks in the middle gives
the chunks before the break, then the error; a reader that failed stays failed and says so each time.
Source: C2SP age.md.
"""

from collections.abc import Iterable, Iterator
from typing import BinaryIO

from cryptography.exceptions import InvalidTag

from callseal.seal.age import hybrid, scrypt, x25519
from callseal.seal.age.header import Header, read_header
from callseal.seal.age.identity import Identity
from callseal.seal.age.payload import (
    PAYLOAD_NONCE_SIZE_BYTES,
    SEALED_CHUNK_SIZE_BYTES,
    TAG_SIZE_BYTES,
    chunk_nonce,
    payload_cipher,
)
from callseal.seal.errors import HeaderError, HeaderMacError, NoIdentityMatch, PayloadError

_KNOWN_KINDS = frozenset({x25519.KIND, hybrid.KIND, scrypt.KIND})


class Decryptor(Iterator[bytes]):
    """Iterates over the plaintext of one file; `header` is what it was opened by."""

    def __init__(self, source: BinaryIO, identities: Iterable[Identity]) -> None:
        self.header = read_header(source)
        file_key = unwrap_file_key(self.header, identities)
        nonce = _read_full(source, PAYLOAD_NONCE_SIZE_BYTES)
        if len(nonce) < PAYLOAD_NONCE_SIZE_BYTES:
            raise HeaderError("cut off behind the header")
        self._cipher = payload_cipher(file_key, nonce)
        self._source = source
        self._chunk = 0
        self._last_seen = False
        self._ended = False
        self._failure: Exception | None = None

    def __next__(self) -> bytes:
        # A generator would end quietly when asked again after an error: that would look like a whole file.
        if self._failure is not None:
            raise self._failure
        if self._ended:
            raise StopIteration
        try:
            plaintext = b"" if self._last_seen else self._read_chunk()
            if not plaintext:
                self._check_end()
        except Exception as error:
            self._failure = error
            raise
        if not plaintext:
            self._ended = True
            raise StopIteration
        return plaintext

    def _read_chunk(self) -> bytes:
        number = self._chunk
        sealed = _read_full(self._source, SEALED_CHUNK_SIZE_BYTES)
        if not sealed:
            raise PayloadError(
                f"cut off: the file ends before chunk {number}, without a last chunk",
                chunk=number,
                truncated=True,
            )
        full = len(sealed) == SEALED_CHUNK_SIZE_BYTES
        if len(sealed) == TAG_SIZE_BYTES and number:
            raise PayloadError(f"chunk {number} is empty", chunk=number)
        plaintext = self._open(sealed, last=False) if full else None
        if plaintext is None:
            plaintext = self._open(sealed, last=True)
            self._last_seen = True
        if plaintext is None:
            raise PayloadError(f"chunk {number} is altered or cut off", chunk=number)
        self._chunk += 1
        return plaintext

    def _open(self, sealed: bytes, *, last: bool) -> bytes | None:
        try:
            return self._cipher.decrypt(chunk_nonce(self._chunk, last=last), sealed, None)
        except InvalidTag:
            return None

    def _check_end(self) -> None:
        if self._source.read(1):
            raise PayloadError(f"there is data after the last chunk, {self._chunk - 1}", chunk=self._chunk)


def decrypt(source: BinaryIO, identities: Iterable[Identity]) -> Decryptor:
    """Open a binary age file (`open_age` takes the armor off); return its plaintext as an iterator.

    The header is read at once. Raises `HeaderError`, `HeaderMacError` and `NoIdentityMatch` here, and
    `PayloadError` (`ArmorError` from an armored source) while iterating.
    """
    return Decryptor(source, identities)


def unwrap_file_key(header: Header, identities: Iterable[Identity]) -> bytes:
    """Return the file key that one of the identities finds in the header, once the header's MAC fits."""
    tried = 0
    for identity in identities:
        tried += 1
        file_key = identity.unwrap(header.stanzas)
        if file_key is None:
            continue
        if not header.mac_fits(file_key):
            raise HeaderMacError("the header was altered: its MAC does not fit")
        return file_key
    kinds = ", ".join(sorted({kind if kind in _KNOWN_KINDS else "unknown" for kind in header.kinds}))
    raise NoIdentityMatch(
        f"sealed to {len(header.stanzas)} recipient(s) ({kinds}); none of the {tried} key(s) given opens it"
    )


def _read_full(source: BinaryIO, size_bytes: int) -> bytes:
    """Read that many bytes, fewer only at the end: a pipe may hand out less at a time."""
    data = source.read(size_bytes)
    if not data or len(data) == size_bytes:
        return data
    parts = [data]
    missing = size_bytes - len(data)
    while missing and (data := source.read(missing)):
        parts.append(data)
        missing -= len(data)
    return b"".join(parts)
