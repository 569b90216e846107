"""Brings a whole bank of recordings to the disk at once.

A gateway has hundreds of files open on one file system: one ``syncfs`` of it costs a fraction of what as many
``fdatasync`` do. It brings everything there to the disk, whoever wrote it, so the spool of a gateway belongs
on a file system of its own. It reports what failed since the last one only where the kernel is 5.8 or newer.

Conventions: `sync` may run in another thread than the writers, which go on writing meanwhile: only what was
staged before it began counts as safe.

Source: syncfs(2).
"""

import ctypes
import os
from pathlib import Path

from callseal.seal.durable import Step, no_step
from callseal.seal.errors import SpoolError


class Bank:
    """The file system that `folder` lies on."""

    def __init__(self, folder: Path, *, step: Step = no_step) -> None:
        self._folder = folder
        self._step = step
        self._libc = ctypes.CDLL(None, use_errno=True)
        try:
            self._descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as problem:
            raise SpoolError(f"{folder}: {problem.strerror}") from problem

    def sync(self) -> None:
        """Bring everything there to the disk; SpoolError if the disk refuses."""
        self._step("sync bank")
        if self._libc.syncfs(self._descriptor) != 0:
            problem = OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
            raise SpoolError(f"{self._folder}: the disk refused: {problem.strerror}") from problem

    def close(self) -> None:
        """Let go of the file system."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
