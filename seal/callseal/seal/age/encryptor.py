"""Sealing: plaintext in, in pieces of any size; an age file out, in the same order.

No IO here: the caller writes what each call returns, one after the other, and has the file. Only public keys
are needed. What is not returned yet (at most one chunk) is held in memory.
Source: C2SP age.md.
"""

import os
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import TYPE_CHECKING

from callseal.seal.age.header import write_header
from callseal.seal.age.payload import (
    CHUNK_SIZE_BYTES,
    PAYLOAD_NONCE_SIZE_BYTES,
    chunk_nonce,
    payload_cipher,
)
from callseal.seal.age.recipient import Recipient, check_together
from callseal.seal.age.stanza import FILE_KEY_SIZE_BYTES
from callseal.seal.errors import SealError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

_NEW, _OPEN, _FINISHED = "new", "open", "finished"


class Encryptor:
    """Seals one file: `header()`, then `update()` as often as wanted, then `finish()`.

    Any other order is a `SealError`; recipients that one file cannot have are a `KeyFileError`. `random`
    gives the file key and the payload's nonce; nobody but a test gives another one.
    """

    def __init__(
        self, recipients: Iterable[Recipient], *, random: Callable[[int], bytes] = os.urandom
    ) -> None:
        self._recipients = tuple(recipients)
        check_together(self._recipients)
        self._file_key = _draw(random, FILE_KEY_SIZE_BYTES)
        self._nonce = _draw(random, PAYLOAD_NONCE_SIZE_BYTES)
        self._cipher = payload_cipher(self._file_key, self._nonce)
        self._held = bytearray()
        self._chunk = 0
        self._state = _NEW

    @property
    def chunk(self) -> int:
        """The number of the chunk that is not sealed yet."""
        return self._chunk

    @property
    def held(self) -> memoryview:
        """The plaintext of that chunk so far: to be looked at and let go of before the next `update`."""
        return memoryview(self._held).toreadonly()

    def header(self) -> bytes:
        """Return the file's beginning: the header and the payload's nonce."""
        self._expect(_NEW)
        stanzas = [recipient.wrap(self._file_key) for recipient in self._recipients]
        header = write_header(stanzas, self._file_key)
        self._state = _OPEN
        return header + self._nonce

    def update(self, data: "Buffer") -> bytes:
        """Take plaintext; return the chunks that became ready, sealed.

        A full chunk stays here until more comes: only then is it certain not to be the last.
        """
        self._expect(_OPEN)
        view = memoryview(data)
        size_bytes = view.nbytes
        held = self._held
        ready = (len(held) + size_bytes - 1) // CHUNK_SIZE_BYTES
        if ready <= 0:
            held += view
            return b""

        view = view.cast("B")
        # Its buffer becomes the result without another copy: a join would have all chunks in memory twice.
        sealed = BytesIO()
        start = 0
        if held:
            start = CHUNK_SIZE_BYTES - len(held)
            held += view[:start]
            sealed.write(self._seal(held))
            held.clear()
            ready -= 1
        for _ in range(ready):
            sealed.write(self._seal(view[start : start + CHUNK_SIZE_BYTES]))
            start += CHUNK_SIZE_BYTES
        held += view[start:]
        return sealed.getvalue()

    def finish(self) -> bytes:
        """Return the last chunk; the encryptor is of no more use."""
        self._expect(_OPEN)
        self._state = _FINISHED
        last = self._cipher.encrypt(chunk_nonce(self._chunk, last=True), self._held, None)
        self._held.clear()
        return last

    def _seal(self, plaintext: bytearray | memoryview) -> bytes:
        sealed = self._cipher.encrypt(chunk_nonce(self._chunk, last=False), plaintext, None)
        self._chunk += 1
        return sealed

    def _expect(self, state: str) -> None:
        if self._state != state:
            raise SealError(f"an encryptor that is {self._state} was used as if it were {state}")


def _draw(random: Callable[[int], bytes], size_bytes: int) -> bytes:
    drawn = random(size_bytes)
    if len(drawn) != size_bytes:
        raise SealError(f"the source of randomness gave {len(drawn)} bytes instead of {size_bytes}")
    return drawn
