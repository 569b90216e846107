"""How full a disk is.

Conventions: sizes are bytes; what only the superuser may use counts for nothing, so that 100 percent means
that an ordinary account can write no more: as ``df`` counts.

Source: statvfs(3); GNU coreutils, df.c (used, of what is used or available).
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from callseal.seal.errors import SpoolError

_WHOLE: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """What an ordinary account may use of a disk, and has left."""

    used_bytes: int
    free_bytes: int

    @classmethod
    def of(cls, folder: Path) -> Self:
        """Ask the disk that a folder lies on; SpoolError if it does not answer."""
        try:
            figures = os.statvfs(folder)
        except OSError as problem:
            raise SpoolError(f"{folder}: {problem.strerror}") from problem
        return cls(
            used_bytes=(figures.f_blocks - figures.f_bfree) * figures.f_frsize,
            free_bytes=figures.f_bavail * figures.f_frsize,
        )

    @property
    def used_percent(self) -> int:
        """How full the disk is, rounded up; one without any room at all is full."""
        total_bytes = self.used_bytes + self.free_bytes
        return -(-self.used_bytes * _WHOLE // total_bytes) if total_bytes else _WHOLE

    def is_fuller_than(self, percent: int) -> bool:
        """Tell whether more than `percent` of the disk is used."""
        return self.used_bytes * _WHOLE > percent * (self.used_bytes + self.free_bytes)

    def room_bytes(self, *, full_percent: int, min_free_bytes: int) -> int:
        """Return how much may be written before more than `full_percent` is used, or too little free."""
        total_bytes = self.used_bytes + self.free_bytes
        by_share = full_percent * total_bytes // _WHOLE - self.used_bytes
        return max(0, min(by_share, self.free_bytes - min_free_bytes))
