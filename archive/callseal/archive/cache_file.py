"""A file that remembers what can be read from a store again: opened, or begun anew where it is of no use.

Conventions: it is a cache and proves nothing. Lost, damaged, or of another version, another one is begun.
Several processes may have it open. What the disk refuses is ScratchFailed. Times are milliseconds since 1970,
UTC; `to_ms` rounds down.
This module touches files.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from callseal.archive.errors import ScratchFailed

BUSY_S: Final = 30.0
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_IN_MEMORY: Final = ":memory:"
_MILLISECOND: Final = timedelta(milliseconds=1)


class CacheFile:
    """A database of tables that `schema` makes where they are not there yet."""

    def __init__(self, path: Path | None, *, version: int, schema: str) -> None:
        """Open the file, or begin it; None keeps all of it in this process."""
        self._path = path
        self._version = version
        self._schema = schema
        self._database = self._open()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    @contextmanager
    def use(self) -> Iterator[sqlite3.Connection]:
        """Give the database; what is changed is kept as a whole, or not at all."""
        with self._disk(), self._database as transaction:
            yield transaction

    def _open(self) -> sqlite3.Connection:
        with self._disk():
            try:
                return self._connect()
            except sqlite3.OperationalError:  # the disk, or somebody who holds it: nothing wrong inside
                raise
            except sqlite3.DatabaseError:
                # Damaged, or of another version: it is a cache, so another one is begun.
                if self._path is None:
                    raise
                for ending in ("", "-wal", "-shm"):
                    self._path.with_name(self._path.name + ending).unlink(missing_ok=True)
                return self._connect()

    def _connect(self) -> sqlite3.Connection:
        if self._path is not None:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        database = sqlite3.connect(
            _IN_MEMORY if self._path is None else self._path, timeout=BUSY_S, check_same_thread=False
        )
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")  # what a power cut takes is read again
            with closing(database.execute("PRAGMA user_version")) as found:
                self._check_version(int(found.fetchone()[0]))
            database.executescript(self._schema)
            database.execute(f"PRAGMA user_version = {self._version}")
            database.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        except BaseException:
            database.close()
            raise
        return database

    def _check_version(self, version: int) -> None:
        if version not in {0, self._version}:  # 0: a file that was begun just now
            words = f"a memory of version {version}, and this program knows {self._version}"
            raise sqlite3.DatabaseError(words)

    @contextmanager
    def _disk(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as problem:
            where = _IN_MEMORY if self._path is None else self._path
            raise ScratchFailed(f"{where}: the custodian's memory can't be used: {problem}") from problem


def to_ms(time: datetime) -> int:
    """Return a time as it is kept."""
    return (time - EPOCH) // _MILLISECOND


def from_ms(time_ms: int) -> datetime:
    """Return a time that was kept."""
    return EPOCH + time_ms * _MILLISECOND
