"""A folder as a store: on this machine, or mounted from another.

An object appears under its name in one step, whole and durable, or not at all: it is copied to a temporary
name in its own folder, hashed on the way, synced, and *linked* to its name, which fails where the name is
taken, so that nothing is ever overwritten. Then the folder is synced.

A store is a folder that was made one (`DirectoryStore.create`), which leaves a marker in it. Without the
marker nothing is written: the empty folder that an unmounted disk leaves behind looks like a store with
plenty of room, and recordings put there are gone when the disk comes back.

Conventions: folders are ``0700`` and objects ``0600``, as the account that writes has them; temporary names
and the marker begin with a dot, which no object's name does. `put` returns the SHA-256 in hexadecimal as the
version: an object's bytes never change, so they are their own version.

Limits: whoever owns the folder can change what is in it; that is found (``verify``), not prevented.
"""

import contextlib
import dataclasses
import errno
import hashlib
import io
import os
import secrets
import stat
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final, Self

from watchdog.events import FileMovedEvent, FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from callseal.seal import durable
from callseal.seal.durable import Step, no_step
from callseal.store.capabilities import Capabilities
from callseal.store.errors import SourceAltered, StoreError, StoreMissing, StoreRefused, StoreUnreachable
from callseal.store.interface import Content, ObjectInfo, Pace, unpaced
from callseal.store.names import FLEET, check_name, check_prefix

MARKER_NAME: Final = ".callseal-store"
TEMPORARY_PREFIX: Final = ".tmp-"
LEFTOVER_AGE_S: Final = 24 * 3600.0

_MARKER: Final = b"callseal-store/1\n"
_FOLDER_MODE: Final = 0o700
_BLOCK_SIZE_BYTES: Final = 1024 * 1024
_RANDOM_SIZE_BYTES: Final = 8
# What link(2) says on a file system that has no links (exFAT, some network mounts).
_NO_LINKS: Final = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


class DirectoryStore:
    """A store in the folder `root`, which `create` has made one. Writer and reader."""

    capabilities: Final = Capabilities(
        exclusive_put=True,
        versions=False,
        lock=False,
        checked_put=True,
        max_object_size_bytes=None,
        notices=True,
    )

    def __init__(self, root: Path, *, step: Step = no_step) -> None:
        self._root = root
        self._step = step

    @classmethod
    def create(cls, root: Path) -> Self:
        """Make a folder a store, or find that it is one already; StoreUnreachable if the disk refuses."""
        with _disk(root):
            root.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
            marker = root / MARKER_NAME
            if not marker.exists():
                durable.replace_file(marker, _MARKER)
                durable.sync_folder(root.parent)
        return cls(root)

    @property
    def root(self) -> Path:
        """The store's folder."""
        return self._root

    def put(self, name: str, content: Content, sha256: bytes, *, pace: Pace = unpaced) -> str:
        """Store a file, or bytes; see `interface.StoreWriter`."""
        check_name(name)
        self._check_marker()
        path = self._root / name
        with _disk(path):
            self._make_folders(path.parent)
            if not path.exists():
                self._copy(content, path, sha256, pace)
            self._step("compare")
            if _hash(path) != sha256:
                raise StoreRefused(f"{path}: other bytes stand under this name; nothing was changed")
            # All folders up to the store's own: a run before this one may have died between making one and
            # syncing it. Those that have not changed cost next to nothing.
            folder = path
            while folder != self._root:
                folder = folder.parent
                self._step("sync folder")
                durable.sync_folder(folder)
        return sha256.hex()

    def get(self, name: str, version: str | None = None) -> BinaryIO:
        """Open an object; see `interface.StoreReader`. A version given is compared with the bytes first."""
        check_name(name)
        path = self._root / name
        with _disk(path):
            try:
                file = _open_object(path)
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as problem:
                self._check_marker()
                raise StoreMissing(f"{path}: no such object") from problem
            if version is not None:
                found = hashlib.file_digest(file, "sha256").hexdigest()
                if found != version:
                    file.close()
                    raise StoreMissing(f"{path}: the bytes there are not that version")
                file.seek(0)
        return file

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
        """Yield objects; see `interface.StoreReader`."""
        check_prefix(prefix)
        self._check_marker()
        folder, _, _ = prefix.rpartition("/")
        yield from self._walk(f"{folder}/" if folder else "", prefix, after)

    def folders(self, prefix: str) -> Iterator[str]:
        """Yield what stands before the next slash; see `interface.StoreReader`."""
        check_prefix(prefix)
        if prefix and not prefix.endswith("/"):
            raise StoreRefused("no folder: its name ends with a slash")
        self._check_marker()
        names = self._sorted_names(prefix)
        yield from (name[len(prefix) : -1] for name in names if name.endswith("/"))

    def versions(self, prefix: str) -> Iterator[ObjectInfo]:
        """Yield the objects, the SHA-256 of their bytes as their version; see `interface.StoreReader`."""
        for item in self.list(prefix):
            path = self._root / item.name
            with _disk(path):
                yield dataclasses.replace(item, version=_hash(path).hex())

    def replace(self, name: str, data: bytes) -> None:
        """Put `data` in place of what is there; see `interface.StoreBoard`."""
        check_name(name)
        if not name.startswith(FLEET):
            raise StoreRefused(f"{name}: only what begins with {FLEET} is ever replaced")
        self._check_marker()
        path = self._root / name
        with _disk(path):
            self._make_folders(path.parent)
            # The temporary name is nobody else's: any number may replace at once, and the last one counts.
            with self._temporary(path, data, hashlib.sha256(data).digest(), unpaced) as temporary:
                self._step("rename")
                temporary.replace(path)
            self._step("sync folder")
            durable.sync_folder(path.parent)

    def locked_until(self, name: str, _version: str) -> datetime | None:
        """Return None: a folder protects nothing."""
        check_name(name)
        return None

    def lock_until(self, name: str, _version: str, _until: datetime) -> None:
        """Raise StoreRefused: a folder protects nothing."""
        raise StoreRefused(f"{name}: a directory can't protect objects from deletion")

    def is_held(self, name: str, _version: str) -> bool:
        """Return False: a folder protects nothing."""
        check_name(name)
        return False

    def hold(self, name: str, _version: str, *, on: bool) -> None:
        """Raise StoreRefused: a folder protects nothing."""
        raise StoreRefused(f"{name}: a directory can't {'hold' if on else 'release'} objects")

    @contextmanager
    def watch(self, wake: Callable[[], None]) -> Iterator[None]:
        """Call `wake` when an object appeared; see `interface.Watched`. Raises StoreUnreachable."""
        self._check_marker()
        observer = Observer()
        with warnings.catch_warnings():
            # Of folders made quickly in one another watchdog finds some twice, and says so, to no effect.
            warnings.filterwarnings("ignore", message="Callback with id", category=RuntimeWarning)
            with _disk(self._root):
                observer.schedule(_Waker(wake), str(self._root), recursive=True)
                observer.start()
            try:
                yield
            finally:
                observer.stop()
                observer.join()

    def remove_leftovers(self, prefix: str, *, now_s: float) -> int:
        """Remove the temporary files of writers that died more than `LEFTOVER_AGE_S` ago; return how many.

        `now_s` is seconds since 1970, by the clock that gives files their times.
        """
        check_prefix(prefix)
        self._check_marker()
        count = 0
        with _disk(self._root):
            for path in (self._root / prefix.rpartition("/")[0]).rglob(f"{TEMPORARY_PREFIX}*"):
                if now_s - path.lstat().st_mtime > LEFTOVER_AGE_S:
                    path.unlink(missing_ok=True)
                    count += 1
        return count

    def _check_marker(self) -> None:
        marker = self._root / MARKER_NAME
        with _disk(marker):
            if not marker.is_file():
                raise StoreUnreachable(
                    f"{self._root}: not a store (no {MARKER_NAME} in it): is its disk mounted?"
                    " A new store is made with `callseal store init`"
                )

    def _make_folders(self, folder: Path) -> None:
        missing = []
        while folder != self._root and not folder.is_dir():
            missing.append(folder)
            folder = folder.parent
        for path in reversed(missing):
            self._step("make folder")
            path.mkdir(mode=_FOLDER_MODE, exist_ok=True)

    def _copy(self, content: Content, path: Path, sha256: bytes, pace: Pace) -> None:
        with self._temporary(path, content, sha256, pace) as temporary:
            self._step("link")
            _link(temporary, path)

    @contextmanager
    def _temporary(self, path: Path, content: Content, sha256: bytes, pace: Pace) -> Iterator[Path]:
        """Give a file of that content, on the disk, beside `path`; what is left of it is removed."""
        temporary = path.parent / f"{TEMPORARY_PREFIX}{secrets.token_hex(_RANDOM_SIZE_BYTES)}"
        self._step("temporary file")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(temporary, flags, durable.FILE_MODE)
        try:
            try:
                self._fill(descriptor, content, sha256, pace)
            finally:
                os.close(descriptor)
            yield temporary
        finally:
            self._step("remove temporary file")
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()

    def _fill(self, descriptor: int, content: Content, sha256: bytes, pace: Pace) -> None:
        digest = hashlib.sha256()
        with _opened(content) as file:
            while block := file.read(_BLOCK_SIZE_BYTES):
                digest.update(block)
                pace(len(block))
                self._step("write")
                durable.write_all(descriptor, block)
        if digest.digest() != sha256:
            what = "what was given" if isinstance(content, bytes) else content
            raise SourceAltered(f"{what}: not the bytes that its SHA-256 was taken of; nothing was stored")
        self._step("sync file")
        os.fsync(descriptor)

    def _walk(self, folder: str, prefix: str, after: str) -> Iterator[ObjectInfo]:
        """Yield what lies in `folder` (empty, or ended by a slash), in the order of the full names."""
        for name in self._sorted_names(folder):
            if name.endswith("/"):
                # All names inside begin with this one: skip it if none can match or come after.
                inside = name.startswith(prefix) or prefix.startswith(name)
                if inside and not (name < after and not after.startswith(name)):
                    yield from self._walk(name, prefix, after)
            elif name.startswith(prefix) and name > after:
                with _disk(self._root / name):
                    try:
                        found = (self._root / name).lstat()
                    except FileNotFoundError:
                        continue  # removed in the meantime
                modified_at = datetime.fromtimestamp(found.st_mtime, UTC)
                yield ObjectInfo(name=name, size_bytes=found.st_size, modified_at=modified_at)

    def _sorted_names(self, folder: str) -> tuple[str, ...]:
        names = []
        path = self._root / folder
        with (
            _disk(path),
            contextlib.suppress(FileNotFoundError, NotADirectoryError),
            os.scandir(path) as entries,
        ):
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                # Links are followed by nobody: they may lead out of the store.
                if entry.is_dir(follow_symlinks=False):
                    names.append(f"{folder}{entry.name}/")
                elif entry.is_file(follow_symlinks=False):
                    names.append(f"{folder}{entry.name}")
        return tuple(sorted(names))


class _Waker(FileSystemEventHandler):
    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake

    def on_any_event(self, event: FileSystemEvent) -> None:
        # An object appears by a link to its name, or by a rename where there are no links.
        path = event.dest_path if isinstance(event, FileMovedEvent) else event.src_path
        name = Path(os.fsdecode(path)).name
        if event.event_type in {"created", "moved"} and not name.startswith("."):
            self._wake()


def _opened(content: Content) -> BinaryIO:
    if isinstance(content, bytes):
        return io.BytesIO(content)
    try:
        return content.open("rb")
    except OSError as problem:
        raise SourceAltered(f"{content}: can't be read: {problem.strerror}") from problem


def _open_object(path: Path) -> io.BufferedReader:
    """Open what can be an object; FileNotFoundError for anything else that lies there under its name.

    A link may lead out of the store, and a pipe would keep its reader waiting for ever.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as problem:
        if problem.errno in {errno.ELOOP, errno.ENXIO}:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path)) from problem
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    return os.fdopen(descriptor, "rb")


def _link(temporary: Path, path: Path) -> None:
    """Give the file its name, without ever taking one that is in use."""
    try:
        os.link(temporary, path, follow_symlinks=False)
    except FileExistsError:
        return  # somebody was faster: the caller compares the bytes
    except OSError as problem:
        if problem.errno not in _NO_LINKS:
            raise
        # Without links the look and the rename are two steps. Names carry their content's hash or are
        # written by one device alone, so that the one who could come between them brings the same bytes.
        if not path.exists():
            temporary.rename(path)


def _hash(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


@contextmanager
def _disk(path: Path) -> Iterator[None]:
    try:
        yield
    except StoreError:
        raise
    except OSError as problem:
        raise StoreUnreachable(f"{problem.filename or path}: {problem.strerror}") from problem
