"""Copies of sealed files and whole recordings, sealed to other recipients; the originals are left alone.

::

    recording/ audio-….age  call-….age  tailkey-….age    header new, payload as it was
               tail-….age                                as it was: the passphrase in tailkey-… opens it
               manifest.json  manifest.sig               as they were

Conventions: names stay, so that the manifest's SHA-512 of what is inside is found by them; its sizes and
SHA-256 are those of the originals. An object whose name carries a SHA-256 is checked against it on the way.
A recording appears in the new folder whole or not at all, under a dot name until then.
This module touches files.
"""

import errno
import hashlib
import io
import os
import re
import shutil
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from callseal.cli.disk import is_there, readable, writable
from callseal.cli.errors import AlteredObject, UsageFault, WrongKey
from callseal.cli.i18n import _
from callseal.seal import durable
from callseal.seal.age import Identity, Recipient, read_header, rewrap
from callseal.seal.age.scrypt import KIND as PASSPHRASE_KIND
from callseal.seal.errors import NoIdentityMatch, RemoteError
from callseal.seal.manifest import MANIFEST_NAME

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

SUFFIX: Final = ".age"
_BLOCK_SIZE_BYTES: Final = 1024 * 1024
_FOLDER_MODE: Final = 0o700
_NAMED_BY_HASH: Final = re.compile(r"[a-z0-9-]+-(?P<sha256>[0-9a-f]{64})\.age")


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A sealed file, or a recording's folder, and where its copy goes."""

    source: Path
    target: Path
    whole: bool
    """Whether it is a recording's folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrapper:
    """Who opens the originals, and to whom the copies are sealed."""

    identities: Sequence[Identity]
    recipients: Sequence[Recipient]

    def copy(self, item: Item) -> None:
        """Make one copy, durably.

        Raises WrongKey, AlteredObject, RemoteError for what the original is, UsageFault for the disk and
        for a copy that is there already.
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
                self._folder(item.source, temporary)
            else:
                self._file(item.source, temporary)
            with writable(item.target):
                temporary.rename(item.target)
                durable.sync_folder(item.target.parent)
        finally:
            _remove(temporary)

    def _folder(self, source: Path, target: Path) -> None:
        with writable(target):
            target.mkdir(mode=_FOLDER_MODE)
        with readable(source):
            paths = sorted(source.iterdir())
        for path in paths:
            self._file(path, target / path.name)
        with writable(target):
            durable.sync_folder(target)

    def _file(self, source: Path, target: Path) -> None:
        with readable(source), _plain_file(source) as raw:
            hashed = _Hashed(raw)
            try:
                _write(target, self._pieces(source, io.BufferedReader(hashed)))
            except (WrongKey, AlteredObject):
                # An altered header looks like one that is sealed to others: the hash tells them apart.
                _check_name(source, hashed)
                raise
            _check_name(source, hashed)

    def _pieces(self, source: Path, file: io.BufferedReader) -> Iterator[bytes]:
        try:
            if source.suffix != SUFFIX or _by_passphrase(source):
                yield from iter(lambda: file.read(_BLOCK_SIZE_BYTES), b"")
                return
            yield from rewrap(cast("BinaryIO", file), self.identities, self.recipients)
        except NoIdentityMatch as problem:
            raise WrongKey(f"{source}: {problem}") from problem
        except RemoteError as problem:
            words = _("{path}: can't be re-wrapped: {why}").format(path=source, why=problem)
            raise AlteredObject(words, object_name=source.name) from problem


def plan(sources: Iterable[Path], out: Path) -> tuple[Item, ...]:
    """Return what is to be copied: sealed files and, however deep below a folder, recordings.

    Each keeps its place below the source that was named. UsageFault for a source that is not there, and for
    two whose copies would have one name.
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
            items.append(Item(source=source.resolve(), target=place, whole=False))
    targets = [item.target for item in items]
    if len(set(targets)) < len(targets):
        raise UsageFault(_("two of the files or folders have the same name: re-wrap them one by one"))
    return tuple(items)


def _below(source: Path, place: Path) -> Iterator[Item]:
    for folder, folders, files in os.walk(source, onerror=_unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        here = Path(folder)
        target = place / here.relative_to(source)
        if MANIFEST_NAME in files:
            folders.clear()
            yield Item(source=here, target=target, whole=True)
            continue
        for name in sorted(files):
            if name.endswith(SUFFIX) and not name.startswith(".") and not (here / name).is_symlink():
                yield Item(source=here / name, target=target / name, whole=False)


def _unreadable(problem: OSError) -> None:
    words = _("{path}: can't be read: {why}").format(path=problem.filename, why=problem.strerror)
    raise UsageFault(words) from problem


def _check_name(source: Path, hashed: "_Hashed") -> None:
    expected = _NAMED_BY_HASH.fullmatch(source.name)
    if expected is not None and hashed.whole() != expected["sha256"]:
        words = _("{path}: ALTERED: its SHA-256 is not the one in its name; it was not re-wrapped")
        raise AlteredObject(words.format(path=source), object_name=source.name)


def _plain_file(path: Path) -> io.FileIO:
    """Open a file of a recording that may come from anybody.

    A link could lead to what was never meant to be copied, a private key say; a pipe would block.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a plain file", str(path))
    return io.FileIO(descriptor, "rb")


def _by_passphrase(path: Path) -> bool:
    with _plain_file(path) as raw, io.BufferedReader(raw) as file:
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

    def __init__(self, file: io.FileIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        count = self._file.readinto(buffer) or 0
        self._digest.update(memoryview(buffer)[:count])
        return count

    def whole(self) -> str:
        """Return the SHA-256 of the whole file, whose rest is read for it."""
        while self.read(_BLOCK_SIZE_BYTES):
            pass
        return self._digest.hexdigest()
