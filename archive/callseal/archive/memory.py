"""What the custodian remembers, so that it need not ask the stores again: SQLite, in a folder of its own.

It is a cache and proves nothing. What counts lies in the stores: lost, damaged or of another version, it is
set aside (renamed ``….broken-<n>``) and filled again from there. Where the disk refuses, the service goes on
with a memory that ends with it, and `failure` says so.

Conventions: times are kept in milliseconds since 1970. `since` of a trouble is when it was first found. What
is to be tried again has a time for that; a clock that was set back stops nothing: no wait is longer than
`MAX_AGAIN`. Used from several threads, and by several processes.
This module touches files.
"""

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Self, TypeAlias
from uuid import UUID

from callseal.archive.custodian import State
from callseal.archive.errors import MemoryFailed
from callseal.archive.memory_file import connect
from callseal.archive.troubles import Trouble
from callseal.store.names import RecordingName

FILE_NAME: Final = "memory.sqlite3"
MAX_AGAIN: Final = timedelta(days=1)
FIRST_AGAIN: Final[Mapping[State, timedelta]] = {
    State.INCOMPLETE: timedelta(minutes=1),
    State.WAITING: timedelta(seconds=30),
    State.REFUSED: timedelta(minutes=10),
}
"""How soon what is not received yet is looked at again; twice as late each time."""
LAST_AGAIN: Final[Mapping[State, timedelta]] = {
    State.INCOMPLETE: timedelta(hours=1),
    State.WAITING: timedelta(minutes=15),
    State.REFUSED: MAX_AGAIN,
}
"""How late at most."""

MAX_TROUBLES: Final = 64
"""How many troubles of one recording are remembered."""

_FOLDER_MODE: Final = 0o700
_MOST_DOUBLINGS: Final = 20
_MOST_BROKEN: Final = 20
_MAX_AGAIN_MS: Final = int(MAX_AGAIN / timedelta(milliseconds=1))
_ENDINGS: Final = ("", "-wal", "-shm")
_Run: TypeAlias = Callable[..., sqlite3.Cursor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is remembered of a recording: its state, and how much lay there when it was looked at."""

    state: State
    names: int
    versions: int
    newest_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A trouble as it is remembered: of which recording (or other subject), and since when."""

    device: str
    subject: str
    trouble: Trouble
    since: datetime


class Memory:
    """What is remembered; `close` it, or use it in a ``with``."""

    def __init__(self, folder: Path) -> None:
        """Open the memory in a folder, which is made; MemoryFailed where even that can't be."""
        try:
            folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        except OSError as problem:
            words = f"{folder}: {problem.strerror}: no folder for what the custodian remembers"
            raise MemoryFailed(words) from problem
        self._path = folder / FILE_NAME
        self._lock = threading.RLock()
        self.failure = ""
        """Why nothing is remembered beyond this process, in words; empty while all is well."""
        self._db = self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_what: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._db.close()

    def known(self, store: str, name: RecordingName) -> Known | None:
        """Return what is remembered of a recording."""
        row = self._one(
            "SELECT state, names, versions, newest_ms FROM recordings"
            " WHERE store = ? AND device = ? AND day = ? AND id = ?",
            (store, *_key(name)),
        )
        if row is None:
            return None
        return Known(state=State(row[0]), names=row[1], versions=row[2], newest_ms=row[3])

    def settle(
        self,
        store: str,
        name: RecordingName,
        state: State,
        troubles: Sequence[Trouble],
        *,
        names: int,
        versions: int,
        newest_at: datetime | None,
        now: datetime,
    ) -> tuple[Trouble, ...]:
        """Remember what became of a recording, in place of what was known; return what is newly wrong."""
        with self._transaction() as run:
            row = run(
                "SELECT state, tries FROM recordings WHERE store = ? AND device = ? AND day = ? AND id = ?",
                (store, *_key(name)),
            ).fetchone()
            tries = 0 if row is None or row[0] != state.value else row[1] + 1
            run(
                "INSERT OR REPLACE INTO recordings VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    store,
                    *_key(name),
                    state.value,
                    names,
                    versions,
                    0 if newest_at is None else milliseconds(newest_at),
                    tries,
                    milliseconds(now + again_after(state, tries)),
                ),
            )
            return _tell(run, (store, name.device, str(name.id)), troubles, now)
        return tuple(troubles)

    def tell(
        self, store: str, device: str, subject: str, troubles: Sequence[Trouble], *, now: datetime
    ) -> tuple[Trouble, ...]:
        """Remember what is wrong with something else than a recording; return what is newly wrong."""
        with self._transaction() as run:
            return _tell(run, (store, device, subject), troubles, now)
        return tuple(troubles)

    def due(self, store: str, now: datetime, limit: int) -> list[RecordingName]:
        """Return recordings that are not received and are to be looked at again, the most overdue first.

        Those that wait for something come before those of which a part is missing: of the latter whoever may
        add can make as many as he likes.
        """
        now_ms = milliseconds(now)
        rows = self._all(
            "SELECT device, day, id FROM recordings WHERE store = ? AND state != 'received'"
            " AND (again_ms <= ? OR again_ms > ?) ORDER BY state != 'waiting', again_ms LIMIT ?",
            (store, now_ms, now_ms + _MAX_AGAIN_MS, limit),
        )
        return list(map(_name, rows))

    def devices(self, store: str) -> list[str]:
        """Return the devices of which recordings are known in a store."""
        return [
            row[0] for row in self._all("SELECT DISTINCT device FROM recordings WHERE store = ?", (store,))
        ]

    def received(self, store: str, device: str) -> list[RecordingName]:
        """Return the recordings of a device that were received in a store."""
        rows = self._all(
            "SELECT device, day, id FROM recordings WHERE store = ? AND device = ? AND state = 'received'",
            (store, device),
        )
        return list(map(_name, rows))

    def is_known(self, device: str, recording: UUID) -> bool:
        """Tell whether anything lies, or lay, in any store of a recording."""
        row = self._one(
            "SELECT 1 FROM recordings WHERE device = ? AND id = ? LIMIT 1", (device, str(recording))
        )
        return row is not None

    def totals(self, store: str, device: str | None = None) -> Mapping[State, int]:
        """Return how many recordings are in which state, of one device or of all."""
        rows = self._all(
            "SELECT state, count(*) FROM recordings WHERE store = ? AND (?2 IS NULL OR device = ?2)"
            " GROUP BY state",
            (store, device),
        )
        return dict.fromkeys(State, 0) | {State(row[0]): row[1] for row in rows}

    def troubles(self, store: str, device: str | None = None) -> list[Told]:
        """Return what is wrong in a store, of one device or of all, the oldest first."""
        rows = self._all(
            "SELECT device, subject, code, exit_code, words, since_ms FROM troubles WHERE store = ?"
            " AND (?2 IS NULL OR device = ?2) ORDER BY since_ms, device, subject, number",
            (store, device),
        )
        return [
            Told(
                device=row[0],
                subject=row[1],
                trouble=Trouble(code=row[2], exit_code=row[3], words=row[4]),
                since=datetime.fromtimestamp(row[5] / 1000, UTC),
            )
            for row in rows
        ]

    def want_copy(self, target: str, name: RecordingName) -> None:
        """Remember that a recording is to be copied to a store."""
        self._do("INSERT OR IGNORE INTO copies VALUES (?, ?, ?, ?, 0, 0)", (target, *_key(name)))

    def copies_due(self, target: str, now: datetime, limit: int) -> list[RecordingName]:
        """Return the recordings that are to be copied to a store now."""
        now_ms = milliseconds(now)
        rows = self._all(
            "SELECT device, day, id FROM copies WHERE target = ? AND (again_ms <= ? OR again_ms > ?)"
            " ORDER BY again_ms, day, id LIMIT ?",
            (target, now_ms, now_ms + _MAX_AGAIN_MS, limit),
        )
        return list(map(_name, rows))

    def copies(self, target: str) -> int:
        """Return how many recordings wait to be copied to a store."""
        row = self._one("SELECT count(*) FROM copies WHERE target = ?", (target,))
        return 0 if row is None else row[0]

    def copied(self, target: str, name: RecordingName) -> None:
        """Remember that a recording need not be copied any more."""
        self._do(
            "DELETE FROM copies WHERE target = ? AND device = ? AND day = ? AND id = ?", (target, *_key(name))
        )

    def copy_later(self, target: str, name: RecordingName, now: datetime) -> None:
        """Remember to try a copy again later."""
        with self._transaction() as run:
            key = (target, *_key(name))
            where = "WHERE target = ? AND device = ? AND day = ? AND id = ?"
            row = run(f"SELECT tries FROM copies {where}", key).fetchone()  # noqa: S608 - nothing from outside
            tries = 0 if row is None else row[0]
            again_ms = milliseconds(now + again_after(State.WAITING, tries))
            run(f"UPDATE copies SET tries = ?, again_ms = ? {where}", (tries + 1, again_ms, *key))  # noqa: S608

    def draw(self, store: str, names: Iterable[str]) -> None:
        """Remember receipts whose recordings are to be read again."""
        with self._transaction() as run:
            for name in names:
                run("INSERT OR IGNORE INTO lots VALUES (?, ?)", (store, name))

    def drawn(self, store: str, limit: int) -> list[str]:
        """Return some of those."""
        rows = self._all("SELECT name FROM lots WHERE store = ? ORDER BY name LIMIT ?", (store, limit))
        return [row[0] for row in rows]

    def undraw(self, store: str, name: str) -> None:
        """Remember that one was read again."""
        self._do("DELETE FROM lots WHERE store = ? AND name = ?", (store, name))

    def note_site(self, device: str, site: str) -> None:
        """Remember where a device stands, by its newest manifest that was received."""
        self._do("INSERT OR REPLACE INTO sites VALUES (?, ?)", (device, site))

    def site(self, device: str) -> str | None:
        """Return where a device stands."""
        row = self._one("SELECT site FROM sites WHERE device = ?", (device,))
        return None if row is None else row[0]

    def note(self, name: str) -> int | None:
        """Return a number that was noted under a name."""
        row = self._one("SELECT value FROM notes WHERE name = ?", (name,))
        return None if row is None else row[0]

    def set_note(self, name: str, value: int) -> None:
        """Note a number under a name."""
        self._do("INSERT OR REPLACE INTO notes VALUES (?, ?)", (name, value))

    def _open(self) -> sqlite3.Connection:
        for number in range(1, _MOST_BROKEN + 1):
            try:
                return connect(self._path)
            except sqlite3.OperationalError as problem:
                return self._give_up(problem)  # the disk's fault, or a lock's
            except sqlite3.DatabaseError as problem:
                try:
                    self._set_aside(number)
                except OSError:
                    return self._give_up(problem)
        return self._give_up(sqlite3.DatabaseError(f"damaged {_MOST_BROKEN} times: remove the old ones"))

    def _set_aside(self, number: int) -> None:
        """Rename a file that is no memory of ours, unless another one has that name already."""
        aside = self._path.with_name(f"{self._path.name}.broken-{number}")
        if aside.exists():
            return
        for ending in _ENDINGS:
            with contextlib.suppress(FileNotFoundError):
                self._path.with_name(self._path.name + ending).rename(aside.with_name(aside.name + ending))

    def _give_up(self, problem: sqlite3.Error) -> sqlite3.Connection:
        self.failure = f"{self._path}: {problem}: what is remembered now will be lost with this process"
        return connect(None)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[_Run]:
        """Do several statements as one. Where the disk refuses they are lost, as all that is remembered."""
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield self._db.execute
                self._db.execute("COMMIT")
            except sqlite3.Error as problem:
                self._fail(problem)
            except BaseException:
                self._db.execute("ROLLBACK")
                raise

    def _fail(self, problem: sqlite3.Error) -> None:
        """Go on without the disk: what was to be remembered is found in the stores again."""
        with contextlib.suppress(sqlite3.Error):
            self._db.close()
        self._db = self._give_up(problem)

    def _do(self, statement: str, values: Sequence[object]) -> None:
        with self._transaction() as run:
            run(statement, values)

    def _one(self, statement: str, values: Sequence[object]) -> tuple[Any, ...] | None:
        rows = self._all(statement, values)
        return rows[0] if rows else None

    def _all(self, statement: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
        with self._lock:
            try:
                return self._db.execute(statement, values).fetchall()
            except sqlite3.Error as problem:
                self._fail(problem)
                return []


def again_after(state: State, tries: int) -> timedelta:
    """Return how long to wait before a recording in this state is looked at again."""
    if state is State.RECEIVED:
        return timedelta()
    return min(FIRST_AGAIN[state] * (1 << min(tries, _MOST_DOUBLINGS)), LAST_AGAIN[state])


def milliseconds(time: datetime) -> int:
    """Return a time as it is kept."""
    return int(time.timestamp() * 1000)


def _tell(
    run: _Run, key: tuple[str, str, str], troubles: Sequence[Trouble], now: datetime
) -> tuple[Trouble, ...]:
    """Write the troubles of one subject in place of the old ones; return those of codes that it had not."""
    rows = run(
        "SELECT code, min(since_ms) FROM troubles WHERE store = ? AND device = ? AND subject = ?"
        " GROUP BY code",
        key,
    )
    since = dict(rows.fetchall())
    run("DELETE FROM troubles WHERE store = ? AND device = ? AND subject = ?", key)
    for number, item in enumerate(troubles[:MAX_TROUBLES]):
        since_ms = since.get(item.code, milliseconds(now))
        values = (*key, number, item.code, item.exit_code, item.words, since_ms)
        run("INSERT INTO troubles VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
    return tuple(item for item in troubles if item.code not in since)


def _key(name: RecordingName) -> tuple[str, str, str]:
    return name.device, name.day.isoformat(), str(name.id)


def _name(row: Sequence[Any]) -> RecordingName:
    return RecordingName(device=row[0], day=date.fromisoformat(row[1]), id=UUID(row[2]))
