"""Opens a recording: nothing leaves here that its signature and its hashes do not vouch for.

::

    manifest.json ── signature, signer ──▶ names, sizes and hashes of the objects
    call-….age ───── SHA-256, age, SHA-512, JWS ──▶ the vCon
    audio-….age ──── age chunk by chunk; SHA-256 and SHA-512 at its end ──▶ the inner file
    tailkey-….age, tail-….age ──── of a recovered recording ──────────────▶ its last part

Conventions: an object that is not what the manifest says is an `AlteredObject`, with the object's name and,
where the format tells, the chunk (64 KiB of plaintext each, counted from 0). Audio comes out in pieces as it
is opened: whoever takes them throws them away if the end brings an error. Only "no key of yours opens it" is
a `WrongKey`, and only once the bytes are known to be the sealed ones: an altered header looks the same.
"""

import contextlib
import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final

from callseal.cli.errors import AlteredObject, NotChecked, NotFound, WrongKey
from callseal.cli.i18n import _
from callseal.cli.places import Copy
from callseal.codecs.au import AuHeader, Encoding
from callseal.seal import vcon
from callseal.seal.age import Identity, ScryptIdentity, decrypt, fingerprint
from callseal.seal.errors import (
    KeyFileError,
    ManifestError,
    NoIdentityMatch,
    PayloadError,
    RemoteError,
    SignatureError,
    UntrustedSigner,
    VconError,
)
from callseal.seal.fields import JsonObject
from callseal.seal.keys import Role, Signer, TrustStore, leaf_public_key
from callseal.seal.manifest import (
    MANIFEST_NAME,
    MAX_SIZE_BYTES,
    SIGNATURE_NAME,
    SIGNATURE_SIZE_BYTES,
    Manifest,
    ManifestObject,
    Result,
    parse,
    verify_signature,
)
from callseal.seal.tail import open_passphrase
from callseal.store.errors import StoreError, StoreMissing
from callseal.store.names import recording_name

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MAX_CALL_BYTES: Final = 16 * 1024 * 1024
"""Of a sealed vCon: what its reader allows (8 MiB), twice."""
MAX_GAP_BYTES: Final = 16 * 1024 * 1024
"""Of an inner file, before its tail."""
AUDIO: Final = "audio"
CALL: Final = "call"
TAIL: Final = "tail"
TAIL_KEY: Final = "tailkey"
_CHANNELS: Final = 2
_SILENT_BYTES: Final = {1: b"\xff", 27: b"\xd5"}  # as G.711 writes silence; in PCM it is zero
_BLOCK_SIZE_BYTES: Final = 1024 * 1024
_FINGERPRINT_SHOWN: Final = len("sha256:") + 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """A recording whose manifest and signature fit; `doubt` says why its signer is not trusted, if so."""

    copy: Copy
    manifest: Manifest
    signer: Signer | None
    doubt: str

    def object(self, kind: str) -> ManifestObject | None:
        """Return its first object of a kind."""
        return next((item for item in self.manifest.objects if item.kind == kind), None)


def open_manifest(copy: Copy, trust: TrustStore) -> Sealed:
    """Read and check the manifest of a recording.

    Raises AlteredObject, SignatureError, NotFound, NotChecked, StoreError. An untrusted signer is told, not
    raised.
    """
    data, signature = manifest_files(copy)
    try:
        manifest = parse(data)
        verify_signature(data, signature, leaf_public_key(manifest.x5c))
    except ManifestError as problem:
        raise _altered(MANIFEST_NAME, str(problem)) from problem
    except (SignatureError, UntrustedSigner) as problem:
        raise SignatureError(f"{copy.prefix}{SIGNATURE_NAME}: {problem}") from problem
    _check_place(copy, manifest)
    signer: Signer | None = None
    doubt = ""
    try:
        signer = trust.check(manifest.x5c, at=manifest.started_at, role=Role.DEVICE)
        if signer.device_id != manifest.device:
            doubt = f"{signer.device_id} signed for {manifest.device}"
    except UntrustedSigner as problem:
        doubt = str(problem)
    return Sealed(copy=copy, manifest=manifest, signer=None if doubt else signer, doubt=doubt)


def manifest_files(copy: Copy) -> tuple[bytes, bytes]:
    """Return the exact bytes of a recording's manifest and of its signature, neither of them checked.

    Raises AlteredObject, NotChecked, StoreError.
    """
    data = _fetch(copy, MANIFEST_NAME, MAX_SIZE_BYTES)
    return data, _fetch(copy, SIGNATURE_NAME, SIGNATURE_SIZE_BYTES)


def open_call(sealed: Sealed, identities: Sequence[Identity]) -> JsonObject:
    """Return the vCon of a recording.

    Raises AlteredObject, WrongKey, SignatureError, NotFound, NotChecked, StoreError.
    """
    item = sealed.object(CALL)
    if item is None:
        raise NotFound(_("{id}: the recording has no metadata").format(id=sealed.manifest.id))
    if item.size_bytes > MAX_CALL_BYTES:
        raise _altered(item.name, f"{item.size_bytes} bytes, more than the {MAX_CALL_BYTES} allowed")
    signed = b"".join(open_object(sealed, item, identities))
    try:
        document, chain = vcon.open_vcon(signed)
        if leaf_public_key(chain) != leaf_public_key(sealed.manifest.x5c):
            raise SignatureError("signed by another key than the manifest")  # noqa: TRY301 - named below
    except VconError as problem:
        raise _altered(item.name, str(problem)) from problem
    except SignatureError as problem:
        raise SignatureError(f"{item.name}: {problem}") from problem
    if document.get("uuid") != str(sealed.manifest.id):
        raise _altered(item.name, _("it is the metadata of another recording"))
    return document


def nobody_told(_size_bytes: int, /) -> None:
    """Take no notice of what is missing."""


def open_audio(
    sealed: Sealed,
    document: JsonObject,
    identities: Sequence[Identity],
    *,
    missing: Callable[[int], None] = nobody_told,
) -> Iterator[bytes]:
    """Yield the inner file of a recording; it is only vouched for once the iterator has come to its end.

    Of a recovered recording the sealed file ends behind a whole chunk, and the tail goes on from there; what
    is missing between the two is filled with silence, and `missing` hears how many bytes that are.
    Raises NotFound where there is no sound, else as `open_call`.
    """
    item, tail = sealed.object(AUDIO), sealed.object(TAIL)
    if item is None:
        raise NotFound(without_sound(sealed.manifest))
    digest, size_bytes = hashlib.sha512(), 0
    for piece in open_object(sealed, item, identities, cut=item.plaintext_sha512 is None):
        digest.update(piece)
        size_bytes += len(piece)
        yield piece
    if tail is not None:
        for piece in _open_tail(sealed, tail, size_bytes, identities, missing):
            digest.update(piece)
            yield piece
    promised = promised_hashes(document)
    if promised and vcon.content_hash(digest.digest()) not in promised:
        raise _altered(item.name, _("its content is not what the metadata (vCon) says"))


def _open_tail(
    sealed: Sealed,
    tail: ManifestObject,
    position_bytes: int,
    identities: Sequence[Identity],
    missing: Callable[[int], None],
) -> Iterator[bytes]:
    """Yield what belongs behind the first `position_bytes` of the inner file."""
    identity = tail_identity(sealed, tail, identities)
    gap_bytes = (tail.plaintext_offset or 0) - position_bytes
    if not 0 <= gap_bytes <= MAX_GAP_BYTES:
        raise _altered(tail.name, _("it does not go on where the sealed file ends"))
    if gap_bytes:
        missing(gap_bytes)
    # A disk that lost what it had promised to keep: the place of what comes after is known all the same.
    header = b"" if position_bytes else _inner_header(sealed.manifest)[:gap_bytes]
    silent = _SILENT_BYTES.get(sealed.manifest.encoding or 0, b"\0")
    yield header + silent * (gap_bytes - len(header))
    yield from open_object(sealed, tail, [identity])


def _inner_header(manifest: Manifest) -> bytes:
    """Return the header of an inner file whose beginning is lost, by what the manifest says of it."""
    try:
        encoding = Encoding(manifest.encoding or 0)
    except ValueError:
        return b""
    return bytes(AuHeader(encoding=encoding, rate_hz=manifest.rate_hz or 0, channels=_CHANNELS))


def tail_identity(sealed: Sealed, tail: ManifestObject, identities: Sequence[Identity]) -> ScryptIdentity:
    """Return what opens the tail of a recovered recording; raises as `open_call`."""
    key = sealed.object(TAIL_KEY)
    if key is None or key.size_bytes > MAX_CALL_BYTES:
        raise _altered(tail.name, _("the object that holds its key is missing"))
    try:
        return ScryptIdentity(passphrase=open_passphrase(b"".join(open_object(sealed, key, identities))))
    except KeyFileError as problem:
        raise _altered(key.name, str(problem)) from problem


def sealed_bytes(sealed: Sealed, item: ManifestObject) -> Iterator[bytes]:
    """Yield one object as it lies there, sealed; vouched for once the iterator has come to its end.

    Raises AlteredObject, NotChecked, StoreError.
    """
    with contextlib.closing(_get(sealed.copy, item.name)) as file:
        hashing = _Hashing(file, item.size_bytes)
        try:
            while block := hashing.read(_BLOCK_SIZE_BYTES):
                yield block
        except StoreError:
            raise
        except OSError as problem:
            raise _unread(sealed.copy, item.name, problem) from problem
    if not hashing.fits(item):
        raise _altered(item.name, _("its SHA-256 is not the one in the manifest"))


def open_object(
    sealed: Sealed, item: ManifestObject, identities: Sequence[Identity], *, cut: bool = False
) -> Iterator[bytes]:
    """Yield the plaintext of one object; it is only vouched for once the iterator has come to its end.

    `cut` lets it end behind any whole chunk, as recovery leaves a file that had not been finished.
    """
    plaintext_sha512 = hashlib.sha512()
    with contextlib.closing(_get(sealed.copy, item.name)) as file:
        hashing = _Hashing(file, item.size_bytes)
        source = io.BufferedReader(hashing, _BLOCK_SIZE_BYTES)
        try:
            for piece in decrypt(source, identities):
                plaintext_sha512.update(piece)
                yield piece
        except NoIdentityMatch as problem:
            raise _not_opened(sealed, item, identities, hashing) from problem
        except PayloadError as problem:
            if not (cut and problem.truncated):
                raise _altered(item.name, str(problem), chunk=problem.chunk) from problem
        except RemoteError as problem:
            raise _altered(item.name, str(problem)) from problem
        except StoreError:
            raise
        except OSError as problem:
            raise _unread(sealed.copy, item.name, problem) from problem
    if not hashing.fits(item):
        raise _altered(item.name, _("its SHA-256 is not the one in the manifest"))
    if item.plaintext_sha512 is not None and item.plaintext_sha512 != plaintext_sha512.digest():
        raise _altered(item.name, _("the SHA-512 of its content is not the one in the manifest"))


class _Hashing(io.RawIOBase):
    """Hashes and counts what is read through it, and reads no further than one byte beyond `limit_bytes`."""

    def __init__(self, source: BinaryIO, limit_bytes: int) -> None:
        self._source = source
        self._sha256 = hashlib.sha256()
        self._left_bytes = limit_bytes + 1
        self._count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        into = memoryview(buffer).cast("B")
        data = self._source.read(min(len(into), self._left_bytes))
        into[: len(data)] = data
        self._sha256.update(data)
        self._left_bytes -= len(data)
        self._count += len(data)
        return len(data)

    def drain(self) -> None:
        while self.read(_BLOCK_SIZE_BYTES):
            pass

    def fits(self, item: ManifestObject) -> bool:
        return self._count == item.size_bytes and self._sha256.digest() == item.sha256


def _not_opened(
    sealed: Sealed, item: ManifestObject, identities: Sequence[Identity], hashing: _Hashing
) -> AlteredObject | WrongKey:
    """Return what it means that no key opens an object: only of the sealed bytes it is the key's fault."""
    hashing.drain()
    if hashing.fits(item):
        return WrongKey(_wrong_key(sealed.manifest, identities))
    return _altered(item.name, _("its SHA-256 is not the one in the manifest"))


def _fetch(copy: Copy, name: str, limit_bytes: int) -> bytes:
    """Return up to one byte more than the limit, which the parser then refuses."""
    try:
        with contextlib.closing(_get(copy, name)) as file:
            data = bytearray()
            while len(data) <= limit_bytes and (block := file.read(limit_bytes + 1 - len(data))):
                data += block
            return bytes(data)
    except StoreError:
        raise
    except OSError as problem:
        raise _unread(copy, name, problem) from problem


def _get(copy: Copy, name: str) -> BinaryIO:
    try:
        return copy.reader.get(copy.prefix + name)
    except (StoreMissing, FileNotFoundError) as problem:
        raise _altered(name, _("missing in {place}").format(place=copy.place)) from problem
    except StoreError:
        raise
    except OSError as problem:
        raise _unread(copy, name, problem) from problem


def _check_place(copy: Copy, manifest: Manifest) -> None:
    """In a store the folder must be the one that the manifest tells; elsewhere its name must be the id."""
    expected = recording_name(manifest.device, manifest.started_at, manifest.id).prefix
    misplaced = (
        copy.prefix != expected if "/" in copy.prefix.rstrip("/") else copy.id not in {None, manifest.id}
    )
    if misplaced:
        words = _("the folder {folder} is not the manifest's own, which would be {expected}")
        raise _altered(MANIFEST_NAME, words.format(folder=copy.prefix, expected=expected))


def promised_hashes(document: JsonObject) -> set[str]:
    """Return the content hashes that a vCon gives; none, if it was sealed before the sound had one."""
    dialogs = document.get("dialog")
    found = (
        (one.get("content_hash") for one in dialogs if isinstance(one, dict))
        if isinstance(dialogs, list)
        else ()
    )
    return {one for one in found if isinstance(one, str)}


def without_sound(manifest: Manifest) -> str:
    """Return the words for a recording that has no sound to give out."""
    if manifest.result is Result.EXEMPT:
        return _("{id}: this call was not recorded, so there is no sound (reasons: {reasons})").format(
            id=manifest.id, reasons=", ".join(manifest.reasons) or "-"
        )
    return _("{id}: the recording has no sound").format(id=manifest.id)


def _wrong_key(manifest: Manifest, identities: Sequence[Identity]) -> str:
    held = ", ".join(fingerprint(one.recipient)[:_FINGERPRINT_SHOWN] for one in identities)
    wanted = ", ".join(one[:_FINGERPRINT_SHOWN] for one in manifest.recipients)
    return _(
        "{id}: none of the keys given opens it: it is sealed to {wanted}; the keys given are {held}"
    ).format(id=manifest.id, wanted=wanted or "-", held=held)


def _altered(name: str, why: str, chunk: int | None = None) -> AlteredObject:
    where = name if chunk is None else _("{name}, chunk {chunk}").format(name=name, chunk=chunk)
    words = _("{where}: ALTERED, nothing of it is given out: {why}").format(where=where, why=why)
    return AlteredObject(words, object_name=name, chunk=chunk)


def _unread(copy: Copy, name: str, problem: OSError) -> NotChecked:
    words = _("{name}: can't be read in {place}: {why}")
    return NotChecked(words.format(name=name, place=copy.place, why=problem.strerror or problem))
