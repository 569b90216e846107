"""What the custodian remembers of the protections in one store: when to look at which recording again.

Also how long each recording is kept, by what was last seen of it: as long as that is needed what proves it
(`evidence_locks`).

Conventions: it is a cache and proves nothing. Lost or damaged, it is begun anew and read from the store
again; nothing is ever done to a recording on its word alone. One file for each store; several processes may
have it open. Raises ScratchFailed where the disk refuses.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Self
from uuid import UUID

from callseal.archive.cache_file import CacheFile, from_ms, to_ms
from callseal.archive.term import Need

VERSION: Final = 2
PAGE: Final = 1000
"""How many recordings are taken from it at a time."""

_SURVEYED: Final = "surveyed_at_ms"
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS recording (
    device TEXT NOT NULL,
    id TEXT NOT NULL,
    look_at_ms INTEGER,
    newest_record TEXT NOT NULL,
    receipts INTEGER NOT NULL,
    open INTEGER NOT NULL,
    until_ms INTEGER,
    PRIMARY KEY (device, id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS due ON recording (look_at_ms, device, id) WHERE look_at_ms IS NOT NULL;
CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""
_OPEN: Final = Need(open=True, until=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """What was taken into account: the newest record ("": none), and how many versions of receipts."""

    newest_record: str
    receipts: int


class LockMemory:
    """The memory for one store."""

    def __init__(self, path: Path | None = None) -> None:
        """Open the file, or begin it; None keeps all of it in this process."""
        self._file = CacheFile(path, version=VERSION, schema=_SCHEMA)

    @classmethod
    def for_store(cls, folder: Path, name: str) -> Self:
        """Open the memory for the store called `name` in the custodian's folder."""
        return cls(folder / f"retention-{name}.sqlite3")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def note(
        self,
        device: str,
        recording: UUID,
        *,
        look_at: datetime | None,
        newest_record: str,
        receipts: int = 0,
        need: Need = _OPEN,
    ) -> None:
        """Remember when to look again (None: never), what was taken into account, how long it is needed."""
        until_ms = None if need.until is None else to_ms(need.until)
        look_at_ms = None if look_at is None else to_ms(look_at)
        values = (device, str(recording), look_at_ms, newest_record, receipts, int(need.open), until_ms)
        with self._file.use() as database:
            database.execute("INSERT OR REPLACE INTO recording VALUES (?, ?, ?, ?, ?, ?, ?)", values)

    def noted(self, device: str, recording: UUID) -> Noted | None:
        """Return what was taken into account of a recording, None for an unknown one."""
        query = "SELECT newest_record, receipts FROM recording WHERE device = ? AND id = ?"
        with self._file.use() as database:
            row = database.execute(query, (device, str(recording))).fetchone()
        return None if row is None else Noted(newest_record=str(row[0]), receipts=int(row[1]))

    def need(self, device: str | None) -> Need | None:
        """Return how long the recordings of a device (None: all) are needed; None where none is known."""
        query = "SELECT max(open), max(until_ms) FROM recording"
        where = "" if device is None else " WHERE device = ?"
        with self._file.use() as database:
            row = database.execute(query + where, () if device is None else (device,)).fetchone()
        if row[0] is None:
            return None
        return Need(open=bool(row[0]), until=None if row[1] is None else from_ms(int(row[1])))

    def due(self, now: datetime) -> Iterator[tuple[str, UUID]]:
        """Yield the recordings to look at by now, those that are due longest first, each once."""
        query = (
            "SELECT look_at_ms, device, id FROM recording"
            " WHERE look_at_ms <= ? AND (look_at_ms, device, id) > (?, ?, ?)"
            " ORDER BY look_at_ms, device, id LIMIT ?"
        )
        until, last = to_ms(now), (-(1 << 62), "", "")
        while True:
            with self._file.use() as database:
                rows = database.execute(query, (until, *last, PAGE)).fetchall()
            for look_at_ms, device, text in rows:
                last = (look_at_ms, device, text)
                yield device, UUID(text)
            if len(rows) < PAGE:
                return

    @property
    def due_since(self) -> datetime | None:
        """When the first recording was, or will be, to be looked at; None where there is none."""
        with self._file.use() as database:
            row = database.execute("SELECT min(look_at_ms) FROM recording").fetchone()
        return None if row[0] is None else from_ms(int(row[0]))

    @property
    def surveyed_at(self) -> datetime | None:
        """When the store was last gone through from end to end, None for never."""
        with self._file.use() as database:
            row = database.execute("SELECT value FROM fact WHERE name = ?", (_SURVEYED,)).fetchone()
        return None if row is None else from_ms(int(row[0]))

    def note_survey(self, at: datetime) -> None:
        """Remember that the store was gone through from end to end."""
        with self._file.use() as database:
            database.execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", (_SURVEYED, to_ms(at)))
