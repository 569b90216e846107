"""The recording itself in an evidence folder: as it was sealed, sealed anew for one key, and opened.

Everything is read once from where it lies, with its hashes compared on the way; what is opened is opened from
that copy, so that the folder holds what was checked.

Conventions: files are ``0600``. The re-wrapped copies have the payload of the sealed objects, byte for byte,
under a header for a one-off key; the key lies beside them, unlocked, because whoever has the folder has the
sound already. No other key opens them, and it opens nothing else.
This module writes plaintext sound, which is what an evidence folder is for.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from callseal.cli import exporting, opening, places
from callseal.cli.disk import writable
from callseal.cli.errors import AlteredObject
from callseal.cli.evidence import layout
from callseal.cli.exporting import Form
from callseal.cli.i18n import _
from callseal.cli.opening import AUDIO, CALL, TAIL, Sealed
from callseal.seal import durable, jws
from callseal.seal.age import Identity, X25519Identity, decrypt, read_header, rewrap
from callseal.seal.errors import PayloadError, SealError
from callseal.seal.fields import Fields, JsonObject, read_object
from callseal.seal.keyfile import write_identity
from callseal.seal.keys import TrustStore
from callseal.seal.manifest import MANIFEST_NAME, SIGNATURE_NAME, ManifestObject

_BLOCK_SIZE_BYTES: Final = 1024 * 1024
_ANYTHING: Final = re.compile(r"(?s).*")
_REWRAPPED_KINDS: Final = (AUDIO, TAIL, CALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrapped:
    """A re-wrapped copy; `payload_size_bytes` is what both files have in common, at their ends."""

    kind: str
    source: str
    payload_size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sound:
    """The inner file. Its beginning of `audio_size_bytes` is in the audio object, the rest in the tail.

    `cut` says that the audio object ends without a last chunk, so that age reports an error there.
    """

    sha512: bytes
    size_bytes: int
    audio_size_bytes: int
    cut: bool

    def lost_bytes(self, tail: ManifestObject | None) -> int:
        """Return how much is missing between the audio object and its tail."""
        return 0 if tail is None else (tail.plaintext_offset or 0) - self.audio_size_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What was written; `document` is the vCon, `sound` None where the call was not recorded."""

    document: JsonObject
    rewrapped: tuple[Rewrapped, ...]
    sound: Sound | None


def copy_sealed(folder: Path, sealed: Sealed) -> Sealed:
    """Copy the sealed objects as they lie there, and return the recording as it lies in the copy.

    Raises AlteredObject, NotChecked, StoreError, and UsageFault where the disk refuses.
    """
    target = folder / layout.SEALED
    data, signature = opening.manifest_files(sealed.copy)
    make(target)
    write(target / MANIFEST_NAME, [data])
    write(target / SIGNATURE_NAME, [signature])
    for item in sealed.manifest.objects:
        write(target / item.name, opening.sealed_bytes(sealed, item))
    place = places.folder_copy(target, sealed.copy.place)
    # The bytes were read anew: they must be those that were checked before. Trust was, and is told apart.
    if opening.open_manifest(place, TrustStore()).manifest != sealed.manifest:
        raise _altered(MANIFEST_NAME, _("it changed while it was read"))
    return replace(sealed, copy=place)


def write_contents(
    folder: Path, sealed: Sealed, identities: Sequence[Identity], *, now: datetime
) -> Contents:
    """Write what `sealed` holds, which is the copy in the folder, opened and sealed anew.

    Raises what `opening` raises, and UsageFault where the disk refuses.
    """
    document = opening.open_call(sealed, identities)
    sound = _write_sound(folder, sealed, document, identities)
    one_off = X25519Identity.generate()
    make(folder / layout.REWRAPPED)
    with writable(folder / layout.ONE_OFF_KEY):
        write_identity(folder / layout.ONE_OFF_KEY, one_off, passphrase=None, created=now)
    rewrapped = tuple(
        _rewrap(folder, sealed, item, identities, one_off)
        for kind in _REWRAPPED_KINDS
        if (item := sealed.object(kind)) is not None
    )
    call = sealed.object(CALL)
    if call is not None:
        write_document(
            folder / layout.VCON,
            b"".join(opening.open_object(sealed, call, identities)),
            names=(layout.CALL_DOCUMENT, layout.CALL_PAYLOAD, layout.CALL_SIGNATURE),
        )
    return Contents(document=document, rewrapped=rewrapped, sound=sound)


def write_document(folder: Path, data: bytes, *, names: tuple[str, str, str]) -> None:
    """Write a signed document (JWS), its payload, its raw signature, and its protected header.

    `names` are those of the first three. AlteredObject for a document that is not spelled as the format says:
    its parts would not make it up again. It was opened before, so that it is one.
    """
    name, payload_name, signature_name = names
    values = read_object(data, what=name, limit_bytes=jws.MAX_SIZE_BYTES, error=SealError)
    fields = Fields(values, where=name, error=SealError)
    (signed,) = fields.children("signatures", limit=1)
    payload, protected = fields.text("payload", _ANYTHING), signed.text("protected", _ANYTHING)
    signature = signed.text("signature", _ANYTHING)
    again = (
        f'{{"payload":"{payload}","signatures":[{{"protected":"{protected}","signature":"{signature}"}}]}}'
    )
    if again.encode() != data:
        raise _altered(name, _("it is not spelled as the format says"))
    make(folder)
    write(folder / name, [data])
    for part, text in (
        (payload_name, payload),
        (layout.PROTECTED, protected),
        (signature_name, signature),
    ):
        write(folder / part, [jws.decode(text, what=part, error=SealError)])


def _write_sound(
    folder: Path, sealed: Sealed, document: JsonObject, identities: Sequence[Identity]
) -> Sound | None:
    audio = sealed.object(AUDIO)
    if audio is None:
        return None
    inner = folder / layout.INNER
    pieces = opening.open_audio(sealed, document, identities)
    exporting.export(pieces, inner, Form.AU, replace=False)
    with inner.open("rb") as file:
        pieces = iter(lambda: file.read(_BLOCK_SIZE_BYTES), b"")
        exporting.export(pieces, folder / layout.WAV, Form.WAV, replace=False)
        file.seek(0)
        sha512 = hashlib.file_digest(file, "sha512").digest()
    size_bytes = inner.stat().st_size
    audio_size_bytes, cut = size_bytes, False
    if audio.plaintext_sha512 is None:
        audio_size_bytes, cut = _measured(folder / layout.SEALED / audio.name, identities)
    return Sound(sha512=sha512, size_bytes=size_bytes, audio_size_bytes=audio_size_bytes, cut=cut)


def _measured(path: Path, identities: Sequence[Identity]) -> tuple[int, bool]:
    """Return how much a sealed file holds, and whether it ends without a last chunk."""
    size_bytes = 0
    with path.open("rb") as file:
        try:
            for piece in decrypt(file, identities):
                size_bytes += len(piece)
        except PayloadError as problem:
            if not problem.truncated:
                raise
            return size_bytes, True
    return size_bytes, False


def _rewrap(
    folder: Path, sealed: Sealed, item: ManifestObject, identities: Sequence[Identity], one_off: Identity
) -> Rewrapped:
    """Write an object under a new header; a tail, whose own key is a passphrase, like the others."""
    keys = [opening.tail_identity(sealed, item, identities)] if item.kind == TAIL else identities
    path = folder / layout.SEALED / item.name
    with path.open("rb") as file:
        header_size_bytes = len(read_header(file).raw)
        file.seek(0)
        write(folder / layout.rewrapped(item.kind), rewrap(file, keys, [one_off.recipient]))
    return Rewrapped(kind=item.kind, source=item.name, payload_size_bytes=item.size_bytes - header_size_bytes)


def make(folder: Path) -> None:
    """Make a folder that only its owner can look into; UsageFault where the disk refuses."""
    with writable(folder):
        folder.mkdir(mode=0o700)


def write(path: Path, pieces: Iterable[bytes]) -> None:
    """Write a new file; what the pieces raise goes through."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with writable(path):
        descriptor = os.open(path, flags, durable.FILE_MODE)
    try:
        for piece in pieces:
            with writable(path):
                durable.write_all(descriptor, piece)
        with writable(path):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _altered(name: str, why: str) -> AlteredObject:
    words = _("{where}: ALTERED, nothing of it is given out: {why}").format(where=name, why=why)
    return AlteredObject(words, object_name=name)
