"""Small files and folders that are still there after a power cut.

Conventions: a file counts as written once its bytes *and* the folder entry that names it are on the disk:
``fsync`` on the file, then on the folder. New files are ``0600`` and never overwrite one that is there; a
change is a new file under a temporary name, renamed over the old one, so that a reader sees the old bytes
or the new ones, never a mixture. Temporary names end in ``TEMPORARY_SUFFIX``.

Every function lets ``OSError`` through: the caller knows which disk it was and which error class says so.

Source: the order temporary file, ``fsync``, ``rename``, ``fsync`` of the folder, from rename(2) and fsync(2).
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

TEMPORARY_SUFFIX: Final = ".tmp"
FILE_MODE: Final = 0o600

# Told the name of each durable step before it is taken; a crash test ends the process there.
Step: TypeAlias = Callable[[str], None]


def no_step(_name: str, /) -> None:
    """Take no notice of a step."""


def write_all(descriptor: int, data: bytes | bytearray | memoryview) -> None:
    """Write every byte of `data`: write(2) may take fewer than it was given, on a full disk for one."""
    rest = memoryview(data).cast("B")
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def sync_folder(folder: Path) -> None:
    """Make the entries of `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def create_file(path: Path, data: bytes, *, sync: bool = True, step: Step = no_step) -> None:
    """Write a new file and its bytes; the caller syncs the folder, once for many files.

    Without `sync` the file too is for the caller to bring to the disk.
    Raises FileExistsError where the name is taken; a file that could not be written whole is removed again.
    """
    step(f"create {path.name}")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
    try:
        step(f"write {path.name}")
        write_all(descriptor, data)
        if sync:
            step(f"sync {path.name}")
            os.fsync(descriptor)
    except OSError:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)


def replace_file(path: Path, data: bytes, *, sync: bool = True, step: Step = no_step) -> None:
    """Write `data` under the name `path`, whole or not at all, in place of what may be there.

    Without `sync` it is not on the disk when this returns, and a power cut may leave an empty file: for a
    name that was free, and a caller that syncs a whole bank soon. One writer at a time: a temporary file that
    a killed writer left behind is overwritten.
    """
    temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
    if os.path.lexists(temporary):
        step(f"remove {temporary.name}")
        temporary.unlink()
    create_file(temporary, data, sync=sync, step=step)
    step(f"rename {temporary.name}")
    temporary.replace(path)
    if not sync:
        return
    step(f"sync folder of {path.name}")
    sync_folder(path.parent)
