"""A file that remembers what can be read from a store again: opened, or begun anew where it is of no use.

Conventions: it is a cache and proves nothing. Lost, damaged, or of another version, another one is begun.
Several processes may have it open. What the disk refuses is ScratchFailed. Times are milliseconds since 1970,
UTC; `to_ms` rounds down.
This module touches files.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Literal, TypeAlias

from callseal.archive.errors import ScratchFailed

BUSY_S: Final = 30.0
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_FILE_MODE: Final = 0o600
_FOLDER_MODE: Final = 0o700
_IN_MEMORY: Final = ":memory:"
_Isolation: TypeAlias = Literal["DEFERRED"] | None
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
            self._path.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        return connect(self._path, version=self._version, schema=self._schema)

    @contextmanager
    def _disk(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as problem:
            where = _IN_MEMORY if self._path is None else self._path
            raise ScratchFailed(f"{where}: the custodian's memory can't be used: {problem}") from problem


def connect(
    path: Path | None, *, version: int, schema: str, isolation_level: _Isolation = "DEFERRED"
) -> sqlite3.Connection:
    """Open a cache, in memory without a path, and make its tables; for this account alone to read.

    sqlite3.DatabaseError for a file that is none, or one of another version.
    """
    if path is not None:
        # Made here, so that nobody else can read it even for a moment; what is wrong SQLite tells below.
        with suppress(OSError):
            os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, _FILE_MODE))
    database = sqlite3.connect(
        _IN_MEMORY if path is None else path,
        timeout=BUSY_S,
        isolation_level=isolation_level,
        check_same_thread=False,
    )
    try:
        with closing(database.execute("PRAGMA user_version")) as row:
            found = int(row.fetchone()[0])
        if found not in {0, version}:  # 0: a file that was begun just now
            words = f"a memory of version {found}, and this program knows {version}"
            raise sqlite3.DatabaseError(words)  # noqa: TRY301 - closed below, like after all others
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")  # what a power cut takes is read again
        database.executescript(schema)
        database.execute(f"PRAGMA user_version = {version}")
        database.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except BaseException:
        database.close()
        raise
    return database


def to_ms(time: datetime) -> int:
    """Return a time as it is kept."""
    return (time - EPOCH) // _MILLISECOND


def from_ms(time_ms: int) -> datetime:
    """Return a time that was kept."""
    return EPOCH + time_ms * _MILLISECOND
