"""What the custodian remembers of the protections in one store: when to look at which recording again.

Conventions: it is a cache and proves nothing. Lost or damaged, it is begun anew and read from the store
again; nothing is ever done on its word alone. Times are milliseconds since 1970, UTC. One file for each
store; several processes may have it open.
This module touches files.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Self
from uuid import UUID

from callseal.archive.errors import ScratchFailed

VERSION: Final = 1
BUSY_S: Final = 30.0
PAGE: Final = 1000
"""How many recordings are taken from it at a time."""

_IN_MEMORY: Final = ":memory:"
_SURVEYED: Final = "surveyed_at_ms"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS recording (
    device TEXT NOT NULL,
    id TEXT NOT NULL,
    look_at_ms INTEGER,
    newest_record TEXT NOT NULL,
    PRIMARY KEY (device, id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS due ON recording (look_at_ms, device, id) WHERE look_at_ms IS NOT NULL;
CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""


class LockMemory:
    """The memory for one store. Raises ScratchFailed where the disk refuses."""

    def __init__(self, path: Path | None = None) -> None:
        """Open the file, or begin it; None keeps all of it in this process."""
        self._path = path
        self._database = self._open()

    @classmethod
    def for_store(cls, folder: Path, name: str) -> Self:
        """Open the memory for the store called `name` in the custodian's folder."""
        return cls(folder / f"retention-{name}.sqlite3")

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def note(self, device: str, recording: UUID, *, look_at: datetime | None, newest_record: str) -> None:
        """Remember when to look again (None: never), and the newest record that was taken into account."""
        values = (device, str(recording), None if look_at is None else _to_ms(look_at), newest_record)
        with self._disk(), self._database as transaction:
            transaction.execute("INSERT OR REPLACE INTO recording VALUES (?, ?, ?, ?)", values)

    def newest_record(self, device: str, recording: UUID) -> str | None:
        """Return the newest record that was taken into account ("": none), None for an unknown recording."""
        query = "SELECT newest_record FROM recording WHERE device = ? AND id = ?"
        with self._disk():
            row = self._database.execute(query, (device, str(recording))).fetchone()
        return None if row is None else str(row[0])

    def due(self, now: datetime) -> Iterator[tuple[str, UUID]]:
        """Yield the recordings to look at by now, those that are due longest first, each once."""
        query = (
            "SELECT look_at_ms, device, id FROM recording"
            " WHERE look_at_ms <= ? AND (look_at_ms, device, id) > (?, ?, ?)"
            " ORDER BY look_at_ms, device, id LIMIT ?"
        )
        until, last = _to_ms(now), (-(1 << 62), "", "")
        while True:
            with self._disk():
                rows = self._database.execute(query, (until, *last, PAGE)).fetchall()
            for look_at_ms, device, text in rows:
                last = (look_at_ms, device, text)
                yield device, UUID(text)
            if len(rows) < PAGE:
                return

    @property
    def surveyed_at(self) -> datetime | None:
        """When the store was last gone through from end to end, None for never."""
        with self._disk():
            row = self._database.execute("SELECT value FROM fact WHERE name = ?", (_SURVEYED,)).fetchone()
        return None if row is None else _EPOCH + int(row[0]) * _MILLISECOND

    def note_survey(self, at: datetime) -> None:
        """Remember that the store was gone through from end to end."""
        with self._disk(), self._database as transaction:
            transaction.execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", (_SURVEYED, _to_ms(at)))

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
                _check_version(int(found.fetchone()[0]))
            database.executescript(_SCHEMA)
            database.execute(f"PRAGMA user_version = {VERSION}")
            database.execute("SELECT count(*) FROM fact").fetchone()
        except BaseException:
            database.close()
            raise
        return database

    @contextmanager
    def _disk(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as problem:
            where = _IN_MEMORY if self._path is None else self._path
            raise ScratchFailed(f"{where}: the custodian's memory can't be used: {problem}") from problem


def _check_version(version: int) -> None:
    if version not in {0, VERSION}:  # 0: a file that was begun just now
        raise sqlite3.DatabaseError(f"a memory of version {version}, and this program knows {VERSION}")


def _to_ms(time: datetime) -> int:
    return (time - _EPOCH) // _MILLISECOND
