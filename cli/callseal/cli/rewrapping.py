"""Copies of sealed files and whole recordings, sealed to other recipients; the originals are left alone.

::

    recording/ audio-….age  call-….age  tailkey-….age    header new, payload as it was
               tail-….age                                as it was: the passphrase in tailkey-… opens it
               manifest.json  manifest.sig               as they were

Conventions: names stay, so that the manifest's SHA-512 of what is inside is found by them; its sizes and
SHA-256 are those of the originals. An object whose name carries a SHA-256 is checked against it on the way.
A recording appears in the new folder whole or not at all, under a dot name until then. The original lies in a
folder, or in a store, from which it is read as it is copied.
This module touches files and stores.
"""

import errno
import hashlib
import io
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, cast
from uuid import UUID

from callseal.cli.disk import is_there, readable, writable
from callseal.cli.errors import AlteredObject, UsageFault, WrongKey
from callseal.cli.i18n import _
from callseal.cli.opening import open_manifest
from callseal.cli.places import Copy
from callseal.seal import durable
from callseal.seal.age import Identity, Recipient, read_header, rewrap
from callseal.seal.age.scrypt import KIND as PASSPHRASE_KIND
from callseal.seal.errors import ManifestError, NoIdentityMatch, RemoteError
from callseal.seal.keys import TrustStore
from callseal.seal.manifest import MANIFEST_NAME, MAX_SIZE_BYTES, SIGNATURE_NAME, parse
from callseal.store.errors import StoreError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

SUFFIX: Final = ".age"
_BLOCK_SIZE_BYTES: Final = 1024 * 1024
_FOLDER_MODE: Final = 0o700
_NAMED_BY_HASH: Final = re.compile(r"[a-z0-9-]+-(?P<sha256>[0-9a-f]{64})\.age")


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """One file that is copied; `words` say where it lies. What `opened` gives is the caller's to close."""

    name: str
    words: str
    opened: Callable[[], BinaryIO]


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A sealed file, or a recording, and where its copy goes.

    `folder` is where it lies on this machine, None for a recording in a store, whose `copy` is there instead.
    `recording` is None where it can't be told.
    """

    target: Path
    whole: bool
    """Whether it is a recording."""
    originals: Callable[[], Iterable[Original]]
    recording: UUID | None
    folder: Path | None = None
    copy: Copy | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrapper:
    """Who opens the originals, and to whom the copies are sealed."""

    identities: Sequence[Identity]
    recipients: Sequence[Recipient]

    def copy(self, item: Item) -> None:
        """Make one copy, durably.

        Raises WrongKey, AlteredObject, RemoteError for what the original is, StoreError where it lies in a
        store, UsageFault for the disk and for a copy that is there already.
        """
        if is_there(item.target):
            words = _("{path}: is there already; it was left alone. Choose another folder with -o")
            raise UsageFault(words.format(path=item.target))
        temporary = item.target.with_name(f".tmp-{item.target.name}")
        with writable(item.target):
            item.target.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
            _remove(temporary)
        try:
            if item.whole:
                self._folder(item, temporary)
            else:
                for original in item.originals():
                    self._file(original, temporary)
            with writable(item.target):
                temporary.rename(item.target)
                durable.sync_folder(item.target.parent)
        finally:
            _remove(temporary)

    def _folder(self, item: Item, target: Path) -> None:
        with writable(target):
            target.mkdir(mode=_FOLDER_MODE)
        for original in item.originals():
            self._file(original, target / original.name)
        with writable(target):
            durable.sync_folder(target)

    def _file(self, original: Original, target: Path) -> None:
        with _read(original), original.opened() as raw:
            hashed = _Hashed(raw)
            try:
                _write(target, self._pieces(original, io.BufferedReader(hashed)))
            except (WrongKey, AlteredObject):
                # An altered header looks like one that is sealed to others: the hash tells them apart.
                _check_name(original, hashed)
                raise
            _check_name(original, hashed)

    def _pieces(self, original: Original, file: io.BufferedReader) -> Iterator[bytes]:
        try:
            if not original.name.endswith(SUFFIX) or _by_passphrase(original):
                yield from iter(lambda: file.read(_BLOCK_SIZE_BYTES), b"")
                return
            yield from rewrap(cast("BinaryIO", file), self.identities, self.recipients)
        except NoIdentityMatch as problem:
            raise WrongKey(f"{original.words}: {problem}") from problem
        except RemoteError as problem:
            words = _("{path}: can't be re-wrapped: {why}").format(path=original.words, why=problem)
            raise AlteredObject(words, object_name=original.name) from problem


def plan(sources: Iterable[Path], out: Path) -> tuple[Item, ...]:
    """Return what is to be copied: sealed files and, however deep below a folder, recordings.

    Each keeps its place below the source that was named. UsageFault for a source that is not there.
    """
    items: list[Item] = []
    for source in sources:
        if not is_there(source):
            raise UsageFault(_("{path}: there is no such file or folder").format(path=source))
        place = out / source.resolve().name
        if source.is_dir():
            items += _below(source, place)
        else:
            # A link that a person named is meant; those that lie in a folder are not followed.
            items.append(_file_item(source.resolve(), place))
    return tuple(items)


def stored(copy: Copy, out: Path) -> Item:
    """Return what is to be copied of a recording that was found in a store or a spool.

    That is what its manifest names, whose signature is checked: what else was put there is left where it is.
    """

    def originals() -> Iterator[Original]:
        manifest = open_manifest(copy, TrustStore()).manifest
        for name in (*(item.name for item in manifest.objects), MANIFEST_NAME, SIGNATURE_NAME):
            full = copy.prefix + name
            yield Original(name=name, words=f"{copy.place}: {full}", opened=partial(copy.reader.get, full))

    folder = copy.prefix.rstrip("/").rpartition("/")[2]
    return Item(target=out / folder, whole=True, originals=originals, recording=copy.id, copy=copy)


def check_targets(items: Sequence[Item]) -> None:
    """Raise UsageFault for two whose copies would have one name."""
    targets = [item.target for item in items]
    if len(set(targets)) < len(targets):
        raise UsageFault(_("two of the files or folders have the same name: re-wrap them one by one"))


def _below(source: Path, place: Path) -> Iterator[Item]:
    for folder, folders, files in os.walk(source, onerror=_unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        here = Path(folder)
        target = place / here.relative_to(source)
        if MANIFEST_NAME in files:
            folders.clear()
            yield _folder_item(here, target)
            continue
        for name in sorted(files):
            if name.endswith(SUFFIX) and not name.startswith(".") and not (here / name).is_symlink():
                yield _file_item(here / name, target / name)


def _folder_item(folder: Path, target: Path) -> Item:
    def originals() -> Iterator[Original]:
        with readable(folder):
            paths = sorted(folder.iterdir())
        return map(_original, paths)

    return Item(target=target, whole=True, originals=originals, recording=_recording(folder), folder=folder)


def _file_item(path: Path, target: Path) -> Item:
    return Item(
        target=target,
        whole=False,
        originals=lambda: [_original(path)],
        recording=_recording(path.parent),
        folder=path.parent,
    )


def _original(path: Path) -> Original:
    return Original(name=path.name, words=str(path), opened=partial(_plain_file, path))


def _recording(folder: Path) -> UUID | None:
    """Return the recording that a folder holds, by its manifest; None where that does not tell."""
    try:
        with _plain_file(folder / MANIFEST_NAME) as file:
            return parse(file.read(MAX_SIZE_BYTES + 1)).id
    except (OSError, ManifestError):
        return None


def _unreadable(problem: OSError) -> None:
    words = _("{path}: can't be read: {why}").format(path=problem.filename, why=problem.strerror)
    raise UsageFault(words) from problem


def _check_name(original: Original, hashed: "_Hashed") -> None:
    expected = _NAMED_BY_HASH.fullmatch(original.name)
    if expected is not None and hashed.whole() != expected["sha256"]:
        words = _("{path}: ALTERED: its SHA-256 is not the one in its name; it was not re-wrapped")
        raise AlteredObject(words.format(path=original.words), object_name=original.name)


@contextmanager
def _read(original: Original) -> Iterator[None]:
    """Turn an OSError of the disk into a UsageFault; a store's error says by itself what it is."""
    try:
        yield
    except StoreError:
        raise
    except OSError as problem:
        words = _("{path}: can't be read: {why}")
        raise UsageFault(words.format(path=original.words, why=problem.strerror or problem)) from problem


def _plain_file(path: Path) -> BinaryIO:
    """Open a file of a recording that may come from anybody.

    A link could lead to what was never meant to be copied, a private key say; a pipe would block.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a plain file", str(path))
    return os.fdopen(descriptor, "rb")


def _by_passphrase(original: Original) -> bool:
    with original.opened() as file:
        return PASSPHRASE_KIND in read_header(file).kinds


def _write(path: Path, pieces: Iterator[bytes]) -> None:
    with writable(path):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, durable.FILE_MODE)
    try:
        for piece in pieces:
            with writable(path):
                durable.write_all(descriptor, piece)
        with writable(path):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    """Remove what a copy that was broken off left behind, or leaves now."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


class _Hashed(io.RawIOBase):
    """Hashes what is read through it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        into = memoryview(buffer).cast("B")
        data = self._file.read(len(into))
        into[: len(data)] = data
        self._digest.update(data)
        return len(data)

    def whole(self) -> str:
        """Return the SHA-256 of the whole file, whose rest is read for it."""
        while self.read(_BLOCK_SIZE_BYTES):
            pass
        return self._digest.hexdigest()
