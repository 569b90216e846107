"""The file that the custodian's memory is in: its tables, and how it is opened.

Conventions: times are milliseconds since 1970. Another version of the tables is another file: see `memory`.
This module touches files.
"""

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import Final

_SCHEMA_VERSION: Final = 1
_BUSY_S: Final = 30.0
_FILE_MODE: Final = 0o600
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS recordings (
    store TEXT NOT NULL, device TEXT NOT NULL, day TEXT NOT NULL, id TEXT NOT NULL,
    state TEXT NOT NULL, names INTEGER NOT NULL, versions INTEGER NOT NULL, newest_ms INTEGER NOT NULL,
    tries INTEGER NOT NULL, again_ms INTEGER NOT NULL,
    PRIMARY KEY (store, device, day, id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS open_recordings ON recordings (store, again_ms) WHERE state != 'received';
CREATE TABLE IF NOT EXISTS troubles (
    store TEXT NOT NULL, device TEXT NOT NULL, subject TEXT NOT NULL, number INTEGER NOT NULL,
    code TEXT NOT NULL, exit_code INTEGER NOT NULL, words TEXT NOT NULL, since_ms INTEGER NOT NULL,
    PRIMARY KEY (store, device, subject, number)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS copies (
    target TEXT NOT NULL, device TEXT NOT NULL, day TEXT NOT NULL, id TEXT NOT NULL,
    tries INTEGER NOT NULL, again_ms INTEGER NOT NULL,
    PRIMARY KEY (target, device, day, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS lots (
    store TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY (store, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sites (device TEXT PRIMARY KEY, site TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""


def connect(path: Path | None) -> sqlite3.Connection:
    """Open a database and make its tables; sqlite3.DatabaseError for a file that is none of ours."""
    if path is not None:
        # Made here, so that nobody else can read it even for a moment.
        with contextlib.suppress(OSError):
            os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, _FILE_MODE))
    # Each statement is by itself unless a transaction is begun; a lock keeps threads apart.
    db = sqlite3.connect(
        ":memory:" if path is None else path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
    )
    try:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version not in {0, _SCHEMA_VERSION}:
            raise sqlite3.DatabaseError(f"of version {version}, and not {_SCHEMA_VERSION}")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.executescript(_SCHEMA)
        db.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
    except sqlite3.Error:
        db.close()
        raise
    return db
