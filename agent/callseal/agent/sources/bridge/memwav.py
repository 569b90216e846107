"""WAV files that exist in memory only, for a library that knows nothing but file names.

A memory file (memfd) gets a name through a symbolic link to its entry under /proc; the link holds no
sound and is all that ever stands on a disk. Consumed ranges of a growing recording are punched out, so a
long call takes no more memory than a short one.

Conventions: mono, PCM16 little-endian, as pjmedia's WAV recorder writes them: 44 bytes of header, then
samples. The header's sizes are 0 until the recorder has closed the file, after its last samples.
"""

import ctypes
import errno
import os
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

HEADER_BYTES: Final = 44
_SIZE_AT: Final = 4
_PAGE_BYTES: Final = 4096
_KEEP_SIZE: Final = 0x01  # FALLOC_FL_KEEP_SIZE, linux/falloc.h
_PUNCH_HOLE: Final = 0x02  # FALLOC_FL_PUNCH_HOLE

_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]


def create(name: str) -> int:
    """Make an empty memory file; the caller closes the descriptor."""
    return os.memfd_create(name, os.MFD_CLOEXEC)


def fill(fd: int, samples: NDArray[np.int16], rate_hz: int) -> None:
    """Write a whole WAV file of int16 samples, shape (samples,), into an empty memory file."""
    data = samples.astype("<i2").tobytes()
    size = len(data).to_bytes(4, "little")
    riff = (36 + len(data)).to_bytes(4, "little")
    rate = rate_hz.to_bytes(4, "little")
    rate_bytes = (rate_hz * 2).to_bytes(4, "little")
    header = (
        b"RIFF" + riff + b"WAVEfmt \x10\0\0\0\x01\0\x01\0" + rate + rate_bytes + b"\x02\0\x10\0data" + size
    )
    view = memoryview(header + data)
    while view:
        view = view[os.write(fd, view) :]


def link(fd: int, folder: Path, name: str) -> Path:
    """Give a memory file of this process a path that ends in .wav."""
    path = folder / f"{name}.wav"
    path.symlink_to(f"/proc/self/fd/{fd}")
    return path


def is_whole(fd: int) -> bool:
    """Say whether a recorder has closed its file: the RIFF size, at least 36 then, is 0 before."""
    return any(os.pread(fd, 4, _SIZE_AT))


class GrowingWav:
    """Reads what a recorder has written so far, and frees what was read."""

    def __init__(self, fd: int) -> None:
        """Take over the descriptor."""
        self._fd = fd
        self._read_bytes = HEADER_BYTES
        self._freed_bytes = 0

    def take_new(self) -> NDArray[np.int16]:
        """Give the samples that came since the last call, int16, shape (samples,)."""
        size = os.fstat(self._fd).st_size
        wanted = (size - self._read_bytes) // 2 * 2
        if wanted <= 0:
            return np.zeros(0, np.int16)
        data = os.pread(self._fd, wanted, self._read_bytes)
        self._read_bytes += len(data) // 2 * 2
        self._free()
        return np.frombuffer(data, "<i2", len(data) // 2).astype(np.int16)

    def close(self) -> None:
        """Let the memory go."""
        os.close(self._fd)

    def _free(self) -> None:
        whole = self._read_bytes // _PAGE_BYTES * _PAGE_BYTES
        if whole == self._freed_bytes:
            return
        length = whole - self._freed_bytes
        if _libc.fallocate(self._fd, _PUNCH_HOLE | _KEEP_SIZE, self._freed_bytes, length) != 0:
            code = ctypes.get_errno()
            if code != errno.EOPNOTSUPP:  # then the memory is only freed at the end of the call
                raise OSError(code, os.strerror(code))
        self._freed_bytes = whole
