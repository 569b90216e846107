"""The spool: where recordings are born, wait to be sent, and are kept if something went wrong.

::

    open/<id>/        audio.age, call.vcon.age (replaced whole at every change), state
    ready/<id>/       audio-<sha256>.age  call-<sha256>.age  [tail-<sha256>.age]  manifest.json  manifest.sig
    quarantine/<id>/  what was open when the agent died
    status/           what each service last said of itself
    sent/<store>/     a marker for each recording that a store has taken
    agent.lock        held by the one agent that works here; uploader.lock likewise

A recording becomes ready by one rename of its folder, after everything in it is durable: who looks into
``ready/`` sees it whole or not at all. Nothing here holds a key or reads plaintext.

Conventions: the spool is ``0700`` and belongs to the account that runs the services; one that others can
look into, or that belongs to somebody else, is refused. All errors of the disk are SpoolError. Only who
holds the lock may begin recordings or sweep up unfinished ones.
"""

import errno
import fcntl
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final
from uuid import UUID

from callseal.seal import durable
from callseal.seal.durable import Step, no_step
from callseal.seal.errors import SpoolError
from callseal.seal.manifest import (
    MANIFEST_NAME,
    MAX_SIZE_BYTES,
    SIGNATURE_NAME,
    SIGNATURE_SIZE_BYTES,
    Manifest,
)

AUDIO_NAME: Final = "audio.age"
VCON_NAME: Final = "call.vcon.age"
STATE_NAME: Final = "state"
AGENT: Final = "agent"

FOLDERS: Final = ("open", "ready", "quarantine", "status", "sent")
FOLDER_MODE: Final = 0o700

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


class SpoolInUse(SpoolError):  # noqa: N818 - says what is wrong better than "...Error" would
    """Another agent (or uploader) holds the lock of this spool."""

    permanent: ClassVar[bool] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A finished recording in ``ready/``."""

    id: UUID
    path: Path

    def manifest_bytes(self) -> bytes:
        """Return the exact bytes of the manifest; SpoolError if they can't be read."""
        return self._read(MANIFEST_NAME, MAX_SIZE_BYTES)

    def signature(self) -> bytes:
        """Return the manifest's signature; SpoolError if it can't be read."""
        return self._read(SIGNATURE_NAME, SIGNATURE_SIZE_BYTES)

    def ready_at_s(self) -> float:
        """Return when it became ready, in seconds since 1970; SpoolError if the folder is gone."""
        with _disk(self.path):
            return self.path.stat().st_mtime

    def _read(self, name: str, limit_bytes: int) -> bytes:
        path = self.path / name
        with _disk(path), path.open("rb") as file:
            return file.read(limit_bytes + 1)


class OpenBundle:
    """A recording in the making: ``open/<id>/``."""

    __slots__ = ("_id", "_path", "_ready")

    def __init__(self, recording: UUID, path: Path, ready: Path) -> None:
        self._id = recording
        self._path = path
        self._ready = ready

    @property
    def id(self) -> UUID:
        """The recording."""
        return self._id

    @property
    def path(self) -> Path:
        """Its folder."""
        return self._path

    @property
    def audio_path(self) -> Path:
        """Where the sealed audio grows."""
        return self._path / AUDIO_NAME

    @property
    def vcon_path(self) -> Path:
        """Where the sealed vCon lies."""
        return self._path / VCON_NAME

    def put_vcon(self, sealed: bytes, *, step: Step = no_step) -> None:
        """Put a sealed vCon in place of the last one, whole or not at all."""
        with _disk(self.vcon_path):
            durable.replace_file(self.vcon_path, sealed, step=step)

    def discard_audio(self) -> None:
        """Remove the audio for good: of a call that must not be recorded after all."""
        with _disk(self.audio_path):
            self.audio_path.unlink(missing_ok=True)
            durable.sync_folder(self._path)

    def discard(self) -> None:
        """Remove the recording as if it had never been begun; for a call that turned out to be none."""
        with _disk(self._path):
            for item in self._path.iterdir():
                item.unlink()
            self._path.rmdir()
            durable.sync_folder(self._path.parent)

    def complete(
        self,
        manifest: Manifest,
        signature: bytes,
        objects: Mapping[str, str],
        *,
        step: Step = no_step,
    ) -> Bundle:
        """Give the objects their final names, add the manifest, and move the folder to ``ready/``.

        `objects` maps the name that each has now to its name in the manifest; every object of the manifest
        is among them, durable already. `step` hears the name of each step before it is taken. Raises
        SpoolError, also for objects that do not fit the manifest: the recording then stays open, and the
        same call may be made again.
        """
        self._check(manifest, objects)
        with _disk(self._path):
            for now, final in sorted(objects.items()):
                step(f"rename {now}")
                if (self._path / now).exists():  # else an earlier call that failed later has done it
                    (self._path / now).rename(self._path / final)
            step("remove scratch files")
            self._remove_all_but({*objects.values()})
            step("write manifest")
            durable.create_file(self._path / MANIFEST_NAME, manifest.to_bytes())
            step("write signature")
            durable.create_file(self._path / SIGNATURE_NAME, signature)
            step("sync folder")
            durable.sync_folder(self._path)
            step("move to ready")
            final_path = self._ready / self._path.name
            self._path.rename(final_path)
            step("sync open")
            durable.sync_folder(self._path.parent)
            step("sync ready")
            durable.sync_folder(self._ready)
        return Bundle(id=self._id, path=final_path)

    def _check(self, manifest: Manifest, objects: Mapping[str, str]) -> None:
        sizes = {item.name: item.size_bytes for item in manifest.objects}
        if manifest.id != self._id:
            raise SpoolError(f"{self._path}: the manifest is that of another recording")
        if sorted(objects.values()) != sorted(sizes):
            raise SpoolError(f"{self._path}: the objects are not those of the manifest")
        for now, final in objects.items():
            path = self._path / now
            if path.parent != self._path:
                raise SpoolError(f"{self._path}: an object of the recording lies elsewhere")
            with _disk(path):
                there = path if path.exists() else self._path / final
                if there.stat().st_size != sizes[final]:
                    raise SpoolError(f"{there}: not the size that the manifest says")

    def _remove_all_but(self, names: set[str]) -> None:
        scratch = {STATE_NAME, MANIFEST_NAME, SIGNATURE_NAME}
        for item in self._path.iterdir():
            if item.name in scratch or item.name.endswith(durable.TEMPORARY_SUFFIX):
                item.unlink()
            elif item.name not in names:
                # Sealing it away or throwing it out would both be wrong: it may be a call's only audio.
                raise SpoolError(f"{item}: not in the manifest; name it or remove it first")


class Spool:
    """The spool at `root`; made where it does not exist yet."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._held: set[str] = set()
        with _disk(root):
            root.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            _check_private(root)
            for name in FOLDERS:
                (root / name).mkdir(mode=FOLDER_MODE, exist_ok=True)
                _check_private(root / name)
            durable.sync_folder(root)

    @property
    def root(self) -> Path:
        """The spool's folder."""
        return self._root

    @property
    def ready_path(self) -> Path:
        """Where finished recordings appear."""
        return self._root / "ready"

    @property
    def status_path(self) -> Path:
        """Where services say how they are."""
        return self._root / "status"

    def sent_path(self, store: str) -> Path:
        """Return where the markers of what `store` has taken lie; made where it does not exist yet."""
        path = self._root / "sent" / store
        if path.parent != self._root / "sent" or store in {"", ".", ".."}:
            raise SpoolError(f"{path}: no name for a store")
        with _disk(path):
            path.mkdir(mode=FOLDER_MODE, exist_ok=True)
            durable.sync_folder(path.parent)
        return path

    @contextmanager
    def lock(self, service: str = AGENT) -> Iterator[None]:
        """Hold the spool for the one service of this kind; SpoolInUse if another holds it.

        The kernel lets go of it when the process ends, however it ends.
        """
        path = self._root / f"{service}.lock"
        with _disk(path):
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(path, flags, durable.FILE_MODE)
        try:
            with _disk(path):
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError as problem:
                    raise SpoolInUse(
                        f"{self._root}: another {service} works in this spool; stop it first"
                    ) from problem
            self._held.add(service)
            yield
        finally:
            self._held.discard(service)
            os.close(descriptor)

    def begin(self, recording: UUID) -> OpenBundle:
        """Make ``open/<id>/``; SpoolError if there is one, in any state."""
        self._needs_lock()
        path = self._root / "open" / str(recording)
        with _disk(path):
            if any((self._root / name / path.name).exists() for name in ("ready", "quarantine")):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
            path.mkdir(mode=FOLDER_MODE)
            durable.sync_folder(path.parent)
        return OpenBundle(recording, path, self.ready_path)

    def quarantine_unfinished(self, *, step: Step = no_step) -> list[UUID]:
        """Move everything in ``open/`` to ``quarantine/``, and return the recordings moved, oldest first.

        For an agent's start, before the first call: what is open then was left behind by one that died.
        """
        self._needs_lock()
        folder, quarantine = self._root / "open", self._root / "quarantine"
        with _disk(folder):
            moved = sorted(folder.iterdir())
            for item in moved:
                step(f"move {item.name}")
                item.rename(_free_name(quarantine, item.name))
            # Also when nothing was left to move: a run before this one may have died ahead of these.
            step("sync quarantine")
            durable.sync_folder(quarantine)
            step("sync open")
            durable.sync_folder(folder)
        return [recording for item in moved if (recording := _recording(item.name)) is not None]

    def quarantined(self) -> list[UUID]:
        """Return the recordings in quarantine, oldest first."""
        return [recording for recording, _ in self._recordings("quarantine")]

    def ready(self) -> Iterator[Bundle]:
        """Yield the finished recordings, oldest first; what is no recording is passed over."""
        for recording, path in self._recordings("ready"):
            yield Bundle(id=recording, path=path)

    def free_bytes(self) -> int:
        """Return how much more an ordinary account may write here."""
        with _disk(self._root):
            figures = os.statvfs(self._root)
        return figures.f_bavail * figures.f_frsize

    def _recordings(self, name: str) -> list[tuple[UUID, Path]]:
        folder = self._root / name
        with _disk(folder):
            paths = sorted(folder.iterdir())
        return [(recording, path) for path in paths if (recording := _recording(path.name)) is not None]

    def _needs_lock(self) -> None:
        if AGENT not in self._held:
            raise SpoolError(
                f"{self._root}: not locked by this agent; two could work in it: call lock() first"
            )


@contextmanager
def _disk(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise SpoolError(f"{problem.filename or path}: {problem.strerror}") from problem


def _check_private(path: Path) -> None:
    found = path.stat(follow_symlinks=False)
    if not stat.S_ISDIR(found.st_mode):
        raise SpoolError(f"{path}: not a folder of its own (a link is none)")
    if found.st_uid != os.geteuid():
        raise SpoolError(
            f"{path}: belongs to user {found.st_uid}, the service runs as user {os.geteuid()};"
            " give the folder to that account"
        )
    if found.st_mode & _OTHERS:
        mode = stat.S_IMODE(found.st_mode)
        raise SpoolError(f"{path}: open to other accounts (mode {mode:o}); make it 700")


def _free_name(folder: Path, name: str) -> Path:
    path, number = folder / name, 1
    while path.exists():
        number += 1
        path = folder / f"{name}.{number}"
    return path


def _recording(name: str) -> UUID | None:
    try:
        recording = UUID(name)
    except ValueError:
        return None
    return recording if str(recording) == name else None
