"""The queue's file: SQLite, durable at every commit; what to do when it is damaged or the disk refuses.

Every commit is on the disk before `write` returns (WAL, ``synchronous=FULL``). What several threads bring at
the same time goes in one commit: on a real disk that is what a commit costs.

    malformed   it is renamed ``….broken-<n>`` and an empty one takes its place: the queue is made again from
                what lies in ``ready/``, for which `generation` rises
    refused     (full, read-only, gone) everything goes on in memory, on a copy of what could be read, and
                goes back to the disk once it takes it again; what a crash loses meanwhile is done again
    newer       QueueNewer: it is not touched

Conventions: one connection, used by one thread at a time. `write` may run a piece of work more than once,
each time on a state in which it has not been done: it must do nothing else than change the tables.
"""

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from callseal.seal import durable
from callseal.seal.durable import Step, no_step
from callseal.uploader import schema
from callseal.uploader.errors import QueueNewer

FOLDER_MODE: Final = 0o700
BUSY_S: Final = 5.0
"""How long somebody who looks into the file with another program may keep us waiting."""
RETURN_AFTER_S: Final = 30.0
"""How often a disk that refused is tried again."""
MAX_SET_ASIDE: Final = 8
"""A disk that damages one file after another must not be filled with them."""

_MEMORY: Final = ":memory:"
_MALFORMED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_REFUSED: Final = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_AUTH,
        sqlite3.SQLITE_NOLFS,
    }
)
_PRIMARY_MASK: Final = 0xFF  # an extended result code carries the primary one in its lowest byte

T = TypeVar("T")
Work = Callable[[sqlite3.Cursor], T]


@dataclass(slots=True)
class _Pending(Generic[T]):
    work: Work[T]
    done: bool = False
    result: list[T] = field(default_factory=list)
    problem: BaseException | None = None


class Database:
    """The file at `path`, or its stand-in in memory. Safe to use from any number of threads."""

    def __init__(
        self,
        path: Path,
        *,
        clock: Callable[[], float] = time.monotonic,
        connect: Callable[..., sqlite3.Connection] = sqlite3.connect,
        step: Step = no_step,
    ) -> None:
        """Open it, or make it; QueueNewer for one of a newer version. `clock` never goes back, in seconds."""
        self._path = path
        self._clock = clock
        self._connect = connect
        self._step = step
        self._gate = threading.Lock()
        self._pending: list[_Pending[Any]] = []
        self._lock = threading.Lock()
        self._refused = ""
        self._damaged = ""
        self._return_at_s = 0.0
        self._generation = 0
        self._connection = self._open()

    @property
    def path(self) -> Path:
        """Where the file lies."""
        return self._path

    @property
    def generation(self) -> int:
        """How often the content was lost; whoever can make it again does so when this has risen."""
        return self._generation

    @property
    def refused(self) -> str:
        """Why everything is in memory only; empty while the disk takes it."""
        return self._refused

    @property
    def damaged(self) -> str:
        """What happened to a file that was set aside since the start; empty if none was."""
        return self._damaged

    def write(self, work: Work[T]) -> T:
        """Do a piece of work on the tables; it is durable then, or in memory (see `refused`)."""
        entry = _Pending(work)
        with self._gate:
            self._pending.append(entry)
        with self._lock:
            # Who had the lock before may have done this one along with his own.
            if not entry.done:
                self._do_pending()
        if entry.problem is not None:
            raise entry.problem
        return entry.result[0]

    def read(self, work: Work[T]) -> T:
        """Look at the tables."""
        with self._lock:
            try:
                return work(self._connection.cursor())
            except sqlite3.Error as problem:
                self._recover(problem)
                return work(self._connection.cursor())

    def come_back(self) -> bool:
        """Return to the disk if it is time to try and the disk takes it; tell whether all is on the disk."""
        with self._lock:
            if not self._refused:
                return True
            if self._clock() < self._return_at_s:
                return False
            self._return_at_s = self._clock() + RETURN_AFTER_S
            try:
                disk = self._open_or_replace()
            except (sqlite3.Error, OSError):
                return False
            try:
                self._step("return to the disk")
                self._connection.backup(disk)
            except sqlite3.Error:
                disk.close()
                return False
            self._connection.close()
            self._connection, self._refused = disk, ""
            return True

    def close(self) -> None:
        """Let go of the file."""
        with self._lock, contextlib.suppress(sqlite3.Error):
            self._connection.close()

    def _do_pending(self) -> None:
        with self._gate:
            batch, self._pending = self._pending, []
        try:
            self._commit(batch)
        except sqlite3.Error as problem:
            self._recover(problem)
            self._commit(batch)
        finally:
            for entry in batch:
                entry.done = True

    def _commit(self, batch: list[_Pending[Any]]) -> None:
        cursor = self._connection.cursor()
        try:
            cursor.execute("BEGIN IMMEDIATE")
            for entry in batch:
                _do(entry, cursor)
            self._step("commit")
            cursor.execute("COMMIT")
            self._step("committed")
        except BaseException as problem:
            with contextlib.suppress(sqlite3.Error):
                self._connection.rollback()
            for entry in batch:
                entry.problem = problem
            raise

    def _recover(self, problem: sqlite3.Error) -> None:
        """Make the next try possible: on an empty file, or in memory; raises what is a bug of ours."""
        code = _primary(problem)
        if code in _MALFORMED:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._generation += 1
            self._connection = self._replace(str(problem))
        elif code in _REFUSED and not self._refused:
            self._connection = self._to_memory(str(problem), self._connection)
        else:
            raise problem

    def _open(self) -> sqlite3.Connection:
        try:
            return self._open_file()
        except sqlite3.Error as problem:
            if _primary(problem) in _MALFORMED:
                return self._replace(str(problem))
            if _primary(problem) not in _REFUSED:
                raise
            return self._to_memory(str(problem), None)
        except OSError as problem:
            return self._to_memory(problem.strerror or str(problem), None)

    def _open_file(self) -> sqlite3.Connection:
        folder = self._path.parent
        if not folder.is_dir():
            folder.mkdir(mode=FOLDER_MODE)
            durable.sync_folder(folder.parent)
        # SQLite gives its -wal and -shm the mode of the file itself.
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        os.close(os.open(self._path, flags, durable.FILE_MODE))
        durable.sync_folder(folder)
        connection = self._connected(str(self._path))
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _open_or_replace(self) -> sqlite3.Connection:
        """Open the file for what is about to be put in place of its content."""
        try:
            return self._open_file()
        except sqlite3.Error as problem:
            if _primary(problem) not in _MALFORMED:
                raise
        self._set_aside()
        return self._open_file()

    def _connected(self, name: str) -> sqlite3.Connection:
        return self._connect(name, timeout=BUSY_S, isolation_level=None, check_same_thread=False)

    def _prepare(self, connection: sqlite3.Connection) -> None:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > schema.VERSION:
            raise QueueNewer(
                f"{self._path}: written by a newer version of callseal (form {version}, this one knows"
                f" {schema.VERSION}): run that version, or move the file away and everything is sent again"
            )
        try:
            if version < schema.VERSION:
                connection.execute("BEGIN IMMEDIATE")
                for statement in schema.TABLES:
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {schema.VERSION}")
                self._step("make tables")
                connection.execute("COMMIT")
            for name in schema.NAMES:
                connection.execute(f"SELECT 1 FROM {name} LIMIT 0")  # noqa: S608 - names of ours
        except sqlite3.OperationalError as problem:
            if _primary(problem) != sqlite3.SQLITE_ERROR:
                raise
            # Tables that are there, or missing, against its own word: whoever wrote that, it was not us.
            damage = sqlite3.DatabaseError(str(problem))
            damage.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise damage from problem

    def _replace(self, words: str) -> sqlite3.Connection:
        """Set the damaged file aside and begin an empty one."""
        try:
            aside = self._set_aside()
            connection = self._open_file()
        except (sqlite3.Error, OSError) as problem:
            return self._to_memory(f"{words}; it can't be replaced: {problem}", None)
        self._refused = ""
        self._damaged = f"it was damaged ({words}) and is now {aside.name}; a new one is made from the spool"
        return connection

    def _set_aside(self) -> Path:
        names = (self._path.with_name(f"{self._path.name}.broken-{n}") for n in range(1, MAX_SET_ASIDE + 1))
        aside = next((path for path in names if not path.exists()), None)
        if aside is None:
            raise OSError(f"{MAX_SET_ASIDE} damaged ones lie beside it already: look at the disk")
        for ending in ("-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                self._path.with_name(self._path.name + ending).rename(aside.with_name(aside.name + ending))
        self._path.rename(aside)
        durable.sync_folder(aside.parent)
        return aside

    def _to_memory(self, words: str, broken: sqlite3.Connection | None) -> sqlite3.Connection:
        memory = self._connected(_MEMORY)
        copied = False
        if broken is not None:
            with contextlib.suppress(sqlite3.Error):
                broken.backup(memory)
                copied = True
            with contextlib.suppress(sqlite3.Error):
                broken.close()
        if not copied:
            memory.close()
            memory = self._connected(_MEMORY)
            self._prepare(memory)
            self._generation += 1
        self._refused = words
        self._return_at_s = self._clock() + RETURN_AFTER_S
        return memory


def _do(entry: _Pending[Any], cursor: sqlite3.Cursor) -> None:
    """Do one piece; what is wrong with the piece itself is its own problem, and undone."""
    entry.result.clear()
    entry.problem = None
    cursor.execute("SAVEPOINT piece")
    try:
        entry.result.append(entry.work(cursor))
    except Exception as problem:
        if isinstance(problem, sqlite3.Error) and _primary(problem) in _MALFORMED | _REFUSED:
            raise
        entry.problem = problem
        cursor.execute("ROLLBACK TO piece")
    cursor.execute("RELEASE piece")


def _primary(problem: sqlite3.Error) -> int:
    return getattr(problem, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & _PRIMARY_MASK
