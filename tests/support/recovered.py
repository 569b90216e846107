"""What a crash left, opened with a reading key: the plaintext that is safe, by hand as docs/format.md says.

Nothing here uses the product's recovery: what it makes of a crash is judged by this.
"""

import io
from pathlib import Path

from callseal.seal.age import (
    CHUNK_SIZE_BYTES,
    SEALED_CHUNK_SIZE_BYTES,
    Identity,
    ScryptIdentity,
    decrypt,
    read_header,
)
from callseal.seal.errors import HeaderError, PayloadError
from callseal.seal.manifest import Manifest
from callseal.seal.secret import Secret
from callseal.seal.tail import read_slots

_NONCE_SIZE_BYTES = 16


def opened_so_far(data: bytes, identity: Identity) -> bytes:
    """Return the plaintext of an age file, or of its whole chunks if the end is missing."""
    plaintext = bytearray()
    try:
        for chunk in decrypt(io.BytesIO(data), [identity]):
            plaintext += chunk
    except PayloadError as problem:
        if not problem.truncated:
            raise
    return bytes(plaintext)


def opened_whole(data: bytes, identity: Identity) -> bytes:
    """Return the plaintext of a complete age file."""
    return b"".join(decrypt(io.BytesIO(data), [identity]))


def open_unfinished(folder: Path, identity: Identity) -> bytes:
    """Return the plaintext that is safe in ``open/<id>/``."""
    try:
        data = _whole_chunks((folder / "audio.age").read_bytes())
        plaintext = opened_so_far(data, identity)
    except (FileNotFoundError, HeaderError):
        return b""
    tail, key = folder / "tail", folder / "tail-key.age"
    if not (tail.exists() and key.exists()):
        return plaintext
    passphrase = _passphrase(key.read_bytes(), identity)
    found = [plaintext]
    for slot in read_slots(tail.read_bytes()):
        if slot.chunk * CHUNK_SIZE_BYTES <= len(plaintext):
            before = plaintext[: slot.chunk * CHUNK_SIZE_BYTES]
            found.append(before + opened_whole(slot.age_file, passphrase))
    return max(found, key=len)


def open_finished(folder: Path, manifest: Manifest, identity: Identity) -> bytes:
    """Return the plaintext of the sound in a finished recording's folder, recovered or not."""
    objects = {item.kind: item for item in manifest.objects}
    if "audio" not in objects:
        return b""
    data = (folder / objects["audio"].name).read_bytes()
    if "tail" not in objects:
        return opened_so_far(data, identity)
    plaintext = opened_so_far(data, identity)
    tail = (folder / objects["tail"].name).read_bytes()
    key = (folder / objects["tailkey"].name).read_bytes()
    assert objects["tail"].plaintext_offset == len(plaintext)
    return plaintext + opened_whole(tail, _passphrase(key, identity))


def _passphrase(sealed: bytes, identity: Identity) -> ScryptIdentity:
    return ScryptIdentity(passphrase=Secret(opened_whole(sealed, identity).decode().rstrip("\n")))


def _whole_chunks(data: bytes) -> bytes:
    header_bytes = len(read_header(io.BytesIO(data)).raw) + _NONCE_SIZE_BYTES
    if len(data) < header_bytes:
        raise HeaderError("cut off behind the header")
    chunks = (len(data) - header_bytes) // SEALED_CHUNK_SIZE_BYTES
    return data[: header_bytes + chunks * SEALED_CHUNK_SIZE_BYTES]
