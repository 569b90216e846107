"""A call's three taps: what agent, customer and announcement say is recorded through them.

Trap of pjsua2 2.15.1 that shapes this file: a recorder that is destroyed leaves the conference at its next
tick, on the clock's thread, and writes its last buffers, up to half a second, only then. It is whole when
the length in its header is no longer 0.
"""

import os
from pathlib import Path
from typing import Final

import pjsua2 as pj

from callseal.agent.sources.bridge import memwav

NAMES: Final = ("agent-tap", "customer-tap", "announcement-tap")


class Taps:
    """Recorders into memory files; made, closed and released on the thread that owns the library."""

    def __init__(self, scratch: Path, number: int) -> None:
        self.recorders: dict[str, pj.AudioMediaRecorder] = {}
        self._fds: list[int] = []
        for name in NAMES:
            fd = memwav.create(name)
            self._fds.append(fd)
            link = memwav.link(fd, scratch, f"{name}-{number}")
            recorder = pj.AudioMediaRecorder()
            recorder.createRecorder(str(link))
            link.unlink()
            self.recorders[name] = recorder

    def share(self) -> tuple[int, ...]:
        """Give descriptors to be passed on, in the order of the names; whoever gets them closes them."""
        return tuple(os.dup(fd) for fd in self._fds)

    @property
    def whole(self) -> bool:
        """Whether everything that was recorded stands in the files; only after `close`."""
        return all(memwav.is_whole(fd) for fd in self._fds)

    def close(self) -> None:
        """Stop to record."""
        for recorder in self.recorders.values():
            pj.AudioMediaRecorder.__swig_destroy__(recorder)
        self.recorders.clear()

    def release(self) -> None:
        """Let go of the files; those who were given descriptors still have them."""
        for fd in self._fds:
            os.close(fd)
        self._fds.clear()
