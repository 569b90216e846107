"""The folder in which a bridge's child gives memory files a name; it holds links and never sound.

Whoever runs the bridge holds a lock in it, so that what an agent and a child left that were both killed can
be told from what is in use, and is removed at the next start.
"""

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

PREFIX: Final = "callseal-bridge-"
_LOCK: Final = "lock"


@contextmanager
def scratch() -> Iterator[Path]:
    """Give a new folder of this user alone; it goes with its content."""
    sweep()
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        with _held(folder, os.O_CREAT) as held:
            # Another agent that starts now may have taken the new folder for an abandoned one.
            if held and (folder / _LOCK).exists():
                try:
                    yield folder
                finally:
                    shutil.rmtree(folder, ignore_errors=True)
                return


def sweep() -> int:
    """Remove this user's folders that nobody uses any more; gives their number."""
    swept = 0
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with _held(folder) as held:
            if held:
                shutil.rmtree(folder, ignore_errors=True)
                swept += 1
    return swept


@contextmanager
def _held(folder: Path, flags: int = 0) -> Iterator[bool]:
    """Lock a folder of ours; False when it is another's, in use, or without a lock."""
    with contextlib.ExitStack() as opened:
        try:
            entry = folder.lstat()
            if not stat.S_ISDIR(entry.st_mode) or entry.st_uid != os.geteuid():
                yield False
                return
            fd = os.open(folder / _LOCK, flags | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            opened.callback(os.close, fd)
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            held = False
        else:
            held = True
        yield held
