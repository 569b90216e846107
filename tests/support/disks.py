"""File systems of their own for tests of what disks do to us: made in a file, mounted, cut off, taken away.

Needs root; where mounting is refused the test is skipped, and the summary says so. What was mounted is
unmounted, and its loop device let go of, however the test ends.
"""

import contextlib
import fcntl
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from support.programs import needed, refused

_MEBIBYTE: Final = 1024 * 1024
_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
_ENOUGH_BYTES: Final = 1024 * _MEBIBYTE
# Linux, fs/ext4/ext4.h: EXT4_IOC_SHUTDOWN is _IOR('X', 125, __u32); what is not in the log is lost.
_IOC_SHUTDOWN: Final = 0x8004587D
_NO_LOG_FLUSH: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """A file system that is mounted."""

    image: Path
    folder: Path

    @property
    def device(self) -> str:
        """The name of its loop device."""
        ran = _run("findmnt", "-n", "-o", "SOURCE", self.folder)
        return ran.stdout.strip().rpartition("/")[2]

    def free_bytes(self) -> int:
        """Give how much still goes on it."""
        figures = os.statvfs(self.folder)
        return figures.f_bavail * figures.f_frsize

    def fill(self, leave_bytes: int = 0) -> Path:
        """Take what room there is, and give the file that takes it."""
        path = self.folder / "ballast"
        with path.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while (room := self.free_bytes() - leave_bytes) > 0:
                file.write(bytes(min(room, _MEBIBYTE)))
            while not leave_bytes:
                file.write(bytes(512))
        return path

    def make_read_only(self) -> None:
        """Do what the kernel does to a file system in which it finds an error."""
        try:
            Path(f"/sys/fs/ext4/{self.device}/trigger_fs_error").write_text("1")
        except OSError as problem:
            refused(f"a file system can't be made to fail: {problem}")

    def cut_off(self) -> None:
        """Let nothing more reach the device, as of this moment: what a cable does that is pulled."""
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, _IOC_SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
        finally:
            os.close(descriptor)

    def vanish(self) -> None:
        """Take it out of the tree of folders, while files on it may be open."""
        _run("umount", "-l", self.folder, check=True)

    def copy(self, path: Path) -> None:
        """Copy the device as it is; nobody may write meanwhile but the kernel itself, which is awaited."""
        while True:
            shutil.copyfile(self.image, path)
            if _run("cmp", "-s", self.image, path).returncode == 0:
                return


@contextlib.contextmanager
def place_for_images(size_mb: int) -> Iterator[Path]:
    """Give a folder for images, in memory where there is room for this much."""
    roomy = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > size_mb * _MEBIBYTE + _ENOUGH_BYTES
    with tempfile.TemporaryDirectory(prefix="callseal-disk-", dir=_MEMORY if roomy else None) as folder:
        yield Path(folder)


def make_image(path: Path, size_mb: int, *options: str) -> Path:
    """Make an ext4 file system in a file."""
    mkfs = needed("mkfs.ext4", "e2fsprogs")
    with path.open("wb") as file:
        file.truncate(size_mb * _MEBIBYTE)
    _run(
        mkfs,
        "-q",
        "-F",
        "-m",
        "0",
        "-E",
        "lazy_itable_init=0,lazy_journal_init=0",
        *options,
        path,
        check=True,
    )
    return path


@contextlib.contextmanager
def mounted(image: Path, folder: Path, *, options: str = "loop") -> Iterator[Disk]:
    """Mount an image, replaying its journal, and let go of it in the end."""
    folder.mkdir(exist_ok=True)
    ran = _run(needed("mount", "mount"), "-o", options, image, folder)
    if ran.returncode != 0:
        refused(f"a file system can't be mounted, which takes root: {ran.stderr.strip()}")
    folder.chmod(0o700)
    try:
        yield Disk(image=image, folder=folder)
    finally:
        if os.path.ismount(folder) and _run("umount", folder).returncode != 0:
            _run("umount", "-l", folder)
        for line in _run("losetup", "-j", image).stdout.splitlines():
            _run("losetup", "-d", line.partition(":")[0])


@contextlib.contextmanager
def disk(folder: Path, size_mb: int, *options: str) -> Iterator[Disk]:
    """Give a new file system, mounted on `folder`."""
    with (
        place_for_images(size_mb) as place,
        mounted(make_image(place / "image", size_mb, *options), folder) as found,
    ):
        yield found


def _run(*command: str | Path, check: bool = False) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, capture_output=True, text=True, check=check)
