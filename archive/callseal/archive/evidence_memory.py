"""What the custodian remembers of the protections of proofs in one store: folder by folder, day by day.

A row says that all that a store took into a folder on one day is protected until some time. A day that is
over gains no more. So years of a ledger, half a million objects each, are a few hundred rows each.

Conventions: it is a cache and proves nothing; lost, all is looked at again. Days are those of the store's
clock, UTC. Raises ScratchFailed where the disk refuses.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Final, Self, TypeAlias

from callseal.archive.cache_file import CacheFile, from_ms, to_ms

VERSION: Final = 1

_SURVEYED: Final = "surveyed_at_ms"
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS folder (
    prefix TEXT PRIMARY KEY,
    look_at_ms INTEGER NOT NULL,
    begun_at_ms INTEGER,
    name TEXT NOT NULL,
    versions INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS due ON folder (look_at_ms, prefix);
CREATE TABLE IF NOT EXISTS day (
    prefix TEXT NOT NULL, day TEXT NOT NULL, until_ms INTEGER NOT NULL, PRIMARY KEY (prefix, day)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS found (
    prefix TEXT NOT NULL, day TEXT NOT NULL, until_ms INTEGER NOT NULL, PRIMARY KEY (prefix, day)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""


Position: TypeAlias = tuple[str, int]
"""A name, and how many of its versions are done, the oldest first."""
BEGINNING: Final[Position] = ("", 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """A walk through a folder: begun when, done up to where, and what was found so far by day.

    `known` is what earlier walks found of days that are over.
    """

    begun_at: datetime
    position: Position
    known: Mapping[date, datetime]
    found: Mapping[date, datetime]


class EvidenceMemory:
    """The memory for one store."""

    def __init__(self, path: Path | None = None) -> None:
        """Open the file, or begin it; None keeps all of it in this process."""
        self._file = CacheFile(path, version=VERSION, schema=_SCHEMA)

    @classmethod
    def for_store(cls, folder: Path, name: str) -> Self:
        """Open the memory for the store called `name` in the custodian's folder."""
        return cls(folder / f"evidence-{name}.sqlite3")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def add(self, prefix: str, look_at: datetime) -> None:
        """Remember a folder; one that is known stays as it is."""
        with self._file.use() as database:
            database.execute(
                "INSERT OR IGNORE INTO folder VALUES (?, ?, NULL, ?, ?)", (prefix, to_ms(look_at), *BEGINNING)
            )

    def next_due(self) -> tuple[datetime, str] | None:
        """Return when the first folder was, or will be, due, and which one it is."""
        query = "SELECT look_at_ms, prefix FROM folder ORDER BY look_at_ms, prefix LIMIT 1"
        with self._file.use() as database:
            row = database.execute(query).fetchone()
        return None if row is None else (from_ms(int(row[0])), str(row[1]))

    def walk(self, prefix: str, now: datetime) -> Walk:
        """Return the walk through a folder that was not finished, or a new one."""
        with self._file.use() as database:
            row = database.execute(
                "SELECT begun_at_ms, name, versions FROM folder WHERE prefix = ?", (prefix,)
            ).fetchone()
            known = database.execute("SELECT day, until_ms FROM day WHERE prefix = ?", (prefix,)).fetchall()
            found = database.execute("SELECT day, until_ms FROM found WHERE prefix = ?", (prefix,)).fetchall()
        going_on = row is not None and row[0] is not None
        return Walk(
            begun_at=from_ms(int(row[0])) if going_on else now,
            position=(str(row[1]), int(row[2])) if going_on else BEGINNING,
            known=_days(known),
            found=_days(found) if going_on else {},
        )

    def pause(self, prefix: str, walk: Walk) -> None:
        """Remember how far a walk has come."""
        rows = [(prefix, day.isoformat(), to_ms(until)) for day, until in walk.found.items()]
        with self._file.use() as database:
            database.execute(
                "UPDATE folder SET begun_at_ms = ?, name = ?, versions = ? WHERE prefix = ?",
                (to_ms(walk.begun_at), *walk.position, prefix),
            )
            database.execute("DELETE FROM found WHERE prefix = ?", (prefix,))
            database.executemany("INSERT INTO found VALUES (?, ?, ?)", rows)

    def finish(self, prefix: str, settled: Mapping[date, datetime], look_at: datetime) -> None:
        """Remember what a walk found of days that are over, and when to go again."""
        rows = [(prefix, day.isoformat(), to_ms(until)) for day, until in settled.items()]
        with self._file.use() as database:
            database.execute(
                "UPDATE folder SET look_at_ms = ?, begun_at_ms = NULL WHERE prefix = ?",
                (to_ms(look_at), prefix),
            )
            database.execute("DELETE FROM found WHERE prefix = ?", (prefix,))
            database.executemany("INSERT OR REPLACE INTO day VALUES (?, ?, ?)", rows)

    def put_off(self, prefix: str, look_at: datetime) -> None:
        """Remember to go on with a walk later."""
        with self._file.use() as database:
            database.execute("UPDATE folder SET look_at_ms = ? WHERE prefix = ?", (to_ms(look_at), prefix))

    @property
    def surveyed_at(self) -> datetime | None:
        """When the store's folders were last listed, None for never."""
        with self._file.use() as database:
            row = database.execute("SELECT value FROM fact WHERE name = ?", (_SURVEYED,)).fetchone()
        return None if row is None else from_ms(int(row[0]))

    def note_survey(self, at: datetime) -> None:
        """Remember that the store's folders were listed."""
        with self._file.use() as database:
            database.execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", (_SURVEYED, to_ms(at)))


def _days(rows: list[tuple[str, int]]) -> dict[date, datetime]:
    return {date.fromisoformat(day): from_ms(until_ms) for day, until_ms in rows}
