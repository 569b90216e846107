"""The user's own files: what the disk says becomes an error with the file's name and what to do."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from callseal.cli.errors import UsageFault
from callseal.cli.i18n import _


@contextmanager
def writable(path: Path) -> Iterator[None]:
    """Turn an OSError of writing `path` into a UsageFault."""
    try:
        yield
    except OSError as problem:
        words = _("{path}: can't be written: {why}")
        raise UsageFault(words.format(path=path, why=problem.strerror or problem)) from problem


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn an OSError of reading `path` into a UsageFault."""
    try:
        yield
    except OSError as problem:
        words = _("{path}: can't be read: {why}")
        raise UsageFault(words.format(path=path, why=problem.strerror or problem)) from problem


def is_there(path: Path) -> bool:
    """Tell whether there is anything of that name; UsageFault where the disk does not tell."""
    with readable(path):
        return path.exists()


def stamp_of(path: Path) -> object:
    """Return what changes when a file is written or replaced; None where there is none to be seen."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino, found.st_ctime_ns
