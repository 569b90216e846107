"""The spool: where recordings are born, wait to be sent, and are kept if something went wrong.

::

    open/<id>/        state, audio.age and its tail, call.vcon.age (replaced whole at every change)
    ready/<id>/       audio-<sha256>.age  call-<sha256>.age  [tail-…  tailkey-…]  manifest.json  manifest.sig
    quarantine/       what lay in open/ and was no recording
    removing/         what is just being deleted, once it may go (see `removal`)
    ledger/           the device's chain of what happened
    status/           what each service last said of itself
    agent.lock        held by the one agent that works here; uploader.lock likewise

A recording is finished in two steps. `bind` writes the manifest; from then on the recording is complete, and
whoever finds it after a crash only carries on. `release` moves its folder to ``ready/`` by one rename: who
looks there sees it whole or not at all. Nothing here holds a key or reads plaintext.

A folder is a spool once it was made one (`create`), which leaves a marker. The empty folder that an unmounted
disk leaves behind looks like a new spool with plenty of room; recordings put there vanish beneath the disk
when it comes back, and the ledger that begins there is a second history of this device.

Conventions: the spool is ``0700`` and belongs to the account that runs the services; one that others can
look into, or that belongs to somebody else, is refused. All errors of the disk are SpoolError. Only who
holds the lock may begin recordings or take up unfinished ones.
"""

import errno
import fcntl
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, Self
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
from callseal.seal.state import STATE_NAME, RecordingState

AUDIO_NAME: Final = "audio.age"
VCON_NAME: Final = "call.vcon.age"
TAIL_NAME: Final = "tail"
TAIL_KEY_NAME: Final = "tail-key.age"
TAIL_OBJECT_NAME: Final = "tail.age"
WORKING_NAMES: Final = {
    "audio": AUDIO_NAME,
    "call": VCON_NAME,
    "tail": TAIL_OBJECT_NAME,
    "tailkey": TAIL_KEY_NAME,
}
"""What the object of each kind is called until the recording is complete."""
AGENT: Final = "agent"
MARKER_NAME: Final = ".callseal-spool"

FOLDERS: Final = ("open", "ready", "quarantine", "removing", "ledger", "status")
FOLDER_MODE: Final = 0o700

_OBJECT: Final = re.compile(r"([a-z]{1,16})-[0-9a-f]{64}\.age")
_MARKER: Final = b"callseal-spool/1\n"
_USED: Final = ("open", "ready", "ledger", "sent")
_SEGMENT: Final = re.compile(r"(0|[1-9][0-9]{0,15})\.jsonl")
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
        with _disk(path):
            # A pipe under that name would keep its reader waiting for ever.
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise SpoolError(f"{path}: not a file")
                with os.fdopen(descriptor, "rb", closefd=False) as file:
                    return file.read(limit_bytes + 1)
            finally:
                os.close(descriptor)


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

    def put_state(self, state: RecordingState, *, step: Step = no_step) -> None:
        """Put the recording's state in place of the last one, whole or not at all."""
        self._replace(STATE_NAME, state.to_bytes(), step)

    def put_vcon(self, sealed: bytes, *, step: Step = no_step) -> None:
        """Put a sealed vCon in place of the last one, whole or not at all."""
        self._replace(VCON_NAME, sealed, step)

    def read(self, name: str, limit_bytes: int) -> bytes | None:
        """Return up to one byte more than the limit of one of the files, None where there is none."""
        path = self._path / name
        with _disk(path):
            try:
                with path.open("rb") as file:
                    return file.read(limit_bytes + 1)
            except FileNotFoundError:
                return None

    def discard_audio(self, *, step: Step = no_step) -> None:
        """Remove the audio for good: of a call that must not be recorded after all."""
        with _disk(self._path):
            for name in (AUDIO_NAME, TAIL_NAME, TAIL_KEY_NAME, TAIL_OBJECT_NAME):
                step(f"remove {name}")
                (self._path / name).unlink(missing_ok=True)
            step("sync folder")
            durable.sync_folder(self._path)

    def discard(self, *, step: Step = no_step) -> None:
        """Remove the recording as if it had never been begun; for a call that turned out to be none."""
        with _disk(self._path):
            for item in sorted(self._path.iterdir()):
                step(f"remove {item.name}")
                item.unlink()
            step("remove folder")
            self._path.rmdir()
            step("sync open")
            durable.sync_folder(self._path.parent)

    def bind(self, manifest: Manifest, signature: bytes, *, step: Step = no_step) -> None:
        """Write the manifest, and give the objects their final names: the recording is complete then.

        Every object of the manifest lies here, durable, under the working name of its kind or its final
        one. `step` hears the name of each step before it is taken. Raises SpoolError, also for objects that
        do not fit the manifest; the same call may be made again, and carries on.
        """
        self._check(manifest)
        with _disk(self._path):
            durable.replace_file(self._path / SIGNATURE_NAME, signature, step=step)
            durable.replace_file(self._path / MANIFEST_NAME, manifest.to_bytes(), step=step)
            for item in manifest.objects:
                now = self._path / WORKING_NAMES.get(item.kind, item.name)
                if not (self._path / item.name).exists():
                    step(f"rename {now.name}")
                    now.rename(self._path / item.name)
            self._remove_all_but({item.name for item in manifest.objects}, step)
            step("sync folder")
            durable.sync_folder(self._path)

    def unbind(self, *, step: Step = no_step) -> None:
        """Take back a manifest that does not fit what lies here, and the names that it gave."""
        with _disk(self._path):
            step("remove manifest")
            (self._path / MANIFEST_NAME).unlink(missing_ok=True)
            step("remove signature")
            (self._path / SIGNATURE_NAME).unlink(missing_ok=True)
            for item in sorted(self._path.iterdir()):
                found = _OBJECT.fullmatch(item.name)
                working = WORKING_NAMES.get(found.group(1)) if found else None
                if working is not None and not (self._path / working).exists():
                    step(f"rename {item.name}")
                    item.rename(self._path / working)
            step("sync folder")
            durable.sync_folder(self._path)

    def release(self, *, step: Step = no_step) -> Bundle:
        """Move the complete recording to ``ready/``."""
        final_path = self._ready / self._path.name
        with _disk(self._path):
            step("move to ready")
            self._path.rename(final_path)
            step("sync open")
            durable.sync_folder(self._path.parent)
            step("sync ready")
            durable.sync_folder(self._ready)
        return Bundle(id=self._id, path=final_path)

    def _replace(self, name: str, data: bytes, step: Step) -> None:
        path = self._path / name
        with _disk(path):
            durable.replace_file(path, data, step=step)

    def _check(self, manifest: Manifest) -> None:
        if manifest.id != self._id:
            raise SpoolError(f"{self._path}: the manifest is that of another recording")
        for item in manifest.objects:
            now = self._path / WORKING_NAMES.get(item.kind, item.name)
            with _disk(now):
                there = self._path / item.name if (self._path / item.name).exists() else now
                if there.stat().st_size != item.size_bytes:
                    raise SpoolError(f"{there}: not the size that the manifest says")

    def _remove_all_but(self, names: set[str], step: Step) -> None:
        scratch = {STATE_NAME, TAIL_NAME, TAIL_KEY_NAME}
        for item in sorted(self._path.iterdir()):
            if item.name in scratch or item.name.endswith(durable.TEMPORARY_SUFFIX):
                step(f"remove {item.name}")
                item.unlink()
            elif item.name not in {*names, MANIFEST_NAME, SIGNATURE_NAME}:
                # Sealing it away or throwing it out would both be wrong: it may be a call's only audio.
                raise SpoolError(f"{item}: not in the manifest; name it or remove it first")


class Spool:
    """The spool at `root`; made where it does not exist yet."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._held: dict[str, int] = {}
        with _disk(root):
            root.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            _check_private(root)
            for name in FOLDERS:
                (root / name).mkdir(mode=FOLDER_MODE, exist_ok=True)
                _check_private(root / name)
            durable.sync_folder(root)

    @classmethod
    def create(cls, root: Path) -> Self:
        """Make a folder a spool, or find that it is one already."""
        spool = cls(root)
        marker = root / MARKER_NAME
        with _disk(marker):
            if not marker.exists():
                durable.replace_file(marker, _MARKER)
                durable.sync_folder(root.parent)
        return spool

    @classmethod
    def existing(cls, root: Path) -> Self:
        """Return the spool at `root`; SpoolError where there is none. One that holds anything is one."""
        with _disk(root):
            if not (root / MARKER_NAME).exists() and not any(map(_holds_anything, map(root.joinpath, _USED))):
                raise SpoolError(
                    f"{root}: not a spool (no {MARKER_NAME} in it, and nothing else): is its disk mounted?"
                    " A new spool is made with `callseal spool init`"
                )
        return cls.create(root)

    @property
    def root(self) -> Path:
        """The spool's folder."""
        return self._root

    @property
    def ready_path(self) -> Path:
        """Where finished recordings appear."""
        return self._root / "ready"

    @property
    def removing_path(self) -> Path:
        """Where finished recordings lie that are just being deleted."""
        return self._root / "removing"

    @property
    def ledger_path(self) -> Path:
        """Where the device's ledger grows."""
        return self._root / "ledger"

    @property
    def status_path(self) -> Path:
        """Where services say how they are."""
        return self._root / "status"

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
            self._held[service] = descriptor
            yield
        finally:
            self._held.pop(service, None)
            os.close(descriptor)

    def holds(self, service: str) -> bool:
        """Tell whether `lock` is held here for this kind of service."""
        return service in self._held

    def lock_descriptor(self, service: str = AGENT) -> int:
        """Return the descriptor of a lock that is held here, to be shared with a process that works for us.

        The lock is then held until that process has ended, too.
        """
        return self._held[service]

    def share_lock(self, descriptor: int, service: str = AGENT) -> None:
        """Work under a lock that the process holds which has started this one."""
        self._held[service] = descriptor

    def begin(self, recording: UUID, *, step: Step = no_step) -> OpenBundle:
        """Make ``open/<id>/``; SpoolError if there is one, in any state."""
        self._needs_lock()
        path = self._root / "open" / str(recording)
        with _disk(path):
            if any((self._root / name / path.name).exists() for name in ("ready", "quarantine", "removing")):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
            step("make folder")
            path.mkdir(mode=FOLDER_MODE)
            step("sync open")
            durable.sync_folder(path.parent)
        return OpenBundle(recording, path, self.ready_path)

    def unfinished(self) -> list[OpenBundle]:
        """Return the recordings in ``open/``, oldest first.

        At an agent's start, before the first call, what is open was left behind by one that died.
        """
        self._needs_lock()
        return [OpenBundle(recording, path, self.ready_path) for recording, path in self._recordings("open")]

    def quarantine_strangers(self, *, step: Step = no_step) -> list[str]:
        """Move what lies in ``open/`` and is no recording to ``quarantine/``; return the names."""
        self._needs_lock()
        folder, quarantine = self._root / "open", self._root / "quarantine"
        with _disk(folder):
            moved = sorted(item for item in folder.iterdir() if _recording(item.name) is None)
            for item in moved:
                step(f"move {item.name}")
                item.rename(_free_name(quarantine, item.name))
            # Also when nothing was left to move: a run before this one may have died ahead of these.
            step("sync quarantine")
            durable.sync_folder(quarantine)
            step("sync open")
            durable.sync_folder(folder)
        return [item.name for item in moved]

    def segments(self, start: int = 0) -> list[tuple[int, Path]]:
        """Return the finished segments of the ledger from entry `start` on, each by its first entry."""
        # A year leaves half a million of them, of which nearly all were sent long ago.
        with _disk(self.ledger_path), os.scandir(self.ledger_path) as entries:
            found = (_SEGMENT.fullmatch(entry.name) for entry in entries)
            numbers = [int(match.group(1)) for match in found if match is not None]
        return [(first, self.ledger_path / f"{first}.jsonl") for first in sorted(numbers) if first >= start]

    def quarantine_file(self, path: Path, *, step: Step = no_step) -> None:
        """Move a file of an unfinished recording to ``quarantine/``, under both their names."""
        self._needs_lock()
        quarantine = self._root / "quarantine"
        with _disk(path):
            step(f"move {path.name}")
            path.rename(_free_name(quarantine, f"{path.parent.name}-{path.name}"))
            step("sync quarantine")
            durable.sync_folder(quarantine)
            step("sync folder")
            durable.sync_folder(path.parent)

    def holds_quarantined(self) -> bool:
        """Tell whether anything lies in ``quarantine/``."""
        with _disk(self._root):
            return _holds_anything(self._root / "quarantine")

    def quarantined(self) -> list[UUID]:
        """Return the recordings in quarantine, oldest first."""
        return [recording for recording, _ in self._recordings("quarantine")]

    def removing(self) -> list[UUID]:
        """Return the recordings that are just being deleted, oldest first."""
        return [recording for recording, _ in self._recordings("removing")]

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


def _holds_anything(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


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
